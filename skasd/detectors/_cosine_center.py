"""Cosine centre detector."""

import numpy as np

from skasd.detectors._base import BaseDetector


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
        directions = X / _lengths(X)
        centers = np.stack([directions[domain == name].mean(axis=0) for name in np.unique(domain)])
        return centers / _lengths(centers)

    def _score(self, model, X):
        return ((X @ model.T) / _lengths(X)).max(axis=1)


def _lengths(X):
    lengths = np.sqrt(np.einsum("ij,ij->i", X, X))[:, np.newaxis]
    if not lengths.all():
        raise ValueError("An embedding (or the mean of those of a domain) is all zeros, so it has no direction: its "
                         "cosine is undefined. Is the clip silent, or the network dead?")  # fmt: skip
    return lengths
