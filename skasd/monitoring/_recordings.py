"""Recordings of any length, one after the other, and the clips that they are cut into."""

import copy
import os
import warnings
from itertools import chain, count

import numpy as np

from skasd._problems import first_ten, named, printable, raise_problems
from skasd._reading import read_field
from skasd.audio.blocks import BlockReader, file_rate
from skasd.audio.measuring import measure_file
from skasd.audio.quality import find
from skasd.audio.rows import as_paths, run_rows, warn_of_quiet
from skasd.audio.samples import as_dtype, read_waveforms
from skasd.clips import Clips

_NOT_OF_ROWS = ("path", "waveform", "label", "log_mel", "embedding", "logits")


class Recordings:
    """What an estimator was given, as a sequence of recordings: files by their paths, or waveforms.

    ``clips`` are as many rows, or the array that was given, for labels; ``fields`` what is known of each recording.
    """

    def __init__(self, X, owner):
        if isinstance(X, Recordings):
            vars(self).update(vars(X))
            return
        X = _as_rows(X)
        _, values = read_field(X, "waveform", "path", owner=type(owner).__name__)
        self.clips = X
        paths = None if _is_ragged(values) else as_paths(values)
        self.are_files = paths is not None
        self.sources = list(paths) if self.are_files else _waveforms(owner, X, values)
        self.names = [printable(path) for path in paths] if self.are_files else _names(X, len(self.sources))
        self.known_rate = X.attrs.get("sample_rate") if isinstance(X, Clips) and not self.are_files else None

    def __len__(self):
        return len(self.sources)

    def check_new(self, learned):
        """Refuse parts of recordings that were learned, by the names in the field ``recording`` where there is one."""
        own = self.fields()["recording"]
        if "recording" in self._one_value_each():
            self._refuse([str(name) for name in np.unique(own[np.isin(own, learned)])])

    def refuse_learned(self, mask):
        """Refuse recordings that sound as one that was learned, whatever their names, which a mask marks."""
        self._refuse([self.names[row] for row in np.flatnonzero(mask)])

    def _refuse(self, known):
        if known:
            raise ValueError(f"The detector has learned from {len(known)} of these recordings, which says nothing "
                             f"of new ones:\n{first_ten(known)}\nGive recordings that are new.")  # fmt: skip

    def check_sections(self, known):
        """Refuse recordings without sections where those that were learned have some, and the other way round."""
        new = set(self.fields()["section"].tolist())
        if ("" in new and "" not in known) or (known == {""} != new):
            raise ValueError(f"The detector knows {', '.join(map(named, sorted(known)))}, and the recordings are of "
                             f"{', '.join(map(named, sorted(new)))}. Give 'section' as fit had it.")  # fmt: skip

    def take(self, mask):
        """Those recordings that a mask chooses."""
        chosen, rows = copy.copy(self), np.flatnonzero(mask)
        chosen.clips = self.clips[rows] if isinstance(self.clips, Clips) else None
        chosen.sources, chosen.names = ([values[row] for row in rows] for values in (self.sources, self.names))
        return chosen

    def fields(self, before=()):
        """All that is known of each recording besides its sound, as `Clips` with the fields `section` and `recording`.

        Files are named by their paths, waveforms by their number. Where the recordings named `before` came before them,
        a file of the same name is another one, which was written anew.
        """
        known = {name: self.clips[name] for name in self._one_value_each()}
        own = self.names if self.are_files else [f"{len(before) + row}" for row in range(len(self))]
        own = [_free(name, set(before)) for name in own] if len(before) else own
        recording = known.get("recording", np.full(len(self), ""))
        known["recording"] = np.where(recording == "", own, recording)
        return Clips({"section": np.full(len(self), ""), **known})

    def _one_value_each(self):
        clips = self.clips if isinstance(self.clips, Clips) else {}
        return [name for name in clips if name not in _NOT_OF_ROWS and clips[name].ndim == 1]

    def check_rates(self, rate, n_jobs):
        """The sample rate in Hz at which to listen: `rate`, or the lowest of all.

        Files that hold more than is heard, or less, are a warning. Waveforms of another rate, or an unknown one, are an
        error.
        """
        if not self.are_files:
            return self._check_known_rate(rate)
        rates = run_rows(lambda: lambda row: file_rate(self.sources[row]), len(self), n_jobs)
        raise_problems(rates, len(self))
        if rate is None:
            rate = min(rates)
            self._tell(rates, [found > rate for found in rates], "{} of {} recordings have a higher sample rate than "
                       f"{rate} Hz, the lowest, and are resampled. Nothing above {rate / 2:g} Hz is heard:\n{{}}\n"
                       "Leave out the recordings of the lowest rate to hear more.")  # fmt: skip
        self._tell(rates, [found < rate for found in rates], "{} of {} recordings have a lower sample rate than "
                   f"{rate} Hz, at which is listened. What they lack may sound like a fault:\n{{}}\n"
                   "Record at one rate, or set sample_rate to the lowest of all.")  # fmt: skip
        return rate

    def _check_known_rate(self, rate):
        known = self.known_rate or rate
        if known is None:
            raise ValueError("The sample rate of these waveforms is not known, since they are no files. Set "
                             "sample_rate=... (Hz), or give Clips(...).with_attrs(sample_rate=...).")  # fmt: skip
        if known != (rate or known):
            raise ValueError(f"The waveforms have {known} Hz, and are to be heard at {rate} Hz. Give files, which are "
                             f"resampled, or waveforms at {rate} Hz.")  # fmt: skip
        return known

    def _tell(self, rates, concerned, message):
        names = [f"{name}: {rate} Hz" for name, rate, is_so in zip(self.names, rates, concerned, strict=True) if is_so]
        if names:
            warnings.warn(message.format(len(names), len(rates), first_ten(names)), stacklevel=5)

    def reader(self, row, rate, channel):
        """Iterable of the samples of one recording at a rate, float32, block by block."""
        if self.are_files:
            return BlockReader(self.sources[row], rate, channel)
        return _Whole(self.sources[row])

    def useless(self, min_duration, n_jobs):
        """For each recording its name and why nobody can judge it; empty where one can, and for what is no file."""
        if not self.are_files:
            return [""] * len(self)

        def reason(row):
            why = what_spoils(self.sources[row], min_duration)
            return why and f"{self.names[row]}: {why}"

        return run_rows(lambda: reason, len(self), n_jobs)

    def warn_of_quiet(self, readers):
        """Warn of what was read and is silent, or nearly so."""
        warn_of_quiet(self.names, [one.silent for one in readers], [one.cancelled for one in readers])


