"""Nearest neighbours detector."""

from numbers import Integral, Real
from typing import NamedTuple

import numpy as np

from skasd._docstrings import fill
from skasd._groups import first_copies, first_in_domain
from skasd._sklearn import Interval, StrOptions
from skasd.detectors._base import DETECTOR_TEXTS, BaseDetector
from skasd.detectors._held_out import TrainingRows
from skasd.detectors._metric import METRICS, Space, check_enough_neighbors
from skasd.detectors._neighbors import LeftOut, Neighbors
from skasd.detectors._numbers import numbered
from skasd.detectors._oversampling import as_seed, oversample_target


@fill(**DETECTOR_TEXTS)
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

    metric : str or callable, default='seuclidean'
        Distance between embeddings, as in scikit-learn. 'seuclidean' is Euclidean with each feature in units of its
        standard deviation over the training clips, which suits statistics of bands; 'cosine' suits networks.

    n_local : int, default=None
        With a number K, each distance d(x, y) is divided by the mean distance from the training clip y to its own K
        nearest training clips of the section. Repeated training clips count once there. None compares distances as
        they are.

    {target_ratio}

    {threshold}

    {n_jobs}

    random_state : int, RandomState instance or None, default=None
        Seed of the oversampling.

    Attributes
    ----------
    models_ : dict of str to dict of str to Memory
        For each section and domain the training rows that are remembered.

    {fitted}

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
        "metric": [StrOptions(set(METRICS)), callable],
        "n_local": [Interval(Integral, 1, None, closed="left"), None],
        "target_ratio": [Interval(Real, 0, 1, closed="right"), None],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        n_neighbors=1,
        *,
        metric="seuclidean",
        n_local=None,
        target_ratio=None,
        contamination=0.1,
        threshold="quantile",
        n_jobs=None,
        random_state=None,
    ):
        super().__init__(contamination=contamination, threshold=threshold)
        self.n_neighbors = n_neighbors
        self.metric = metric
        self.n_local = n_local
        self.target_ratio = target_ratio
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _fit_shared(self, X, windows, clips):
        self._seed = as_seed(self.random_state)

    def _fit(self, X, domain, section):
        return self._fit_rows(TrainingRows(section, X, domain, np.arange(len(X))))

    def _fit_rows(self, rows):
        space = Space(self.metric, rows.X)
        space(rows.X)  # which names a row that the metric cannot measure
        kept, owner = _owners(rows)
        check_enough_neighbors(max(self.n_neighbors, self.n_local or 0), len(kept))
        X, domain, parents = oversample_target(
            rows.X[kept], rows.domain[kept], ratio=self.target_ratio, random_state=self._seed
        )
        whole = self._memory(space, space(X), parents)
        with numbered(kept[parents[:, 0]]):
            scale = None if self.n_local is None else self._local_scale(whole, owner)
        memories = {}
        for name in np.unique(domain):
            members = domain == name
            if np.count_nonzero(members) < self.n_neighbors:
                raise ValueError(f"n_neighbors={self.n_neighbors}, but the domain {str(name)!r} has only n_samples="
                                 f"{np.count_nonzero(members)}. Lower n_neighbors or set target_ratio.")  # fmt: skip
            own_scale = None if scale is None else scale[members]
            memories[str(name)] = self._memory(space, whole.neighbors.rows[members], parents[members], own_scale)
        return memories

    def _memory(self, space, rows, parents, scale=None):
        return Memory(Neighbors(space, rows, scale=scale, n_jobs=self.n_jobs), parents)

    def _local_scale(self, memory, owner):
        """Mean distance of each row to its `n_local` nearest rows of others."""
        owners = owner[memory.parents]
        nearest, _ = memory.neighbors.nearest(memory.neighbors.rows, self.n_local, LeftOut(owners, owners))
        scale = nearest.mean(axis=1)
        if np.isinf(scale).any():
            raise ValueError(f"n_local={self.n_local} needs that many training rows of other clips, or recordings, for "
                             "each. Lower n_local or add normal clips.")  # fmt: skip
        return np.maximum(scale, np.finfo(np.float64).eps * (scale.max() or 1.0))

    def _score(self, model, X):
        return -_unit(model) * self._distance(model, X)

    def _score_training(self, model, rows):
        if self.n_local is not None or self.metric == "seuclidean":  # local scale and deviations know the clip, too
            return super()._score_training(model, rows)
        distance = self._distance(model, rows.X, rows.group, _owners(rows)[1])
        if np.isinf(distance).any():
            raise ValueError(f"n_neighbors={self.n_neighbors} needs that many training rows of others for each.")
        return -_unit(model) * distance

    def _distance(self, model, X, group=None, owner=None):
        """Mean distance of coordinates to the nearest rows of other groups in the nearest memory."""
        X, distances = next(iter(model.values())).neighbors.space(X), []
        for neighbors, parents in model.values():
            left_out = None if group is None else LeftOut(group[:, np.newaxis], owner[parents])
            distances.append(neighbors.nearest(X, self.n_neighbors, left_out)[0].mean(axis=1))
        return np.min(distances, axis=0)


class Memory(NamedTuple):
    """What is remembered of a domain: the rows to search among, and from which two training rows each was made."""

    neighbors: Neighbors
    parents: np.ndarray


def _unit(model):
    """What a distance of coordinates is multiplied with; those that are divided by the local scale have no unit."""
    neighbors = next(iter(model.values())).neighbors
    return neighbors.space.scale if neighbors.scale is None else 1.0


def _owners(rows):
    """Numbers of the training rows that are remembered, each once in a domain, and the group of each.

    A row that is in several groups belongs to none of them.
    """
    same = first_in_domain(first_copies(rows.X), rows.domain)
    lowest, highest = rows.group.copy(), rows.group.copy()
    np.minimum.at(lowest, same, rows.group)
    np.maximum.at(highest, same, rows.group)
    numbers = np.arange(len(same))
    owner = np.where(lowest == highest, lowest, rows.group.max() + 1 + numbers)
    kept = same == numbers
    return np.flatnonzero(kept), owner[kept]
