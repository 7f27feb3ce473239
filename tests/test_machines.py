import csv
import errno
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy.fft import rfftfreq
from scipy.signal import butter, hilbert, sosfiltfilt, stft, welch
from sklearn.neighbors import NearestNeighbors

from skasd.datasets import load_dcase, load_motors, make_machine_sounds, write_dcase
from skasd.datasets._machine_models import KINDS, Condition, draw_unit, machine_sound
from skasd.datasets._machines import mix
from skasd.datasets._synthesis import draw_factory, factory_noise
from skasd.embedders import StatisticsEmbedder
from skasd.features import LogMelSpectrogram
from skasd.metrics import auc_score

RATE = 16000
SIZE = {"n_samples": 10 * RATE, "sample_rate": RATE}
FREQUENCIES = rfftfreq(SIZE["n_samples"], 1 / RATE)
FAULTS = [(machine, fault) for machine, kind in KINDS.items() for fault in kind.faults]


def make(machine="fan", **parameters):
    small = {"n_sections": 2, "n_train_source": 4, "n_train_target": 2, "n_test": 2, "duration": 1.0, "random_state": 0}
    return make_machine_sounds(machine, **(small | parameters))


def unit_of(machine, **changes):
    unit = draw_unit(np.random.default_rng(3), KINDS[machine], FREQUENCIES)
    return replace(unit, body=np.ones_like(unit.body), **changes)  # no housing: what the machine itself does


def sound_of(machine, unit, fault="healthy", severity=1.0, seed=0, **condition):
    rng = np.random.default_rng(seed)
    return machine_sound(rng, KINDS[machine], unit, Condition(**condition), fault, severity, **SIZE)


def same(left, right):
    return all(np.array_equal(left[name], right[name]) for name in left) and set(left) == set(right)


@pytest.mark.parametrize("machine", KINDS)
def test_shape_of_the_challenge(machine):
    clips = make(machine)
    assert clips["waveform"].shape == (2 * (4 + 2) + 2 * 8, RATE) and clips["waveform"].dtype == np.float32
    assert np.isfinite(clips["waveform"]).all() and np.abs(clips["waveform"]).max() < 1
    assert set(clips["machine"].tolist()) == {machine}
    groups = list(zip(*(clips[name].tolist() for name in ("section", "split", "domain", "label")), strict=True))
    expected = {
        (section, "train", domain, 1): n for section in ("00", "01") for domain, n in (("source", 4), ("target", 2))
    }
    expected |= {(s, "test", d, label): 2 for s in ("00", "01") for d in ("source", "target") for label in (-1, 1)}
    assert {group: groups.count(group) for group in groups} == expected
    assert np.array_equal(clips["label"] == 1, clips["fault"] == "healthy")
    assert set(clips["fault"][clips["label"] == -1].tolist()) <= set(KINDS[machine].faults)


def test_same_seed_same_clips():
    assert same(make(), make())
    assert same(make(), make(n_jobs=2))
    assert not np.array_equal(make()["waveform"], make(random_state=1)["waveform"])
    assert same(make(random_state=np.random.RandomState(5)), make(random_state=np.random.RandomState(5)))


def test_a_clip_does_not_depend_on_how_many_others_there_are():
    few, many = make(n_sections=1, n_train_source=2, n_train_target=1, n_test=1), make(n_sections=3)
    fields = ("section", "split", "domain", "label")
    for row in range(len(few)):
        twins = np.logical_and.reduce([many[name] == few[name][row] for name in fields])
        assert any(np.array_equal(few["waveform"][row], waveform) for waveform in many["waveform"][twins])


def test_clips_sections_and_machines_are_all_different():
    waveforms = np.concatenate([make(machine)["waveform"] for machine in ("fan", "bearing")])
    assert len(np.unique(waveforms[:, :100], axis=0)) == len(waveforms)


