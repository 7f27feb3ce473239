"""Folders of a machine, as the zips of the challenge unpack them, with what else lies about in folders."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hypothesis import strategies as st

from fuzzing.drawing import mostly
from fuzzing.judging import Sparing, check
from fuzzing.tables import DAMAGES, KEEPS
from skasd.datasets import load_dcase, parse_dcase_filename

TRAINED = "section_00_source_train_normal_0000"
NAMES = (f"{TRAINED}.wav", "section_00_target_train_normal_0001_m-n_W.wav", "section_01_source_train_normal_0000.wav",
         "normal_id_00_00000000.wav", "section_00_0003.wav", f"{TRAINED}_noAttribute.WAV", f"{TRAINED}.flac",
         "section_00_source_test_anomaly_0000.wav", f"{TRAINED}_ü.wav", f"{TRAINED}_\udce9.wav", f"{TRAINED}_a\nb.wav",
         "section_00_source_train_normal_\u0660\u0660\u0660\u0660.wav", f"._{TRAINED}.wav", "notes.txt", "noise.wav",
         "section_0_source_train_normal_0000.wav")  # fmt: skip
FITTING = NAMES[:3]
KINDS = ("file", "file", "file", "folder", "fifo", "dangling", "loop", "link")
FOLDERS = ("train", "test", "supplemental", "source_test", "raw")
TABLE = "".join(f"train/{name},vel,6\n" for name in FITTING)


@dataclass(frozen=True, repr=False)
class Case(Sparing):
    """A machine's folder with one fitting file and others, and perhaps a table of attributes."""

    machine: str = "fan"
    others: tuple = ()
    table: str = ""
    split: object = ("train", "test")
    section: object = None
    domain: object = None
    truth: str = ""

    @property
    def names(self):
        """What a message must name."""
        return (
            os.sep + self.machine,
            repr(self.machine)[1:-1],
            "attributes_00",
            "ground_truth",
            "split",
            "section",
            "domain",
            *NAMES,
        )


def cases():
    """Folders in which some files are strange."""
    others = st.tuples(st.sampled_from(FOLDERS), mostly([*FITTING], [*NAMES]), st.sampled_from(KINDS))
    return st.builds(
        Case,
        mostly(["fan"], ["a b", "Lüfter", "fan*", "[fan]", "fan\nx", "..", "fan\udce9"], 0.7),
        st.lists(others, max_size=4).map(tuple),
        mostly([""], DAMAGES),
        mostly([("train", "test")], ["train", "test", "supplemental", (), "all", ("train", 3), None, 3]),
        mostly([None], ["00", ("00", "01"), "07", (), 0, (0,), "0", b"00"]),
        mostly([None], ["source", "target", "", ("source", None), "Source"]),
        mostly([""], DAMAGES),
    )


def law(case):
    """Every audio file of the splits is a clip, with what its name says."""
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent, case.machine)
        made = _make(case, folder)
        truth = _write_truth(folder.with_name("truth"), case) if case.truth else None
        clips = load_dcase(folder, split=case.split, section=case.section, domain=case.domain, ground_truth=truth)
        check(len(clips) > 0, "no clips")
        for path, section, domain, label in zip(
            *(clips[name].tolist() for name in ("path", "section", "domain", "label")), strict=True
        ):
            record = parse_dcase_filename(path)
            check(
                (section, domain) == (record.section, record.domain) or truth, f"{path!r} became {section!r} {domain!r}"
            )
            check(label == record.label or truth, f"{path!r} became {label}")
            check(os.path.lexists(path), f"{path!r} is not there")
        if case.split == ("train", "test") and case.section is None and case.domain is None:
            wanted = {path for path in made if path.parent.name in ("train", "test", "source_test")}
            check(set(map(Path, clips["path"].tolist())) >= wanted, "a clip is missing")
        if case.table in KEEPS and case.split == ("train", "test") and case.section is None and case.domain is None:
            check(clips["attribute"][0] == "vel_6", f"the attribute is {clips['attribute'][0]!r}")


def _make(case, folder):
    """Make the folder; its regular audio files whose names fit."""
    made = []
    for sub, name, kind in (("train", FITTING[0], "file"), *case.others):
        (folder / sub).mkdir(parents=True, exist_ok=True)
        path = folder / sub / name
        if os.path.lexists(path):
            continue
        if kind == "folder":
            path.mkdir()
        elif kind == "fifo":
            os.mkfifo(path)
        elif kind in ("dangling", "loop", "link"):
            path.symlink_to({"dangling": "nothing", "loop": name, "link": FITTING[0]}[kind])
        else:
            path.write_bytes(b"RIFF")
            made += [path] if name in FITTING else []
    if case.table:
        data = "file_name,d1p,d1v\n" + TABLE
        (folder / "attributes_00.csv").write_bytes(DAMAGES[case.table](data.encode()))
    return made


def _write_truth(folder, case):
    folder.mkdir()
    rows = "".join(f"section_00_{number:04d}.wav,1\n" for number in range(3, 4))
    path = folder / f"ground_truth_{case.machine.strip('./')}_section_00_test.csv"
    path.write_bytes(DAMAGES[case.truth](rows.encode()))
    return folder
