"""Many clips: their paths, their rows in threads, and all that is wrong with them in one message."""

import os
import warnings

import numpy as np
from joblib import Parallel, delayed, effective_n_jobs

from skasd._fields import check_lengths
from skasd._problems import first_ten, printable
from skasd.audio._decoding import load_file

__all__ = ["Files", "as_paths", "run_rows", "warn_of_quiet", "wrong_length"]

_SILENT = "silent, all their samples are zero. They may be real recordings, or a recorder that was off"
_CANCELLED = "nearly silent as the mean of their channels, which cancel each other: they have opposite phase. Take " \
             "one of them, by channel=0"  # fmt: skip
_SETTINGS = ("sample_rate", "duration", "offset", "channel", "resample", "pad_mode")


def as_paths(values):
    """The paths in a 1-D sequence of paths, or None where `values` is something else, such as waveforms."""
    if isinstance(values, (str, bytes, os.PathLike)):
        path = os.fsdecode(values)
        raise ValueError(f"Expected a sequence of paths, got the single path {path!r}; put it into a list.")
    if "path" in getattr(values, "columns", ()):
        raise ValueError("Expected Clips, paths or waveforms, got a data frame with the column 'path'; give "
                         "Clips(frame).")  # fmt: skip
    if not isinstance(values, (list, tuple)) and getattr(values, "ndim", None) != 1:
        return None
    paths = list(values)
    are_paths = [isinstance(path, (str, bytes, os.PathLike)) for path in paths]
    if not any(are_paths) and paths:
        check_lengths([row for row in paths if getattr(row, "ndim", 1)])
        return None
    if not paths:
        raise ValueError("There are no clips: got an empty sequence of paths.")
    if not all(are_paths):
        row = are_paths.index(False)
        raise ValueError(f"Expected a sequence of paths, got {paths[row]!r} in row {row}.")
    return np.asarray([os.fsdecode(path) for path in paths])


class Files:
    """Waveforms that are read at the moment when they are asked for, with the parameters of an `AudioLoader`.

    Their type is ``dtype``, or as it comes from each file where that is None: int16 or float32.

    ``cancelled`` says for each file that was read whether its channels cancel each other.
    """

    def __init__(self, paths, loader, n_samples, dtype):
        self.paths = paths
        self.settings = {name: getattr(loader, name) for name in _SETTINGS} | {"dtype": dtype}
        self.n_samples = n_samples
        self.cancelled = [False] * len(paths)

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, row):
        waveform, self.cancelled[row] = load_file(self.paths[row], **self.settings)
        if waveform.shape[-1] != self.n_samples:
            raise wrong_length(self.paths[row], waveform.shape[-1], self.n_samples)
        return waveform


def run_rows(begin, n_rows, n_jobs):
    """What ``begin()(row)`` returns for every row; a ValueError of one row takes its place in the list.

    Each thread calls ``begin`` once, so buffers that it sets up are not shared, and takes the next row when it is done
    with one: none waits for another that the machine has slowed down.
    """
    rows, results = iter(range(n_rows)), [None] * n_rows
    n_threads = min(n_rows, effective_n_jobs(n_jobs))
    if n_threads == 1:  # to set up joblib takes as long as a tenth of a spectrogram
        _take_rows(begin(), rows, results)
        return results
    Parallel(n_jobs=n_jobs, require="sharedmem")(delayed(_take_rows)(begin(), rows, results) for _ in range(n_threads))
    return results


def _take_rows(work, rows, results):
    for row in rows:
        try:
            results[row] = work(row)
        except ValueError as error:
            results[row] = error


def warn_of_quiet(paths, silent, cancelled):
    """Warn of the files all samples of which are zero, and of those whose channels cancel each other."""
    for concerned, what in ((silent, _SILENT), (cancelled, _CANCELLED)):
        names = [printable(path) for path, is_concerned in zip(paths, concerned, strict=True) if is_concerned]
        if names:
            warnings.warn(f"{len(names)} of {len(paths)} files are {what}:\n{first_ten(names)}", stacklevel=4)


def wrong_length(path, n_samples, n_wanted):
    """The error of a clip with another number of samples than the others."""
    return ValueError(f"{printable(path)}: {n_samples} samples where {n_wanted} are wanted, as the other clips have; "
                      "set duration=... (seconds) in AudioLoader to crop or pad all clips to one length, with "
                      "pad_mode='wrap' where added silence would be heard")  # fmt: skip
