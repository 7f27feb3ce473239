"""Batches, and the base of what changes them."""

from numbers import Real
from typing import NamedTuple

import numpy as np
import torch
from sklearn.base import BaseEstimator
from torch.nn import functional as F

from skasd._sklearn import Interval
from skasd._versions import VersionsMixin

PROBABILITY = Interval(Real, 0, 1, closed="both")
_SHAPES = {
    "waveform": "waveforms of shape (batch, n_samples)",
    "log_mel": "spectrograms of shape (batch, n_mels, n_frames)",
}


class Batch(NamedTuple):
    """Clips on their way into a network.

    Parameters
    ----------
    x : Tensor of shape (n, n_samples) or (n, n_mels, n_frames)
        Waveforms in [-1, 1] or log-mel spectrograms in dB, floating.

    targets : tuple of Tensor of shape (n, n_classes)
        What the network learns to tell apart, one soft target per field.

    domain : Tensor of shape (n,), default=None
        1 for clips of the target domain, 0 for the source domain, -1 for unknown. None: unknown for all.

    See Also
    --------
    Augmentation : Changes it.
    skasd.clips.Clips : The input of estimators, from which batches are made.

    Examples
    --------
    >>> import torch
    >>> from skasd.augmentation import Batch
    >>> section, attribute = torch.tensor([0, 2]), torch.tensor([1, 1])
    >>> batch = Batch.from_labels(torch.zeros(2, 128, 313), (section, attribute), n_classes=(3, 2))
    >>> batch.targets[0]
    tensor([[1., 0., 0.],
            [0., 0., 1.]])
    """

    x: torch.Tensor
    targets: tuple
    domain: torch.Tensor | None = None

    @classmethod
    def from_labels(cls, x, labels, n_classes, domain=None):
        """A batch from class numbers.

        Parameters
        ----------
        x : Tensor of shape (n, ...)
            Waveforms or spectrograms.

        labels : sequence of Tensor of shape (n,)
            Class numbers in ``[0, n_classes)``, one tensor per target.

        n_classes : sequence of int
            Number of classes of each target.

        domain : Tensor of shape (n,), default=None
            1 target, 0 source, -1 unknown.

        Returns
        -------
        batch : Batch
        """
        pairs = zip(labels, n_classes, strict=True)
        return cls(x, tuple(F.one_hot(label, number).float() for label, number in pairs), domain)


class Augmentation(VersionsMixin, BaseEstimator):
    """Base of the augmentations; one of your own inherits from it and defines ``draw`` and ``apply``.

    See Also
    --------
    Mixup : Mixes clips and their targets.
    SpecAugment : Masks bands and frames of a spectrogram.
    SevenBandParametricEQ : Equalises waveforms.

    Examples
    --------
    >>> import torch
    >>> from skasd.augmentation import Augmentation, Batch
    >>> class RandomGain(Augmentation):
    ...     works_on = "waveform"
    ...
    ...     def __init__(self, *, max_gain_db=6.0):
    ...         self.max_gain_db = max_gain_db
    ...
    ...     def draw(self, batch, generator):
    ...         share = torch.rand(len(batch.x), generator=generator)
    ...         return {"gain_db": self.max_gain_db * (2 * share - 1)}
    ...
    ...     def apply(self, batch, params):
    ...         gain = 10 ** (params["gain_db"] / 20)
    ...         return batch._replace(x=batch.x * gain[:, None].to(batch.x))
    >>> batch = Batch(torch.ones(2, 16000), targets=())
    >>> RandomGain()(batch, torch.Generator().manual_seed(0)).x[:, 0]
    tensor([0.9948, 1.4485])
    """

    works_on = "any"

    def draw(self, batch, generator):
        """Draw all random parameters.

        Parameters
        ----------
        batch : Batch
            The clips. Their number, shape and domain may matter, their sound does not.

        generator : torch.Generator
            Source of all randomness, on the CPU.

        Returns
        -------
        params : dict of str to Tensor
            What `apply` needs, on the CPU.

        Raises
        ------
        TypeError
            If the clips are not floating numbers.

        ValueError
            If the clips do not have the shape that the augmentation works on, or if a parameter is invalid.
        """
        raise NotImplementedError(f"{type(self).__name__} must define draw(batch, generator).")

    def apply(self, batch, params):
        """Apply the parameters.

        Parameters
        ----------
        batch : Batch
            The clips. They stay as they are.

        params : dict of str to Tensor
            What `draw` returned for this batch, or for one of the same shape.

        Returns
        -------
        batch : Batch
            The augmented clips, on the same device.
        """
        raise NotImplementedError(f"{type(self).__name__} must define apply(batch, params).")

    def __call__(self, batch, generator):
        return self.apply(batch, self.draw(batch, generator))

    def n_classes(self, n_classes):
        """Number of classes of each target after this augmentation.

        Parameters
        ----------
        n_classes : sequence of int
            Number of classes of each target before.

        Returns
        -------
        n_classes : tuple of int
        """
        return tuple(n_classes)


class NumpyAugmentation(Augmentation):
    """Base of ours: a subclass gives `_draw`, which draws arrays of numpy."""

    def draw(self, batch, generator):
        self._validate_params()
        owner, n_axes = type(self).__name__, batch.x.ndim
        if not batch.x.is_floating_point():
            raise TypeError(f"{owner} wants a batch of floating numbers; got {batch.x.dtype}. Divide int16 waveforms "
                            "by 32768 first.")  # fmt: skip
        if (self.works_on == "waveform" and n_axes != 2) or (self.works_on == "log_mel" and n_axes < 3):
            raise ValueError(f"{owner} wants {_SHAPES[self.works_on]}; got {tuple(batch.x.shape)}.")
        if 0 in batch.x.shape[1:]:
            raise ValueError(f"{owner} was given clips that hold nothing, of shape {tuple(batch.x.shape)}. Look at how "
                             "they were made.")  # fmt: skip
        random_state = np.random.RandomState(torch.randint(2**32, (), generator=generator).item())
        return {name: torch.from_numpy(values) for name, values in self._draw(batch, random_state).items()}

    def _draw(self, batch, random_state):
        raise NotImplementedError


def check_soft(target, owner):
    """Refuse class numbers where shares of classes are mixed."""
    if target.ndim != 2 or not target.is_floating_point():
        raise TypeError(f"{owner} wants soft targets of shape (batch, n_classes); got {target.dtype} of shape "
                        f"{tuple(target.shape)}. Batch.from_labels makes them from class numbers.")  # fmt: skip


def name_sources(target, partners, exchanged, owner):
    """Classes of clips as they are, and then of each source of the exchanged ones: themselves, and their partners."""
    check_soft(target, owner)
    sources = [target, *(target[partner] for partner in partners)]
    shares = [source / len(sources) for source in sources]
    as_it_is = torch.cat([target, *map(torch.zeros_like, shares)], dim=1)
    in_parts = torch.cat([torch.zeros_like(target), *shares], dim=1)
    return torch.where(exchanged[:, None], in_parts, as_it_is)
