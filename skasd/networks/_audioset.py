"""The small networks that were trained on AudioSet by distillation, and the spectrogram that they take."""

from functools import partial

import numpy as np
import torch
from torch import nn

from skasd.networks.inputs import as_images, as_waveforms


def _import_mobilenet():
    try:
        from torchvision.models import mobilenetv3
        from torchvision.ops.misc import SqueezeExcitation
    except (ImportError, RuntimeError) as error:  # a torchvision built for another torch is a RuntimeError
        raise ImportError(
            "AudioSetMobileNet needs a torchvision that fits the installed torch "
            f"{torch.__version__}: pip install 'skasd[vision]'. The import failed with: {error}"
        ) from error
    return mobilenetv3, SqueezeExcitation


class AudioSetSpectrogram(nn.Module):
    """The log-mel spectrogram of the AudioSet networks: 128 bands of waveforms at 32 kHz.

    From each sample, 0.97 times the previous one is subtracted. Frames of 800 samples, every 320, get a Hann window and
    a Fourier transform of length 1024. The bands are triangles on HTK's mel scale from 0 to 15 kHz, as in Kaldi. A
    power p in a band becomes ``(log(p + 1e-5) + 4.5) / 5``. There is nothing to learn.

    Attributes
    ----------
    sample_rate : int
        32000, in Hz.

    See Also
    --------
    AudioSetMobileNet : The network that takes it.
    LogMelLayer : A spectrogram with parameters, in dB.

    References
    ----------
    .. [1] F. Schmid, K. Koutini, G. Widmer. "Efficient large-scale audio tagging via transformer-to-CNN knowledge
       distillation". ICASSP 2023. https://arxiv.org/abs/2211.04772

    Examples
    --------
    >>> import torch
    >>> from skasd.networks import AudioSetSpectrogram
    >>> spectrogram = AudioSetSpectrogram()
    >>> spectrogram(torch.zeros(1, 32000)).shape
    torch.Size([1, 128, 100])
    """

    def __init__(self):
        super().__init__()
        self.sample_rate = 32000
        filters = _filters_on_the_mel_scale(self.sample_rate, n_fft=1024, n_mels=128, fmax=15000)
        self.register_buffer("filters", torch.as_tensor(filters, dtype=torch.float32), persistent=False)
        self.register_buffer("taper", torch.hann_window(800, periodic=False), persistent=False)

    def forward(self, x):
        """Spectrograms.

        Parameters
        ----------
        x : Tensor of shape (batch, n_samples)
            Waveforms at 32 kHz: floats with full scale at 1, or integers of 8, 16 or 32 bits.

        Returns
        -------
        spectrograms : Tensor of shape (batch, 128, n_frames)

        Raises
        ------
        ValueError
            If ``x`` is not a batch of waveforms, or shorter than 514 samples.
        """
        x = as_waveforms(x, self.taper.dtype, type(self).__name__)
        if x.shape[1] < 514:  # half a frame is reflected at each end
            raise ValueError(f"AudioSetSpectrogram needs at least 514 samples; got {x.shape[1]}. Give longer clips.")
        x = x[:, 1:] - 0.97 * x[:, :-1]
        spectrum = torch.stft(x, 1024, 320, 800, window=self.taper, return_complex=True)
        power = torch.view_as_real(spectrum).square().sum(-1)
        return ((self.filters @ power + 1e-5).log() + 4.5) / 5


def _filters_on_the_mel_scale(sample_rate, n_fft, n_mels, fmax):
    """Triangles (n_mels, n_fft // 2 + 1) with sides that are straight on the mel scale; the last frequency is left."""
    mel = np.log1p(np.append(np.arange(n_fft // 2) * sample_rate / n_fft, fmax) / 700)
    edges = np.linspace(0, mel[-1], n_mels + 2)
    sides = np.diff(edges)[:, None]
    rising, falling = (mel[:-1] - edges[:-2, None]) / sides[:-1], (edges[2:, None] - mel[:-1]) / sides[1:]
    return np.pad(np.maximum(0, np.minimum(rising, falling)), ((0, 0), (0, 1)))


class AudioSetMobileNet(nn.Module):
    """MobileNetV3-large on one-channel spectrograms, trained by EfficientAT to tag the sounds of AudioSet [1]_.

    It differs from the network for pictures [2]_ in its one input channel, and in the sigmoid gates of its
    squeeze-excitation. The output is a logit for each of the 527 classes of AudioSet; to detect anomalies, use the maps
    of its blocks, ``features.0`` to ``features.16``.

    Parameters
    ----------
    width : float, default=0.4
        Factor on the number of channels, at least 0.1: 0.4 is the published ``mn04_as``, 1.0 ``mn10_as``.

    Raises
    ------
    ImportError
        If torchvision cannot be imported.

    See Also
    --------
    AudioSetSpectrogram : The spectrogram that it takes.
    skasd.embedders.PretrainedEmbedder : Makes embeddings from its maps.
    skasd.systems.audioset_mobilenet : A whole system with it.

    References
    ----------
    .. [1] F. Schmid, K. Koutini, G. Widmer. "Efficient large-scale audio tagging via transformer-to-CNN knowledge
       distillation". ICASSP 2023. https://arxiv.org/abs/2211.04772
    .. [2] A. Howard et al. "Searching for MobileNetV3". ICCV 2019. https://arxiv.org/abs/1905.02244

    Examples
    --------
    >>> import torch
    >>> from skasd.networks import AudioSetMobileNet
    >>> network = AudioSetMobileNet().eval()
    >>> network(torch.zeros(1, 128, 100)).shape
    torch.Size([1, 527])
    >>> sum(parameter.numel() for parameter in network.parameters())
    983599
    """

    def __init__(self, *, width=0.4):
        super().__init__()
        mobilenetv3, gates = _import_mobilenet()
        setting, last_channel = mobilenetv3._mobilenet_v3_conf("mobilenet_v3_large", width_mult=width)
        block = partial(mobilenetv3.InvertedResidual, se_layer=partial(gates, scale_activation=nn.Sigmoid))
        model = mobilenetv3.MobileNetV3(setting, last_channel, num_classes=527, block=block)
        first = model.features[0][0]
        model.features[0][0] = nn.Conv2d(1, first.out_channels, 3, stride=2, padding=1, bias=False)
        self.features, self.classifier = model.features, model.classifier

    def forward(self, x):
        """Logits of the classes of AudioSet.

        Parameters
        ----------
        x : Tensor of shape (batch, 128, n_frames) or (batch, 1, 128, n_frames)

        Returns
        -------
        logits : Tensor of shape (batch, 527)

        Raises
        ------
        ValueError
            If there is more than one channel, or fewer than 32 bands or frames.
        """
        x = as_images(x, channels=(1,), smallest=32, owner=type(self).__name__)
        return self.classifier(self.features(x).mean((2, 3)))

    def adapt_weights(self, state):
        """Convert a state dict with the authors' names to one with those of torchvision.

        Parameters
        ----------
        state : dict of str to Tensor
            As published by the authors, or of this network.

        Returns
        -------
        state : dict of str to Tensor
        """
        if "classifier.5.weight" not in state:
            return state
        return {_name_of_torchvision(name): _as_convolution(name, value) for name, value in state.items()}


def _name_of_torchvision(name):
    name = name.replace(".conc_se_layers.0.", ".")
    return name.replace("classifier.2.", "classifier.0.").replace("classifier.5.", "classifier.3.")


def _as_convolution(name, value):
    """Linear layers of gates are convolutions with kernels of one pixel in torchvision."""
    return value[:, :, None, None] if ".conc_se_layers." in name and value.ndim == 2 else value
