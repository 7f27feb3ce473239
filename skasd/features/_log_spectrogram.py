"""What transformers from waveforms or files to spectrograms in dB share."""

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
from skasd.features._spectrograph import Spectrograph

__all__ = ["LogSpectrogram"]


class LogSpectrogram(VersionsMixin, TransformerMixin, BaseEstimator):
    """Spectrograms in dB; a subclass makes the filter bank, a sparse matrix (n_bands, n_fft // 2 + 1)."""

    _parameter_constraints: dict = {
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
        self : object
            The fitted transformer.

        Raises
        ------
        ValueError
            If the clips are shorter than a frame, if files cannot be read or differ in length, or if waveforms are not
            mono, are known to have another sample rate, or have a type that does not tell its full scale.

        Warns
        -----
        UserWarning
            If mel bands are so narrow that no frequency bin lies in them.
        """
        paths, values = self._read(X)
        self.loader_ = self._make_loader()
        if paths is None:
            read_waveforms(self, X, values, reset=True)
        else:
            self.n_features_in_ = self.loader_.fit(paths).n_samples_
        self.n_frames_ = self._count_frames()
        self.filter_bank_ = self._make_filter_bank()
        return self

    def transform(self, X):
        """Spectrograms of the clips.

        Parameters
        ----------
        X : Clips, sequence of paths, or array-like of shape (n_clips, n_samples)
            Clips with the field ``waveform`` or else ``path``, or waveforms (floats, or integers of 8, 16 or 32 bits),
            or paths.

        Returns
        -------
        X_new : Clips or ndarray of shape (n_clips, n_bands, n_frames)
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
        spectrograms, silent = self._spectrograms(X, waveforms)
        raise_problems(silent, len(waveforms))
        if paths is not None:
            warn_of_silence(paths, silent)
            warn_of_cancelling(paths, waveforms.cancelled)
        return hand_on(X, "log_mel", spectrograms, consumed=("waveform",), keep=self.keep)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def _read(self, X):
        """Paths and None, or None and waveforms."""
        name, values = read_field(X, "waveform", "path", owner=type(self).__name__)
        if name == "waveform":
            check_sample_rate(X, self.sample_rate, type(self).__name__)
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
