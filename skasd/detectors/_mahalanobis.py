"""Mahalanobis detector."""

from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy.linalg.lapack import dtrtrs

from skasd._docstrings import fill
from skasd._sklearn import StrOptions
from skasd.detectors._base import DETECTOR_TEXTS, BaseDetector
from skasd.detectors._feature_groups import split_features
from skasd.detectors._gaussian import Moments, cholesky_factor, pooled, products, squares, whitening
from skasd.detectors._numbers import in_units, lengths, typical_where_constant
from skasd.detectors._threads import few_threads


@fill(**DETECTOR_TEXTS)
class MahalanobisDetector(BaseDetector):
    """Detect anomalies by their Mahalanobis distance from the normal clips.

    A Gaussian is fitted for each section, or for each section and domain, in which case the smaller distance counts.
    The score is the negative distance (not squared). With `feature_groups`, one Gaussian is fitted to each group of
    features and the distances are averaged, as for the stages of a network [1]_.

    Parameters
    ----------
    covariance : {'ledoit_wolf', 'oas', 'sample'}, default='ledoit_wolf'
        How the covariance is estimated. The two shrunk estimators can be inverted when there are fewer clips than
        features; the sample covariance cannot, and is then an error. Features are scaled to unit variance first, so
        that only correlations are shrunk, whatever the units and levels of the features.

    per_domain : bool, default=False
        Whether each domain that `fit` has seen gets its own Gaussian. At least three rows of each are needed (two with
        ``covariance='oas'``). The domain is never needed for scoring.

    {feature_groups}

    {threshold}

    Attributes
    ----------
    models_ : dict of str to dict of str to dict of str to Gaussian
        For each section, domain (``''`` where domains are pooled) and group its ``location_``, ``covariance_``,
        ``shrinkage_`` and ``factor_`` (the covariance's lower Cholesky factor), and ``get_precision()``.

    {fitted}

    See Also
    --------
    GaussianMixtureDetector : Several Gaussians per section.

    Notes
    -----
    A Gaussian with many dimensions fits the clips that it was fitted to far better than new ones. For the threshold,
    training clips are therefore scored by models of other clips: recordings, or clips if no recordings are known, are
    divided into ten parts, and each part is scored by the Gaussians of the other nine. These are computed from sums
    over the parts, which takes about as long as fitting the model itself. A domain that is left with too few clips is
    left out as well.

    The estimates of the covariance are those of scikit-learn's `LedoitWolf`, `OAS` and `EmpiricalCovariance`, of
    features in units of their standard deviation over the training clips (a feature that is constant
    up to rounding: the median of these).

    References
    ----------
    .. [1] O. Rippel, P. Mertens and D. Merhof, "Modeling the distribution of normal data in pre-trained deep features
       for anomaly detection", ICPR 2020, https://arxiv.org/abs/2005.14140.

    Examples
    --------
    >>> import numpy as np
    >>> from skasd.detectors import MahalanobisDetector
    >>> rng = np.random.default_rng(0)
    >>> detector = MahalanobisDetector().fit(rng.normal(size=(200, 2)) * [1.0, 10.0])
    >>> near, far = detector.score_samples([[0.0, 9.0], [9.0, 0.0]])
    >>> bool(near > far)
    True
    """

    _parameter_constraints: dict = {
        **BaseDetector._parameter_constraints,
        "covariance": [StrOptions({"ledoit_wolf", "oas", "sample"})],
        "per_domain": ["boolean"],
        "feature_groups": [dict, None],
    }

    def __init__(
        self,
        *,
        covariance="ledoit_wolf",
        per_domain=False,
        feature_groups=None,
        contamination=0.1,
        threshold="quantile",
    ):
        super().__init__(contamination=contamination, threshold=threshold)
        self.covariance = covariance
        self.per_domain = per_domain
        self.feature_groups = feature_groups

    def _fit(self, X, domain, section):
        with few_threads(X):
            sums = self._sums(X, domain, np.zeros(len(X), dtype=int))
            return {name: self._gaussians(by_group, name) for name, by_group in sums.items()}

    def _score_parts(self, model, rows, part):
        with few_threads(rows.X):
            return self._score_by_sums(rows, part)

    def _score_by_sums(self, rows, part):
        scores, sums = np.empty(len(rows.X)), self._sums(rows.X, rows.domain, part)
        for out in range(part.max() + 1):
            others = {}
            for name, by_group in sums.items():
                try:
                    others[name] = self._gaussians(by_group, name, out)
                except ValueError as error:  # a domain with too few other clips is left out with these
                    too_few = error
            if not others:
                raise too_few
            scores[part == out] = self._score(others, rows.X[part == out])
        return scores

    def _sums(self, X, domain, part):
        """Sums over the rows of each part, for each domain and each group of features."""
        domain = domain if self.per_domain else np.full(len(X), "")
        return {
            str(name): {
                group: _Sums(values, part[domain == name], part.max() + 1, self._resolution)
                for group, values in split_features(X[domain == name], self.feature_groups)
            }
            for name in np.unique(domain)
        }

    def _gaussians(self, by_group, domain, out=None):
        """Gaussian of each group of features in a domain, without the rows of the part that is out."""
        return {group: _gaussian(sums, out, self.covariance, _place(domain, group)) for group, sums in by_group.items()}

    def _score(self, model, X):
        distances = [
            np.mean(
                [gaussians[group].distance(values) for group, values in split_features(X, self.feature_groups)], axis=0
            )
            for gaussians in model.values()
        ]
        return -np.min(distances, axis=0)


