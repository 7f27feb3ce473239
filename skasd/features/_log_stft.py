"""Spectrograms of the short-time Fourier transform, in dB, as a transformer."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import eye_array

from skasd._docstrings import fill
from skasd.features._log_spectrogram import ATTRIBUTES_DOC, FILES_DOC, LogSpectrogram
from skasd.features._parameters import FRAMES_DOC, FrameParameters


@fill(frames=FRAMES_DOC, files=FILES_DOC, attributes=ATTRIBUTES_DOC)
@dataclass(kw_only=True, eq=False, repr=False)
class LogSTFT(LogSpectrogram, FrameParameters):
    """Power spectra of the short-time Fourier transform in dB, with librosa's names and values.

    Every frequency bin is a band: lines of a motor that mel bands blur at high frequencies stay separate, at four times
    the size. Given `Clips`, the spectrograms go into the field ``log_mel``, which is where all later steps look for
    spectrograms.

    Parameters
    ----------
    sample_rate : int, default=16000
        Sample rate of the waveforms in Hz. Files with another one are resampled by the `loader`.

    {frames}

    {files}

    Attributes
    ----------
    frequencies_ : ndarray of shape (n_bins,)
        Frequency of each bin in Hz.

    filter_bank_ : csr_array of shape (n_bins, n_fft // 2 + 1)
        Which of all bins are kept, as a matrix of zeros and ones.

    {attributes}

    {named_samples}

    See Also
    --------
    LogMelSpectrogram : Fewer bands, spaced as the ear hears them.
    FrameStacker : Windows of consecutive frames as vectors.

    Notes
    -----
    Precision is that of `LogMelSpectrogram`: single, or double if waveforms are float64. Between the lines of a pure
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

    power = 2.0

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
