"""Gaussians from moments, which can be pooled: those of the rows of nine parts are made of the moments of each part."""

from typing import NamedTuple

import numpy as np
from scipy.linalg import LinAlgError, cholesky
from scipy.linalg.lapack import dtrtri

_TINY = np.finfo(np.float64).tiny
_SINGULAR = 10 * np.finfo(np.float64).eps


class Moments(NamedTuple):
    """Of weighted rows their number n, their mean (d,) and their scatter: the sum of squares and products about it."""

    n: float
    mean: np.ndarray
    scatter: np.ndarray


def products(X, weights):
    """Weighted sum of the products of all pairs of columns, (d, d)."""
    return (weights[:, np.newaxis] * X).T @ X


def squares(X, weights):
    """Weighted sum of the squares of each column, (d,)."""
    return weights @ X**2


def moments(X, weights, sums):
    """Moments of the rows of X (n, d), with `products` or `squares` as `sums`."""
    n = weights.sum()
    mean = weights @ X / max(n, _TINY)
    return Moments(n, mean, sums(X - mean, weights))


def pooled(parts, sums):
    """Moments of all rows from those of some parts, about their common mean: nothing cancels."""
    n = np.array([part.n for part in parts])
    means = np.stack([part.mean for part in parts])
    mean = n @ means / max(n.sum(), _TINY)
    scatter = sums(means - mean, n)
    for part in parts:
        scatter += part.scatter
    return Moments(n.sum(), mean, scatter)


def cholesky_factor(covariance):
    """The lower Cholesky factor, if the covariance can be inverted, in its place."""
    variances = covariance.diagonal().copy()
    try:
        factor = cholesky(covariance.T, lower=True, overwrite_a=True, check_finite=False)
    except LinAlgError as error:
        raise ValueError(_NOT_INVERTIBLE) from error
    unexplained = np.diag(factor) ** 2 / variances  # share of each variance that those before do not tell
    if not unexplained.min() > len(factor) * _SINGULAR:
        raise ValueError(_NOT_INVERTIBLE)
    return factor


def whitening(factor):
    """Inverse of a lower Cholesky factor: the matrix that makes the covariance one."""
    return dtrtri(factor, lower=1)[0]


_NOT_INVERTIBLE = (
    "The covariance cannot be inverted: a feature is constant, or follows from others. Leave it out, or regularise."
)
