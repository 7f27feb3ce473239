"""Folders with the score files of a team, as other programs write them, and damaged ones."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from fuzzing.drawing import mostly
from fuzzing.judging import Sparing, check, must
from fuzzing.tables import DAMAGES, KEEPS, VALUES
from skasd.evaluation import read_submission, write_submission
from skasd.metrics import official_score

MACHINES = ("fan", "ToyCar", "pump_2", "a.b", "fan_section_00", "Lüfter", "$x$", "id", "a b")
THINGS = ("none", "folder", "fifo", "dangling", "no rights", "notes.csv", "latin-1 name", "missing folder", "file")
KINDS = ("normal", "anomaly")


@dataclass(frozen=True, repr=False)
class Case(Sparing):
    """Files of one machine with one section: a score for each clip, and perhaps decisions."""

    machine: str = "fan"
    n_clips: int = 3
    damage: str = "none"
    value: str = "1.5"
    decisions: str = ""
    truth: str = ""
    thing: str = "none"
    year: int = 2022
    seed: int = 0

    @property
    def names(self):
        """What a message must name."""
        return ("anomaly_score", "decision_result", "ground_truth", self.machine, "team", "year", "section_00")


def cases():
    """Folders of which one thing is strange."""
    return st.builds(
        Case,
        mostly(["fan"], MACHINES, 0.93),
        mostly([3], [1, 0, 20], 0.93),
        mostly(["none"], DAMAGES, 0.93),
        mostly(["1.5"], VALUES, 0.93),
        mostly(["", "right"], ["one less", *DAMAGES], 0.93),
        mostly(["", "none"], DAMAGES, 0.93),
        mostly(["none"], THINGS, 0.93),
        mostly([2022], [2020, 2021, 2025], 0.93),
        st.integers(0, 9),
    )


def law(case):
    """Figures that the package's own metric gives for the same scores, or an error that names the file."""
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent, "team")
        names, scores = _write(case, folder)
        truth = _write_truth(case, Path(parent, "truth"), names) if case.truth else None
        _add_thing(case, folder)
        evaluation = read_submission(folder, ground_truth=truth, year=case.year, n_resamples=0)
        figures = [figure.value for figure in evaluation.figures]
        check(len(figures) and np.isfinite(figures).all(), f"figures {figures}")
        if case.year == 2022 and {case.damage, case.decisions or "none", case.truth or "none"} <= {*KEEPS, "right"}:
            y_true = ["anomaly" in name for name in names]
            domain = ["source" if "source" in name else "target" for name in names]
            wanted = official_score(
                np.array(y_true, dtype=int),
                [float(score) for score in scores],
                domain=domain,
                section=["00"] * len(names),
            )
            check(
                abs(evaluation.official_score.value - wanted) < 1e-9, f"{evaluation.official_score.value}, not {wanted}"
            )
        _write_again(case, evaluation, Path(parent, "again"))


def _write(case, folder):
    """The score file, and the decision file where there is one; names and scores of the clips."""
    names = [f"section_00_{domain}_test_{kind}_{number:04d}.wav"
             for domain in ("source", "target") for kind in KINDS for number in range(case.n_clips)]  # fmt: skip
    values = [repr(float(value)) for value in np.random.default_rng(case.seed).normal(size=len(names))]
    if values:
        values[case.seed % len(values)] = case.value
    folder.mkdir()
    _write_rows(folder / f"anomaly_score_{case.machine}_section_00_test.csv", names, values, case.damage)
    if case.decisions:
        count = len(names) - (case.decisions == "one less")
        damage = case.decisions if case.decisions in DAMAGES else "none"
        path = folder / f"decision_result_{case.machine}_section_00_test.csv"
        _write_rows(path, names[:count], ["0", "1"] * count, damage)
    return names, values


def _write_rows(path, names, values, damage):
    rows = "".join(f"{name},{value}\n" for name, value in zip(names, values, strict=False))
    path.write_bytes(DAMAGES[damage](rows.encode()))


def _write_truth(case, folder, names):
    (folder / "ground_truth_data").mkdir(parents=True)
    path = folder / "ground_truth_data" / f"ground_truth_{case.machine}_section_00_test.csv"
    _write_rows(path, names, [str(int("anomaly" in name)) for name in names], case.truth)
    return folder


def _add_thing(case, folder):
    path = folder / f"anomaly_score_{case.machine}_section_01_test.csv"
    if case.thing == "folder":
        path.mkdir()
    elif case.thing == "fifo":
        os.mkfifo(path)
    elif case.thing == "dangling":
        path.symlink_to(folder / "nothing")
    elif case.thing == "notes.csv":
        (folder / "notes.csv").write_text("no scores\n")
    elif case.thing == "latin-1 name":
        Path(os.fsdecode(os.fsencode(folder) + b"/\xe9.csv")).write_text("no scores\n")
    elif case.thing in ("missing folder", "file"):
        folder.rename(folder.with_name("elsewhere"))
        if case.thing == "file":
            folder.write_text("no folder\n")


def _write_again(case, evaluation, folder):
    """What was read can be written, and read again: the same figures."""
    if not case.decisions or case.thing != "none" or case.year == 2021:
        return
    with must("writing what was read"):
        write_submission(evaluation, folder)
    if not case.truth:
        with must("reading what was written"):
            again = read_submission(folder, year=case.year, n_resamples=0)
        check([f.value for f in again.figures] == [f.value for f in evaluation.figures], "other figures after writing")
