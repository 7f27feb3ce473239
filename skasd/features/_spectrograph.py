"""How one waveform becomes a log-mel spectrogram, fast."""

import math

import numpy as np
from scipy.fft import rfft

from skasd.audio.samples import scale_of

_BLOCK_SIZE = 2**19


class Spectrograph:
    """Writes the log-mel spectrogram of one waveform at a time, with buffers that one thread uses again and again.

    It returns the largest power of a band, or ``least`` if none is above it, or NaN where samples are no numbers.

    All frames of a usual clip are one block, and no array of its size is allocated on the way: threads wait for each
    other at every call into numpy and in the page faults of fresh memory, so both are kept few.
    """

    def __init__(self, model, dtype):
        self.model = model
        n_block = max(1, min(model.n_frames_, _BLOCK_SIZE // model.n_fft))
        self.margin = model._margin()
        self.padded = np.empty(model.n_features_in_ + 2 * self.margin, dtype=dtype)
        before, self.inside, after = np.split(self.padded, [self.margin, self.margin + model.n_features_in_])
        before[:], after[:] = 0, 0
        self.frames = np.lib.stride_tricks.sliding_window_view(self.padded, model.n_fft)[:: model.hop_length]
        self.power = np.empty((model.n_fft // 2 + 1, n_block), dtype=dtype)
        # Rows that are a power of two apart would push each other out of the cache.
        self.windowed = np.empty((n_block, model.n_fft + 16), dtype=dtype)[:, : model.n_fft]
        self.window = model._make_window().astype(dtype)
        self.least = np.float32(model.amin)
        self.decibels, self.reference = model._scale()

    @np.errstate(invalid="ignore", over="ignore")  # the caller looks for what is not finite
    def __call__(self, waveform, log_mel):
        self._fill(waveform)
        n_block = len(self.windowed)
        for start in range(0, len(self.frames), n_block):
            frames = self.frames[start : start + n_block]
            np.multiply(frames, self.window, out=self.windowed[: len(frames)])
            spectrum = self._spectrum(self.windowed[: len(frames)])
            log_mel[:, start : start + n_block] = self.model.filter_bank_ @ spectrum
        return self._to_decibels(log_mel)

    def _fill(self, waveform):
        rest, scale = scale_of(waveform.dtype)
        np.multiply(waveform, self.padded.dtype.type(1 / scale), out=self.inside, casting="unsafe")
        if rest:
            self.inside -= rest / scale
        if self.margin and self.model.pad_mode != "constant":
            self.padded[:] = np.pad(self.inside, self.margin, mode=self.model.pad_mode)

    def _spectrum(self, frames):
        parts = rfft(frames, axis=1, overwrite_x=True).view(frames.dtype)  # real 0, imaginary 0, real 1, ...
        np.square(parts, out=parts)
        spectrum = self.power[:, : len(parts)]
        np.add(parts.T[::2], parts.T[1::2], out=spectrum)
        if self.model.power != 2:
            np.power(spectrum, self.model.power / 2, out=spectrum)
        return spectrum

    def _to_decibels(self, log_mel):
        np.maximum(log_mel, self.least, out=log_mel)
        peak = log_mel.max()
        np.log(log_mel, out=log_mel)
        log_mel *= self.decibels / math.log(10)
        if self.reference:
            log_mel -= self.reference
        if self.model.top_db is not None:
            np.maximum(log_mel, log_mel.max() - self.model.top_db, out=log_mel)
        return peak
