"""What spectrograms in dB are made by: the parameters, and what follows from them for numpy and for torch alike."""

import math
import warnings
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.sparse import csr_array

FRAMES_DOC = """
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
    The least power before the logarithm. The default, the machine epsilon, is that of the DCASE baselines; librosa's
    is 1e-10.

top_db : float or None, default=None
    Where to cut off, in dB below the loudest value of the clip."""

MEL_DOC = """
n_mels : int, default=128
    Number of bands.

power : float, default=2.0
    Exponent of the magnitudes that the bands add up, above 0: 2 adds powers, 1 amplitudes, and then `ref` and `amin`
    are amplitudes too. The result is in dB either way.

norm : {"slaney"}, float or None, default="slaney"
    "slaney" divides each band by its width, a number makes the bands of unit norm, None leaves triangles of height
    one.

htk : bool, default=False
    Whether the mel scale is HTK's instead of Slaney's."""


@dataclass(kw_only=True, eq=False, repr=False)
class FrameParameters:
    """How a waveform becomes frames, and their powers decibels."""

    sample_rate: int = 16000
    n_fft: int = 1024
    hop_length: int = 512
    win_length: int | None = None
    window: str | tuple = "hann"
    fmin: float = 0.0
    fmax: float | None = None
    center: bool = True
    pad_mode: str = "constant"
    ref: float = 1.0
    amin: float = 2.220446049250313e-16
    top_db: float | None = None

    def _check_frames(self):
        if self.win_length is not None and self.win_length > self.n_fft:
            raise ValueError(f"win_length={self.win_length} must be at most n_fft={self.n_fft}.")
        if self.fmax is not None and self.fmax <= self.fmin:
            raise ValueError(f"fmax={self.fmax} Hz must be above fmin={self.fmin} Hz.")

    def _margin(self):
        """Samples of padding at each end."""
        return self.n_fft // 2 if self.center else 0

    def _make_window(self):
        window = self.window
        if isinstance(window, tuple):
            window = tuple(tuple(part) if isinstance(part, (list, np.ndarray)) else part for part in window)
        return _window(window, self.win_length or self.n_fft, self.n_fft).copy()

    def _scale(self):
        """Decibels per factor of ten, and those of the reference."""
        decibels = 20 / self.power
        return decibels, decibels * math.log10(max(self.ref, self.amin))


@dataclass(kw_only=True, eq=False, repr=False)
class MelParameters(FrameParameters):
    """How frames become mel bands."""

    n_mels: int = 128
    power: float = 2.0
    norm: str | float | None = "slaney"
    htk: bool = False

    def _make_filter_bank(self):
        bank = _mel_filter_bank(self.sample_rate, self.n_fft, self.n_mels, self.fmin, self.fmax, self.htk, self.norm)
        n_empty = np.count_nonzero(bank.sum(axis=1) == 0)
        if n_empty:
            warnings.warn(f"{n_empty} of {self.n_mels} mel bands have no frequency bin in them and stay at the floor. "
                          "Take a larger n_fft or fewer n_mels, and fmax up to half the sample rate.",
                          stacklevel=4)  # fmt: skip
        return bank


@lru_cache(maxsize=16)
def _window(window, win_length, n_fft):
    """The window of librosa, which to make takes as long as a tenth of a spectrogram."""
    import librosa

    return librosa.util.pad_center(librosa.filters.get_window(window, win_length), size=n_fft)


@lru_cache(maxsize=16)
def _mel_filter_bank(sample_rate, n_fft, n_mels, fmin, fmax, htk, norm):
    """The mel filter bank of librosa, sparse: (n_mels, n_fft // 2 + 1) with about two bands to a bin."""
    import librosa.filters

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Empty filters", UserWarning)  # the caller warns in our words
        scale = {"sr": sample_rate, "n_fft": n_fft, "n_mels": n_mels, "fmin": fmin, "fmax": fmax, "htk": htk}
        return csr_array(librosa.filters.mel(**scale, norm=norm, dtype=np.float32))