@pytest.mark.parametrize(
    ("shift", "source", "target"),
    [
        ("speed", {"spd_1080", "spd_1200", "spd_1320"}, {"spd_900", "spd_1560"}),
        ("load", {"wt_80", "wt_100", "wt_125"}, {"wt_50", "wt_200"}),
        ("noise", {"f-n_A", "f-n_B", "f-n_C"}, {"f-n_D", "f-n_E"}),
    ],
)
def test_domains_differ_in_the_named_attribute(shift, source, target):
    clips = make(domain_shift=shift, n_test=5)
    assert set(clips["attribute"][clips["domain"] == "source"].tolist()) == source
    assert set(clips["attribute"][clips["domain"] == "target"].tolist()) == target


def test_sections_take_the_shifts_in_turn():
    clips = make(n_sections=3, domain_shift=["load", "noise"])
    kinds = {section: clips["attribute"][clips["section"] == section][0][:2] for section in ("00", "01", "02")}
    assert kinds == {"00": "wt", "01": "f-", "02": "wt"}


def strongest(signal, low, high):
    frequencies, power = welch(signal, RATE, nperseg=4 * RATE)
    inside = (frequencies >= low) & (frequencies <= high)
    return frequencies[inside][np.argmax(power[inside])]


@pytest.mark.parametrize("machine", ["fan", "gearbox"])
@pytest.mark.parametrize("speed", [0.75, 1.0, 1.3])
def test_blades_and_teeth_sound_at_their_number_times_the_speed(machine, speed):
    unit = unit_of(machine)
    passing = unit.order * unit.speed * speed
    assert strongest(sound_of(machine, unit, speed=speed), 0.6 * passing, 1.4 * passing) == pytest.approx(
        passing, rel=0.02
    )


def envelope_peak(signal, band, low, high):
    sos = butter(4, band, "bandpass", fs=RATE, output="sos")
    envelope = np.abs(hilbert(sosfiltfilt(sos, signal)))
    return strongest(envelope - envelope.mean(), low, high)


@pytest.mark.parametrize("machine", ["bearing", "fan", "gearbox"])
def test_impacts_of_a_bearing_come_at_its_defect_frequency_and_ring(machine):
    unit = unit_of(machine, defect=4.37, ringing=3200.0)
    rate = 4.37 * unit.speed
    faulty = sound_of(machine, unit, "bearing", severity=5.0)
    assert envelope_peak(faulty, (2700, 3700), 0.75 * rate, 1.25 * rate) == pytest.approx(rate, rel=0.02)
    assert strongest(faulty, 2000, 7000) == pytest.approx(3200, rel=0.1)


def test_imbalance_makes_the_tone_of_the_rotation_grow():
    unit = unit_of("bearing")

    def rotation(fault):
        frequencies, power = welch(sound_of("bearing", unit, fault, severity=5.0), RATE, nperseg=4 * RATE)
        return power[np.abs(frequencies - unit.speed) < 1].sum() / power.sum()

    assert rotation("imbalance") > 1.5 * rotation("healthy")


def test_a_leak_hisses_at_high_frequencies_between_the_clicks():
    unit = unit_of("valve")

    def hiss(fault):
        _, _, power = stft(sound_of("valve", unit, fault, severity=5.0), RATE, nperseg=512)
        return np.median(np.abs(power[128:]) ** 2)  # above 4 kHz

    assert hiss("leak") > 10 * hiss("healthy")


@pytest.mark.parametrize(("machine", "fault"), FAULTS)
def test_severity_0_changes_nothing_and_1_does(machine, fault):
    unit = draw_unit(np.random.default_rng(3), KINDS[machine], FREQUENCIES)
    healthy = sound_of(machine, unit)
    assert np.allclose(sound_of(machine, unit, fault, severity=0), healthy, atol=1e-6)
    assert not np.allclose(sound_of(machine, unit, fault, severity=1), healthy, atol=0.1)


