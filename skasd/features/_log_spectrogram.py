"""What transformers from waveforms or files to spectrograms in dB share."""

from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np
from sklearn.base import clone

from skasd._problems import names_of, raise_problems
from skasd._sklearn import Interval, StrOptions
from skasd._transformer import ClipTransformer
from skasd.audio import AudioLoader
from skasd.audio.rows import Files, as_paths, run_rows, warn_of_quiet
from skasd.audio.samples import check_mono_loader, precision_of, read_waveforms, what_is_wrong
from skasd.features._spectrograph import Spectrograph

FILES_DOC = """
loader : AudioLoader or None, default=None
    How files are read: channel, offset, duration, what to do with other sample rates. Its sample rate must be
    `sample_rate`. None means ``AudioLoader(sample_rate=sample_rate)``.

n_jobs : int or None, default=None
    Number of threads. None means 1 unless in a `joblib.parallel_config` context, -1 all processors.

keep : sequence of str, default=()
    Set it to ``("waveform",)`` if `Clips` should keep their waveforms for a later step."""

ATTRIBUTES_DOC = """
loader_ : AudioLoader
    What reads the files.

n_frames_ : int
    Number of frames of a clip.

n_features_in_ : int
    Number of samples of a clip."""


@dataclass(kw_only=True, eq=False, repr=False)
class LogSpectrogram(ClipTransformer):
    """Spectrograms in dB, of `FrameParameters`; a subclass makes a sparse filter bank (n_bands, n_fft // 2 + 1)."""

    loader: AudioLoader | None = None
    n_jobs: int | None = None
    keep: tuple = ()

    _parameter_constraints = {
        "sample_rate": [Interval(Integral, 1, None, closed="left")],
        "n_fft": [Interval(Integral, 1, None, closed="left")],
        "hop_length": [Interval(Integral, 1, None, closed="left")],
        "win_length": [Interval(Integral, 1, None, closed="left"), None],
        "window": [str, tuple],
        "fmin": [Interval(Real, 0, None, closed="left")],
        "fmax": [Interval(Real, 0, None, closed="neither"), None],
        "center": ["boolean"],
        "pad_mode": [StrOptions({"constant", "edge", "reflect", "symmetric", "wrap"})],
        "ref": [Interval(Real, 0, None, closed="neither")],
        "amin": [Interval(Real, float(np.finfo(np.float32).tiny), None, closed="left")],
        "top_db": [Interval(Real, 0, None, closed="left"), None],
        "loader": [AudioLoader, None],
        "n_jobs": [Integral, None],
        "keep": ["array-like"],
    }

    _reads = ("waveform", "path")
    _makes = "log_mel"
    _consumes = ("waveform",)

    def _check(self, X, values, *, reset):
        """Waveforms, or an array of paths."""
        paths = as_paths(values)
        return read_waveforms(self, X, values, reset=reset, check=reset) if paths is None else paths

    def _fit(self, values, X, y):
        self.loader_ = self._make_loader()
        if values.dtype.kind == "U":
            self.n_features_in_ = self.loader_.fit(values).n_samples_
        self.n_frames_ = self._count_frames()
        self.filter_bank_ = self._make_filter_bank()

    def _transform(self, values, X):
        has_paths = values.dtype.kind == "U"
        waveforms = Files(values, self.loader_, self.n_features_in_, dtype=None) if has_paths else values
        spectrograms, silent = self._spectrograms(X, waveforms)
        raise_problems(silent, len(waveforms))
        if has_paths:
            warn_of_quiet(values, silent, waveforms.cancelled)
        return spectrograms

    def _make_loader(self):
        if self.loader is None:
            return AudioLoader(sample_rate=self.sample_rate, n_jobs=self.n_jobs)
        self.loader._validate_params()
        check_mono_loader(self.loader, type(self).__name__)
        if self.loader.sample_rate != self.sample_rate:
            raise ValueError(f"The loader makes waveforms at {self.loader.sample_rate} Hz and sample_rate is "
                             f"{self.sample_rate} Hz; set both to the same.")  # fmt: skip
        return clone(self.loader)

    def _count_frames(self):
        self._check_frames()
        if self.n_features_in_ < self.n_fft:
            raise ValueError(f"The clips are shorter than one frame: n_features = {self.n_features_in_} samples and "
                             f"n_fft = {self.n_fft}. Take a smaller n_fft or longer clips.")  # fmt: skip
        return 1 + (self.n_features_in_ + 2 * self._margin() - self.n_fft) // self.hop_length

    def _too_loud(self):
        return "its levels are beyond what float32 holds"

    def _spectrograms(self, X, waveforms):
        spectrograms = np.empty((len(waveforms), self.filter_bank_.shape[0], self.n_frames_), dtype=np.float32)
        precision = precision_of(getattr(waveforms, "dtype", np.float32))

        def begin():
            spectrograph = Spectrograph(self, precision)

            def work(row):
                waveform = waveforms[row]
                peak = spectrograph(waveform, spectrograms[row])
                if not np.isfinite(peak):
                    raise ValueError(f"{names_of(X, [row])[0]}: {what_is_wrong(waveform) or self._too_loud()}")
                return peak == spectrograph.least and not spectrograph.inside.any()

            return work

        return spectrograms, run_rows(begin, len(waveforms), self.n_jobs)

    def __setstate__(self, state):
        if "filter_bank_" in state:  # what was loaded may come from anyone, and scipy looks at no index in a product
            state["filter_bank_"].check_format(full_check=True)
        super().__setstate__(state)
