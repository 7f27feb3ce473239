"""Networks as torch modules: from log-mel spectrograms, or from waveforms, to one vector per clip or window.

Conventions
-----------
- Waveforms are (batch, n_samples), log-mel spectrograms (batch, n_mels, n_frames) in dB, or (batch, channels, n_mels,
  n_frames) if there are several; an embedding is (batch, embedding_size).
- Layers that depend on the size of the input take it from the first batch, like torch's lazy modules: run one batch
  through a network, in eval mode, before you pass its parameters to an optimizer.
- ``forward_stages``, if a network has it, returns the output of every stage averaged over bands and frames; the last
  one is the embedding.
- A network that makes spectrograms from waveforms is a `FrontEndNetwork`, with two parts: ``spectrograms`` and
  ``backbone``.
- `EfficientNet` and `MobileNetV2` come from timm, `AudioSetMobileNet` from torchvision (``pip install skasd[vision]``);
  these are imported when such a network is made.
"""

import importlib

from skasd.networks._audioset import AudioSetMobileNet, AudioSetSpectrogram
from skasd.networks._autoencoder import DenseAutoencoder
from skasd.networks._front_ends import DualFeatureNetwork, FrontEndNetwork, LogMelLayer, WavegramLayer, WithFrontEnd
from skasd.networks._mobilefacenet import MobileFaceNet
from skasd.networks._multi_resolution import MultiResolutionNetwork
from skasd.networks._spectrogram_resnet import SpectrogramResNet
from skasd.networks._standardizer import BandStandardizer, learn_standardization

_FROM_TIMM = {"EfficientNet": "_efficientnet", "MobileNetV2": "_mobilenet_v2"}

__all__ = [
    "AudioSetMobileNet",
    "AudioSetSpectrogram",
    "BandStandardizer",
    "DenseAutoencoder",
    "DualFeatureNetwork",
    "EfficientNet",
    "FrontEndNetwork",
    "LogMelLayer",
    "MobileFaceNet",
    "MobileNetV2",
    "MultiResolutionNetwork",
    "SpectrogramResNet",
    "WavegramLayer",
    "WithFrontEnd",
    "learn_standardization",
]


def __dir__():
    return __all__


def __getattr__(name):
    if name in _FROM_TIMM:
        return getattr(importlib.import_module(f"skasd.networks.{_FROM_TIMM[name]}"), name)
    raise AttributeError(f"module 'skasd.networks' has no attribute {name!r}")
