"""Log-mel spectrograms."""

from dataclasses import dataclass

import numpy as np

from skasd._docstrings import documented
from skasd.features import LogMelSpectrogram
from skasd.plotting._style import Display, plain, show_image


@documented
@dataclass(kw_only=True, eq=False, repr=False)
class SpectrogramDisplay(Display):
    """A log-mel spectrogram over time in seconds and frequency in Hz, with its levels in dB.

    Make it with `from_log_mel` or `from_waveform`.

    Parameters
    ----------
    log_mel : ndarray of shape (n_mels, n_frames)
        Levels of one clip in dB.

    {mel}

    {title}

    Attributes
    ----------
    image_ : matplotlib.image.AxesImage
        The spectrogram.

    colorbar_ : matplotlib.colorbar.Colorbar
        The scale of the colours.

    {drawn}

    See Also
    --------
    skasd.features.LogMelSpectrogram : The transformer, whose parameters have the same names.

    Examples
    --------
    >>> import numpy as np
    >>> from skasd.plotting import SpectrogramDisplay
    >>> log_mel = np.random.default_rng(0).normal(-40, 5, size=(128, 313))
    >>> display = SpectrogramDisplay.from_log_mel(log_mel, sample_rate=16000, hop_length=512, name="fan")
    >>> display.ax_.get_ylabel()
    'frequency (Hz)'
    """

    log_mel: np.ndarray
    sample_rate: int = 16000
    hop_length: int = 512
    fmin: float = 0.0
    fmax: float | None = None
    htk: bool = False
    name: str | None = None

    @classmethod
    @documented
    def from_log_mel(
        cls, log_mel, *, sample_rate=16000, hop_length=512, fmin=0.0, fmax=None, htk=False, name=None, ax=None, **kwargs
    ):
        """Draw one clip's log-mel spectrogram.

        Parameters
        ----------
        log_mel : array-like of shape (n_mels, n_frames)
            Levels of one clip in dB, bands from low to high.

        {mel}

        {title_and_ax}

        **kwargs : dict
            For `matplotlib.axes.Axes.imshow`, such as ``vmin`` and ``vmax`` in dB, which make two clips comparable.

        {returned}

        Raises
        ------
        ValueError
            If ``log_mel`` is not that of one clip, or not finite.
        """
        log_mel = np.asarray(log_mel)
        if log_mel.ndim != 2 or not log_mel.size:
            raise ValueError(f"log_mel must be one clip's, shape (n_mels, n_frames); got shape {log_mel.shape}. "
                             "Choose one clip: log_mel[i].")  # fmt: skip
        if not np.isfinite(log_mel).all():
            raise ValueError("log_mel holds NaN or infinite levels; a logarithm needs a floor for silence.")
        scale = {"sample_rate": sample_rate, "hop_length": hop_length, "fmin": fmin, "fmax": fmax, "htk": htk}
        return cls(log_mel=log_mel, **scale, name=name).plot(ax=ax, **kwargs)

    @classmethod
    @documented
    def from_waveform(
        cls, waveform, *, sample_rate=16000, hop_length=512, fmin=0.0, fmax=None, htk=False, n_fft=1024, n_mels=128,
        name=None, ax=None, **kwargs,
    ):  # fmt: skip
        """Draw the log-mel spectrogram of one waveform.

        An array does not know its sample rate, and a wrong one gives a wrong picture.

        Parameters
        ----------
        waveform : array-like of shape (n_samples,)
            One clip, mono: floats with full scale at 1, or integers of 8, 16 or 32 bits.

        {mel}

        n_fft : int, default=1024
            Length of a frame in samples.

        n_mels : int, default=128
            Number of bands.

        {title_and_ax}

        **kwargs : dict
            For `matplotlib.axes.Axes.imshow`.

        {returned}

        Raises
        ------
        ValueError
            If ``waveform`` is not one-dimensional, not finite, shorter than a frame, or of a type whose full scale is
            unknown.
        """
        waveform = np.asarray(waveform)
        if waveform.ndim != 1:
            raise ValueError(f"waveform must be one clip's and mono, shape (n_samples,); got shape {waveform.shape}. "
                             "Choose one clip: waveforms[i]. Of two channels, mean or one channel? Write "
                             "waveform.mean(axis=1), or waveform[:, 0], if the second axis holds them.")  # fmt: skip
        scale = {"sample_rate": sample_rate, "hop_length": hop_length, "fmin": fmin, "fmax": fmax, "htk": htk}
        log_mel = LogMelSpectrogram(n_fft=n_fft, n_mels=n_mels, **scale).fit_transform(waveform[np.newaxis])[0]
        return cls.from_log_mel(log_mel, **scale, name=name, ax=ax, **kwargs)

    @property
    def frequencies(self):
        """Centres of the bands in Hz, ndarray of shape (n_mels,)."""
        return self._band_frequencies()[1:-1]

    @property
    def duration(self):
        """Length of the clip in seconds."""
        return self.log_mel.shape[1] * self.hop_length / self.sample_rate

    @documented
    def plot(self, ax=None, **kwargs):
        """Draw the spectrogram.

        Parameters
        ----------
        {ax}

        **kwargs : dict
            For `matplotlib.axes.Axes.imshow`. By default the lowest colour is 80 dB below the highest level.

        {returned}
        """
        self._open(ax)
        lowest = max(self.log_mel.min(), self.log_mel.max() - 80)
        extent = (0, self.duration, -0.5, len(self.log_mel) - 0.5)
        style = {"cmap": "magma", "vmin": lowest} | kwargs
        self.image_, self.colorbar_ = show_image(self.log_mel, self.ax_, extent, "level (dB)", style)
        positions, labels = self._ticks()
        self.ax_.set_yticks(positions, labels)
        self.ax_.set(xlabel="time (s)", ylabel="frequency (Hz)", title=plain(self.name))
        return self

    def _band_frequencies(self):
        """Lower edge, centres and upper edge: the filters are triangles from one of these to the next but one."""
        import librosa

        fmax = self.sample_rate / 2 if self.fmax is None else self.fmax
        return librosa.mel_frequencies(len(self.log_mel) + 2, fmin=self.fmin, fmax=fmax, htk=self.htk)

    def _ticks(self):
        """Octaves from 125 Hz, from the top down, as far apart as labels need."""
        n_mels = len(self.log_mel)
        frequencies = self._band_frequencies()
        octaves = [octave for octave in 125 * 2 ** np.arange(12) if frequencies[0] <= octave <= frequencies[-1] + 1e-6]
        places = np.interp(octaves, frequencies, np.arange(-1, n_mels + 1)).clip(-0.5, n_mels - 0.5)
        chosen = []
        for octave, place in zip(octaves[::-1], places[::-1], strict=True):
            if not chosen or chosen[-1][0] - place > 0.07 * n_mels:
                chosen.append((place, str(octave)))
        return zip(*chosen, strict=True) if chosen else ([], [])


def mel_scale(owner):
    """Where the bands and frames of a spectrogram lie, as parameters of a display or of what made it."""
    return {key: getattr(owner, key) for key in ("sample_rate", "hop_length", "fmin", "fmax", "htk")}
