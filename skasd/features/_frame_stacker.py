"""Windows of consecutive frames as vectors."""

from numbers import Integral

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from skasd._problems import check_finite
from skasd._samples import check_plain
from skasd._validation import Interval, _fit_context, check_is_fitted, read_field, validate_data
from skasd._versions import VersionsMixin
from skasd.clips import hand_on


class FrameStacker(VersionsMixin, TransformerMixin, BaseEstimator):
    """Windows of consecutive frames as vectors, as the autoencoder baselines of DCASE take them.

    Parameters
    ----------
    n_frames : int, default=5
        Number of frames of a window.

    hop : int, default=1
        Frames from the beginning of one window to that of the next.

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
    LogMelSpectrogram : Makes the spectrograms.
    FieldTransformer : Scales the vectors, or reduces their dimension.

    Examples
    --------
    >>> import numpy as np
    >>> from skasd.features import FrameStacker
    >>> FrameStacker().fit_transform(np.zeros((2, 128, 313))).shape
    (2, 309, 640)
    >>> log_mel = [[[1, 2, 3], [10, 20, 30]]]  # one clip, two bands, three frames
    >>> FrameStacker(n_frames=2).fit_transform(log_mel)
    array([[[ 1., 10.,  2., 20.],
            [ 2., 20.,  3., 30.]]], dtype=float32)
    """

    _parameter_constraints: dict = {
        "n_frames": [Interval(Integral, 1, None, closed="left")],
        "hop": [Interval(Integral, 1, None, closed="left")],
        "keep": ["array-like"],
    }

    def __init__(self, *, n_frames=5, hop=1, keep=()):
        self.n_frames = n_frames
        self.hop = hop
        self.keep = keep

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Learn the number of bands.

        Parameters
        ----------
        X : Clips or array-like of shape (n_clips, n_mels, n_frames) or (n_clips, n_mels)
            Clips with the field ``log_mel``, or spectrograms. Two dimensions mean clips of one frame.

        y : None
            Ignored.

        Returns
        -------
        self : FrameStacker

        Raises
        ------
        ValueError
            If the clips have fewer frames than a window.
        """
        self._read(X, reset=True)
        return self

    def transform(self, X):
        """Cut the spectrograms into windows.

        Parameters
        ----------
        X : Clips or array-like of shape (n_clips, n_mels, n_frames) or (n_clips, n_mels)
            Clips with the field ``log_mel``, or spectrograms. Two dimensions mean clips of one frame.

        Returns
        -------
        X_new : Clips or ndarray of shape (n_clips, n_windows, n_frames * n_mels)
            float32; each row has the bands of its first frame, then those of the next. Where `X` is Clips: Clips with
            the field ``embedding`` in the place of ``log_mel``.

        Raises
        ------
        ValueError
            If the clips have fewer frames than a window, or another number of bands than in `fit`.
        """
        check_is_fitted(self)
        log_mel = self._read(X, reset=False)
        windows = np.lib.stride_tricks.sliding_window_view(log_mel, self.n_frames, axis=2)[:, :, :: self.hop]
        n_clips, n_mels, n_windows, _ = windows.shape
        vectors = windows.transpose(0, 2, 3, 1).reshape(n_clips, n_windows, self.n_frames * n_mels)
        return hand_on(X, "embedding", vectors, consumed=("log_mel",), keep=self.keep)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def _read(self, X, reset):
        log_mel = read_log_mel(self, X, reset)
        if log_mel.shape[2] < self.n_frames:
            raise ValueError(f"The clips have fewer frames than a window: {log_mel.shape[2]} and "
                             f"n_frames={self.n_frames}. Take a smaller n_frames or longer clips.")  # fmt: skip
        return log_mel


def read_log_mel(estimator, X, reset):
    """Spectrograms (n_clips, n_mels, n_frames) for an estimator; two dimensions mean clips of one frame."""
    _, log_mel = read_field(X, "log_mel", owner=type(estimator).__name__)
    check_plain(log_mel, type(estimator).__name__)
    with np.errstate(over="ignore", invalid="ignore"):  # of the sum by which scikit-learn looks for infinite levels
        log_mel = validate_data(
            estimator, log_mel, dtype=np.float32, allow_nd=True, reset=reset, ensure_all_finite=False
        )
    check_finite(log_mel, "The field 'log_mel', in float32, has", X)
    if log_mel.ndim > 3:
        raise ValueError(f"Spectrograms have three dimensions, (n_clips, n_mels, n_frames); got shape {log_mel.shape}.")
    return log_mel if log_mel.ndim == 3 else log_mel[:, :, None]