def what_spoils(path, min_duration):
    """Why a file is useless, in words; empty where it is not."""
    try:
        found = [finding for finding in find(measure_file(path), None, min_duration) if not finding.usable]
    except ValueError as error:
        return str(error).removeprefix(f"{printable(path)}: ")
    return "; ".join(f"{finding.finding}: {finding.detail}. {finding.advice}" for finding in found)


class _Whole:
    """A waveform in memory, as one block."""

    cancelled = False

    def __init__(self, samples):
        self.samples, self.silent = samples, not samples.any()

    def __iter__(self):
        yield as_dtype(self.samples, "float32")


def clips_of(reader, name, n_samples, n_hop):
    """Clips (n, n_samples) of a recording, which begin `n_hop` samples apart, block by block.

    The remainder at the end, shorter than `n_hop`, is in no clip.
    """
    cutter = Cutter(n_samples, n_hop)
    for block in reader:
        clips = cutter.take(block)
        if len(clips):
            yield clips
    if not cutter.n_clips:
        raise ValueError(f"{name}: {cutter.too_short()}")


class Cutter:
    """Cuts samples that come in blocks of any size into clips of `n_samples`, which begin `n_hop` samples apart."""

    def __init__(self, n_samples, n_hop):
        self.n_samples, self.n_hop = n_samples, n_hop
        self.n_heard = self.n_clips = self._n_rest = 0
        self._rest = []

    def take(self, block):
        """Clips (n, n_samples) that the next samples complete."""
        self.n_heard += len(block)
        self._n_rest += len(block)
        if self._n_rest < self.n_samples:
            self._rest.append(block.copy())
            return np.empty((0, self.n_samples), dtype=np.float32)
        samples = np.concatenate([*self._rest, block])
        clips = np.lib.stride_tricks.sliding_window_view(samples, self.n_samples)[:: self.n_hop]
        self.n_clips += len(clips)
        self._rest = [samples[len(clips) * self.n_hop :].copy()]
        self._n_rest = len(self._rest[0])
        return clips

    def too_short(self):
        """What is wrong where no clip was completed, in words."""
        return (f"{self.n_heard} samples are shorter than one clip, which has {self.n_samples}. Record longer, or set "
                "a shorter clip_duration.")  # fmt: skip


def _free(name, taken):
    """The name, or the first with a number behind it that is not taken."""
    return next(one for one in chain([name], (f"{name} ({n})" for n in count(2))) if one not in taken)


def _as_rows(X):
    """The files of a folder; a list of what is one path, or an array or series of waveforms of several lengths."""
    if isinstance(X, (str, bytes, os.PathLike)):
        return Clips.from_folder(X) if os.path.isdir(X) else [X]
    is_nested = getattr(X, "ndim", 0) == 1 and getattr(X, "dtype", None) == np.dtype(object)
    return list(X) if is_nested and all(isinstance(row, np.ndarray) for row in X) else X


def _is_ragged(values):
    rows = values if isinstance(values, (list, tuple)) else ()
    return len({len(row) for row in rows if isinstance(row, np.ndarray) and row.ndim == 1}) > 1


def _waveforms(owner, X, values):
    """The waveforms that were given, each (n_samples,); `owner` is left as it is."""
    if not _is_ragged(values):
        return list(read_waveforms(copy.copy(owner), X, values, reset=True))

    def read(row):
        try:
            return read_waveforms(copy.copy(owner), X, np.atleast_2d(values[row]), reset=True)[0]
        except ValueError as error:
            raise ValueError(f"row {row}: {str(error).removeprefix('row 0: ')}") from error

    waveforms = run_rows(lambda: read, len(values), 1)
    raise_problems(waveforms, len(waveforms))
    return waveforms


def _names(X, n_rows):
    has_paths = isinstance(X, Clips) and "path" in X
    return [printable(X["path"][row]) if has_paths else f"row {row}" for row in range(n_rows)]
