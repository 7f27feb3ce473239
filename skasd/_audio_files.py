"""What the audio and the feature room share: one file to a waveform, many rows in threads, all errors in one."""

import math
import os
import re
import warnings
from contextlib import contextmanager

import numpy as np
import soundfile
from joblib import Parallel, delayed, effective_n_jobs

from skasd._fields import check_lengths

INT16_SCALE = 32768
_N_SHOWN = 10
_SETTINGS = ("sample_rate", "duration", "offset", "channel", "resample", "pad_mode")


def as_paths(values):
    """The paths in a 1-D sequence of paths, or None where `values` is something else, such as waveforms."""
    if isinstance(values, (str, os.PathLike)):
        raise ValueError(f"Expected a sequence of paths, got the single path {str(values)!r}; put it into a list.")
    if "path" in getattr(values, "columns", ()):
        raise ValueError(
            "Expected Clips, paths or waveforms, got a data frame with the column 'path'; give Clips(frame)."
        )
    if not isinstance(values, (list, tuple)) and getattr(values, "ndim", None) != 1:
        return None
    paths = list(values)
    if not all(isinstance(path, (str, os.PathLike)) for path in paths):
        check_lengths(paths)
        return None
    if not paths:
        raise ValueError("There are no clips: got an empty sequence of paths.")
    return np.asarray([os.fspath(path) for path in paths])


class Files:
    """Waveforms that are read at the moment when they are asked for, with the parameters of an `AudioLoader`.

    Their type is ``dtype``, or as it comes from each file where that is None: int16 or float32.
    """

    def __init__(self, paths, loader, n_samples, dtype):
        self.paths = paths
        self.settings = {name: getattr(loader, name) for name in _SETTINGS} | {"dtype": dtype}
        self.n_samples = n_samples

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, row):
        waveform = load_file(self.paths[row], **self.settings)
        if len(waveform) != self.n_samples:
            raise wrong_length(self.paths[row], len(waveform), self.n_samples)
        return waveform


def run_rows(begin, n_rows, n_jobs):
    """What ``begin()(row)`` returns for every row; a ValueError of one row takes its place in the list.

    Each thread calls ``begin`` once, so buffers that it sets up are not shared, and takes the next row when it is done
    with one: none waits for another that the machine has slowed down.
    """
    rows, results = iter(range(n_rows)), [None] * n_rows
    n_threads = min(n_rows, effective_n_jobs(n_jobs))
    Parallel(n_jobs=n_jobs, require="sharedmem")(delayed(_take_rows)(begin(), rows, results) for _ in range(n_threads))
    return results


def _take_rows(work, rows, results):
    for row in rows:
        try:
            results[row] = work(row)
        except ValueError as error:
            results[row] = error


def raise_problems(names, results):
    """Raise one error for all clips whose result is a ValueError."""
    problems = [str(result) for result in results if isinstance(result, ValueError)]
    if problems and len(names) == 1:
        raise ValueError(problems[0])
    if problems:
        raise ValueError(f"{len(problems)} of {len(names)} clips cannot be used:\n{first_ten(problems)}")


def warn_of_silence(paths, silent):
    """Warn of the files of which it is true that all samples are zero."""
    names = [path for path, is_silent in zip(paths, silent, strict=True) if is_silent]
    if names:
        warnings.warn(
            f"{len(names)} of {len(paths)} files are silent, all their samples are zero. They may be real recordings, "
            f"or a recorder that was off:\n{first_ten(names)}",
            stacklevel=4,
        )


def first_ten(lines, separator="\n"):
    """The first ten lines, joined, and the number of the others."""
    more = [f"and {len(lines) - _N_SHOWN} more"] if len(lines) > _N_SHOWN else []
    return separator.join([*map(str, lines[:_N_SHOWN]), *more])


def wrong_length(path, n_samples, n_wanted):
    """The error of a clip with another number of samples than the others."""
    return ValueError(
        f"{path}: {n_samples} samples where {n_wanted} are wanted, as the other clips have; set duration=... (seconds) "
        "in AudioLoader to crop or pad all clips to one length, with pad_mode='wrap' where added silence would be heard"
    )


def load_file(path, *, sample_rate, duration, offset, channel, resample, pad_mode, dtype):
    """The waveform of one file; the parameters are those of `skasd.audio.load_audio`."""
    with open_audio(path) as file:
        file_rate = file.samplerate
        rate = sample_rate or file_rate
        if rate != file_rate and not resample:
            raise ValueError(
                f"{path}: sample rate {file_rate} Hz where {rate} Hz was wanted; set resample=True, or sample_rate to "
                "that of the files"
            )
        samples = _one_channel(_read_frames(file, offset, duration), channel, path)
    n_bad = np.count_nonzero(~np.isfinite(samples)) if samples.dtype.kind == "f" else 0
    if n_bad:
        raise ValueError(f"{path}: {n_bad} of {len(samples)} samples are NaN or infinite")
    if rate != file_rate:
        samples = _resample(as_dtype(samples, "float32"), file_rate, rate)
    if duration is not None:
        samples = crop_or_pad(samples, count_samples(duration, rate), pad_mode, path)
    return as_dtype(samples, dtype)


