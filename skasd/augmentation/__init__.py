"""Augmentation of training data, in two steps: draw random parameters, then apply them.

Conventions
-----------
- An augmentation has two steps. ``params = draw(batch, generator)`` draws everything random, on the CPU, from a
  `torch.Generator`; ``apply(batch, params)`` does the work, on the device of the batch, and returns a new `Batch`.
  ``augmentation(batch, generator)`` does both. The same parameters applied twice give the same result.
- ``batch.x`` is floating: waveforms (n, n_samples) in [-1, 1] or log-mel spectrograms (n, n_mels, n_frames) in dB.
  Shape, dtype and device stay, and the input is not changed in place.
- ``batch.targets`` are soft: one (n, n_classes) tensor per target, whose rows sum to one. ``n_classes(n_classes)`` says
  how many classes each target has afterwards, for the loss.
- Row i of the output is clip i. Augmentations only ever see training clips, so no anomalies.
- ``works_on`` is "waveform", "log_mel", "embedding" or "any": what ``x`` has to be.

Any object with ``draw``, ``apply``, ``n_classes`` and ``works_on`` will do; `Augmentation` is a base class.
"""

from skasd.augmentation._base import Augmentation, Batch
from skasd.augmentation._equalizer import SevenBandParametricEQ
from skasd.augmentation._exchange import FeatureExchange, StatisticsExchange
from skasd.augmentation._mixup import Mixup
from skasd.augmentation._spec_augment import SpecAugment

__all__ = [
    "Augmentation",
    "Batch",
    "FeatureExchange",
    "Mixup",
    "SevenBandParametricEQ",
    "SpecAugment",
    "StatisticsExchange",
]
