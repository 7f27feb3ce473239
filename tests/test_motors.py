import hashlib
from pathlib import Path

import numpy as np
import pytest
import soundfile

import skasd.datasets
from skasd.datasets import load_motors
from skasd.metrics import auc_score

FOLDER = Path(skasd.datasets.__file__).parent / "data" / "bldc_a2212"
TASKS = {
    "propeller": {"fault": "propeller"},
    "bearing M1": {"fault": "bearing", "held_out": "M1"},
    "bearing M2": {"fault": "bearing", "held_out": "M2"},
    "bearing M3": {"fault": "bearing", "held_out": "M3"},
}


@pytest.fixture(params=TASKS)
def task(request):
    return TASKS[request.param]


def recordings(clips):
    return set(clips["recording"].tolist())


def test_the_recordings_are_those_that_were_published():
    lines = (FOLDER / "MD5SUMS").read_text(encoding="utf-8").splitlines()
    sums = {name: md5 for md5, name in (line.split() for line in lines)}
    assert len(sums) == 43
    assert {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in FOLDER.glob("*.flac")} == sums
    infos = [soundfile.info(str(FOLDER / name)) for name in sums]
    assert {(info.samplerate, info.channels, info.subtype) for info in infos} == {(16000, 1, "PCM_16")}
    assert sum(info.frames for info in infos) == 7_059_100


def test_attribution_stands_beside_the_recordings():
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    for words in ["creativecommons.org/licenses/by/4.0", "Universidad del Cauca", "j4yr5fmhv4", "channel 0"]:
        assert words in text


def test_a_test_has_both_groups_and_no_recording_of_the_training(task):
    train, test = load_motors(**task, split="train"), load_motors(**task, split="test")
    assert not recordings(train) & recordings(test)
    assert set(train["label"].tolist()) == {1}
    assert set(train["domain"].tolist()) == {"source"} and set(test["domain"].tolist()) == {"target"}
    assert set(train["section"].tolist()) == set(test["section"].tolist())
    for section in set(test["section"].tolist()):
        assert set(test["label"][test["section"] == section].tolist()) == {-1, 1}


def test_both_splits_are_train_then_test(task):
    both, train, test = (load_motors(**task, split=split) for split in (None, "train", "test"))
    assert set(both) == set(train)
    assert all(np.array_equal(both[name], (train + test)[name]) for name in both)


def test_propellers_are_tested_at_speeds_that_training_has_not_heard():
    train, test = load_motors(split="train"), load_motors(split="test")
    for motor, faulty_speeds in [("M1", {1450, 1650, 1850}), ("M2", {1450, 1650, 1850, 2000})]:
        heard, tested = train["motor"] == motor, test["motor"] == motor
        assert set(train["speed"][heard].tolist()) == {1400, 1550, 1750, 1950}
        assert set(test["speed"][tested & (test["label"] == 1)].tolist()) == {1450, 1650, 1850, 2000}
        assert set(test["speed"][tested & (test["label"] == -1)].tolist()) == faulty_speeds
    assert np.array_equal(test["motor"], test["section"])


def test_other_training_speeds_leave_a_task_that_shares_nothing_with_the_test():
    clips = load_motors(training_speeds=(1400, 1750, 1950))
    train, chosen = clips[clips["split"] == "train"], clips[clips["speed"] == 1550]
    assert set(train["speed"].tolist()) == {1400, 1750, 1950} and set(train["label"].tolist()) == {1}
    assert recordings(chosen) == {
        f"{motor}_rpm1550_{state}" for motor in ("M1", "M2") for state in ("healthy", "propeller")
    }
    assert set(chosen["split"].tolist()) == {"test"}
    assert not recordings(chosen) & recordings(load_motors(split="test"))
    everything = load_motors(training_speeds=())
    assert set(everything["split"].tolist()) == {"test"}
    assert len(recordings(everything)) == 30


def test_bearing_holds_one_motor_out():
    clips = load_motors("bearing", held_out="M2")
    motors = {split: set(clips["motor"][clips["split"] == split].tolist()) for split in ("train", "test")}
    assert motors == {"train": {"M1", "M3"}, "test": {"M2", "M4"}}
    assert np.array_equal(clips["label"] == -1, clips["motor"] == "M4")
    assert np.array_equal(clips["fault"] == "bearing", clips["motor"] == "M4")


def test_a_clip_is_what_its_fields_say():
    clips = load_motors(motor="M2", duration=0.75, hop_duration=0.5)
    row = np.flatnonzero((clips["recording"] == "M2_rpm1450_propeller") & (clips["start"] == 1.5))
    clip = clips[row]
    samples, _ = soundfile.read(FOLDER / "M2_rpm1450_propeller.flac", dtype="float32")
    assert np.array_equal(clip["waveform"][0], samples[24000:36000])
    values = {name: clip[name][0] for name in clip if name != "waveform"}
    assert values.pop("path") == str(FOLDER / "M2_rpm1450_propeller.flac")
    assert values == {
        "machine": "bldc_a2212", "section": "M2", "domain": "target", "attribute": "rpm_1450_state_propeller",
        "split": "test", "label": -1, "recording": "M2_rpm1450_propeller", "motor": "M2", "speed": 1450,
        "fault": "propeller", "start": 1.5,
    }  # fmt: skip


def test_windows_cover_each_recording():
    clips = load_motors(duration=2.0, hop_duration=0.5)
    for name in recordings(clips):
        n_samples = soundfile.info(str(FOLDER / f"{name}.flac")).frames
        start = clips["start"][clips["recording"] == name]
        assert np.array_equal(start, np.arange(len(start)) * 0.5)
        assert 0 <= n_samples / 16000 - (start[-1] + 2.0) < 0.5


@pytest.mark.parametrize(
    ("task", "figure"),
    [
        ({"motor": "M1"}, 1.00),
        ({"motor": "M2"}, 0.88),
        ({"fault": "bearing", "held_out": "M1"}, 0.39),
        ({"fault": "bearing", "held_out": "M2"}, 0.63),
        ({"fault": "bearing", "held_out": "M3"}, 0.65),
    ],
)
def test_loudness_alone_reaches_what_the_docstring_says(task, figure):
    clips = load_motors(**task, split="test")
    level = np.sqrt(np.mean(np.square(clips["waveform"], dtype=np.float64), axis=1))
    assert round(auc_score((clips["label"] == -1).astype(int), level), 2) == figure
    assert f"{figure:.2f}" in load_motors.__doc__


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"fault": "rotor"}, "'fault' parameter .* must be a str among"),
        ({"motor": "M5"}, "'motor' parameter .* must be a str among"),
        ({"held_out": "M4"}, "'held_out'"),
        ({"split": "both"}, "'split'"),
        ({"duration": 11.0}, r"'duration' .*10\.13"),
        ({"hop_duration": 0.0}, "'hop_duration'"),
        ({"training_speeds": (1400, 1500)}, r"training_speeds .*\[1400, 1500\]"),
        ({"training_speeds": 1400}, "'training_speeds'"),
        ({"motor": "M3"}, r"motor='M3' .*M1 \(test\), M1 \(train\), M2"),
        ({"fault": "bearing", "motor": "M4", "split": "train"}, r"M4' in split='train'.*M1 \(train\)"),
    ],
)
def test_wrong_names_are_errors(wrong, message):
    with pytest.raises(ValueError, match=message):
        load_motors(**wrong)
