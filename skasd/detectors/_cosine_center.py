"""Cosine centre detector."""

import numpy as np

from skasd.detectors._base import BaseDetector
from skasd.detectors._numbers import directions, lengths


class CosineCenterDetector(BaseDetector):
    """Detect anomalies as clips whose embedding points away from the centre of the normal ones.

    Embeddings are scaled to length one. Each section has one centre per domain that `fit` has seen, and a clip is
    compared with the nearest of them, so the domain need not be known to score [1]_. It suits embeddings that were
    trained with an angular loss.

    Parameters
    ----------
    contamination : float, default=0.1
        Fraction of the training clips, in (0, 0.5), that the threshold would call anomalous.

    threshold : {'quantile', 'gamma'}, default='quantile'
        How `offset_` is set from the training scores: their quantile, or that of a gamma distribution fitted to
        them, as the DCASE baselines do.

    Attributes
    ----------
    models_ : dict of str to ndarray of shape (n_domains, n_features)
        The centres of each section, of length one.

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
    NearestNeighborsDetector : Compares with every training clip instead of with centres.
    MahalanobisDetector : Takes the spread of the features into account.

    References
    ----------
    .. [1] G. Liu et al., "Unsupervised anomalous sound detection under domain shift conditions based on MobileFaceNets
       and masked autoregressive flow", DCASE2022 Challenge, technical report, 2022.

    Examples
    --------
    >>> from skasd.detectors import CosineCenterDetector
    >>> detector = CosineCenterDetector().fit([[1.0, 0.0], [2.0, 0.2], [3.0, -0.3]])
    >>> detector.score_samples([[5.0, 0.0], [0.0, 1.0]]).round(2)
    array([1., 0.])
    """

    _parameter_constraints: dict = {**BaseDetector._parameter_constraints}

    def __init__(self, *, contamination=0.1, threshold="quantile"):
        self.contamination = contamination
        self.threshold = threshold

    def _fit(self, X, domain, section):
        rows, names = directions(X), np.unique(domain)
        centers = np.stack([rows[domain == name].mean(axis=0) for name in names])
        cancelled = lengths(centers)[:, 0] < _CANCELLED
        if cancelled.any():
            raise ValueError(f"The directions of the training rows of the domain {str(names[np.argmax(cancelled)])!r} "
                             "cancel out, so that their centre has none.")  # fmt: skip
        return directions(centers)

    def _score(self, model, X):
        # a cosine near 1 is told by the distance of the two points, where a product would be rounded
        rows = directions(X)
        return np.max([1 - np.sum((rows - center) ** 2, axis=1) / 2 for center in model], axis=0)


_CANCELLED = 1e-12
