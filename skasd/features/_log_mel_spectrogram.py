"""Log-mel spectrograms as a transformer."""

import warnings
from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, clone

from skasd._audio_files import Files, as_paths, run_rows, warn_of_cancelling, warn_of_silence
from skasd._problems import names_of, raise_problems
from skasd._samples import check_sample_rate, precision_of, read_waveforms, what_is_wrong
from skasd._validation import Interval, StrOptions, _fit_context, check_is_fitted, read_field
from skasd._versions import VersionsMixin
from skasd.audio import AudioLoader
from skasd.clips import hand_on
from skasd.features._spectrograph import Spectrograph, mel_filter_bank


class LogMelSpectrogram(VersionsMixin, TransformerMixin, BaseEstimator):
    """Log-mel spectrograms, with librosa's names and values, from waveforms or straight from files.

    From files it goes one by one and never holds all waveforms. The defaults are those of the DCASE Task 2 baselines,
    which make of 10 s at 16 kHz 313 frames of 128 bands.

    Parameters
    ----------
    sample_rate : int, default=16000
        Sample rate of the waveforms in Hz. Files with another one are resampled by the `loader`; `Clips` whose
        waveforms are known to have another one are an error. Plain arrays cannot tell theirs: a wrong one shifts all
        bands.

    n_fft : int, default=1024
        Length of a frame in samples.

    hop_length : int, default=512
        Samples from the beginning of one frame to that of the next.

    win_length : int or None, default=None
        Length of the window in samples, at most `n_fft`; the frame is zero around it. None means `n_fft`.

    window : str or tuple, default="hann"
        Window, as `scipy.signal.get_window` takes it.

    n_mels : int, default=128
        Number of bands.

    fmin : float, default=0.0
        Lower edge of the lowest band in Hz.

    fmax : float or None, default=None
        Upper edge of the highest band in Hz. None means half the sample rate.

    power : float, default=2.0
        Exponent of the magnitudes that the bands add up, 0.1 to 10: 2 adds powers, 1 amplitudes. The result is in dB
        either way.

    center : bool, default=True
        Whether frame t is centred on sample ``t * hop_length``, with padding at both ends; else it begins there.

    pad_mode : {"constant", "edge", "reflect", "symmetric", "wrap"}, default="constant"
        What the padding of centred frames holds: zeros for "constant", else as in `numpy.pad`.

    norm : {"slaney"}, float or None, default="slaney"
        "slaney" divides each band by its width, a number makes the bands of unit norm, None leaves triangles of
        height one.

    htk : bool, default=False
        Whether the mel scale is HTK's instead of Slaney's.

    ref : float, default=1.0
        What is 0 dB: an amplitude where `power` is 1, a power where it is 2.

    amin : float, default=2.220446049250313e-16
        The least value of a band before the logarithm. The default, the machine epsilon, is that of the DCASE
        baselines; librosa's is 1e-10.

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
    filter_bank_ : csr_array of shape (n_mels, n_fft // 2 + 1)
        Weight of each frequency bin in each band.

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
    FrameStacker : Windows of consecutive frames as vectors.
    skasd.embedders.StatisticsEmbedder : One vector a clip, from statistics of each band.

    Notes
    -----
    The work is done in single precision, but in double precision where waveforms are float64. In single precision the
    values are those of librosa within 0.001 dB for bands down to 70 dB below the loudest of their frame, which holds
    for recordings; further down, as beside a pure synthetic tone, rounding shows. In double precision there is no such
    limit, at about two thirds of the speed.

    References
    ----------
    .. [1] B. McFee et al., "librosa: Audio and music signal analysis in Python", Proc. 14th Python in Science
       Conference, 2015.

    Examples
    --------
    >>> import numpy as np
    >>> from skasd.features import LogMelSpectrogram
    >>> waveforms = np.random.default_rng(0).uniform(-0.1, 0.1, size=(2, 160000)).astype(np.float32)
    >>> LogMelSpectrogram().fit_transform(waveforms).shape
    (2, 128, 313)
    """

    _parameter_constraints: dict = {
        "sample_rate": [Interval(Integral, 1, 2**31 - 1, closed="both")],
        "n_fft": [Interval(Integral, 1, None, closed="left")],
        "hop_length": [Interval(Integral, 1, None, closed="left")],
        "win_length": [Interval(Integral, 1, None, closed="left"), None],
        "window": [str, tuple],
        "n_mels": [Interval(Integral, 1, 2**16, closed="both")],
        "fmin": [Interval(Real, 0, None, closed="left")],
        "fmax": [Interval(Real, 0, None, closed="neither"), None],
        "power": [Interval(Real, 0.1, 10, closed="both")],
        "center": ["boolean"],
        "pad_mode": [StrOptions({"constant", "edge", "reflect", "symmetric", "wrap"})],
        "norm": [StrOptions({"slaney"}), Interval(Real, 0, None, closed="neither"), None],
        "htk": ["boolean"],
        "ref": [Interval(Real, 0, None, closed="neither")],
        "amin": [Interval(Real, float(np.finfo(np.float32).tiny), None, closed="left")],
        "top_db": [Interval(Real, 0, None, closed="left"), None],
        "loader": [AudioLoader, None],
        "n_jobs": [Integral, None],
        "keep": ["array-like"],
    }

    def __init__(
        self,
        *,
        sample_rate=16000,
        n_fft=1024,
        hop_length=512,
        win_length=None,
        window="hann",
        n_mels=128,
        fmin=0.0,
        fmax=None,
        power=2.0,
        center=True,
        pad_mode="constant",
        norm="slaney",
        htk=False,
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
        self.n_mels = n_mels
        self.fmin = fmin
        self.fmax = fmax
        self.power = power
        self.center = center
        self.pad_mode = pad_mode
        self.norm = norm
        self.htk = htk
        self.ref = ref
        self.amin = amin
        self.top_db = top_db
        self.loader = loader
        self.n_jobs = n_jobs
        self.keep = keep

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Learn the number of samples of a clip and make the filter bank. Of files it reads no more than the header.

        Parameters
        ----------
        X : Clips, sequence of paths, or array-like of shape (n_clips, n_samples)
            Clips with the field ``waveform`` or else ``path``, or waveforms (floats, or integers of 8, 16 or 32 bits),
            or paths.

        y : None
            Ignored.

        Returns
        -------
        self : LogMelSpectrogram

        Raises
        ------
        ValueError
            If the clips are shorter than a frame, if files cannot be read or differ in length, or if waveforms are not
            mono, are known to have another sample rate, or have a type that does not tell its full scale.

        Warns
        -----
        UserWarning
            If bands are so narrow that no frequency bin lies in them.
        """
        paths, values = self._read(X)
        self.loader_ = self._make_loader()
        if paths is None:
            read_waveforms(self, X, values, reset=True)
        else:
            self.n_features_in_ = self.loader_.fit(paths).n_samples_
        self.n_frames_ = self._count_frames()
        self.filter_bank_ = mel_filter_bank(
            self.sample_rate, self.n_fft, self.n_mels, self.fmin, self.fmax, self.htk, self.norm
        )
        self._warn_of_empty_bands()
        return self

    def transform(self, X):
        """Log-mel spectrograms of the clips.

        Parameters
        ----------
        X : Clips, sequence of paths, or array-like of shape (n_clips, n_samples)
            Clips with the field ``waveform`` or else ``path``, or waveforms (floats, or integers of 8, 16 or 32 bits),
            or paths.

        Returns
        -------
        X_new : Clips or ndarray of shape (n_clips, n_mels, n_frames)
            float32, in dB. Where `X` is Clips: Clips with the field ``log_mel`` in the place of ``waveform``.

        Raises
        ------
        ValueError
            If clips have another number of samples than in `fit`, or cannot be used: their number and the first ten
            with the reason.

        Warns
        -----
        UserWarning
            If all samples of a file are zero, which can be a real recording, or if its channels cancel each other.
        """
        check_is_fitted(self)
        paths, values = self._read(X)
        if paths is None:
            waveforms = read_waveforms(self, X, values, reset=False, check=False)
        else:
            waveforms = Files(paths, self.loader_, self.n_features_in_, dtype=None)
        log_mel, silent = self._spectrograms(X, waveforms)
        raise_problems(silent, len(waveforms))
        if paths is not None:
            warn_of_silence(paths, silent)
            warn_of_cancelling(paths, waveforms.cancelled)
        return hand_on(X, "log_mel", log_mel, consumed=("waveform",), keep=self.keep)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def _read(self, X):
        """Paths and None, or None and waveforms."""
        name, values = read_field(X, "waveform", "path", owner="LogMelSpectrogram")
        if name == "waveform":
            check_sample_rate(X, self.sample_rate, "LogMelSpectrogram")
        return as_paths(values), values

    def _make_loader(self):
        if self.loader is None:
            return AudioLoader(sample_rate=self.sample_rate, n_jobs=self.n_jobs)
        self.loader._validate_params()
        if self.loader.sample_rate != self.sample_rate:
            raise ValueError(f"The loader makes waveforms at {self.loader.sample_rate} Hz and sample_rate is "
                             f"{self.sample_rate} Hz; set both to the same.")  # fmt: skip
        return clone(self.loader)

    def _count_frames(self):
        if self.win_length is not None and self.win_length > self.n_fft:
            raise ValueError(f"win_length={self.win_length} must be at most n_fft={self.n_fft}.")
        if self.fmax is not None and self.fmax <= self.fmin:
            raise ValueError(f"fmax={self.fmax} Hz must be above fmin={self.fmin} Hz.")
        if self.n_features_in_ < self.n_fft:
            raise ValueError(f"The clips are shorter than one frame: n_features = {self.n_features_in_} samples and "
                             f"n_fft = {self.n_fft}. Take a smaller n_fft or longer clips.")  # fmt: skip
        margin = self.n_fft // 2 if self.center else 0
        return 1 + (self.n_features_in_ + 2 * margin - self.n_fft) // self.hop_length

    def _warn_of_empty_bands(self):
        n_empty = np.count_nonzero(self.filter_bank_.sum(axis=1) == 0)
        if n_empty:
            warnings.warn(f"{n_empty} of {self.n_mels} mel bands have no frequency bin in them and stay at the floor. "
                          "Take a larger n_fft or fewer n_mels, and fmax up to half the sample rate.",
                          stacklevel=4)  # fmt: skip

    def _too_loud(self):
        return f"its levels are beyond what float32 holds; lower power={self.power}"

    def _spectrograms(self, X, waveforms):
        log_mel = np.empty((len(waveforms), self.n_mels, self.n_frames_), dtype=np.float32)
        precision = precision_of(getattr(waveforms, "dtype", np.float32))

        def begin():
            spectrograph = Spectrograph(self, precision)

            def work(row):
                waveform = waveforms[row]
                peak = spectrograph(waveform, log_mel[row])
                if not np.isfinite(peak):
                    raise ValueError(f"{names_of(X, [row])[0]}: {what_is_wrong(waveform) or self._too_loud()}")
                return peak == spectrograph.least and not spectrograph.inside.any()

            return work

        return log_mel, run_rows(begin, len(waveforms), self.n_jobs)
