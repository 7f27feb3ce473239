"""What detectors with a network share: one network for all sections of a machine, trained row by row."""

import math
import warnings
from abc import abstractmethod
from functools import partial
from numbers import Real
from typing import NamedTuple

import numpy as np
import torch
from sklearn.base import clone
from sklearn.utils import gen_batches
from torch import nn

from skasd._groups import first_copies, joined
from skasd._reading import read_field, read_text, recording_numbers
from skasd._sklearn import HasMethods, Interval, StrOptions
from skasd.clips import Clips
from skasd.detectors._base import DETECTOR_TEXTS, BaseDetector, OwnScoresMixin
from skasd.detectors._held_out import take
from skasd.detectors._level import score_held_out
from skasd.detectors._threshold import Threshold
from skasd.training import TRAINING_TEXTS, RowDataset, TrainingMixin, TrainingNet, seeded, set_aside

NETWORK_TEXTS = {
    **DETECTOR_TEXTS,
    **TRAINING_TEXTS,
    "training": f"""
augmentation : transformer, default=None
    Changes the training clips from which the network learns, by its ``fit_transform``, as `Mixup` does; the threshold
    comes from the clips as they are. It is given the windows of each clip, in the field ``embedding`` where there are
    fields, and gives back as many. Where its `random_state` is None, it has that of the detector.

max_epochs : int, default=100
    Number of passes over the training windows.
{TRAINING_TEXTS["lr"]}
batch_size : int, default=512
    Windows in a batch, in training and in scoring.
{TRAINING_TEXTS["lr_schedule"]}
validation_fraction : 'auto' or float, default='auto'
    Part of the training clips, in [0, 1), that is set aside: they watch the loss, and their scores set the threshold,
    since the network may know by heart what it has learned from. Whole recordings are set aside, where the clips have
    the field ``recording``, and all copies of a clip. 'auto' is a tenth, but at least 20 and so many that one alarm
    among them is rarer than `contamination`, and at most half. With 0 all clips train, and the threshold comes from
    their own scores: it is an alarm for more new clips than `contamination` says.
{TRAINING_TEXTS["checkpoint"]}{TRAINING_TEXTS["device"]}""",
    "sections_": """
sections_ : ndarray of str
    The sections that `fit` has seen.
""",
}


class SectionModel(NamedTuple):
    """The number of a section, as the network knows it, and the inverse covariances of errors in each domain, if any.

    The latter are (n_domains, n_errors, n_errors), where the errors of the network are weighed.
    """

    number: int
    precisions: np.ndarray | None = None


