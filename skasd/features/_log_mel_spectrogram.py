"""Log-mel spectrograms as a transformer."""

from dataclasses import dataclass
from numbers import Integral, Real

from skasd._docstrings import fill
from skasd._sklearn import Interval, StrOptions
from skasd.features._log_spectrogram import ATTRIBUTES_DOC, FILES_DOC, LogSpectrogram
from skasd.features._parameters import FRAMES_DOC, MEL_DOC, MelParameters


@fill(frames=FRAMES_DOC, mel=MEL_DOC, files=FILES_DOC, attributes=ATTRIBUTES_DOC)
@dataclass(kw_only=True, eq=False, repr=False)
class LogMelSpectrogram(LogSpectrogram, MelParameters):
    """Log-mel spectrograms, with librosa's names and values, from waveforms or straight from files.

    From waveforms (n_clips, n_samples), floats or integers of 8, 16 or 32 bits, in the field ``waveform`` of `Clips`,
    or from the files named in the field ``path``, it makes spectrograms (n_clips, n_mels, n_frames) in dB, float32, in
    the field ``log_mel``. Files are read one by one, so that not all waveforms are in memory at once. All clips must
    have the same length. The defaults are those of the DCASE Task 2 baselines, which turn 10 s at 16 kHz into 313
    frames of 128 bands.

    Parameters
    ----------
    sample_rate : int, default=16000
        Sample rate of the waveforms in Hz. Files with another one are resampled by the `loader`; `Clips` whose
        waveforms are known to have another one are an error. Plain arrays do not know theirs, and a wrong one shifts
        all bands.

    {frames}

    {mel}

    {files}

    Attributes
    ----------
    filter_bank_ : csr_array of shape (n_mels, n_fft // 2 + 1)
        Weight of each frequency bin in each band.

    {attributes}

    {named_samples}

    See Also
    --------
    LogSTFT : All frequency bins instead of bands.
    FrameStacker : Windows of consecutive frames as vectors.
    skasd.embedders.StatisticsEmbedder : One vector per clip, from statistics of each band.

    Notes
    -----
    The computation is in single precision, or in double precision if waveforms are float64. In single precision the
    values agree with librosa's to within 0.001 dB for bands down to 70 dB below the loudest of their frame, which is
    enough for recordings; further down, as next to a pure synthetic tone, rounding shows. In double precision there is
    no such limit, at about two thirds of the speed.

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

    _parameter_constraints = {
        **LogSpectrogram._parameter_constraints,
        "n_mels": [Interval(Integral, 1, None, closed="left")],
        "power": [Interval(Real, 0, None, closed="neither")],
        "norm": [StrOptions({"slaney"}), Interval(Real, 0, None, closed="neither"), None],
        "htk": ["boolean"],
    }

    def _too_loud(self):
        return f"{super()._too_loud()}; lower power={self.power}"
