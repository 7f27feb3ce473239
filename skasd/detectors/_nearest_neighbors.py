"""Nearest neighbours detector."""

from numbers import Integral, Real
from typing import NamedTuple

import numpy as np

from skasd._docstrings import fill
from skasd._groups import first_copies, first_in_domain
from skasd._sklearn import Interval, StrOptions
from skasd.detectors._base import DETECTOR_TEXTS, BaseDetector
from skasd.detectors._feature_groups import split_features
from skasd.detectors._metric import METRICS, Space, check_enough_neighbors
from skasd.detectors._neighbors import LeftOut, Neighbors
from skasd.detectors._numbers import numbered
from skasd.detectors._oversampling import as_seed, oversample_target


@fill(**DETECTOR_TEXTS)
class NearestNeighborsDetector(BaseDetector):
    """Detect anomalies by their distance to the nearest normal clips.

    Each section stores its training embeddings in one memory per domain, and the nearer memory counts: the score is the
    negative mean distance to the `n_neighbors` nearest clips of that memory. Domains differ in how densely they are
    sampled. There are two remedies, which can be combined: `normalization` allows for how dense the training clips are
    around each of them [1]_ [2]_, and `target_ratio` adds target clips by SMOTE [3]_. With `feature_groups`, such as
    the bands of a spectrogram, the nearest clips are found separately for each group of features, and the distances are
    averaged [4]_: then a clip may be like one training clip in one band, and like another in the next.

    Parameters
    ----------
    n_neighbors : int, default=1
        Number of nearest training clips (or windows) of a memory whose mean distance counts.

    metric : str or callable, default='seuclidean'
        Distance between embeddings, as in scikit-learn. 'seuclidean' is Euclidean with each feature in units of its
        standard deviation over the training clips, which suits statistics of bands; 'cosine' suits networks.

    normalization : {'local_density', 'variance_minimizing'}, default=None
        How the distance d(x, y) to a training clip y is corrected for the mean distance b(y) from y to its own nearest
        training clips in the section: d(x, y) / b(y) [1]_, or d(x, y) - alpha b(y) [2]_. There, alpha minimises the
        variance of the training clips' distances to each other: Cov(u, v) / Var(v), where u is the distance from each
        clip to its nearest, and v is b of that nearest clip. The result can be below zero in dense places; it suits
        hundreds of training clips, and can do harm with a few tens. None leaves distances as they are.

    n_local_neighbors : int, default=4
        Number of nearest training clips over which b(y) is averaged. Duplicate clips count once, and clips of one
        recording are not compared with each other.

    {feature_groups}

    {target_ratio}

    {threshold}

    {n_jobs}

    random_state : int, RandomState instance or None, default=None
        Seed of the oversampling.

    Attributes
    ----------
    models_ : dict of str to dict of str to dict of str to Memory
        For each section, group of features (``''`` if all are one) and domain the training rows that are remembered.

    {fitted}

    See Also
    --------
    LocalOutlierFactorDetector : Compares densities over two rings of neighbours.

    References
    ----------
    .. [1] K. Wilkinghoff et al., "Keeping the balance: anomaly score calculation for domain generalization", ICASSP
       2025.
    .. [2] The variance-minimising form was proposed at the DCASE 2025 Workshop.
    .. [3] N. V. Chawla et al., "SMOTE: synthetic minority over-sampling technique", JAIR 16, 2002.
    .. [4] Sub-band spectral matching, 2026, https://arxiv.org/abs/2603.13749.

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
        "normalization": [StrOptions({"local_density", "variance_minimizing"}), None],
        "n_local_neighbors": [Interval(Integral, 1, None, closed="left")],
        "feature_groups": [dict, None],
        "target_ratio": [Interval(Real, 0, 1, closed="right"), None],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        n_neighbors=1,
        *,
        metric="seuclidean",
        normalization=None,
        n_local_neighbors=4,
        feature_groups=None,
        target_ratio=None,
        contamination=0.1,
        threshold="quantile",
        n_jobs=None,
        random_state=None,
    ):
        super().__init__(contamination=contamination, threshold=threshold)
        self.n_neighbors = n_neighbors
        self.metric = metric
        self.normalization = normalization
        self.n_local_neighbors = n_local_neighbors
        self.feature_groups = feature_groups
        self.target_ratio = target_ratio
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _fit_shared(self, X, windows, clips):
        self._seed = as_seed(self.random_state)

    _fit = None  # a memory is made of rows with their groups

    def _fit_rows(self, rows):
        return {
            group: self._memories(rows._replace(X=X), group) for group, X in split_features(rows.X, self.feature_groups)
        }

    def _memories(self, rows, group):
        """Memory of each domain, for one group of features."""
        space = Space(self.metric, rows.X, self._resolution)
        kept, owner = _owners(rows)
        n_local = self.n_local_neighbors if self.normalization else 0
        check_enough_neighbors(max(self.n_neighbors, n_local), len(kept), group)
        X, domain, parents = oversample_target(
            rows.X[kept], rows.domain[kept], ratio=self.target_ratio, random_state=self._seed
        )
        with numbered(kept[parents[:, 0]]):
            coordinates = space(X)
            divisor, offset = self._normalizers(space, coordinates, owner[parents])
        memories = {}
        for name in np.unique(domain):
            members = domain == name
            if np.count_nonzero(members) < self.n_neighbors:
                raise ValueError(f"n_neighbors={self.n_neighbors}, but the domain {str(name)!r} has only n_samples="
                                 f"{np.count_nonzero(members)}. Lower n_neighbors or set target_ratio.")  # fmt: skip
            normalizers = (None if values is None else values[members] for values in (divisor, offset))
            neighbors = Neighbors(space, coordinates[members], *normalizers, n_jobs=self.n_jobs)
            memories[str(name)] = Memory(neighbors, parents[members])
        return memories

    def _normalizers(self, space, rows, owners):
        """What the distance to each row is divided by, and what is taken from it then."""
        if self.normalization is None:
            return None, None
        neighbors = Neighbors(space, rows, n_jobs=self.n_jobs)
        distances, nearest = neighbors.nearest(rows, self.n_local_neighbors, LeftOut(owners, owners))
        if np.isinf(distances).any():
            raise ValueError(f"n_local_neighbors={self.n_local_neighbors} needs that many training rows of other "
                             "clips, or recordings, for each. Lower it or add normal clips.")  # fmt: skip
        local = distances.mean(axis=1)
        if self.normalization == "local_density":
            return np.maximum(local, np.finfo(np.float64).eps * (local.max() or 1.0)), None
        return None, _slope(local[nearest[:, 0]], distances[:, 0]) * local

    def _score(self, model, X):
        return self._score_groups(model, X)

    def _score_training(self, model, rows):
        if self.normalization or self.metric == "seuclidean":  # local distances and deviations know the clip, too
            return super()._score_training(model, rows)
        owners = {group: _owners(rows._replace(X=X))[1] for group, X in split_features(rows.X, self.feature_groups)}
        scores = self._score_groups(model, rows.X, rows.group, owners)
        if np.isinf(scores).any():
            raise ValueError(f"n_neighbors={self.n_neighbors} needs that many training rows of others for each.")
        return scores

    def _score_groups(self, model, X, group=None, owner=None):
        """Minus the mean over the groups of features of the distance to the nearest rows of others."""
        distances = [
            self._distance(model[name], values, group, owner and owner[name])
            for name, values in split_features(X, self.feature_groups)
        ]
        return -np.mean(distances, axis=0)

    def _distance(self, memories, X, group, owner):
        """Mean distance to the nearest rows of other groups in the nearest memory."""
        space = next(iter(memories.values())).neighbors.space
        X, distances = space(X), []
        for neighbors, parents in memories.values():
            left_out = None if group is None else LeftOut(group[:, np.newaxis], owner[parents])
            distances.append(neighbors.nearest(X, self.n_neighbors, left_out)[0].mean(axis=1))
        unit = 1.0 if self.normalization == "local_density" else space.scale  # a ratio has no unit
        return unit * np.min(distances, axis=0)


class Memory(NamedTuple):
    """What is remembered of a domain: the rows to search among, and from which two training rows each was made."""

    neighbors: Neighbors
    parents: np.ndarray


def _slope(x, y):
    """By how much y grows with x, by least squares; 0 where x is the same everywhere but for rounding."""
    deviations = x - x.mean()
    if np.abs(deviations).max() <= 8 * np.finfo(np.float64).eps * x.max():
        return 0.0
    return deviations @ (y - y.mean()) / (deviations @ deviations)


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