@pytest.mark.parametrize("snr", [-6.0, 0.0, 6.0, 20.0])
def test_signal_to_noise_ratio_is_as_asked(snr):
    rng = np.random.default_rng(0)
    noise = factory_noise(rng, draw_factory(rng, FREQUENCIES), **SIZE)
    machine = sound_of("fan", unit_of("fan"))
    mixed = mix(machine, noise, snr)
    (a, b), *_ = np.linalg.lstsq(np.column_stack([machine, noise]).astype(float), mixed, rcond=None)
    assert np.allclose(a * machine + b * noise, mixed, atol=1e-5)
    assert 20 * np.log10(np.std(a * machine) / np.std(b * noise)) == pytest.approx(snr, abs=0.5)


def test_levels_lie_in_6_db_and_tell_nothing():
    clips = make("bearing", n_train_source=0, n_train_target=0, n_test=25)
    level = 20 * np.log10(np.sqrt(np.mean(np.square(clips["waveform"], dtype=float), axis=1)))
    assert -39.01 < level.min() < -38 and -34 < level.max() < -32.99
    assert 0.35 < auc_score((clips["label"] == -1).astype(int), level) < 0.65


def area(machine, severity):
    clips = make_machine_sounds(
        machine, n_sections=1, n_train_source=80, n_train_target=0, n_test=40, duration=2.0, severity=severity,
        random_state=2,
    )  # fmt: skip
    clips = clips[clips["domain"] == "source"]
    log_mel = LogMelSpectrogram(n_mels=64).fit_transform(clips)
    embedding = StatisticsEmbedder().fit_transform(log_mel)["embedding"]
    train, test = embedding[clips["split"] == "train"], embedding[clips["split"] == "test"]
    distance = NearestNeighbors(n_neighbors=1).fit(train).kneighbors(test)[0][:, 0]
    return auc_score((clips["label"][clips["split"] == "test"] == -1).astype(int), distance)


@pytest.mark.parametrize("machine", ["fan", "valve"])
def test_a_simple_detector_hears_worse_faults_better(machine):
    nothing, clear, plain = (area(machine, severity) for severity in (0, 1.5, 5))
    assert 0.35 < nothing < 0.65 and nothing < clear < plain and plain > 0.85


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"machine": "pump"}, "'machine' parameter .* must be a str among"),
        ({"n_sections": 0}, "'n_sections' parameter .* must be an int in the range"),
        ({"n_test": -1}, "'n_test'"),
        ({"duration": 0.1}, "'duration'"),
        ({"sample_rate": 100}, "'sample_rate'"),
        ({"snr": np.inf}, "'snr'"),
        ({"severity": -1.0}, "'severity'"),
        ({"domain_shift": "weather"}, "'domain_shift' .*'weather'"),
        ({"domain_shift": ("speed", "weather")}, "domain_shift .*'speed', 'load', 'noise'"),
        ({"domain_shift": ()}, r"domain_shift .*\(\)"),
        ({"n_train_source": 0, "n_train_target": 0, "n_test": 0}, "no clips"),
    ],
)
def test_wrong_parameters_are_errors(wrong, message):
    with pytest.raises(ValueError, match=message):
        make(**wrong)


@pytest.mark.parametrize("sample_rate", [8000, 48000])
@pytest.mark.parametrize("machine", KINDS)
def test_other_sample_rates(machine, sample_rate):
    clips = make(machine, sample_rate=sample_rate, duration=0.5)
    assert clips["waveform"].shape[1] == sample_rate // 2
    assert np.isfinite(clips["waveform"]).all()


# Writing


@pytest.mark.parametrize("machine", ["fan", "valve", "gearbox"])
def test_what_is_written_is_read_back(tmp_path, machine):
    clips = make(machine, n_sections=3)
    folder = write_dcase(clips, tmp_path / "new" / "dev_data")
    assert folder == tmp_path / "new" / "dev_data" / machine
    assert {path.name for path in folder.parent.iterdir()} == {machine}
    read = load_dcase(folder)
    assert all(np.array_equal(read[name], clips[name]) for name in read if name != "path")
    for path, waveform in zip(read["path"], clips["waveform"], strict=True):
        info = soundfile.info(path)
        assert (info.samplerate, info.channels, info.subtype) == (RATE, 1, "PCM_16")
        assert np.abs(soundfile.read(path, dtype="float32")[0] - waveform).max() <= 0.5 / 32768


