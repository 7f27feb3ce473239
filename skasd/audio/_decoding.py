"""One audio file to a waveform, and what is wrong with it."""

import math
import os
from contextlib import contextmanager

import numpy as np
import soundfile

from skasd._problems import printable
from skasd.audio._headers import mp3_of_any_length, sound_view
from skasd.audio.files import open_regular
from skasd.audio.samples import as_dtype, n_resampled, precision_of, resampled, what_is_wrong

_BLOCK_SIZE = 2**22  # samples
_UNKNOWN_LENGTH = 2**40  # frames: terabytes
_MOST_SAMPLES = 2**31
_HIGHEST_RATE = 10**7  # Hz
_LARGEST_RATIO = 128
_CANCELLED = 1e-3  # of the power of the channels, 30 dB below
MICROPHONES = {"near": 0, "far": 1}  # of two channels, since 2026
_SEEKABLE = ("PCM_", "FLOAT", "DOUBLE", "ULAW", "ALAW")  # subtypes without a memory, and FLAC
_IN_BLOCKS = ("PAF", "SDS")  # formats of whose last block libsndfile reads no part


def load_file(path, sample_rate, duration, offset, channel, resample, pad_mode, dtype):
    """The waveform of one file, and whether its channels cancel each other.

    The parameters are those of `skasd.audio.load_audio`; with None for ``dtype`` samples stay int16 or float32.
    """
    with open_audio(path) as file:
        file_rate = file.samplerate
        rate = wanted_rate(file_rate, sample_rate, resample)
        samples, cancelled = _read_channel(file, offset, duration, channel)
        wrong = what_is_wrong(samples.ravel())
        if wrong:
            raise ValueError(wrong)
        if rate != file_rate:
            samples = resampled(as_dtype(samples, "float32"), file_rate, rate)
        if duration is not None:
            if rate > _HIGHEST_RATE:
                raise ValueError(f"sample rate {rate} Hz, at which no recorder works; mend the header, or set "
                                 "sample_rate")  # fmt: skip
            samples = crop_or_pad(samples, count_samples(duration, rate), pad_mode)
    return as_dtype(samples, dtype or ("int16" if samples.dtype == np.int16 else "float32")), cancelled


@contextmanager
def open_audio(path):
    """Open a file whose header is sound; the error of anything that is wrong, also in reading, begins with the path."""
    with open_regular(path) as raw:
        try:
            with _decoder(raw, path) as file:
                yield file
        except soundfile.SoundFileError as error:
            raise ValueError(f"{printable(path)}: cannot be decoded, it may be cut off ({_reason(error)})") from error
        except OSError as error:
            raise ValueError(f"{printable(path)}: cannot be read ({error.strerror})") from error
        except ValueError as error:
            raise ValueError(f"{printable(path)}: {error}") from error


def length_at(file, offset, sample_rate, resample):
    """Number of samples from an offset in seconds to the end of the file, at a sample rate."""
    rate = wanted_rate(file.samplerate, sample_rate, resample)
    start = _first_frame(file, offset)
    length = file.length if math.isfinite(file.length) else sum(map(len, _blocks(file, math.inf)))
    if length <= start:
        raise _past_the_end(file, offset)
    return n_resampled(length - start, file.samplerate, rate)


class _Decoder(soundfile.SoundFile):
    """A file that is read from the beginning to the end.

    soundfile seeks to where it is after every read, and decoders with a memory begin anew there.
    """

    length = math.inf  # in frames, where the file tells it

    def seekable(self):
        return False


def _decoder(raw, path):
    if os.fstat(raw.fileno()).st_size == 0:
        raise ValueError("is empty (0 bytes)")
    view = sound_view(raw)
    file = _open(view if view is not None else path if os.name == "nt" else os.fsencode(path))
    if file.format == "RAW":
        raise ValueError("has no header that tells its sample rate and type; write it as WAV or FLAC")
    if file.format == "MP3":
        return _mp3_decoder(file, raw)
    if file.frames == 0:
        raise ValueError("has no samples")
    if file.frames < _UNKNOWN_LENGTH:
        file.length = file.frames
    return file


def _mp3_decoder(file, raw):
    content, n_silent = mp3_of_any_length(raw, file.samplerate, file.channels)
    if content is None:
        file.length = file.frames
    elif file.subtype == "MPEG_LAYER_III":
        file = _open(content)
        file.buffer_read_into(np.empty((n_silent, file.channels), dtype=np.float32), "float32")
    return file


def _open(source):
    try:
        return _Decoder(source)
    except (soundfile.SoundFileError, TypeError) as error:  # TypeError: raw samples without a header
        raise ValueError(f"cannot be read as audio ({_reason(error)})") from error


def _reason(error):
    return str(error).rpartition(": ")[2].rstrip(".")


def wanted_rate(file_rate, sample_rate, resample):
    rate = sample_rate or file_rate
    if rate != file_rate and not resample:
        raise ValueError(f"sample rate {file_rate} Hz where {rate} Hz was wanted; set resample=True, or sample_rate to "
                         "that of the files")  # fmt: skip
    if max(rate, file_rate) > _LARGEST_RATIO * min(rate, file_rate):
        raise ValueError(f"sample rate {file_rate} Hz where {rate} Hz was wanted, which is more than {_LARGEST_RATIO} "
                         "times as many or as few samples; mend the header if it is wrong, or set sample_rate closer "
                         "to that of the files")  # fmt: skip
    return rate


def _first_frame(file, offset):
    """Number of the first frame to read, for an offset in seconds."""
    start = round(offset * file.samplerate)
    if start >= file.length:
        raise _past_the_end(file, offset)
    return start


