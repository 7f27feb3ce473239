"""Windows of consecutive frames as vectors."""

from numbers import Integral

import numpy as np

from skasd._docstrings import documented
from skasd._sklearn import Interval
from skasd._transformer import SpectrogramTransformer


@documented
class FrameStacker(SpectrogramTransformer):
    """Windows of consecutive frames as vectors, as in the autoencoder baselines of DCASE.

    From spectrograms (n_clips, n_mels, n_frames), in the field ``log_mel`` of `Clips`, it makes float32 vectors
    (n_clips, n_windows, n_frames * n_mels), in the field ``embedding``: the bands of the first frame of a window, then
    those of the next. Clips with fewer frames than a window are an error.

    Parameters
    ----------
    n_frames : int, default=5
        Number of frames of a window.

    hop_frames : int, default=1
        Frames from the beginning of one window to that of the next.

    {keep_log_mel}

    Attributes
    ----------
    {named_bands}

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
        "hop_frames": [Interval(Integral, 1, None, closed="left")],
        "keep": ["array-like"],
    }

    def __init__(self, *, n_frames=5, hop_frames=1, keep=()):
        self.n_frames = n_frames
        self.hop_frames = hop_frames
        self.keep = keep

    def _check(self, X, values, *, reset):
        log_mel = super()._check(X, values, reset=reset)
        if log_mel.shape[2] < self.n_frames:
            raise ValueError(f"The clips have fewer frames than a window: {log_mel.shape[2]} and "
                             f"n_frames={self.n_frames}. Take a smaller n_frames or longer clips.")  # fmt: skip
        return log_mel

    def _transform(self, log_mel, X):
        windows = np.lib.stride_tricks.sliding_window_view(log_mel, self.n_frames, axis=2)[:, :, :: self.hop_frames]
        n_clips, n_mels, n_windows, _ = windows.shape
        return windows.transpose(0, 2, 3, 1).reshape(n_clips, n_windows, self.n_frames * n_mels)
