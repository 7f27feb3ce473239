"""Nearest neighbours detector."""

from numbers import Integral, Real

import numpy as np
from sklearn.metrics import pairwise_distances_chunked
from sklearn.neighbors import NearestNeighbors

from skasd._validation import Interval
from skasd.detectors._base import BaseDetector
from skasd.detectors._local_outlier_factor import check_enough_neighbors
from skasd.detectors._oversampling import oversample_target


class NearestNeighborsDetector(BaseDetector):
    """Detect anomalies by their distance to the nearest normal clips.

    Each section remembers its training embeddings, one memory per domain, and the nearer memory counts: the mean
    distance to the `n_neighbors` nearest clips of a memory, the smallest over the memories, with a minus sign. Domains
    differ in how densely they are sampled. Two remedies can be used alone or together: `n_local` divides each distance
    by the density around the training clip [1]_, and `target_ratio` adds target clips by SMOTE [2]_.

    Parameters
    ----------
    n_neighbors : int, default=1
        Number of nearest training clips (or windows) of a memory whose mean distance counts.

    metric : str or callable, default='cosine'
        Distance between embeddings, as in scikit-learn.

    n_local : int, default=None
        With a number K, each distance d(x, y) is divided by the mean distance from the training clip y to its own K
        nearest training clips of the section. Repeated training clips count once there. None compares distances as
        they are.

    target_ratio : float, default=None
        Number of target clips after oversampling by SMOTE, as a fraction of the source clips, in (0, 1]. None leaves
        the clips as they are. The domain is read from the field ``domain`` in `fit`, and never needed to score.

    contamination : float, default=0.1
        Fraction of the training clips, in (0, 0.5), that the threshold would call anomalous.

    threshold : {'quantile', 'gamma'}, default='quantile'
        How `offset_` is set from the training scores: their quantile, or that of a gamma distribution fitted to
        them, as the DCASE baselines do.

    n_jobs : int, default=None
        Number of jobs for the neighbour search; None means 1 unless in a `joblib.parallel_config` context.

    random_state : int, RandomState instance or None, default=None
        Seed of the oversampling.

    Attributes
    ----------
    models_ : dict of str to dict of str to tuple
        For each section and domain the fitted `NearestNeighbors`, its rows and their local scale (None without
        `n_local`).

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
    LocalOutlierFactorDetector : Compares densities over two rings of neighbours.

    References
    ----------
    .. [1] K. Wilkinghoff et al., "Keeping the balance: anomaly score calculation for domain generalization", ICASSP
       2025.
    .. [2] N. V. Chawla et al., "SMOTE: synthetic minority over-sampling technique", JAIR 16, 2002.

    Examples
    --------
    >>> from skasd.detectors import NearestNeighborsDetector
    >>> detector = NearestNeighborsDetector(metric="euclidean").fit([[0.0], [1.0], [3.0]])
    >>> detector.score_samples([[1.5], [7.0]])
    array([-0.5, -4. ])
    """

    _parameter_constraints: dict = {
        **BaseDetector._parameter_constraints,
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "metric": [str, callable],
        "n_local": [Interval(Integral, 1, None, closed="left"), None],
        "target_ratio": [Interval(Real, 0, 1, closed="right"), None],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        n_neighbors=1,
        *,
        metric="cosine",
        n_local=None,
        target_ratio=None,
        contamination=0.1,
        threshold="quantile",
        n_jobs=None,
        random_state=None,
    ):
        self.n_neighbors = n_neighbors
        self.metric = metric
        self.n_local = n_local
        self.target_ratio = target_ratio
        self.contamination = contamination
        self.threshold = threshold
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _fit(self, X, domain, section):
        check_enough_neighbors(max(self.n_neighbors, self.n_local or 0), len(X))
        if self.target_ratio is not None:
            X, domain = oversample_target(X, domain, ratio=self.target_ratio, random_state=self.random_state)
        scale = None if self.n_local is None else self._local_scale(X)
        memories = {}
        for name in np.unique(domain):
            members = domain == name
            rows = X[members]
            if len(rows) < self.n_neighbors:
                raise ValueError(f"n_neighbors={self.n_neighbors}, but the domain {str(name)!r} has only "
                                 f"n_samples={len(rows)}. Lower n_neighbors or set target_ratio.")  # fmt: skip
            index = NearestNeighbors(metric=self.metric, n_jobs=self.n_jobs).fit(rows)
            memories[str(name)] = index, rows, None if scale is None else scale[members]
        return memories

    def _local_scale(self, X):
        """Mean distance of each row to its `n_local` nearest rows among those that differ from it."""
        distinct = np.unique(X, axis=0)
        check_enough_neighbors(self.n_local, len(distinct))
        index = NearestNeighbors(n_neighbors=self.n_local + 1, metric=self.metric, n_jobs=self.n_jobs).fit(distinct)
        scale = index.kneighbors(X)[0][:, 1:].mean(axis=1)
        return np.maximum(scale, np.finfo(X.dtype).eps)

    def _score(self, model, X):
        return -np.min([self._distance(memory, X, skip=0) for memory in model.values()], axis=0)

    def _score_training(self, model, X, domain, section, clip):
        distances = np.empty((len(model), len(X)))
        for row, (name, memory) in enumerate(model.items()):
            own = domain == name
            for members, skip in ((own, 1), (~own, 0)):
                if members.any():
                    distances[row, members] = self._distance(memory, X[members], skip=skip)
        return -distances.min(axis=0)

    def _distance(self, memory, X, *, skip):
        """Mean distance to the nearest rows of a memory, after the `skip` nearest; infinite where there are too few."""
        index, rows, scale = memory
        n_neighbors = self.n_neighbors + skip
        if len(rows) < n_neighbors:
            return np.full(len(X), np.inf)
        if scale is None:
            nearest = index.kneighbors(X, n_neighbors)[0]
        else:
            nearest = self._nearest_scaled(rows, scale, X, n_neighbors)
        return nearest[:, skip:].mean(axis=1)

    def _nearest_scaled(self, rows, scale, X, n_neighbors):
        def nearest(distances, start):
            scaled = distances / scale
            return np.sort(np.partition(scaled, n_neighbors - 1, axis=1)[:, :n_neighbors], axis=1)

        chunks = pairwise_distances_chunked(X, rows, reduce_func=nearest, metric=self.metric, n_jobs=self.n_jobs)
        return np.concatenate(list(chunks))
