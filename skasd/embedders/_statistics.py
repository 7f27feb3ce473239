"""One vector per clip from statistics of each mel band: nothing is trained."""

from numbers import Real

import numpy as np
from scipy.special import logsumexp

from skasd._docstrings import documented
from skasd._sklearn import Interval
from skasd._transformer import SpectrogramTransformer

_BATCH_SIZE = 4  # clips whose float64 steps stay in the cache


def _diff(log_mel, embedder):
    if log_mel.shape[2] == 1:
        return np.zeros(log_mel.shape[:2])
    return np.diff(log_mel.astype(np.float64), axis=2).std(axis=2)


def _rank(log_mel, embedder):
    weights = float(embedder.decay) ** np.arange(log_mel.shape[2])
    loud_first = -np.sort(-log_mel, axis=2)
    return loud_first @ (weights / weights.sum())


def _relative_deviation(log_mel, embedder):
    levels = log_mel.astype(np.float64)
    distances = np.linalg.norm(levels - levels.mean(axis=2, keepdims=True), axis=1, keepdims=True)
    farthest = distances.max(axis=2, keepdims=True)
    weights = (1 + distances / np.where(farthest > 0, farthest, 1.0)) ** embedder.gamma
    weights /= weights.sum(axis=2, keepdims=True)
    if embedder.power == 0:
        return (weights * levels).sum(axis=2)
    factor = embedder.power * np.log(10) / 10
    return logsumexp(factor * levels, axis=2, b=weights) / factor


_STATISTICS = {
    "mean": lambda log_mel, embedder: log_mel.mean(axis=2, dtype=np.float64),
    "std": lambda log_mel, embedder: log_mel.std(axis=2, dtype=np.float64),
    "max": lambda log_mel, embedder: log_mel.max(axis=2),
    "diff": _diff,
    "rank": _rank,
    "relative_deviation": _relative_deviation,
}


@documented
class StatisticsEmbedder(SpectrogramTransformer):
    """One vector per clip: statistics of each mel band over time.

    From spectrograms (n_clips, n_mels, n_frames), in the field ``log_mel`` of `Clips`, it makes float32 vectors
    (n_clips, n_statistics * n_mels), in the field ``embedding``: all bands of the first statistic, then those of the
    next. `get_feature_names_out` names them by statistic and band, such as ``mean0``. There is nothing to train. Rank
    pooling with a Gaussian mixture is a published system [1]_; statistics are the control that every network has to
    beat.

    Parameters
    ----------
    statistics : sequence of {"mean", "std", "max", "diff", "rank", "relative_deviation"}, \
default=("mean", "max", "diff")
        What is computed of each band, in this order: mean, standard deviation and maximum over time; the standard
        deviation of the differences from frame to frame; rank pooling: the frames of the band are sorted from loud to
        quiet and averaged with weights that fall by `decay` from each to the next; and relative deviation pooling [2]_:
        frames are weighted by (1 + d / max d)^`gamma`, where d is the Euclidean distance of a frame, in all its bands,
        from the mean frame of the clip, and a generalised mean is taken, see `power`. The mean shows steady faults, the
        maximum short ones, the differences those that make the sound rougher.

    decay : float, default=0.9
        Ratio of two successive weights of rank pooling, in [0, 1]: 1 gives the mean, 0 the maximum.

    gamma : float, default=4.0
        How much more the frame farthest from the mean frame counts in relative deviation pooling than one equal to it,
        as a power of two, in [0, 64]: with 0, all frames count the same.

    power : float, default=1.0
        Exponent of the generalised mean of relative deviation pooling, in [0, 64]. The mean is taken over powers,
        10^(level / 10), and given in dB: 1 is the mean power, 0 the limit, which is the mean level in dB, and high
        values come near the maximum.

    {keep_log_mel}

    Attributes
    ----------
    {named_bands}

    See Also
    --------
    skasd.features.LogMelSpectrogram : Makes the spectrograms.
    skasd.features.FieldTransformer : Scales the vectors, or reduces their dimension.
    skasd.detectors.GaussianMixtureDetector : Scores the vectors.

    References
    ----------
    .. [1] J. Guan, Y. Liu, Q. Zhu, T. Zheng, J. Han, W. Wang, "Time-weighted frequency domain audio representation with
       GMM estimator for anomalous sound detection", Proc. ICASSP, 2023. arXiv:2305.03328.
    .. [2] K. Wilkinghoff, S. Yadav and Z.-H. Tan, "Temporal pooling strategies for training-free anomalous sound
       detection with self-supervised audio embeddings", 2026. arXiv:2603.04605.

    Examples
    --------
    >>> from skasd.embedders import StatisticsEmbedder
    >>> log_mel = [[[-60, -20, -40], [-30, -30, -30]]]  # one clip, two bands, three frames
    >>> StatisticsEmbedder().fit_transform(log_mel).round(2)
    array([[-40., -30., -20., -30.,  30.,   0.]], dtype=float32)
    >>> StatisticsEmbedder(statistics=["max", "rank"], decay=0.5).fit_transform(log_mel).round(2)
    array([[-20.  , -30.  , -31.43, -30.  ]], dtype=float32)
    """

    _parameter_constraints: dict = {
        "statistics": ["array-like"],
        "decay": [Interval(Real, 0, 1, closed="both")],
        "gamma": [Interval(Real, 0, 64, closed="both")],
        "power": [Interval(Real, 0, 64, closed="both")],
        "keep": ["array-like"],
    }

    def __init__(self, *, statistics=("mean", "max", "diff"), decay=0.9, gamma=4.0, power=1.0, keep=()):
        self.statistics = statistics
        self.decay = decay
        self.gamma = gamma
        self.power = power
        self.keep = keep

    def _check(self, X, values, *, reset):
        known = [name for name in _STATISTICS for one in self.statistics if isinstance(one, str) and one == name]
        if not 0 < len(set(known)) == len(self.statistics):
            raise ValueError(f"statistics must name at least one of {', '.join(_STATISTICS)}, none twice; "
                             f"got {list(self.statistics)}.")  # fmt: skip
        return super()._check(X, values, reset=reset)

    def _transform(self, log_mel, X):
        n_clips, n_mels, _ = log_mel.shape
        embedding = np.empty((n_clips, len(self.statistics), n_mels), dtype=np.float32)
        for start in range(0, n_clips, _BATCH_SIZE):
            batch = slice(start, start + _BATCH_SIZE)
            for position, name in enumerate(self.statistics):
                embedding[batch, position] = _STATISTICS[name](log_mel[batch], self)
        return embedding.reshape(n_clips, -1)

    def _makes_table(self):
        return True

    def _column_names(self):
        return [f"{name}{band}" for name in self.statistics for band in range(self.n_features_in_)]
