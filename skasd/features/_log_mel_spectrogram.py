"""Log-mel spectrograms as a transformer."""

import warnings
from numbers import Integral, Real

import numpy as np

from skasd._sklearn import Interval, StrOptions
from skasd.features._log_spectrogram import LogSpectrogram
from skasd.features._spectrograph import mel_filter_bank

__all__ = ["LogMelSpectrogram"]


class LogMelSpectrogram(LogSpectrogram):
    """Log-mel spectrograms, with librosa's names and values, from waveforms or straight from files.

    Of waveforms (n_clips, n_samples), floats or integers of 8, 16 or 32 bits, in the field ``waveform`` of `Clips`, or
    of the files named in the field ``path``, it makes spectrograms (n_clips, n_mels, n_frames) in dB, float32, the
    field ``log_mel``. Files are read one by one: never are all waveforms in memory. All clips must have one length.
    The defaults are those of the DCASE Task 2 baselines, which make of 10 s at 16 kHz 313 frames of 128 bands.

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
    LogSTFT : All frequency bins instead of bands.
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
        **LogSpectrogram._parameter_constraints,
        "n_mels": [Interval(Integral, 1, None, closed="left")],
        "power": [Interval(Real, 0, None, closed="neither")],
        "norm": [StrOptions({"slaney"}), Interval(Real, 0, None, closed="neither"), None],
        "htk": ["boolean"],
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

    def _make_filter_bank(self):
        bank = mel_filter_bank(self.sample_rate, self.n_fft, self.n_mels, self.fmin, self.fmax, self.htk, self.norm)
        n_empty = np.count_nonzero(bank.sum(axis=1) == 0)
        if n_empty:
            warnings.warn(f"{n_empty} of {self.n_mels} mel bands have no frequency bin in them and stay at the floor. "
                          "Take a larger n_fft or fewer n_mels, and fmax up to half the sample rate.",
                          stacklevel=4)  # fmt: skip
        return bank

    def _too_loud(self):
        return f"{super()._too_loud()}; lower power={self.power}"
