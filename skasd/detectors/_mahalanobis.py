"""Mahalanobis detector."""

import numpy as np
from sklearn.covariance import OAS, EmpiricalCovariance, LedoitWolf

from skasd._validation import StrOptions
from skasd.detectors._base import BaseDetector
from skasd.detectors._held_out import HeldOutMixin

_COVARIANCES = {"ledoit_wolf": LedoitWolf, "oas": OAS, "sample": EmpiricalCovariance}


class MahalanobisDetector(HeldOutMixin, BaseDetector):
    """Detect anomalies by their Mahalanobis distance from the normal clips.

    A Gaussian is fitted per section, or per section and domain, where the smaller distance counts. The score is minus
    the distance (not squared). With `groups`, one Gaussian is fitted to each group of features and the distances are
    averaged, as for the stages of a network [1]_.

    Parameters
    ----------
    covariance : {'ledoit_wolf', 'oas', 'sample'}, default='ledoit_wolf'
        How the covariance is estimated. The two shrunk estimators can be inverted when there are fewer clips than
        features; the sample covariance cannot, and is then an error.

    per_domain : bool, default=False
        Whether each domain that `fit` has seen gets its own Gaussian. At least two rows of each are needed. The
        domain is never needed to score.

    groups : dict of str to (slice or array-like of int), default=None
        Columns of each group of features. None takes all features as one group.

    contamination : float, default=0.1
        Fraction of the training clips, in (0, 0.5), that the threshold would call anomalous.

    threshold : {'quantile', 'gamma'}, default='quantile'
        How `offset_` is set from the training scores: their quantile, or that of a gamma distribution fitted to
        them, as the DCASE baselines do.

    Attributes
    ----------
    models_ : dict of str to dict of str to dict of str to covariance estimator
        The fitted covariance of each section, domain (``''`` where domains are pooled) and group.

    offset_ : float
        Threshold on `score_samples`.

    machine_ : str
        Name of the machine that `fit` has seen, empty if it was not given.

    n_features_in_ : int
        Number of features of an embedding.

    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if `fit` was given a data frame.

    See Also
    --------
    GaussianMixtureDetector : Several Gaussians per section.

    Notes
    -----
    A Gaussian of many dimensions fits the clips that made it far better than new ones. For the threshold, training
    clips are therefore scored by models of the others: the clips of a section are dealt into ten parts in turn, and
    each part is scored by a model of the other nine. Where these are too few for a model, or where there are a hundred
    clips and more for each feature, so that one hardly matters, the clips' own model scores them.

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
        "covariance": [StrOptions(set(_COVARIANCES))],
        "per_domain": ["boolean"],
        "groups": [dict, None],
    }

    def __init__(
        self, *, covariance="ledoit_wolf", per_domain=False, groups=None, contamination=0.1, threshold="quantile"
    ):
        self.covariance = covariance
        self.per_domain = per_domain
        self.groups = groups
        self.contamination = contamination
        self.threshold = threshold

    def _fit(self, X, domain, section):
        domain = domain if self.per_domain else np.full(len(X), "")
        return {
            str(name): {group: self._fit_gaussian(values, group) for group, values in self._split(X[domain == name])}
            for name in np.unique(domain)
        }

    def _fit_gaussian(self, X, group):
        n_samples, n_features = X.shape
        name = f" of the group {group!r}" if self.groups else ""
        if n_samples < 2:
            raise ValueError("A domain has n_samples=1 row, too few for its own Gaussian. Use per_domain=False.")
        if not np.ptp(X, axis=0).any():
            raise ValueError(f"All {n_samples} training rows{name} are the same; a Gaussian needs rows that differ.")
        if self.covariance == "sample" and n_samples <= n_features:
            raise ValueError(
                f"The sample covariance{name} of n_features={n_features} from n_samples={n_samples} rows cannot be "
                "inverted. Use covariance='ledoit_wolf' or 'oas', or fewer features."
            )
        return _COVARIANCES[self.covariance]().fit(X)

    def _score(self, model, X):
        distances = [
            np.mean([_distance(gaussians[group], values) for group, values in self._split(X)], axis=0)
            for gaussians in model.values()
        ]
        return -np.min(distances, axis=0)

    def _split(self, X):
        """Name and columns of each group of features."""
        if self.groups is None:
            yield "", X
            return
        for name, columns in self.groups.items():
            try:
                values = X[:, columns]
            except IndexError as error:
                raise ValueError(f"groups[{name!r}] = {columns!r} does not fit embeddings of {X.shape[1]} features.") \
                    from error  # fmt: skip
            if values.ndim != 2 or not values.shape[1]:
                raise ValueError(f"groups[{name!r}] = {columns!r} selects no list of columns from the "
                                 f"{X.shape[1]} features of an embedding.")  # fmt: skip
            yield name, values


def _distance(gaussian, X):
    centered = X - gaussian.location_.astype(X.dtype)
    squared = np.einsum("ij,ij->i", centered @ gaussian.get_precision().astype(X.dtype), centered)
    return np.sqrt(np.maximum(squared, 0))