def _past_the_end(file, offset):
    if not offset:
        return ValueError("has no samples")
    end = f", at {file.length / file.samplerate:.6g} s" if math.isfinite(file.length) else ""
    return ValueError(f"offset={offset} s is past the end of the clip{end}")


def _read_channel(file, offset, duration, channel):
    """Samples of one channel, or the mean of all, and whether the channels cancel each other in it."""
    start = _first_frame(file, offset)
    wanted = file.length - start
    if duration is not None:
        wanted = min(wanted, math.ceil(duration * file.samplerate) + 1)
    parts, powers, n_read = [], np.zeros(2), 0
    for samples, power in channel_blocks(file, start, wanted, channel):
        parts.append(samples)
        powers += power
        n_read += samples.shape[-1]
        if n_read > _MOST_SAMPLES:
            raise ValueError(f"has more than {_MOST_SAMPLES} samples; read it in parts, by offset and duration")
    samples = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)
    if not samples.shape[-1]:
        raise _past_the_end(file, offset)
    return samples, is_cancelled(powers)


def channel_blocks(file, start, n_frames, channel):
    """The next samples of one channel, both or the mean of all, in blocks, with the powers of the mean and of all."""
    check_channel(file.channels, channel)
    for block in _complete(file, _blocks_from(file, start, n_frames), n_frames):
        yield one_channel(block, channel)


def is_cancelled(powers):
    """Whether channels cancel each other, by the powers of their mean and of them all."""
    return bool(powers[0] < _CANCELLED * powers[1])


def whole_blocks(file):
    """All frames of a file in blocks (n, n_channels); an error where it is cut off, or has none."""
    n_read = 0
    for block in _complete(file, _blocks(file, file.length), file.length):
        n_read += len(block)
        if len(block):
            yield block
    if not n_read:
        raise ValueError("has no samples")


def _complete(file, blocks, n_frames):
    """The blocks, and an error at their end if the file promised more frames than there were."""
    n_read = 0
    for block in blocks:
        n_read += len(block)
        yield block
    if math.isfinite(file.length) and n_read < n_frames:
        raise ValueError(f"is cut off or cannot be decoded: {n_frames} samples are wanted and {n_read} could be read")


def _blocks_from(file, start, n_frames):
    """Blocks of frames from a place on, as in the whole file: what has a memory is decoded from the beginning."""
    if file.subtype.startswith(_SEEKABLE) and file.format not in _IN_BLOCKS and math.isfinite(file.length):
        if start:
            file.seek(start)
        yield from _blocks(file, n_frames)
    else:
        n_before = 0
        for block in _blocks(file, start + n_frames):
            yield block[max(0, start - n_before) :]
            n_before += len(block)


def _blocks(file, n_frames):
    """The next frames, in blocks (n, n_channels), until there are so many or no more."""
    # libsndfile takes ten times as long to make floats of 16-bit samples as numpy does.
    exact = {"PCM_16": "int16", "DOUBLE": "float64"} if file.format not in _IN_BLOCKS else {}
    dtype = exact.get(file.subtype, "float32")
    while n_frames > 0:
        block = np.empty((min(n_frames, max(1, _BLOCK_SIZE // file.channels)), file.channels), dtype=dtype)
        n_read = file.buffer_read_into(block, dtype)
        if n_read < len(block):
            yield block[:n_read].copy()
            return
        yield block
        n_frames -= n_read


def check_channel(n_channels, channel):
    if channel == "mono" and n_channels > 1:
        raise ValueError(f"{n_channels} channels where mono was promised; set channel='mix' or a number")
    if channel in (*MICROPHONES, "both") and n_channels != 2:
        raise ValueError(f"{n_channels} channels where a near and a far microphone were wanted; set channel='mix' or a "
                         "number")  # fmt: skip
    if not isinstance(channel, str) and channel >= n_channels:
        raise ValueError(f"there is no channel {channel}; the file has {n_channels}, counted from 0")


def one_channel(block, channel):
    """One channel, both or the mean of all, and the powers of the mean and of the channels."""
    if channel == "both":
        return block.T, 0
    n_channels, channel = block.shape[1], MICROPHONES.get(channel, channel)
    if n_channels == 1 or not isinstance(channel, str):
        return block[:, 0 if isinstance(channel, str) else channel], 0
    block = as_dtype(block, precision_of(block.dtype))
    rows = block if len(block) != 1 else np.repeat(block, 2, axis=0)  # a product with one row alone rounds otherwise
    mean = (rows @ np.full(n_channels, 1 / n_channels, dtype=block.dtype))[: len(block)]
    return mean, np.array([np.vdot(mean, mean), np.vdot(block, block) / n_channels])


def count_samples(duration, sample_rate):
    """Number of samples in a duration in seconds, at least one."""
    n_samples = max(1, round(duration * sample_rate))
    if n_samples > _MOST_SAMPLES:
        raise ValueError(f"duration={duration} s at {sample_rate} Hz is {n_samples} samples; there may be 2**31")
    return n_samples


def crop_or_pad(samples, n_samples, pad_mode):
    """Samples brought to one length along their last axis."""
    missing = n_samples - samples.shape[-1]
    if missing <= 0:
        return samples[..., :n_samples]
    if pad_mode == "error":
        raise ValueError(f"{samples.shape[-1]} samples, {missing} fewer than the duration asks for; set "
                         "pad_mode='constant' or 'wrap', or a shorter duration")  # fmt: skip
    try:
        return np.pad(samples, [(0, 0)] * (samples.ndim - 1) + [(0, missing)], mode=pad_mode)
    except MemoryError as error:
        raise ValueError(f"{n_samples} samples are more than memory holds; set a shorter duration") from error
