"""What detectors with a network share: one network for all sections of a machine, trained row by row."""

import copy
from abc import abstractmethod

import numpy as np
import torch
from sklearn.base import clone
from sklearn.utils import gen_batches
from skorch import NeuralNet
from torch import nn

from skasd._training import TrainingMixin, seeded
from skasd._validation import HasMethods, read_field
from skasd.clips import Clips
from skasd.detectors._base import BaseDetector, OwnScoresMixin


class NetworkDetector(OwnScoresMixin, TrainingMixin, BaseDetector):
    """Base of the detectors whose score is what one network, trained on all sections of the machine, was trained for.

    A subclass gives `_make_network`, and `_measure`, the module that says how unusual each row is. Training makes its
    mean over the rows as small as it can, and the score of a row is its negative.
    """

    _parameter_constraints: dict = {
        **BaseDetector._parameter_constraints,
        "augmentation": [HasMethods("fit_transform"), None],
        **TrainingMixin._training_constraints,
    }

    @abstractmethod
    def _make_network(self, X, rows, n_sections):
        """Untrained network for the vectors X (n, d), of which only these rows train."""

    @abstractmethod
    def _measure(self):
        """Module that maps rows (n, d) and the number of the section of each (n,) to how unusual each is (n,)."""

    def score_windows(self, X):
        """Say how normal each window of each clip is: higher = more normal.

        Parameters
        ----------
        X : Clips with the field `embedding`, or array-like
            Embeddings of shape (n_clips, n_features) or (n_clips, n_windows, n_features).

        Returns
        -------
        scores : ndarray of shape (n_clips, n_windows)
            The scores whose mean over the windows `score_samples` gives (where a section has one model per domain: the
            better one for each window, where `score_samples` takes the better one for each clip).
        """
        return self._score_sections(X, lambda scores: scores.max(axis=2))

    def _fit_shared(self, X, windows, clips):
        n_clips, n_windows, n_features = windows.shape
        self.sections_ = np.array(list(clips))
        number = np.zeros(n_clips, dtype=np.int64)
        for own, mask in enumerate(clips.values()):
            number[mask] = own
        used = np.flatnonzero(np.any(list(clips.values()), axis=0))
        with seeded(self.random_state) as seed:
            train, valid = self._split_rows(used, number, seed)
            flat = self._augment(X, windows, train).reshape(-1, n_features)
            train, valid = _rows_of(train, n_windows), _rows_of(valid, n_windows)
            self.network_ = self._make_network(flat, np.concatenate([train, valid]), len(clips))
            number = np.repeat(number, n_windows)
            self._fit_net(
                NeuralNet,
                self._measure(),
                _Mean(),
                _RowDataset(flat, train, number),
                _RowDataset(flat, valid, number),
                torch.Generator().manual_seed(seed),
            )
        self.network_.eval()

    def _augment(self, X, windows, rows):
        """The windows of all clips, those of these rows changed by the augmentation."""
        if self.augmentation is None:
            return windows
        augmentation, own = clone(self.augmentation), windows[rows]
        unset = [name for name, value in augmentation.get_params().items() if name.endswith("random_state")
                 and value is None]  # fmt: skip
        augmentation.set_params(**dict.fromkeys(unset, self.random_state))
        clips = X[rows].with_fields(embedding=own) if isinstance(X, Clips) else own
        _, made = read_field(augmentation.fit_transform(clips), "embedding", owner=type(self).__name__)
        if np.shape(made) != own.shape:
            raise ValueError(f"augmentation={self.augmentation!r} must give back windows of the shape that it got, "
                             f"{own.shape}; it made {np.shape(made)}.")  # fmt: skip
        augmented = windows.copy()
        augmented[rows] = made
        return augmented

    def _fit(self, X, domain, section):
        return int(np.searchsorted(self.sections_, section))

    def _score(self, model, X):
        scores = -np.concatenate(list(self._apply(self._measure(), X, model)))
        beyond = ~np.isfinite(scores)
        if beyond.any():  # so far from the training that single precision cannot say how far
            again = self._apply(self._measure(), X[beyond].astype(np.float64), model)
            scores[beyond] = -np.concatenate(list(again))
        return self._finite(scores)

    def _apply(self, module, X, *numbers):
        """What a module makes of the rows of X, batch by batch, in the precision that X has."""
        device = self._device()
        module = copy.deepcopy(module).to(device, torch.tensor(X[:0]).dtype).eval()
        with torch.inference_mode():
            for rows in gen_batches(len(X), self.batch_size):
                x = torch.tensor(X[rows], device=device)
                sections = [torch.full((len(x),), number, device=device) for number in numbers]
                yield module(x, *sections).double().cpu().numpy()

    def _finite(self, scores):
        if not np.isfinite(scores).all():
            raise ValueError("A score is not finite: training diverged at its end (lower lr, or set max_grad_norm), or "
                             "the embeddings are in other units than those of the training.")  # fmt: skip
        return scores


class _RowDataset(torch.utils.data.Dataset):
    """Some rows of an array with the number of the section of each; a whole batch is read at once."""

    def __init__(self, values, rows, number):
        self.values = values
        self.rows = rows
        self.number = number

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        return self.__getitems__([index])

    def __getitems__(self, indices):
        rows = self.rows[indices]
        number = torch.from_numpy(self.number[rows])
        return {"x": torch.from_numpy(self.values[rows].astype(np.float32)), "section": number}, number


class _Mean(nn.Module):
    """The loss: the mean of what the module gives."""

    def forward(self, unusual, target):
        return unusual.mean()


def _rows_of(clips, n_windows):
    """Rows of the windows of these clips, where the windows of all clips follow each other."""
    return (clips[:, np.newaxis] * n_windows + np.arange(n_windows)).ravel()
