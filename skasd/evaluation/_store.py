"""A folder that keeps the scores of each machine, so that an evaluation goes on where it was interrupted."""

import json
import os
from pathlib import Path

import joblib
import numpy as np
from sklearn.base import clone

import skasd
from skasd.evaluation._run import MachineRun


class ResultsFolder:
    """One JSON file a machine: its `MachineRun`, and fingerprints of the system and the data that gave it."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)

    def path(self, machine):
        """The file of a machine."""
        return self.folder / f"{machine}.json"

    def read(self, machine, fingerprints):
        """The machine's run, or None where there is none; one of another system or other data is an error."""
        path = self.path(machine)
        if not path.exists():
            return None
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            found = record.pop("fingerprints")
            run = MachineRun(**record | {"anomaly_score": np.array(record["anomaly_score"], dtype=float)})
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{str(path)!r} is no result of an evaluation ({error!r}). Move it away, or give another "
                             "results folder.") from error  # fmt: skip
        changed = [name for name, value in fingerprints.items() if found.get(name) != value]
        if changed:
            raise ValueError(
                f"{str(path)!r} holds the result of another evaluation: other {' and '.join(changed)}. It is neither "
                "used nor overwritten. Give another results folder, or move the file away."
            )
        return run

    def write(self, machine, fingerprints, run):
        """Write the machine's run, all of it or nothing."""
        record = {"fingerprints": fingerprints} | run._asdict() | {"anomaly_score": run.anomaly_score.tolist()}
        part = self.folder / f".{machine}-{os.getpid()}.part"
        part.write_text(json.dumps(record), encoding="utf-8")
        os.replace(part, self.path(machine))


def fingerprints(system, train, test):
    """What tells whether a result is that of this system, this version of the package and these data."""
    try:
        of_system = joblib.hash((clone(system), skasd.__version__))
    except Exception as error:
        raise TypeError(
            f"results= needs a system that can be pickled, to tell later whether it is the same; got {error!r}. "
            "Use functions that can be imported, not lambdas, or leave results out."
        ) from error
    return {"system": of_system, "training data": _hash_clips(train), "test data": _hash_clips(test)}


def _hash_clips(clips):
    """A hash of all fields; of files name, size and time of the last change stand for the audio."""
    fields = {name: clips[name] for name in clips if name != "path"}
    files = [(Path(path).name, os.stat(path).st_size, os.stat(path).st_mtime_ns) for path in clips["path"].tolist()] \
        if "path" in clips else []  # fmt: skip
    return joblib.hash((fields, files))
