"""Local outlier factor detector."""

from numbers import Integral, Real
from typing import NamedTuple

import numpy as np

from skasd._docstrings import fill
from skasd._groups import first_copies
from skasd._sklearn import Interval, StrOptions
from skasd.detectors._base import DETECTOR_TEXTS, BaseDetector
from skasd.detectors._metric import METRICS, Space, check_enough_neighbors
from skasd.detectors._neighbors import LeftOut, Neighbors
from skasd.detectors._numbers import numbered

_SMALLEST = 1e-10  # scikit-learn's, in units of the spread of the training rows


@fill(**DETECTOR_TEXTS)
class LocalOutlierFactorDetector(BaseDetector):
    """Detect anomalies as clips in a sparser place than their nearest training clips.

    One model per section, whose scores are those of scikit-learn's `LocalOutlierFactor` in novelty mode. Duplicate
    training rows count once. For the threshold, training clips are scored by models that were fitted without them, a
    tenth at a time, and without any other clip of their recording.

    Parameters
    ----------
    n_neighbors : int, default=20
        Number of neighbours; less than the number of training clips (or windows) of each section.

    metric : str or callable, default='minkowski'
        Distance between embeddings, as in scikit-learn; 'cosine' suits networks trained with an angular loss,
        'seuclidean' features with different units.

    p : float, default=2
        Power of the Minkowski metric, up to 64: 2 = Euclidean, 1 = city block. Higher powers of small distances are
        below what float64 can hold; ``metric="chebyshev"`` is their limit.

    {threshold}

    {n_jobs}

    Attributes
    ----------
    models_ : dict of str to Neighborhood
        For each section the training rows that differ from each other, as ``neighbors`` to search among, the ``reach``
        of each, which is the distance to the farthest of its own neighbours, and its local ``density``.

    {fitted}

    See Also
    --------
    NearestNeighborsDetector : Distance to the nearest training clips, with local density as an option.

    References
    ----------
    .. [1] M. M. Breunig et al., "LOF: identifying density-based local outliers", SIGMOD 2000.

    Examples
    --------
    >>> import numpy as np
    >>> from skasd.detectors import LocalOutlierFactorDetector
    >>> rng = np.random.default_rng(0)
    >>> detector = LocalOutlierFactorDetector(n_neighbors=10).fit(rng.normal(size=(200, 2)))
    >>> detector.predict([[0.0, 0.0], [8.0, 8.0]])
    array([ 1, -1])
    """

    _parameter_constraints: dict = {
        **BaseDetector._parameter_constraints,
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "metric": [StrOptions(set(METRICS)), callable],
        "p": [Interval(Real, 0, 64, closed="right")],
        "n_jobs": [Integral, None],
    }

    def __init__(
        self, n_neighbors=20, *, metric="minkowski", p=2, contamination=0.1, threshold="quantile", n_jobs=None
    ):
        super().__init__(contamination=contamination, threshold=threshold)
        self.n_neighbors = n_neighbors
        self.metric = metric
        self.p = p
        self.n_jobs = n_jobs

    def _fit(self, X, domain, section):
        space = Space(self.metric, X, self._resolution, self.p)
        kept = np.flatnonzero(first_copies(X) == np.arange(len(X)))
        neighbors = Neighbors(space, space(X)[kept], n_jobs=self.n_jobs)
        check_enough_neighbors(self.n_neighbors, len(kept))
        itself = np.arange(len(kept))[:, np.newaxis]
        with numbered(kept):
            distances, found = neighbors.nearest(neighbors.rows, self.n_neighbors, LeftOut(itself, itself))
        reach = distances[:, -1]
        return Neighborhood(neighbors, reach, _density(distances, reach[found]))

    def _score(self, model, X):
        distances, found = model.neighbors.nearest(model.neighbors.space(X), self.n_neighbors)
        own = _density(distances, model.reach[found])
        return -np.mean(model.density[found] / own[:, np.newaxis], axis=1)


class Neighborhood(NamedTuple):
    """The training rows of a section, the distance of each to its farthest neighbour, and the density around it."""

    neighbors: Neighbors
    reach: np.ndarray
    density: np.ndarray


def _density(distances, reach):
    """Local reachability density of rows, from the distances to their neighbours and the reach of these."""
    return 1 / (np.mean(np.maximum(distances, reach), axis=1) + _SMALLEST)
