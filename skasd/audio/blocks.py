"""Files of any length, read in blocks: there is never more of one in memory than a block."""

import numpy as np

from skasd.audio._decoding import channel_blocks, is_cancelled, open_audio, wanted_rate
from skasd.audio.samples import as_dtype, what_is_wrong

__all__ = ["BlockReader", "file_rate"]


def file_rate(path):
    """Sample rate of a file in Hz, as its header tells it."""
    with open_audio(path) as file:
        return file.samplerate


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


def _resampler(rate, wanted):
    """Function of the next samples, and of whether they are the last: these samples at another rate."""
    if rate == wanted:
        return lambda samples, last: samples
    import soxr

    return soxr.ResampleStream(rate, wanted, 1, dtype="float32", quality="HQ").resample_chunk