def test_names_and_attributes_are_those_of_the_challenge(tmp_path):
    clips = make("bearing", n_sections=1, domain_shift="speed", sample_rate=8000)
    folder = write_dcase(clips, str(tmp_path), sample_rate=8000)
    with pytest.raises(ValueError, match="8000 Hz"):
        write_dcase(clips, tmp_path / "new")
    name = "section_00_source_train_normal_0002_vel_22"
    assert soundfile.info(folder / "train" / f"{name}.wav").samplerate == 8000
    assert (folder / "test" / "section_00_target_test_anomaly_0001_vel_26.wav").exists()
    with (folder / "attributes_00.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["file_name", "d1p", "d1v"]
    assert rows[3] == [f"bearing/train/{name}.wav", "vel", "22"]
    assert len(rows) == 1 + 14


def test_int16_and_several_or_odd_attributes_are_written(tmp_path):
    clips = make(n_sections=1, n_train_source=3, n_train_target=0, n_test=0)
    integers = (clips["waveform"] * 20000).astype(np.int16)
    attributes = ["car_A1_spd_28V", "", "strength_1_ambient"]
    folder = write_dcase(clips.with_fields(waveform=integers, attribute=attributes), tmp_path)
    read = load_dcase(folder)
    assert read["attribute"].tolist() == attributes
    assert all(
        np.array_equal(soundfile.read(p, dtype="int16")[0], w) for p, w in zip(read["path"], integers, strict=True)
    )
    assert (folder / "attributes_00.csv").read_text().splitlines()[0] == "file_name,d1p,d1v,d2p,d2v"
    assert (folder / "attributes_00.csv").read_text().splitlines()[2].endswith(".wav,,,,")


def test_nothing_is_overwritten(tmp_path):
    clips = make()
    folder = write_dcase(clips, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    with pytest.raises(FileExistsError, match="fan' exists"):
        write_dcase(clips, tmp_path)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_what_cannot_be_written_is_named_and_leaves_nothing_behind(tmp_path):
    clips = make()
    loud = clips["waveform"].copy()
    loud[3, 5], loud[7, 0] = 1.5, np.nan
    wrong = [
        (clips.without("domain", "label"), "domain, label"),
        (clips + make("valve"), r"one machine.*\['fan', 'valve'\]"),
        (clips.with_fields(machine=["../fan"] * len(clips)), r"machine.*'\.\./fan'"),
        (clips[:0], "one machine"),
        (clips.with_fields(waveform=loud), r"2 of 28 clips .* 3, 7\."),
        (clips.with_fields(label=[0] * len(clips)), "28 of 28 clips .*label"),
        (clips.with_fields(attribute=["a/b"] * len(clips)), "attribute .*file name"),
        (clips.with_fields(section=["1"] * len(clips)), "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, and 18 more"),
        (load_motors(split="test"), "file name"),
    ]
    for bad, message in wrong:
        with pytest.raises(ValueError, match=message):
            write_dcase(bad, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("machine", ["..", ".", "a/b", "CON", "x" * 300, "a\0b", " "])
def test_machines_that_cannot_name_a_folder(tmp_path, machine):
    clips = make()
    with pytest.raises(ValueError, match=r"machine.* file"):
        write_dcase(clips.with_fields(machine=[machine] * len(clips)), tmp_path)
    with pytest.raises(ValueError, match="sample"):
        write_dcase(clips.with_fields(waveform=np.zeros((len(clips), 0))), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("owner", "name"), [(Path, "write_bytes"), (soundfile, "write")])
def test_a_full_disk_leaves_nothing_behind(tmp_path, monkeypatch, owner, name):
    def fail(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(owner, name, fail)
    with pytest.raises(OSError, match=rf"No space left on device: '{tmp_path}'"):
        write_dcase(make(), tmp_path)
    assert list(tmp_path.iterdir()) == []