class NetworkDetector(OwnScoresMixin, TrainingMixin, BaseDetector):
    """Base of the detectors whose score is the training loss of one network, trained on all sections of the machine.

    A subclass gives `_make_network`, and `_measure`, the module that says how unusual each row is. Training makes its
    mean over the rows as small as it can, and the score of a row is its negative. The clips that are set aside from
    training give the threshold.
    """

    _parameter_constraints: dict = {
        **BaseDetector._parameter_constraints,
        "augmentation": [HasMethods("fit_transform"), None],
        **TrainingMixin._training_constraints,
        "validation_fraction": [StrOptions({"auto"}), Interval(Real, 0, 1, closed="left")],
    }
    _training_dtype = np.float32

    @abstractmethod
    def _make_network(self, X, rows, n_sections):
        """Untrained network for the vectors X (n, d), of which only these rows train."""

    @abstractmethod
    def _measure(self, network):
        """Module that maps rows (n, d) and the number of the section of each (n,) to how unusual each is (n,)."""

    def fit(self, X, y=None):
        with self._fitting():
            self._held_out = []
            super().fit(X, y)
            if self._aside.any():
                held_out = map(np.concatenate, zip(*self._held_out, strict=True))
                self.offset_ = Threshold(partial(score_held_out, *held_out, self.contamination, self.threshold))
            for name in _IN_FIT:
                delattr(self, name)
        return self

    def score_windows(self, X):
        """Say how normal each window of each clip is: higher = more normal.

        Parameters
        ----------
        X : Clips with the field `embedding`, or array-like
            Embeddings of shape (n_clips, n_features) or (n_clips, n_windows, n_features).

        Returns
        -------
        scores : ndarray of shape (n_clips, n_windows)
            The scores, whose mean over the windows is `score_samples`. If a section has one model per domain, the
            better one is taken for each window here, and for each clip in `score_samples`.
        """
        return self._score_sections(X, lambda scores: scores.max(axis=2))

    def _fit_shared(self, X, windows, clips):
        self.sections_ = np.array(list(clips))
        number = np.argmax(list(clips.values()), axis=0)
        used = np.flatnonzero(np.any(list(clips.values()), axis=0))
        checkpoint, seed = self._begin_training()
        with seeded(seed, self._device()):
            aside = self._clips_aside(X, windows, number, used, seed)
            self._aside = np.isin(np.arange(len(windows)), used[aside])
            flat = self._augment(X, windows, used[~aside], seed).reshape(-1, windows.shape[2])
            self._train(flat, number, used[~aside], used[aside], seed, checkpoint)
        self.network_.eval()

    def _train(self, flat, number, train, valid, seed, checkpoint):
        """Train on the windows of some clips, and watch the loss of others."""
        n_windows = len(flat) // len(number)
        number, generator = np.repeat(number, n_windows), torch.Generator().manual_seed(seed)
        read = partial(_read, flat, self._training_dtype)
        train, valid = (RowDataset(read, _rows_of(clips, n_windows), number, section=number)
                        for clips in (train, valid))  # fmt: skip
        self.network_ = self._make_network(flat, train.rows, len(self.sections_))
        if checkpoint is not None:
            rows = np.concatenate([train.rows, valid.rows])
            checkpoint.begin(self, seed, generator, clips=flat, section=number, rows=rows)
        self._fit_net(
            TrainingNet, self._measure(self.network_), _Mean(), train, valid, generator=generator, checkpoint=checkpoint
        )

    def _clips_aside(self, X, windows, number, used, seed):
        """Mask of those of the used clips that watch the loss and set the threshold."""
        copy = first_copies(take(windows, used))
        if not copy.any():
            raise ValueError("All training clips are the same, and copies count once: a network needs clips that "
                             "differ. Are they silent?")  # fmt: skip
        groups = joined(recording_numbers(X, len(windows))[used], copy)
        for own in (number[used] == section for section in range(len(self.sections_))):
            if len(set(groups[own].tolist())) == 1:  # all of one recording, of which fit has warned
                groups[own] = len(windows) + copy[own]
        self._group = np.zeros(len(windows), dtype=int)
        self._group[used] = groups
        domain = np.unique(read_text(X, "domain", len(windows)), return_inverse=True)[1]
        labels = np.stack([number, number * (domain.max() + 1) + domain])[:, used]
        if self.validation_fraction != "auto":
            return self._set_aside(groups, labels, seed)
        aside = set_aside(groups, labels, self._n_aside(len(np.unique(groups))), seed)
        if aside.any():
            return aside
        warnings.warn("There are too few clips to set any aside from training. The threshold comes from clips that the "
                      "network has learned: do not trust it, it will be an alarm for too many others. Train with more "
                      "clips, or set offset_ by clips that did not train.", stacklevel=7)  # fmt: skip
        return aside

    def _n_aside(self, n_groups):
        """A tenth, or as many as a threshold needs; at most half."""
        needed = max(_FEWEST_ASIDE, math.ceil(1 / self.contamination) - 1)  # the rate at the lowest of so many scores
        return max(0, min(max(round(_SHARE_ASIDE * n_groups), needed), n_groups // 2, n_groups - 2))

    def _augment(self, X, windows, rows, seed):
        """The windows of all clips, those of these rows changed by the augmentation."""
        if self.augmentation is None:
            return windows
        augmentation, own = clone(self.augmentation), windows[rows]
        unset = [name for name, value in augmentation.get_params().items() if name.endswith("random_state")
                 and value is None]  # fmt: skip
        augmentation.set_params(**dict.fromkeys(unset, seed))
        clips = X[rows].with_fields(embedding=own) if isinstance(X, Clips) else own
        _, made = read_field(augmentation.fit_transform(clips), "embedding", owner=type(self).__name__)
        if np.shape(made) != own.shape:
            raise ValueError(f"augmentation={self.augmentation!r} must give back windows of the shape that it got, "
                             f"{own.shape}; it made {np.shape(made)}.")  # fmt: skip
        augmented = windows.copy()
        augmented[rows] = made
        return augmented

    def _fit(self, X, domain, section):
        return SectionModel(int(np.searchsorted(self.sections_, section)))

    def _training_rows(self, windows, section, clips, domain, group):
        trains = ~self._aside[clips]
        return super()._training_rows(windows, section, clips[trains], domain, group[trains])

    def _training_scores(self, model, windows, clips, rows):
        if not self._aside.any():
            return super()._training_scores(model, windows, clips, rows)
        own = clips[self._aside[clips]]
        scores = super()._training_scores(model, windows, own, rows) if len(own) else partial(np.empty, 0)
        section = np.full(len(own), len(self._held_out))
        self._held_out.append((scores(), self._group[own], section))
        return scores

    def _score(self, model, X):
        scores = -np.concatenate(list(self._apply(self._measure, X, model.number)))
        self._check_weights(scores)
        return scores

    def _apply(self, measure, X, *numbers):
        """What the module that `measure` puts around the network makes of the rows of X, batch by batch."""
        device, dtype = self._device(), self._dtype()
        module = measure(self._ready("network_", dtype))
        with torch.inference_mode():
            for rows in gen_batches(len(X), self.batch_size):
                x = torch.tensor(X[rows], device=device, dtype=dtype)
                sections = [torch.full((len(x),), number, device=device) for number in numbers]
                yield module(x, *sections).double().cpu().numpy()

    def _dtype(self):
        """Double precision, where the device has it."""
        return torch.float32 if torch.device(self._device()).type == "mps" else torch.float64

    def _check_weights(self, scores):
        if not np.isfinite(scores).all() and not all(torch.isfinite(one).all() for one in self.network_.parameters()):
            raise ValueError("A score is not finite: training diverged at its end, and left weights that are not "
                             "finite. Lower lr, or clip the gradient.")  # fmt: skip

    def _forget_fit(self):
        super()._forget_fit()
        for name in set(_IN_FIT) & set(vars(self)):
            del self.__dict__[name]


_IN_FIT = ("_aside", "_group", "_held_out")  # what only a fit needs to know
_SHARE_ASIDE = 0.1
_FEWEST_ASIDE = 20


class _Mean(nn.Module):
    """The loss: the mean of what the module gives."""

    def forward(self, unusual, target):
        return unusual.mean()


def _read(values, dtype, rows):
    """These rows of an array as a tensor."""
    return torch.from_numpy(values[rows].astype(dtype))


def _rows_of(clips, n_windows):
    """Rows of the windows of these clips, where the windows of all clips follow each other."""
    return (clips[:, np.newaxis] * n_windows + np.arange(n_windows)).ravel()
