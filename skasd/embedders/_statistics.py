"""One vector a clip from statistics of each mel band: nothing is trained."""

from numbers import Real

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import gen_batches

from skasd._validation import Interval, _fit_context, check_is_fitted
from skasd._versions import VersionsMixin
from skasd.clips import hand_on
from skasd.features._frame_stacker import read_log_mel

_BATCH_SIZE = 64


def _mean(log_mel, decay):
    return log_mel.mean(axis=2, dtype=np.float64)


def _std(log_mel, decay):
    return log_mel.std(axis=2, dtype=np.float64)


def _max(log_mel, decay):
    return log_mel.max(axis=2)


def _rank(log_mel, decay):
    weights = float(decay) ** np.arange(log_mel.shape[2])
    loud_first = -np.sort(-log_mel, axis=2)
    return loud_first @ (weights / weights.sum())


_STATISTICS = {"mean": _mean, "std": _std, "max": _max, "rank": _rank}


class StatisticsEmbedder(VersionsMixin, TransformerMixin, BaseEstimator):
    """One vector a clip: statistics of each mel band over time.

    There is nothing to train, and the order of the frames does not matter. With a Gaussian mixture, rank pooling is a
    strong published system [1]_; mean and deviation are the control that every network has to beat.

    Parameters
    ----------
    statistics : sequence of {"mean", "std", "max", "rank"}, default=("mean", "std")
        What is computed of each band, in this order: mean, standard deviation and maximum over time, and rank pooling:
        the frames of the band are sorted from loud to quiet and averaged with weights that fall by `decay` from each
        to the next.

    decay : float, default=0.9
        Ratio of two successive weights of rank pooling, in [0, 1]: 1 gives the mean, 0 the maximum.

    keep : sequence of str, default=()
        Set it to ``("log_mel",)`` if `Clips` should keep their spectrograms for a later step.

    Attributes
    ----------
    n_features_in_ : int
        Number of mel bands.

    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the bands, only where `fit` was given a data frame with such names.

    See Also
    --------
    skasd.features.LogMelSpectrogram : Makes the spectrograms.
    skasd.features.FieldTransformer : Scales the vectors, or reduces their dimension.
    skasd.detectors.GaussianMixtureDetector : Scores the vectors.

    References
    ----------
    .. [1] J. Guan, Y. Liu, Q. Zhu, T. Zheng, J. Han, W. Wang, "Time-weighted frequency domain audio representation with
       GMM estimator for anomalous sound detection", Proc. ICASSP, 2023. arXiv:2305.03328.

    Examples
    --------
    >>> from skasd.embedders import StatisticsEmbedder
    >>> log_mel = [[[-60, -20, -40], [-30, -30, -30]]]  # one clip, two bands, three frames
    >>> StatisticsEmbedder().fit_transform(log_mel).round(2)
    array([[-40.  , -30.  ,  16.33,   0.  ]], dtype=float32)
    >>> StatisticsEmbedder(statistics=["max", "rank"], decay=0.5).fit_transform(log_mel).round(2)
    array([[-20.  , -30.  , -31.43, -30.  ]], dtype=float32)
    """

    _parameter_constraints: dict = {
        "statistics": ["array-like"],
        "decay": [Interval(Real, 0, 1, closed="both")],
        "keep": ["array-like"],
    }

    def __init__(self, *, statistics=("mean", "std"), decay=0.9, keep=()):
        self.statistics = statistics
        self.decay = decay
        self.keep = keep

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Learn the number of bands; the statistics need no training.

        Parameters
        ----------
        X : Clips or array-like of shape (n_clips, n_mels, n_frames) or (n_clips, n_mels)
            Clips with the field ``log_mel``, or spectrograms. Two dimensions mean clips of one frame.

        y : None
            Ignored.

        Returns
        -------
        self : StatisticsEmbedder

        Raises
        ------
        ValueError
            If ``statistics`` names none, or one that there is not.
        """
        unknown = [name for name in self.statistics if name not in _STATISTICS]
        if unknown or not len(self.statistics):
            raise ValueError(f"statistics must name at least one of {', '.join(_STATISTICS)}; "
                             f"got {list(self.statistics)}.")  # fmt: skip
        read_log_mel(self, X, reset=True)
        return self

    def transform(self, X):
        """Compute the statistics of every clip.

        Parameters
        ----------
        X : Clips or array-like of shape (n_clips, n_mels, n_frames) or (n_clips, n_mels)
            Clips with the field ``log_mel``, or spectrograms. Two dimensions mean clips of one frame.

        Returns
        -------
        X_new : Clips or ndarray of shape (n_clips, n_statistics * n_mels)
            float32; all bands of the first statistic, then those of the next. Where `X` is Clips: Clips with the field
            ``embedding`` in the place of ``log_mel``.

        Raises
        ------
        ValueError
            If there is another number of bands than in `fit`.
        """
        check_is_fitted(self)
        log_mel = read_log_mel(self, X, reset=False)
        n_clips, n_mels, _ = log_mel.shape
        embedding = np.empty((n_clips, len(self.statistics), n_mels), dtype=np.float32)
        for batch in gen_batches(n_clips, _BATCH_SIZE):
            for position, name in enumerate(self.statistics):
                embedding[batch, position] = _STATISTICS[name](log_mel[batch], self.decay)
        return hand_on(X, "embedding", embedding.reshape(n_clips, -1), consumed=("log_mel",), keep=self.keep)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags
