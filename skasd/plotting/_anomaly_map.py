"""Maps of what is unusual in a clip."""

from dataclasses import dataclass
from numbers import Integral

import numpy as np
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from skasd._docstrings import documented
from skasd.audio.rows import as_paths
from skasd.clips import Clips
from skasd.features import FrameStacker, LogMelSpectrogram
from skasd.plotting._masking import SpectrogramScores, WaveformScores, masked_rises
from skasd.plotting._spectrogram import SpectrogramDisplay, mel_scale
from skasd.plotting._style import Display, show_image

_LABELS = {
    "reconstruction": "squared error of the reconstruction (dB²)",
    "likelihood": "minus log-likelihood (nats)",
    "masking": "rise when masked (units of the score)",
    "filtering": "rise when filtered (units of the score)",
}
_NEEDS = {
    "reconstruction": "ends in FrameStacker and AutoencoderDetector, with nothing else after the LogMelSpectrogram",
    "likelihood": "ends in FrameStacker and FlowDetector, with nothing else after the LogMelSpectrogram",
    "masking": "has a LogMelSpectrogram before its detector",
}
_COLOURS = ["#E69F0000", "#E69F00B0", "#D55E00D0", "#661100E0"]  # ever darker, for whoever sees no hues


@documented
@dataclass(kw_only=True, eq=False, repr=False)
class AnomalyMapDisplay(Display):
    """Where in time and frequency a detector finds a clip unusual, in colour over its log-mel spectrogram in grey.

    Make it with `from_estimator`. The darker the colour, the more unusual the place; where nothing is unusual there is
    no colour. Each picture has its own scale unless you set ``vmin`` and ``vmax``, so even a healthy clip shows its
    least usual place as dark as a faulty one.

    Parameters
    ----------
    anomaly_map : ndarray of shape (n_mels, n_frames) or (1, n_frames)
        How unusual each place, or with one row each frame, is: higher = more unusual. NaN if unknown.

    log_mel : ndarray of shape (n_mels, n_frames)
        Levels of the clip in dB.

    method : {'reconstruction', 'likelihood', 'masking', 'filtering'}
        How the map was made, see `from_estimator`.

    {mel}

    {title}

    Attributes
    ----------
    image_ : matplotlib.image.AxesImage
        The map.

    colorbar_ : matplotlib.colorbar.Colorbar
        The scale of the colours.

    spectrogram_ : SpectrogramDisplay
        The spectrogram below.

    {drawn}

    See Also
    --------
    SpectrogramDisplay : The spectrogram alone, with its levels.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.pipeline import make_pipeline
    >>> from skasd.detectors import MahalanobisDetector
    >>> from skasd.embedders import StatisticsEmbedder
    >>> from skasd.features import LogMelSpectrogram
    >>> from skasd.plotting import AnomalyMapDisplay
    >>> waveforms = np.random.default_rng(0).normal(0, 0.1, size=(21, 16000))
    >>> waveforms[20, 8000:12000] += np.sin(2 * np.pi * 2000 * np.arange(4000) / 16000)  # a tone from 0.5 to 0.75 s
    >>> system = make_pipeline(LogMelSpectrogram(n_mels=64), StatisticsEmbedder(), MahalanobisDetector())
    >>> system = system.fit(waveforms[:20])
    >>> display = AnomalyMapDisplay.from_estimator(system, waveforms, 20, patch_shape=(8, 8))
    >>> time, frequency = display.peak
    >>> print(0.5 < time < 0.75, f"{frequency / 1000:.0f} kHz")
    True 2 kHz
    """

    anomaly_map: np.ndarray
    log_mel: np.ndarray
    method: str
    sample_rate: int = 16000
    hop_length: int = 512
    fmin: float = 0.0
    fmax: float | None = None
    htk: bool = False
    name: str | None = None

    @classmethod
    @documented
    def from_estimator(
        cls, estimator, X, row=0, *, method="auto", patch_shape=(16, 16), patch_hop=None, reference=None,
        spectrogram=None, name=None, ax=None, **kwargs,
    ):  # fmt: skip
        """Draw what a fitted detector finds unusual in a clip.

        Parameters
        ----------
        estimator : estimator instance
            Fitted, with ``score_samples``, higher = more normal: a pipeline, an ensemble, or a search over these.

        X : Clips, sequence of paths, or array-like of shape (n_clips, n_samples)
            What the estimator takes: waveforms or files.

        row : int, default=0
            Which clip of ``X``.

        method : {'auto', 'reconstruction', 'likelihood', 'masking', 'filtering'}, default='auto'
            - 'reconstruction', for pipelines that end in `FrameStacker` and `AutoencoderDetector`: the squared error of
              each band in each frame, the mean over the windows that the frame is in. A detector with
              ``error='selective_mahalanobis'`` weights these errors in its score; the map does not.
            - 'likelihood', for pipelines that end in `FrameStacker` and `FlowDetector`: the negative log-likelihood of
              each frame, averaged over the windows that it is in. It shows times, not frequencies.
            - 'masking', for pipelines with a `skasd.features.LogMelSpectrogram`: by how much the score rises, that is,
              how much more normal the clip becomes, when a patch of the spectrogram is replaced by the usual level of
              each band; the mean over the patches that a place is in. Places that make the clip look more normal than
              it is have negative values.
            - 'filtering', for anything that takes waveforms, including ensembles and networks that make their own
              spectrograms: as 'masking', but the waveform is filtered until the patch of its spectrogram has the usual
              levels. Every patch needs a run through the whole estimator.

            'auto' uses the first of these that fits.

        patch_shape : tuple of int, default=(16, 16)
            For masking and filtering: bands and frames of a patch. It is cut to the size of the spectrogram, so ``(16,
            10**9)`` masks bands over the whole clip, for a steady fault.

        patch_hop : tuple of int, default=None
            For masking and filtering: bands and frames from one patch to the next, at most ``patch_shape``. None means
            half of that.

        reference : Clips or array-like, default=None
            For masking and filtering: normal clips, as ``X``, whose mean level of each band fills the patches, such as
            the training clips of the section. None means those of the clip itself, which hide a fault that is there all
            the time.

        spectrogram : LogMelSpectrogram, default=None
            For filtering: what is drawn, and defines the bands and frames of the patches. None means that of the
            pipeline, or else ``LogMelSpectrogram()``, at the sample rate that `Clips` know, or 16 kHz.

        {title_and_ax}

        **kwargs : dict
            For `matplotlib.axes.Axes.imshow`, such as ``vmin`` and ``vmax``, which make two clips comparable.

        {returned}

        Raises
        ------
        ValueError
            If ``method`` does not fit the estimator, if there is no such clip, if the patches are impossible, or if the
            score does not depend on the spectrogram.
        """
        estimator = getattr(estimator, "best_estimator_", estimator)
        features, rest = _split(estimator)
        method = _choose_method(features, rest, method)
        clip = _one_clip(X, row)
        if method == "filtering":
            scores = WaveformScores(estimator, _front(features, spectrogram, clip), clip)
        else:
            scores = SpectrogramScores(features, rest, clip)
        if method in _OF_WINDOWS:
            anomaly_map = _OF_WINDOWS[method](rest, scores.clip, scores.log_mel)
        else:
            anomaly_map = masked_rises(scores, reference, patch_shape, patch_hop)
        scale = mel_scale(scores.front)
        display = cls(anomaly_map=anomaly_map, log_mel=scores.log_mel, method=method, **scale, name=name)
        return display.plot(ax=ax, **kwargs)

    @property
    def peak(self):
        """Time in seconds and frequency in Hz of the most unusual place; the frequency is None if unknown."""
        band, frame = np.unravel_index(np.nanargmax(self.anomaly_map), self.anomaly_map.shape)
        frequency = float(self._spectrogram().frequencies[band]) if len(self.anomaly_map) > 1 else None
        return float((frame + 0.5) * self.hop_length / self.sample_rate), frequency

    @documented
    def plot(self, ax=None, **kwargs):
        """Draw the map over the spectrogram.

        Parameters
        ----------
        {ax}

        **kwargs : dict
            For `matplotlib.axes.Axes.imshow`. By default the colours go from 0, or for a likelihood from the most usual
            frame, to the highest value.

        {returned}
        """
        self._open(ax)
        from matplotlib.colors import LinearSegmentedColormap

        greys = LinearSegmentedColormap.from_list("background", ["1.0", "0.4"])  # opaque, for dark styles
        self.spectrogram_ = self._spectrogram().plot(ax=self.ax_, cmap=greys)
        self.spectrogram_.colorbar_.remove()  # grey is the background, two bars would squeeze it
        lowest = np.nanmin(self.anomaly_map) if self.method == "likelihood" else 0.0
        highest = np.nanmax(self.anomaly_map)
        scale = {"vmin": lowest, "vmax": highest if highest > lowest else lowest + 1}
        style = {"cmap": LinearSegmentedColormap.from_list("anomaly", _COLOURS)} | scale | kwargs
        extent = self.spectrogram_.image_.get_extent()
        self.image_, self.colorbar_ = show_image(self.anomaly_map, self.ax_, extent, _LABELS[self.method], style)
        self.colorbar_.ax.set_facecolor("white")
        return self

    def _spectrogram(self):
        return SpectrogramDisplay(log_mel=self.log_mel, **mel_scale(self), name=self.name)


def _split(estimator):
    """The steps up to the spectrogram, and those after it, as pipelines; None and None where there are none such."""
    steps = estimator.steps if isinstance(estimator, Pipeline) else []
    places = [place for place, (_, step) in enumerate(steps[:-1]) if isinstance(step, LogMelSpectrogram)]
    return (estimator[: places[-1] + 1], estimator[places[-1] + 1 :]) if places else (None, None)


def _front(features, spectrogram, clip):
    """The spectrogram of the picture, to be fitted to the clip."""
    if spectrogram is not None or features is not None:
        return clone(features[-1] if spectrogram is None else spectrogram)
    known = {"sample_rate"} & set(getattr(clip, "attrs", ()))
    return LogMelSpectrogram(**{name: clip.attrs[name] for name in known})


def _choose_method(features, rest, method):
    """The method, or the first that fits the estimator."""
    if method not in ("auto", *_LABELS):
        raise ValueError(f"method must be 'auto', {', '.join(map(repr, _LABELS))}; got {method!r}.")
    fitting = ["filtering"] if features is None else [*_methods_of(rest), "masking", "filtering"]
    if method not in ("auto", *fitting):
        raise ValueError(f"method={method!r} needs a Pipeline that {_NEEDS[method]}; use method={fitting[0]!r}.")
    return fitting[0] if method == "auto" else method