@contextmanager
def open_audio(path):
    """Open a file of which at least the header is sound."""
    try:
        file = soundfile.SoundFile(path)
    except (soundfile.SoundFileError, TypeError) as error:  # TypeError: raw samples without a header
        raise ValueError(f"{path}: {_why_unreadable(path, error)}") from error
    with file:
        _check_header(file, path)
        yield file


def _why_unreadable(path, error):
    if not os.path.exists(path):
        return "no such file"
    if os.path.isdir(path):
        return "is a folder, not a file"
    if os.path.getsize(path) == 0:
        return "is empty (0 bytes)"
    return f"cannot be read as audio ({_reason(error)})"


def _check_header(file, path):
    # libsndfile reads a WAV or AIFF file that was cut off as a shorter one; only its log tells the difference.
    cut = re.search(r"^\s*(?:data|SSND) : (\d+) \(should be (\d+)\)", file.extra_info, re.MULTILINE)
    if cut and int(cut[1]) > int(cut[2]):
        raise ValueError(f"{path}: is cut off, its header promises {cut[1]} bytes of audio and there are {cut[2]}")
    if file.frames == 0:
        raise ValueError(f"{path}: has no samples")


def first_frame(file, offset):
    """Number of the first frame to read, for an offset in seconds."""
    start = round(offset * file.samplerate)
    if start >= file.frames:
        seconds = file.frames / file.samplerate
        raise ValueError(f"{file.name}: offset={offset} s is past the end of the clip, at {seconds:.6g} s")
    return start


def _read_frames(file, offset, duration):
    start = first_frame(file, offset)
    wanted = file.frames - start
    if duration is not None:
        wanted = min(wanted, math.ceil(duration * file.samplerate) + 1)
    try:
        if start:
            file.seek(start)
        # libsndfile takes ten times as long to make floats of 16-bit samples as numpy does.
        dtype = "int16" if file.subtype == "PCM_16" else "float32"
        samples = np.empty((wanted, file.channels), dtype=dtype)
        n_read = file.buffer_read_into(samples, dtype)
    except soundfile.SoundFileError as error:
        raise ValueError(f"{file.name}: cannot be decoded, it may be cut off ({_reason(error)})") from error
    if n_read < wanted:
        raise ValueError(f"{file.name}: is cut off, {wanted} samples are wanted and {n_read} could be read")
    return samples


def _reason(error):
    return str(error).rpartition(": ")[2].rstrip(".")


def _one_channel(samples, channel, path):
    n_channels = samples.shape[1]
    if channel == "mono" and n_channels > 1:
        raise ValueError(f"{path}: {n_channels} channels where mono was promised; set channel='mix' or a number")
    if isinstance(channel, str):
        return as_dtype(samples, "float32").mean(axis=1) if n_channels > 1 else samples[:, 0]
    if channel >= n_channels:
        raise ValueError(f"{path}: there is no channel {channel}; the file has {n_channels}, counted from 0")
    return samples[:, channel]


def _resample(samples, rate, wanted_rate):
    import soxr

    n_samples = math.ceil(len(samples) * wanted_rate / rate)
    return crop_or_pad(soxr.resample(samples, rate, wanted_rate, quality="HQ"), n_samples, "constant")


def count_samples(duration, sample_rate):
    """Number of samples in a duration in seconds, at least one."""
    return max(1, round(duration * sample_rate))


def crop_or_pad(samples, n_samples, pad_mode, path="waveforms"):
    """Samples brought to one length along their last axis."""
    missing = n_samples - samples.shape[-1]
    if missing <= 0:
        return samples[..., :n_samples]
    if pad_mode == "error":
        raise ValueError(
            f"{path}: {samples.shape[-1]} samples, {missing} fewer than the duration asks for; set pad_mode='constant' "
            "or 'wrap', or a shorter duration"
        )
    return np.pad(samples, [(0, 0)] * (samples.ndim - 1) + [(0, missing)], mode=pad_mode)


def as_dtype(samples, dtype):
    """Samples as float32 or int16, or as they are for None; int16 has its full scale at 32768, floats at 1."""
    if dtype is None or samples.dtype == dtype:
        return samples
    if dtype == "int16":
        limits = np.iinfo(np.int16)
        return np.clip(np.rint(samples * np.float32(INT16_SCALE)), limits.min, limits.max).astype(np.int16)
    if samples.dtype == np.int16:
        return samples / np.float32(INT16_SCALE)
    return samples.astype(np.float32)
