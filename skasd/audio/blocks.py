"""Sound of any length, in blocks, from files and from streams: there is never more of it in memory than a block."""

import numpy as np

from skasd.audio._decoding import (
    channel_blocks,
    check_channel,
    is_cancelled,
    one_channel,
    open_audio,
    wanted_rate,
    whole_blocks,
)
from skasd.audio.samples import as_dtype, what_is_wrong

__all__ = ["BlockReader", "BlockStream", "file_blocks", "file_rate"]


def file_rate(path):
    """Sample rate of a file in Hz, as its header tells it."""
    with open_audio(path) as file:
        return file.samplerate


def file_blocks(path):
    """The frames of a file in blocks (n, n_channels), as they are; the errors are those of `BlockReader`."""
    with open_audio(path) as file:
        yield from whole_blocks(file)


class BlockReader:
    """The samples of a file, float32 and mono, at a sample rate in Hz, in blocks of a few million samples or fewer.

    Once it has been read, ``silent`` says whether all samples are zero, and ``cancelled`` whether the channels cancel
    each other. The errors are those of `skasd.audio.load_audio`.
    """

    def __init__(self, path, sample_rate, channel="mix"):
        self.path, self.sample_rate, self.channel = path, sample_rate, channel
        self.silent, self.cancelled = True, False

    def __iter__(self):
        with open_audio(self.path) as file:
            rate, powers, n_read = wanted_rate(file.samplerate, self.sample_rate, True), np.zeros(2), 0
            resample = _resampler(file.samplerate, rate)
            for samples, power in channel_blocks(file, 0, file.length, self.channel):
                wrong = what_is_wrong(samples) if len(samples) else None
                if wrong:
                    raise ValueError(wrong)
                powers, n_read = powers + power, n_read + len(samples)
                self.silent = self.silent and not samples.any()
                yield resample(as_dtype(samples, "float32"), False)
            if not n_read:
                raise ValueError("has no samples")
            yield resample(np.empty(0, dtype=np.float32), True)
        self.cancelled = is_cancelled(powers)


class BlockStream:
    """Blocks of frames (n, n_channels), or (n,), to the samples that `BlockReader` gives of the same frames in a file.

    However they are cut into blocks, the samples are the same to the bit.
    """

    def __init__(self, rate, sample_rate, channel="mix"):
        self.n_frames, self._channel, self._n_channels = 0, channel, None
        self._resample = _resampler(rate, wanted_rate(rate, sample_rate, True))

    def take(self, block):
        """The samples that these frames complete."""
        block = np.asarray(block)
        if block.shape == (0,):  # of how many channels, it does not tell
            return np.empty(0, dtype=np.float32)
        frames = block[:, np.newaxis] if block.ndim == 1 else block
        self._check_channels(frames)
        samples, _ = one_channel(frames, self._channel)
        wrong = what_is_wrong(samples) if len(samples) else None
        if wrong:
            raise ValueError(f"In the {len(frames)} frames from number {self.n_frames} on: {wrong}")
        self.n_frames += len(frames)
        return self._resample(as_dtype(samples, "float32"), False)

    def end(self):
        """The samples that are left when the stream has ended."""
        return self._resample(np.empty(0, dtype=np.float32), True)

    def _check_channels(self, frames):
        if frames.ndim != 2 or not frames.shape[1]:
            raise ValueError(f"A block has shape (n_frames,) or (n_frames, n_channels); got {frames.shape}.")
        check_channel(frames.shape[1], self._channel)
        if self._n_channels not in (None, frames.shape[1]):
            raise ValueError(f"The blocks had {self._n_channels} channels, and frame {self.n_frames} has "
                             f"{frames.shape[1]}. Give a stream that changes to a new one.")  # fmt: skip
        self._n_channels = frames.shape[1]


def _resampler(rate, wanted):
    """Function of the next samples, and of whether they are the last: these samples at another rate."""
    if rate == wanted:
        return lambda samples, last: samples
    import soxr

    return soxr.ResampleStream(rate, wanted, 1, dtype="float32", quality="HQ").resample_chunk
