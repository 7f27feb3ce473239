"""Cosine centre detector."""

from typing import NamedTuple

import numpy as np

from skasd._docstrings import fill
from skasd.detectors._base import DETECTOR_TEXTS, BaseDetector
from skasd.detectors._numbers import directions, lengths


@fill(**DETECTOR_TEXTS)
class CosineCenterDetector(BaseDetector):
    """Detect anomalies as clips whose embedding points away from the centre of the normal ones.

    Embeddings are scaled to length one. Each section has one centre per domain that `fit` has seen, and a clip is
    compared with the nearest of them, so the domain need not be known for scoring [1]_. It suits embeddings that were
    trained with an angular loss.

    Parameters
    ----------
    {threshold}

    Attributes
    ----------
    models_ : dict of str to Centers
        For each section the directions of the centres of its domains, (n_domains, n_features), of length one.

    {fitted}

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

    def _fit(self, X, domain, section):
        rows, names = directions(X), np.unique(domain)
        centers = np.stack([rows[domain == name].mean(axis=0) for name in names])
        cancelled = lengths(centers)[:, 0] < _CANCELLED
        if cancelled.any():
            raise ValueError(f"The directions of the training rows of the domain {str(names[np.argmax(cancelled)])!r} "
                             "cancel out, so that their centre has none.")  # fmt: skip
        return Centers(directions(centers))

    def _score(self, model, X):
        # a cosine near 1 is told by the distance of the two points, where a product would be rounded
        rows = directions(X)
        return np.max([1 - np.sum((rows - center) ** 2, axis=1) / 2 for center in model.directions], axis=0)


class Centers(NamedTuple):
    """Directions (n_domains, n_features) of the centres of the domains of a section, each of length one."""

    directions: np.ndarray


_CANCELLED = 1e-12