def _methods_of(rest):
    """Methods that look into a detector, of frames that come straight from the spectrogram."""
    from skasd.augmentation import Augmentation
    from skasd.detectors import AutoencoderDetector, FlowDetector

    *before, detector = (step for _, step in rest.steps)
    before = [step for step in before if step != "passthrough" and not isinstance(step, Augmentation)]
    if len(before) != 1 or not isinstance(before[0], FrameStacker):
        return []
    kinds = {"reconstruction": AutoencoderDetector, "likelihood": FlowDetector}
    return [name for name, kind in kinds.items() if isinstance(detector, kind)]


def _one_clip(X, row):
    as_paths(X)  # a single path has a length too, that of its text
    n_clips = len(X)
    if not isinstance(row, Integral) or not -n_clips <= row < n_clips:
        raise ValueError(f"row must be the number of one of the {n_clips} clips; got {row!r}.")
    row %= n_clips
    return X[row : row + 1]


def _reconstruction(rest, spectrogram, log_mel):
    embedded = rest[:-1].transform(spectrogram)
    windows = embedded["embedding"] if isinstance(embedded, Clips) else embedded
    error = np.square(windows - rest[-1].reconstruct(embedded))[0]
    return _over_frames(rest, error.reshape(len(error), -1, len(log_mel)), log_mel.shape[1])


def _likelihood(rest, spectrogram, log_mel):
    scores = rest[-1].score_windows(rest[:-1].transform(spectrogram))[0]
    n_stacked = rest[-2].n_frames
    values = np.broadcast_to(-scores[:, np.newaxis, np.newaxis], (len(scores), n_stacked, 1))
    return _over_frames(rest, values, log_mel.shape[1])


_OF_WINDOWS = {"reconstruction": _reconstruction, "likelihood": _likelihood}


def _over_frames(rest, values, n_frames):
    """Values of windows (n_windows, n_stacked, d), brought back to the frames (d, n_frames)."""
    n_windows, n_stacked, d = values.shape
    hop = rest[-2].hop_frames
    total, count = np.zeros((n_frames, d)), np.zeros((n_frames, 1))
    for place in range(n_stacked):
        frames = slice(place, place + (n_windows - 1) * hop + 1, hop)
        total[frames] += values[:, place]
        count[frames] += 1
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0).T
