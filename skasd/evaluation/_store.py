"""A folder that keeps the scores of each machine, so that an evaluation goes on where it was interrupted."""

import hashlib
import json
import os
import re
import sys
import warnings
from contextlib import ExitStack, contextmanager
from pathlib import Path

import joblib
import numpy as np
from sklearn.base import clone

import skasd
from skasd._drafts import draft_folder, folder_to_write, locked, move_new, remove_abandoned
from skasd.evaluation._run import MachineRun

_PROBE = 2**16  # bytes for which the disk must have room before anything is trained
_PLAIN = re.compile(r"(?!(?:con|prn|aux|nul|com\d|lpt\d)$)[a-z0-9][a-z0-9_-]{0,63}")


class ResultsFolder:
    """One JSON file per machine: its `MachineRun`, and fingerprints of the system and the data that gave it."""

    def __init__(self, folder):
        self.folder = folder_to_write(folder, "results")
        self._unsaved = {}  # machine -> fingerprints, run
        if self.folder.is_dir():
            remove_abandoned(self.folder)

    def path(self, machine):
        """The file of a machine, whatever its name."""
        return self.folder / f"{_stem(machine)}.json"

    def fingerprints(self, system, train, test):
        """What tells whether a result is that of this system, this version of the package and these data."""
        try:
            of_system = joblib.hash((clone(system), skasd.__version__))
        except Exception as error:
            raise TypeError("results= needs a system that can be pickled, to tell later whether it is the same; got "
                            f"{error!r}. Use functions that can be imported, not lambdas, or leave results out.") \
                from error  # fmt: skip
        return {"system": of_system, "training data": _hash_clips(train), "test data": _hash_clips(test)}

    def read(self, machine, fingerprints, n_clips):
        """The machine's run, or None where there is none; one of another system or other data is an error."""
        path = self.path(machine)
        if not os.path.lexists(path):
            return None
        try:
            found, run = _parse(path)
            changed = _differing(fingerprints, found)
            if not changed and len(run.anomaly_score) != n_clips:
                raise ValueError(f"it has {len(run.anomaly_score)} scores for {n_clips} test clips")
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            reason = error if isinstance(error, ValueError) else "its content has another form"
            raise ValueError(f"{str(path)!r} is no result of an evaluation: {reason}. Move it away, or give another "
                             "results folder.") from error  # fmt: skip
        if changed:
            raise ValueError(f"{str(path)!r} holds the result of another evaluation: other {changed}. It is neither "
                             "used nor overwritten. Give another results folder, or move the file away.")  # fmt: skip
        return run

    @contextmanager
    def open(self, fingerprints):
        """Make sure that runs of these machines can be written, and that no other process writes other ones."""
        if not fingerprints:
            yield
            return
        with ExitStack() as stack:
            try:
                self._draft = stack.enter_context(draft_folder(self.folder))
                (self._draft / "probe").write_bytes(bytes(_PROBE))
                with locked(self.folder / ".claims"):
                    self._claim(fingerprints)
            except OSError as error:
                message = (f"The results folder cannot be made, or not be written to ({error.strerror}). Give another "
                           "folder, or make room in this one")  # fmt: skip
                raise OSError(error.errno, message, str(self.folder)) from error
            yield
        self._report_unsaved()

    def keep(self, machine, fingerprints, run):
        """Write the machine's run, and with it those that could not be written before."""
        self._unsaved[machine] = fingerprints, run
        self._errors = {}
        for name, kept in list(self._unsaved.items()):
            try:
                self._write(name, *kept)
                del self._unsaved[name]
            except Exception as error:
                self._errors[name] = error

    def _claim(self, fingerprints):
        """Tell other processes what is going to be written, unless one of them has said so of another evaluation."""
        for path in self.folder.glob(".writing-*/claims.json"):
            try:
                claims = json.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError):  # that process has just ended
                continue
            for machine in fingerprints.keys() & claims.keys():
                changed = _differing(fingerprints[machine], claims[machine])
                if changed:
                    raise ValueError(f"Another process is evaluating {machine} for the results folder "
                                     f"{str(self.folder)!r}: other {changed}. Give another results folder. If there is "
                                     f"no such process, remove {str(path.parent)!r}.")  # fmt: skip
        (self._draft / "claims.json").write_text(json.dumps(fingerprints), encoding="utf-8")

    def _write(self, machine, fingerprints, run):
        record = {"fingerprints": fingerprints} | run._asdict() | {"anomaly_score": run.anomaly_score.tolist()}
        record["sha256"] = _digest(record)
        part, path = self._draft / self.path(machine).name, self.path(machine)
        part.write_text(json.dumps(record), encoding="utf-8")
        try:
            move_new(part, path)
        except FileExistsError:  # fine where another process has evaluated the same
            if self.read(machine, fingerprints, len(run.anomaly_score)) is None:
                raise

    def _report_unsaved(self):
        if self._unsaved:
            problems = "; ".join(f"{machine}: {self._errors[machine]!r}" for machine in self._unsaved)
            warnings.warn(f"The scores of {len(self._unsaved)} machines could not be written to the results folder "
                          f"{str(self.folder)!r}. They are in what evaluate returns, and the next call computes them "
                          f"anew. {problems}", stacklevel=6)  # fmt: skip


def _stem(machine):
    """A name for the machine's file that is safe everywhere, and its own also where 'Fan' and 'fan' are one file."""
    if _PLAIN.fullmatch(machine):
        return machine
    readable = re.sub(r"[^A-Za-z0-9_-]+", "_", machine)[:40]
    return f"{readable}+{hashlib.sha256(machine.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"


def _parse(path):
    """The fingerprints and the run of a file."""
    if not path.is_file():
        raise ValueError("it is no regular file")
    record = json.loads(path.read_text(encoding="utf-8"))
    told, made = record.pop("sha256", None), _digest(record)
    found, scores = record.pop("fingerprints"), np.array(record.pop("anomaly_score"))
    if scores.ndim != 1 or scores.dtype.kind not in "if" or not np.isfinite(scores).all():
        raise ValueError("anomaly_score must be a list of finite numbers")
    run = MachineRun(anomaly_score=scores.astype(float, copy=False), **record)
    for name, value in record.items():
        wanted = MachineRun.__annotations__[name]
        is_number = isinstance(value, (int, wanted)) and not isinstance(value, bool)
        if not is_number or not abs(value) <= sys.float_info.max:  # neither is NaN, nor an integer of 400 digits
            raise ValueError(f"{name} must be a finite {wanted.__name__}, got {str(value)[:20]!r}")
    if told != made:
        raise ValueError("its checksum is not that of what it holds: it is damaged, or somebody has changed it")
    return found, run


def _digest(record):
    """Checksum of what a file holds besides."""
    return hashlib.sha256(json.dumps(record).encode()).hexdigest()


def _differing(fingerprints, found):
    names = dict.fromkeys([*fingerprints, *found])
    return " and ".join(name for name in names if found.get(name) != fingerprints.get(name))


def _hash_clips(clips):
    """A hash of all fields; for files, name, size and time of the last change are taken in place of the audio."""
    fields = {name: clips[name] for name in clips if name != "path"}
    status = [(Path(path).name, os.stat(path)) for path in (clips["path"].tolist() if "path" in clips else ())]
    return joblib.hash((fields, dict(clips.attrs), [(name, file.st_size, file.st_mtime_ns) for name, file in status]))
