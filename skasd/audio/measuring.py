"""What a recording is like, measured in one pass over blocks of samples: the facts from which faults are told.

Conventions
-----------
- Every array has one row per channel. Levels are in dB relative to full scale (dBFS), frequencies in Hz.
- Memory is bounded by the size of a block, whatever the length of the recording.
"""

from dataclasses import dataclass

import numpy as np

from skasd.audio._decoding import open_audio, whole_blocks
from skasd.audio.samples import as_dtype, what_is_wrong

__all__ = ["Measured", "measure_file", "measure_samples"]

_PIECE = 2**18  # frames: 2 MB of float64 per channel
_BIN = np.log(1.01)  # levels of samples are counted in steps of 1 %
_SMALLEST, _LARGEST = 2.0**-40, 2.0**33
_N_BINS = int(np.log(_LARGEST / _SMALLEST) / _BIN) + 2
_HELD = 0.005  # s: noise holds no value for so long, and none for so many samples
_FEWEST_HELD = 32
_WIDEST_BIN = 4.0  # Hz: a dozen bins below 50 Hz
_FFT_SIZES = (256, 2**17)


@dataclass
class Measured:
    """Facts about one recording; arrays have one row per channel."""

    sample_rate: int
    n_frames: int
    mean: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray
    products: np.ndarray
    counts: np.ndarray
    pairs: np.ndarray
    n_held: np.ndarray
    held: np.ndarray
    held_at_ends: np.ndarray
    frequencies: np.ndarray
    spectrum: np.ndarray

    @property
    def duration(self):
        """Length in seconds."""
        return self.n_frames / self.sample_rate

    @property
    def covariance(self):
        """Covariance of the channels, (n_channels, n_channels)."""
        return self.products - np.outer(self.mean, self.mean)

    @property
    def power(self):
        """Mean square of each channel without its mean; exactly zero where all samples are one value."""
        return np.where(self.lowest == self.highest, 0.0, np.maximum(np.diag(self.covariance), 0))


def measure_file(path):
    """Facts about a file; a ValueError, which begins with the path, if it cannot be read to its end."""
    with open_audio(path) as file:
        return _measure(whole_blocks(file), file.samplerate)


def measure_samples(samples, sample_rate):
    """Facts about samples in memory, (n_samples,) or (n_channels, n_samples), of a type that tells its full scale."""
    return _measure([np.atleast_2d(samples).T], sample_rate)


def _measure(blocks, sample_rate):
    gathered = None
    for block in blocks:
        wrong = what_is_wrong(block.ravel())
        if wrong:
            raise ValueError(wrong)
        for start in range(0, len(block), _PIECE):
            piece = as_dtype(block[start : start + _PIECE], "float64").T
            gathered = gathered or _Gathered(len(piece), sample_rate)
            gathered.add(np.ascontiguousarray(piece))
    if gathered is None:
        raise ValueError("has no samples")
    return gathered.facts()


class _Gathered:
    """Sums over the pieces that were seen so far, (n_channels, n_frames) each."""

    def __init__(self, n_channels, sample_rate):
        self.sample_rate, self.n_frames = sample_rate, 0
        self.fft_size = int(np.clip(2 ** np.ceil(np.log2(sample_rate / _WIDEST_BIN)), *_FFT_SIZES))
        self.sums, self.products = np.zeros(n_channels), np.zeros((n_channels, n_channels))
        self.lowest, self.highest = np.full(n_channels, np.inf), np.full(n_channels, -np.inf)
        self.counts, self.pairs = np.zeros((2, n_channels, 2 * _N_BINS), dtype=np.int64)
        self.spectrum = np.zeros((n_channels, self.fft_size // 2 + 1))
        self.holds = [_Holds(sample_rate) for _ in range(n_channels)]

    def add(self, piece):
        from scipy.signal import welch

        self.n_frames += piece.shape[1]
        self.sums += piece.sum(axis=1)
        self.products += piece @ piece.T
        self.lowest = np.minimum(self.lowest, piece.min(axis=1))
        self.highest = np.maximum(self.highest, piece.max(axis=1))
        for channel, samples in enumerate(piece):
            bins = _bins(samples)
            self.counts[channel] += np.bincount(bins, minlength=2 * _N_BINS)
            self.pairs[channel] += np.bincount(bins[1:][bins[1:] == bins[:-1]], minlength=2 * _N_BINS)
            self.holds[channel].add(samples)
        size = min(self.fft_size, piece.shape[1])
        self.frequencies, spectrum = welch(piece, self.sample_rate, nperseg=size, nfft=self.fft_size)
        self.spectrum += spectrum * piece.shape[1]

    def facts(self):
        n_held, held, held_at_ends = np.array([hold.told() for hold in self.holds]).T
        return Measured(self.sample_rate, self.n_frames, self.sums / self.n_frames, self.lowest, self.highest,
                        self.products / self.n_frames, self.counts, self.pairs, n_held, held,
                        held_at_ends, self.frequencies, self.spectrum / self.n_frames)  # fmt: skip


def _bins(samples):
    """Number of the level of each sample in steps of 1 %: 0 is none, those of negative samples come after _N_BINS."""
    size = np.abs(samples)
    bins = (np.log(np.maximum(size, _SMALLEST) / _SMALLEST) / _BIN).astype(np.intp) + (size >= _SMALLEST)
    return bins + _N_BINS * (samples < 0)


class _Holds:
    """Stretches in which one channel keeps one value, far below its peaks, for longer than noise does."""

    def __init__(self, sample_rate):
        self.shortest = max(_FEWEST_HELD, round(_HELD * sample_rate))
        self.peak, self.value, self.begin, self.seen = 0.0, np.nan, 0, 0
        self.n_inside, self.inside, self.at_ends = 0, 0, 0

    def add(self, samples):
        """Go on with the next samples of the channel."""
        self.peak = max(self.peak, np.abs(samples).max())
        samples = np.r_[self.value, samples]
        changes = np.flatnonzero(samples[1:] != samples[:-1])
        begins = np.r_[self.begin, changes + self.seen]
        lengths = np.diff(begins)
        held = (lengths >= self.shortest) & (np.abs(samples[changes]) < self.peak / 2)
        inside = held & (begins[:-1] > 0)
        self.n_inside += np.count_nonzero(inside)
        self.inside += lengths[inside].sum()
        self.at_ends += lengths[held & ~inside].sum()
        self.begin, self.value, self.seen = begins[-1], samples[-1], self.seen + len(samples) - 1

    def told(self):
        """Number and frames of the stretches inside the recording, and frames of those at its ends."""
        last = self.seen - self.begin
        is_held = last >= self.shortest and abs(self.value) < self.peak / 2
        return self.n_inside, self.inside, self.at_ends + last * is_held