class Gaussian(NamedTuple):
    """Mean of rows, the lower Cholesky factor of their covariance, and the shrinkage in it."""

    location_: np.ndarray
    factor_: np.ndarray
    shrinkage_: float

    @property
    def covariance_(self):
        """Covariance, shrunk."""
        return self.factor_ @ self.factor_.T

    def get_precision(self):
        """Inverse of the covariance."""
        inverse = self.get_whitening()
        return inverse.T @ inverse

    def get_whitening(self):
        """Inverse of the lower Cholesky factor: the matrix that makes the covariance one."""
        return whitening(self.factor_)

    def distance(self, X):
        """Mahalanobis distance of each row, which cannot be the root of a negative number."""
        centered = (X - self.location_).T
        white, _ = dtrtrs(self.factor_, centered, lower=True, overwrite_b=True)
        return lengths(white.T)[:, 0]


class _Sums:
    """Rows, counted from the first in units of the largest of each feature, and what their parts add to the sums."""

    def __init__(self, X, part, n_parts, resolution):
        self.anchor = X[0]
        rows, self.units, self.rounding = in_units(X, resolution)
        self.parts = [_Part(rows[part == number]) for number in range(n_parts)]
        self.outs = range(n_parts) if n_parts > 1 else [None]

    def without(self, out, sums):
        """Moments of the rows of all parts but one, with their `products` or `squares`."""
        return pooled([part.moments[sums] for number, part in enumerate(self.parts) if number != out], sums)

    def deviations(self, n_samples, variances):
        """Standard deviations from sums of squares: a typical one for features that are constant but for rounding."""
        spread = self.units * np.sqrt(variances / max(n_samples, 1))
        return typical_where_constant(spread, self.rounding) / self.units, spread <= self.rounding

    @cached_property
    def fourth_powers(self):
        """Without each part the mean fourth power of the lengths of rows about their mean, in units of deviations.

        Lengths without each of the parts are made of one part of the rows after another, which is faster.
        """
        others = [self.without(out, squares) for out in self.outs]
        n, means, variances = map(np.array, zip(*others, strict=True))
        weights = np.array([self.deviations(*sums)[0] for sums in zip(n, variances, strict=True)]) ** -2.0
        powers = [np.square(part.squared_lengths(means, weights)).sum(axis=0) for part in self.parts]
        out = np.equal.outer(np.arange(len(powers)), self.outs)
        return dict(zip(self.outs, np.sum(powers, axis=0, where=~out) / np.maximum(n, 1), strict=True))


