"""Spectrograms of the short-time Fourier transform, in dB, as a transformer."""

import numpy as np
from scipy.sparse import eye_array

from skasd.features._log_spectrogram import LogSpectrogram

__all__ = ["LogSTFT"]


class LogSTFT(LogSpectrogram):
    """Power spectra of the short-time Fourier transform in dB, with librosa's names and values.

    Every frequency bin is a band of its own: lines of a motor that mel bands blur at high frequencies stay apart, at
    four times the numbers. Where `Clips` come in, the spectrograms go into the field ``log_mel``, which is where all
    that follows looks for spectrograms.

    Parameters
    ----------
    sample_rate : int, default=16000
        Sample rate of the waveforms in Hz. Files with another one are resampled by the `loader`.

    n_fft : int, default=1024
        Length of a frame in samples.

    hop_length : int, default=512
        Samples from the beginning of one frame to that of the next.

    win_length : int or None, default=None
        Length of the window in samples, at most `n_fft`; the frame is zero around it. None means `n_fft`.

    window : str or tuple, default="hann"
        Window, as `scipy.signal.get_window` takes it.

    fmin : float, default=0.0
        Lowest frequency in Hz.

    fmax : float or None, default=None
        Highest frequency in Hz. None means half the sample rate.

    center : bool, default=True
        Whether frame t is centred on sample ``t * hop_length``, with padding at both ends; else it begins there.

    pad_mode : {"constant", "edge", "reflect", "symmetric", "wrap"}, default="constant"
        What the padding of centred frames holds: zeros for "constant", else as in `numpy.pad`.

    ref : float, default=1.0
        The power that is 0 dB.

    amin : float, default=2.220446049250313e-16
        The least power before the logarithm, as in `LogMelSpectrogram`; librosa's is 1e-10.

    top_db : float or None, default=None
        Where to cut off, in dB below the loudest value of the clip.

    loader : AudioLoader or None, default=None
        How files are read: channel, offset, duration, what to do with other sample rates. Its sample rate must be
        `sample_rate`. None means ``AudioLoader(sample_rate=sample_rate)``.

    n_jobs : int or None, default=None
        Number of threads. None means 1 unless in a `joblib.parallel_config` context, -1 all processors.

    keep : sequence of str, default=()
        Set it to ``("waveform",)`` if `Clips` should keep their waveforms for a later step.

    Attributes
    ----------
    frequencies_ : ndarray of shape (n_bins,)
        Frequency of each bin in Hz.

    filter_bank_ : csr_array of shape (n_bins, n_fft // 2 + 1)
        Which of all bins are kept, as a matrix of zeros and ones.

    loader_ : AudioLoader
        What reads the files.

    n_frames_ : int
        Number of frames of a clip.

    n_features_in_ : int
        Number of samples of a clip.

    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the samples, only where `fit` was given a data frame with such names.

    See Also
    --------
    LogMelSpectrogram : Fewer bands, as wide as the ear has them.
    FrameStacker : Windows of consecutive frames as vectors.

    Notes
    -----
    Precision is that of `LogMelSpectrogram`: single, or double where waveforms are float64. Between the lines of a pure
    tone, rounding shows in single precision.

    References
    ----------
    .. [1] B. McFee et al., "librosa: Audio and music signal analysis in Python", Proc. 14th Python in Science
       Conference, 2015.

    Examples
    --------
    >>> import numpy as np
    >>> from skasd.features import LogSTFT
    >>> tone = np.sin(2 * np.pi * 1000 * np.arange(160000) / 16000)
    >>> log_stft = LogSTFT(fmin=200)
    >>> spectrogram = log_stft.fit_transform(tone[np.newaxis])[0]
    >>> spectrogram.shape
    (500, 313)
    >>> float(log_stft.frequencies_[spectrogram[:, 100].argmax()])
    1000.0
    """

    _parameter_constraints: dict = LogSpectrogram._parameter_constraints
    power = 2.0

    def __init__(
        self,
        *,
        sample_rate=16000,
        n_fft=1024,
        hop_length=512,
        win_length=None,
        window="hann",
        fmin=0.0,
        fmax=None,
        center=True,
        pad_mode="constant",
        ref=1.0,
        amin=2.220446049250313e-16,
        top_db=None,
        loader=None,
        n_jobs=None,
        keep=(),
    ):
        self.sample_rate = sample_rate
        self.n_fft = n_fft
        self.hop_length = hop_length
        self.win_length = win_length
        self.window = window
        self.fmin = fmin
        self.fmax = fmax
        self.center = center
        self.pad_mode = pad_mode
        self.ref = ref
        self.amin = amin
        self.top_db = top_db
        self.loader = loader
        self.n_jobs = n_jobs
        self.keep = keep

    def _make_filter_bank(self):
        frequencies = np.arange(self.n_fft // 2 + 1) * (self.sample_rate / self.n_fft)
        fmax = self.sample_rate / 2 if self.fmax is None else self.fmax
        bins = np.flatnonzero((frequencies >= self.fmin) & (frequencies <= fmax))
        if not len(bins):
            raise ValueError(f"There is no frequency bin from fmin={self.fmin} to fmax={fmax} Hz at n_fft={self.n_fft} "
                             f"and sample_rate={self.sample_rate} Hz. Widen the range, or take a larger "
                             "n_fft.")  # fmt: skip
        self.frequencies_ = frequencies[bins]
        return eye_array(len(frequencies), dtype=np.float32, format="csr")[bins]
