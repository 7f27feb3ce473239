"""Nearest neighbours detector."""

from numbers import Integral, Real
from typing import NamedTuple

import numpy as np
from sklearn.neighbors import NearestNeighbors
from sklearn.utils import gen_batches

from skasd._docstrings import fill
from skasd._groups import first_copies, first_in_domain
from skasd._sklearn import Interval, StrOptions
from skasd.detectors._base import DETECTOR_TEXTS, BaseDetector
from skasd.detectors._held_out import TrainingRows
from skasd.detectors._metric import METRICS, Space, check_enough_neighbors
from skasd.detectors._numbers import VALUES_AT_ONCE, numbered
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
            memories[str(name)] = self._memory(space, whole.rows[members], parents[members], own_scale)
        return memories

    def _memory(self, space, rows, parents, scale=None):
        is_indexed = scale is None and space.kind.power is not None
        index = RowIndex(metric=space.kind.metric, n_jobs=self.n_jobs).fit(rows) if is_indexed else None
        return Memory(space, rows, parents, scale, index)

    def _local_scale(self, memory, owner):
        """Mean distance of each row to its `n_local` nearest rows of others."""
        owners = owner[memory.parents]
        scale = self._nearest(memory, memory.rows, owners, owners, self.n_local).mean(axis=1)
        if np.isinf(scale).any():
            raise ValueError(f"n_local={self.n_local} needs that many training rows of other clips, or recordings, for "
                             "each. Lower n_local or add normal clips.")  # fmt: skip
        return np.maximum(scale, np.finfo(np.float64).eps * (scale.max() or 1.0))

    def _score(self, model, X):
        return -_unit(model) * self._distance(model, X, np.full(len(X), -1), None)

    def _score_training(self, model, rows):
        if self.n_local is not None or self.metric == "seuclidean":  # local scale and deviations know the clip, too
            return super()._score_training(model, rows)
        distance = self._distance(model, rows.X, rows.group, _owners(rows)[1])
        if np.isinf(distance).any():
            raise ValueError(f"n_neighbors={self.n_neighbors} needs that many training rows of others for each.")
        return -_unit(model) * distance

    def _distance(self, model, X, group, owner):
        """Mean distance of coordinates to the nearest rows of other groups in the nearest memory."""
        X, groups, distances = next(iter(model.values())).space(X), group[:, np.newaxis], []
        for memory in model.values():
            owners = None if owner is None else owner[memory.parents]
            distances.append(self._nearest(memory, X, groups, owners, self.n_neighbors).mean(axis=1))
        return np.min(distances, axis=0)

    def _nearest(self, memory, X, groups, owners, n_nearest):
        """Distances (n, n_nearest) to the nearest rows of a memory that belong to none of the groups (n, n_groups)."""
        n_own = 0 if owners is None else groups.shape[1] * _largest_group(owners)
        n_found = min(n_nearest + n_own, len(memory.rows))
        n_values = max(n_nearest * X.shape[1], n_found if memory.index else len(memory.rows))
        nearest = np.full((len(X), n_nearest), np.inf)
        for block in gen_batches(len(X), max(1, VALUES_AT_ONCE // n_values)):
            with numbered(range(block.start, block.stop)):
                distances, found = self._candidates(memory, X[block], n_found)
            if owners is not None:
                own = owners[found][..., np.newaxis] == groups[block][:, np.newaxis, np.newaxis]
                distances[own.any(axis=(2, 3))] = np.inf
            order = np.argsort(distances, axis=1, kind="stable")[:, :n_nearest]
            distances, found = (np.take_along_axis(values, order, axis=1) for values in (distances, found))
            nearest[block, : order.shape[1]] = np.where(
                np.isinf(distances), np.inf, memory.exact(X[block], found, distances)
            )
        return nearest

    def _candidates(self, memory, X, n_found):
        """Distances to the nearest rows of a memory, as a quick search finds them, and their numbers."""
        if memory.index is not None:
            return memory.index.kneighbors(X, n_found)
        distances = memory.space.distances(X, memory.rows, n_jobs=self.n_jobs)
        if memory.scale is not None:
            distances /= memory.scale
        found = np.argpartition(distances, n_found - 1, axis=1)[:, :n_found]
        return np.take_along_axis(distances, found, axis=1), found


class RowIndex(NearestNeighbors):
    """Finds the nearest rows. A tree is grown again from the rows when it is loaded: no stored one can be checked."""

    def __getstate__(self):
        return super().__getstate__() | {"_tree": None}

    def __setstate__(self, state):
        super().__setstate__(state)
        self.fit(self._fit_X)


class Memory(NamedTuple):
    """What is remembered of a domain: rows as coordinates of a space, from which two training rows each is made."""

    space: Space
    rows: np.ndarray
    parents: np.ndarray
    scale: np.ndarray | None
    index: RowIndex | None

    def exact(self, X, found, distances):
        """The distances to the rows with these numbers (n, n_found), without the rounding of a quick search."""
        exact = self.space.exact(X, self.rows, found)
        if exact is None:
            return distances
        return exact if self.scale is None else exact / self.scale[found]


def _unit(model):
    """What a distance of coordinates is multiplied with; those that are divided by the local scale have no unit."""
    memory = next(iter(model.values()))
    return memory.space.scale if memory.scale is None else 1.0


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


def _largest_group(owners):
    differ = owners[:, 0] != owners[:, 1]
    return np.unique(np.append(owners[:, 0], owners[differ, 1]), return_counts=True)[1].max()