class _Part:
    """Rows of a part about their mean, and their moments."""

    def __init__(self, rows):
        mean = rows.sum(axis=0) / max(len(rows), 1)
        self.centered = rows - mean
        scatter = self.centered.T @ self.centered
        self.moments = {
            products: Moments(len(rows), mean, scatter),
            squares: Moments(len(rows), mean, scatter.diagonal()),
        }

    def squared_lengths(self, means, weights):
        """Squared length of each row about some other means, with a weight for the square of each feature."""
        shifts = self.moments[squares].mean - means
        lengths = self.centered**2 @ weights.T
        lengths += self.centered @ (2 * shifts * weights).T
        return lengths + np.einsum("ij,ij->i", shifts**2, weights)


def _gaussian(sums, out, covariance, place):
    """The Gaussian of the rows that are not in the part that is out."""
    n_samples, mean, scatter = sums.without(out, products)
    deviations, constant = sums.deviations(n_samples, np.diag(scatter))
    scatter[constant], scatter[:, constant] = 0.0, 0.0
    _check_rows(n_samples, scatter, covariance, place)
    scale = 1 / (np.sqrt(n_samples) * deviations)
    shrunk = np.multiply(scatter, scale[:, np.newaxis], out=scatter)
    shrunk *= scale
    shrinkage = _SHRINKAGES[covariance](n_samples, shrunk, lambda: sums.fourth_powers[out])
    level = shrinkage * np.trace(shrunk) / len(mean)
    shrunk *= 1 - shrinkage
    shrunk.flat[:: len(mean) + 1] += level
    units = sums.units * deviations
    factor = cholesky_factor(shrunk)
    factor *= units[:, np.newaxis]
    if not 1 / np.diag(factor).min() < np.inf:
        raise ValueError(f"The training rows{place} differ by {units.min():.0e} in a feature, the inverse of which "
                         "float64 cannot hold. Scale embeddings up.")  # fmt: skip
    return Gaussian(sums.anchor + sums.units * mean, factor, shrinkage)


def _check_rows(n_samples, scatter, covariance, place):
    n_features = len(scatter)
    least = 3 if covariance == "ledoit_wolf" and n_features > 1 else 2  # of two rows Ledoit and Wolf shrink nothing
    if n_samples < least:
        raise ValueError(f"n_samples={n_samples:.0f} rows{place} are too few for a Gaussian, which needs {least}. Add "
                         "normal clips, or pool the domains by per_domain=False.")  # fmt: skip
    if not np.diag(scatter).any():
        raise ValueError(f"All {n_samples:.0f} training rows{place} are the same; a Gaussian needs rows that differ.")
    if covariance == "sample" and n_samples <= n_features:
        raise ValueError(
            f"The sample covariance{place} of n_features={n_features} from n_samples={n_samples:.0f} rows cannot be "
            "inverted. Use covariance='ledoit_wolf' or 'oas', or fewer features."
        )


def _ledoit_wolf(n_samples, covariance, fourth_power):
    n_features, variances, square = len(covariance), np.diag(covariance), np.vdot(covariance, covariance)
    distance = square - np.vdot(variances, variances) + np.sum((variances - variances.mean()) ** 2)
    error = min((fourth_power() - square) / n_samples, distance)
    return error / distance if error > 0 and n_features > 1 else 0.0


def _oracle_approximating(n_samples, covariance, fourth_power):
    n_features = len(covariance)
    square, alpha = (np.trace(covariance) / n_features) ** 2, np.mean(covariance**2)
    excess = (n_samples + 1) * (alpha - square / n_features)
    if n_features == 1:
        return 0.0
    return min((alpha + square) / excess, 1.0) if excess > 0 else 1.0


_SHRINKAGES = {"ledoit_wolf": _ledoit_wolf, "oas": _oracle_approximating, "sample": lambda *known: 0.0}


def _place(domain, group):
    return "".join(f" of the {kind} {name!r}" for kind, name in (("domain", domain), ("group", group)) if name)
