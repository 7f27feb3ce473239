"""Embeddings as numbers, and lengths and directions that do not overflow."""

from contextlib import contextmanager

import numpy as np

from skasd._problems import has_finite_sum

VALUES_AT_ONCE = 2**23  # 64 MiB in float64
_ROUNDINGS = 16


class RowError(ValueError):
    """What is wrong with one row that a detector was given; the base class says to which clip it belongs."""

    def __init__(self, row, message):
        super().__init__(message)
        self.row = row


@contextmanager
def numbered(rows):
    """Rows that are named inside are those with these numbers."""
    try:
        yield
    except RowError as error:
        raise RowError(rows[error.row], str(error)) from error


def as_numbers(values, field):
    """Embeddings of clips, or of windows of clips, as an array, if they can be; a data frame stays one."""
    if np.ma.is_masked(values):
        raise ValueError(f"The {field} has {np.ma.count_masked(values)} masked values; every clip needs all of them.")
    if not hasattr(values, "shape"):
        try:
            values = np.asarray(values)
        except ValueError as error:
            raise ValueError(
                f"The {field} must be an array with one row per clip, all of one length: {error}."
            ) from error
    shape, kind = np.shape(values), getattr(getattr(values, "dtype", None), "kind", "f")
    if len(shape) > 3 or (len(shape) == 3 and 0 in shape):
        raise ValueError(f"The {field} must have shape (n_clips, n_features) or (n_clips, n_windows, n_features), none "
                         f"of them 0; got {shape}.")  # fmt: skip
    if kind in "mMV":
        raise ValueError(f"The {field} must hold numbers; got an array of {values.dtype}.")
    return values


def check_finite(windows, field):
    """Refuse embeddings (n_clips, n_windows, n_features) with NaN or infinity, by the numbers of the clips."""
    if has_finite_sum(windows):
        return
    missing, infinite = (np.flatnonzero(is_so(windows).any(axis=(1, 2))) for is_so in (np.isnan, np.isinf))
    for clips, name in ((missing, "NaN"), (infinite, "infinity")):
        if len(clips):
            raise ValueError(f"The {field} holds {name} in {listed(clips)} (counted from 0). Leave these clips out, or "
                             "see how they were made.")  # fmt: skip


def listed(clips):
    """The numbers of some clips, in words."""
    names = ", ".join(map(str, clips[:5].tolist())) + (f" and {len(clips) - 5} more" if len(clips) > 5 else "")
    return f"clip{'s' if len(clips) > 1 else ''} {names}"


def lengths(X):
    """Euclidean length of each row (n, 1), scaled before squaring."""
    scaled, peaks = _scaled(X)
    return peaks * _lengths(scaled)


def directions(X):
    """Each row scaled to length one."""
    scaled, peaks = _scaled(X)
    if not peaks.all():
        raise RowError(np.argmin(peaks), "the embedding is all zeros, so it has no direction: its cosine is undefined. "
                       "Is the clip silent, or the network dead?")  # fmt: skip
    scaled /= _lengths(scaled)
    return scaled


def in_units(X, resolution):
    """Rows, counted from the first in units of the largest of each column, and these units.

    Also the standard deviation of each column that rounding alone may make, in a dtype of this resolution.
    """
    highest, lowest = X.max(axis=0), X.min(axis=0)
    reach = np.maximum(highest - X[0], X[0] - lowest)
    if not np.isfinite(reach).all():
        raise ValueError("The embeddings span more than float64 can hold. Scale them down.")
    units = np.where(reach > 0, reach, 1.0)
    rows = X - X[0]
    rows /= units
    return rows, units, _ROUNDINGS * resolution * np.maximum(highest, -lowest)


def deviations(X, resolution):
    """Standard deviation of each column; that of a typical one, where a column is constant up to rounding."""
    rows, units, rounding = in_units(X, resolution)
    return typical_where_constant(units * np.std(rows, axis=0), rounding)


def typical_where_constant(deviations, least):
    """Deviations of features; that of a typical one, where a feature has no more than the `least` of each."""
    varies = deviations > least
    if varies.all():
        return deviations
    return np.where(varies, deviations, np.median(deviations[varies]) if varies.any() else 1.0)


def largest(X):
    """Largest magnitude in each row."""
    return np.maximum(X.max(axis=1), -X.min(axis=1))


def _lengths(scaled):
    return np.sqrt(np.einsum("ij,ij->i", scaled, scaled))[:, np.newaxis]


def _scaled(X):
    """The rows divided by their largest magnitude, which also is returned (n, 1)."""
    peaks = largest(X)[:, np.newaxis]
    return X / np.where(peaks > 0, peaks, 1.0), peaks
