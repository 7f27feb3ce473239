"""Results folders of an evaluation, whose files somebody has changed, and what can be in their place."""

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from fuzzing.drawing import mostly
from fuzzing.judging import Sparing, check, must
from skasd.clips import Clips
from skasd.detectors import CosineCenterDetector
from skasd.evaluation import evaluate

MACHINES = ("Fan", "a/b", "../fan", "a b", "", ".", "Lüfter", "x" * 300, "con", "fan\n", "a\0b", "fan.json", "$x$", "*")
WHOLE = ("", "null", "[]", "{}", "3", '"fan"', "{", "[" * 5000, "\ufeff{}", "NaN", "\0")
CHANGES = {
    "fewer scores": lambda record: record | {"anomaly_score": record["anomaly_score"][:-1]},
    "more scores": lambda record: record | {"anomaly_score": record["anomaly_score"] * 2},
    "no scores": lambda record: record | {"anomaly_score": []},
    "nested scores": lambda record: record | {"anomaly_score": [record["anomaly_score"]]},
    "score nan": lambda record: record | {"anomaly_score": [float("nan"), *record["anomaly_score"][1:]]},
    "score null": lambda record: record | {"anomaly_score": [None, *record["anomaly_score"][1:]]},
    "score text": lambda record: record | {"anomaly_score": ["one", *record["anomaly_score"][1:]]},
    "score huge": lambda record: record | {"anomaly_score": [10**400, *record["anomaly_score"][1:]]},
    "other system": lambda record: record | {"fingerprints": record["fingerprints"] | {"system": "0"}},
    "no fingerprints": lambda record: {name: value for name, value in record.items() if name != "fingerprints"},
    "fingerprints null": lambda record: record | {"fingerprints": None},
    "something more": lambda record: record | {"more": 1},
    "nothing else": lambda record: {"fingerprints": record["fingerprints"], "anomaly_score": record["anomaly_score"]},
}  # fmt: skip
THINGS = ("folder", "fifo", "dangling", "loop", "no file")


@dataclass(frozen=True, repr=False)
class Case(Sparing):
    """A machine's name, and what happens to its file, or to a field of it, between two evaluations."""

    machine: str = "fan"
    whole: object = None
    change: str = ""
    thing: str = ""
    field: str = ""
    value: object = None

    @property
    def names(self):
        """What a message must name."""
        return (".json", "results", repr(self.machine)[1:-1], "machine")


def cases():
    """Mostly one change."""
    value = st.sampled_from([None, 1e308, -1, "text", [], {}, True, float("nan")])
    return st.builds(
        Case,
        mostly(["fan"], MACHINES, 0.7),
        mostly([None], WHOLE, 0.7),
        mostly([""], list(CHANGES), 0.5),
        mostly([""], THINGS, 0.8),
        mostly([""], ["threshold", "times", "n_train", "seconds", "memory"], 0.8),
        value,
    )


def law(case):
    """The second evaluation gives the scores of the first, or an error that names the file."""
    rng = np.random.default_rng(0)
    label = np.tile([1, -1], 20)
    clips = Clips(
        embedding=rng.normal([3, 0], 1, (40, 2)) * label[:, np.newaxis], label=label, section=["00"] * 40,
        domain=np.repeat(["source", "target"], 20), split=np.tile(["train", "train", "test", "test"], 10),
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as parent:
        results = Path(parent, "results")

        def run():
            data, quiet = {case.machine: clips}, {"n_resamples": 0, "verbose": 0}
            return evaluate(CosineCenterDetector(), data, results=results, year=2022, **quiet)

        first = run()
        outside = {path.name for path in Path(parent).iterdir()} - {"results"}
        check(not outside, f"written outside: {outside}")
        if first.failures:
            raise ValueError(str(first.failures))
        files = list(results.glob("*.json"))
        check(len(files) == 1, f"{len(files)} files of results")
        unchanged = _change(case, files[0])
        if unchanged:
            with must("the same evaluation again"):
                second = run()
        else:
            second = run()
        scores = [evaluation.clips[case.machine]["anomaly_score"] for evaluation in (first, second)]
        check(np.isfinite(scores[1]).all(), "scores are not finite")
        check(np.array_equal(*scores), "other scores the second time")


def _change(case, path):
    """Change the file; whether it is still as it was."""
    record = json.loads(path.read_text(encoding="utf-8"))
    if case.field in record:
        record[case.field] = case.value
    changed = CHANGES[case.change](record) if case.change else record
    path.write_text(json.dumps(changed) if case.whole is None else case.whole, encoding="utf-8")
    if case.thing:
        path.unlink()
        if case.thing == "folder":
            path.mkdir()
        elif case.thing == "fifo":
            os.mkfifo(path)
        elif case.thing in ("dangling", "loop"):
            path.symlink_to({"dangling": "nothing", "loop": path.name}[case.thing])
    return case.thing in ("", "no file") and case.whole is None and not case.change and not case.field
