"""Local outlier factor detector."""

from numbers import Integral, Real
from typing import NamedTuple

import numpy as np
from sklearn.neighbors import LocalOutlierFactor

from skasd._docstrings import fill
from skasd._groups import first_copies
from skasd._sklearn import Interval, StrOptions
from skasd.detectors._base import DETECTOR_TEXTS, BaseDetector
from skasd.detectors._metric import METRICS, Space, check_enough_neighbors
from skasd.detectors._numbers import numbered


@fill(**DETECTOR_TEXTS)
class LocalOutlierFactorDetector(BaseDetector):
    """Detect anomalies as clips that lie in a sparser place than their nearest training clips do.

    One scikit-learn `LocalOutlierFactor` in novelty mode per section. Training rows that are the same count once. For
    the threshold, training clips are scored by models that were fitted without them, a tenth at a time, and without
    any other clip of their recording.

    Parameters
    ----------
    n_neighbors : int, default=20
        Number of neighbours; less than the number of training clips (or windows) of each section.

    metric : str or callable, default='minkowski'
        Distance between embeddings, as in scikit-learn; 'cosine' suits networks trained with an angular loss,
        'seuclidean' features of different units.

    p : float, default=2
        Power of the Minkowski metric, up to 64: 2 = Euclidean, 1 = city block. Higher powers of small distances are
        below what float64 can hold; ``metric="chebyshev"`` is their limit.

    {threshold}

    {n_jobs}

    Attributes
    ----------
    models_ : dict of str to Neighborhood
        For each section the ``space`` in which distances are measured, the training ``rows`` that differ from each
        other in it, and the ``factor``, a `LocalOutlierFactor` of these.

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
        space = Space(self.metric, X, self._resolution)
        kept = np.flatnonzero(first_copies(X) == np.arange(len(X)))
        rows = space(X)[kept]
        check_enough_neighbors(self.n_neighbors, len(rows))
        metric = "precomputed" if space.kind.power is None else space.kind.metric
        factor = LocalOutlierFactor(self.n_neighbors, metric=metric, p=self.p, novelty=True, n_jobs=self.n_jobs)
        with numbered(kept):
            return Neighborhood(space, rows, factor.fit(self._coordinates(space, rows, rows)))

    def _score(self, model, X):
        return model.factor.score_samples(self._coordinates(model.space, model.rows, model.space(X)))

    def _coordinates(self, space, rows, X):
        """What the local outlier factor is given: coordinates, or distances where a metric is measured by us."""
        return X if space.kind.power is not None else space.distances(X, rows, n_jobs=self.n_jobs)


class Neighborhood(NamedTuple):
    """The training rows of a section, in the space in which their distances are measured."""

    space: Space
    rows: np.ndarray
    factor: LocalOutlierFactor
