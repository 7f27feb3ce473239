"""Distances between embeddings, in coordinates in which nothing cancels or overflows."""

from typing import NamedTuple

import numpy as np
from sklearn.metrics import pairwise_distances

from skasd.detectors._numbers import RowError, deviations, directions, largest

_FARTHEST = 1e100  # in units of the spread of the training rows, so that squares can be held
_EPS = np.finfo(np.float64).eps


def _correlated(X):
    centered = X - X.mean(axis=1, keepdims=True)
    constant = np.abs(centered).max(axis=1) <= 8 * _EPS * np.abs(X).max(axis=1)
    if constant.any():
        raise RowError(np.argmax(constant), "all values of the embedding are the same, so that its correlation with "
                       "others is undefined. Take another metric.")  # fmt: skip
    return directions(centered)


def _as_it_is(X):
    return X


class _Kind(NamedTuple):
    """The metric of what is made of rows, the power of its unit, None where it has none, and what makes it."""

    metric: object
    power: int | None = 1
    make: object = _as_it_is
    factor: float = 1.0


_KINDS = {
    "cosine": _Kind("sqeuclidean", 2, directions, 0.5),
    "correlation": _Kind("sqeuclidean", 2, _correlated, 0.5),
    "seuclidean": _Kind("euclidean"),  # of features in units of their standard deviations
    "sqeuclidean": _Kind("sqeuclidean", 2),
    **dict.fromkeys(("euclidean", "l2"), _Kind("euclidean")),
    **dict.fromkeys(("manhattan", "l1", "cityblock"), _Kind("manhattan")),
    **{name: _Kind(name) for name in ("chebyshev", "minkowski")},
    **{name: _Kind(name, None) for name in ("braycurtis", "canberra")},
}
METRICS = frozenset(_KINDS)


class Space:
    """Coordinates in which a metric is measured: counted from the middle of some rows, in units of their spread.

    Cosine and correlation are half the squared distance of directions, which is exact where ``1 - cos`` is rounded; `p`
    is the power of the Minkowski metric.
    """

    def __init__(self, metric, rows, resolution, p=2):
        if metric == "minkowski" and p == 2:
            metric = "euclidean"
        self.options = {"p": p} if metric == "minkowski" else {}
        self.kind = _KINDS[metric] if isinstance(metric, str) else _Kind(metric, None)
        self.deviations = deviations(rows, resolution) if metric == "seuclidean" else 1.0
        self.origin, self.unit = 0.0, 1.0
        if self.kind.power is not None:
            rows = self.kind.make(rows)
            self.origin = np.median(rows, axis=0)
            spread = largest(self._steps(rows))
            self.unit = np.median(spread[spread > 0]) if spread.any() else 1.0

    @property
    def scale(self):
        """What a distance of coordinates is multiplied with."""
        return self.kind.factor * self.unit ** (self.kind.power or 0)

    def __call__(self, X):
        """Coordinates of rows."""
        if self.kind.power is None:
            return X
        coordinates = self._steps(self.kind.make(X))
        coordinates /= self.unit
        far = ~(largest(coordinates) < _FARTHEST)
        if far.any():
            raise RowError(np.argmax(far), f"with values up to {np.abs(X[np.argmax(far)]).max():.3g}, the embedding is "
                           f"more than {_FARTHEST:g} times farther from the training clips than these are from each "
                           "other. Is it in the same units?")  # fmt: skip
        return coordinates

    def _steps(self, made):
        """Steps from the middle, in units of deviations."""
        steps = made - self.origin
        steps /= self.deviations
        return steps

    def distances(self, X, rows):
        """Distances (n, n_rows) of coordinates, all of them finite and none below 0."""
        distances = pairwise_distances(X, rows, metric=self.kind.metric, **self.options)
        wrong = ~(np.isfinite(distances) & (distances >= 0))
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            raise RowError(row, f"the metric {self.kind.metric!r} gives {distances[row, column]} for the embedding and "
                           "one of the training. Take another metric.")  # fmt: skip
        return distances


def check_enough_neighbors(n_neighbors, n_samples, group=""):
    """Refuse to look for more neighbours than a training row has."""
    if n_samples <= n_neighbors:
        place = f" in feature_groups[{group!r}]" if group else ""
        remedy = "Lower it, add normal clips, or leave that group out." if group else "Lower it or add normal clips."
        raise ValueError(f"n_neighbors={n_neighbors} needs more training rows than that, got n_samples={n_samples} "
                         f"that differ{place} (n_local_neighbors counts as neighbours too). {remedy}")  # fmt: skip
