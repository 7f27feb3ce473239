"""`check_recordings`: what spoils a recording is found at several strengths, and its healthy twin is no finding."""

import os
import re

import numpy as np
import pytest
import soundfile
import soxr
from scipy.signal import butter, sosfilt

from skasd.audio import check_recordings, measuring
from skasd.audio.measuring import measure_file, measure_samples
from skasd.audio.quality import find, make_reference
from skasd.clips import Clips
from skasd.datasets import load_motors

RATE = 16000
SECONDS = 4


def machine(seed=0, rate=RATE, seconds=SECONDS, level=0.03):
    """A shaft with its harmonics, and air: two channels, (n_samples, 2), as of two microphones side by side."""
    rng = np.random.default_rng(seed)
    time = np.arange(seconds * rate) / rate
    tones = sum(np.sin(2 * np.pi * (24.7 * k * time + rng.random())) / k for k in range(1, 30))
    air = rng.normal(size=(2, len(time))) + sosfilt(butter(2, 0.2, output="sos"), rng.normal(size=len(time))) * 3
    sound = tones + air
    return (level * sound / sound.std()).T


def write(path, samples, rate=RATE, **options):
    soundfile.write(path, samples, rate, **options)
    return str(path)


def found(table):
    return dict(zip(table["finding"], table["sure"], strict=True))


def clipped(sound, share):
    return np.clip(sound, *np.quantile(sound, [share / 2, 1 - share / 2]))


def inverted(sound, share_of_room):
    room = np.random.default_rng(1).normal(size=len(sound)) * sound.std() * share_of_room
    return np.column_stack([sound[:, 0], room - sound[:, 0]])


def upsampled(sound, from_rate):
    return soxr.resample(soxr.resample(sound, RATE, from_rate), from_rate, RATE)


def with_gaps(sound, n_gaps, seconds=0.02):
    sound = sound.copy()
    for start in np.linspace(0.1, SECONDS - 0.5, n_gaps):
        sound[round(start * RATE) :][: round(seconds * RATE)] = 0
    return sound


def windy(sound, decibels):
    noise = np.random.default_rng(2).normal(size=sound.shape)
    gusts = sosfilt(butter(4, [8, 30], "bandpass", fs=RATE, output="sos"), noise, axis=0)
    return sound + gusts * 10 ** (decibels / 20) * sound.std() / gusts.std()


def padded(sound, seconds):
    return np.pad(sound, [(0, round(seconds * RATE)), (0, 0)])


USELESS = [
    ("silent", lambda sound: sound * 0, "certain"),
    ("silent", lambda sound: sound * 0 + 0.25, "certain"),
    ("too short", lambda sound: sound[: RATE // 4], "certain"),
    ("too short", lambda sound: sound[:100], "certain"),
    ("dead channel", lambda sound: sound * [1, 0], "certain"),
    ("dead channel", lambda sound: sound * [0.003, 1], "likely"),
    ("inverted channel", lambda sound: inverted(sound, 0), "certain"),
    ("inverted channel", lambda sound: inverted(sound, 0.4), "likely"),
    ("few values", lambda sound: np.sign(np.round(sound * 20)) / 4, "certain"),
    ("few values", lambda sound: np.round(sound * 60) / 60, "possible"),
    ("clipped", lambda sound: clipped(sound, 0.3), "certain"),
    ("clipped", lambda sound: clipped(sound, 0.03), "certain"),
    ("clipped", lambda sound: np.clip(sound * 30, -1, 1), "certain"),
    ("clipped", lambda sound: clipped(sound, 0.005), "likely"),
    ("drop-outs", lambda sound: with_gaps(sound, 1), "likely"),
    ("drop-outs", lambda sound: with_gaps(sound, 1, 0.007), "likely"),
    ("drop-outs", lambda sound: with_gaps(sound, 60), "certain"),
    ("drop-outs", lambda sound: padded(sound, 2), "certain"),
    ("drop-outs", lambda sound: padded(sound, 0.3), "likely"),
    ("DC offset", lambda sound: sound + 0.02, "possible"),
    ("DC offset", lambda sound: sound - 0.1, "likely"),
    ("DC offset", lambda sound: sound + 0.5, "certain"),
    ("wind", lambda sound: windy(sound, 6), "possible"),
    ("wind", lambda sound: windy(sound, 12), "likely"),
    ("wind", lambda sound: windy(sound * 0.1, 25), "certain"),
    ("narrow band", lambda sound: upsampled(sound, 11025), "possible"),
    ("narrow band", lambda sound: upsampled(sound, 8000), "certain"),
    ("narrow band", lambda sound: upsampled(sound, 6800), "certain"),
]


@pytest.mark.parametrize("kind, spoil, sure", USELESS)
def test_what_is_useless_is_found_and_nothing_else(tmp_path, kind, spoil, sure):
    spoiled = write(tmp_path / "spoiled.wav", spoil(machine()))
    table = check_recordings([write(tmp_path / "healthy.wav", machine()), spoiled])
    assert set(table["file"]) == {spoiled}
    assert found(table) == {kind: sure}


@pytest.mark.parametrize("level, sure", [(-60, "likely"), (-55, "possible")])
def test_faint_sound_that_is_not_rounded_is_perhaps_silence(level, sure):
    sound = machine().T * 10 ** (level / 20)
    assert {finding.finding: finding.sure for finding in find(measure_samples(sound, RATE))} == {"silent": sure}


def test_the_last_bit_of_an_open_input_cannot_be_judged():
    last_bit = np.sign(np.round(machine().T * 20)).astype(np.int16)
    assert {finding.finding: finding.usable for finding in find(measure_samples(last_bit, RATE))} == {
        "silent": True, "few values": False}  # fmt: skip


@pytest.mark.parametrize("level, sure", [(-30, "certain"), (-16, "likely"), (-10, "possible"), (12, "possible")])
def test_another_level_is_found(tmp_path, level, sure):
    check_against_reference(tmp_path, machine(9) * 10 ** (level / 20), {"other level": sure})


@pytest.mark.parametrize("cutoff, sure", [(2500, "possible"), (1500, "certain")])
def test_a_covered_microphone_is_found(tmp_path, cutoff, sure):
    muffled = sosfilt(butter(2, cutoff, fs=RATE, output="sos"), machine(9), axis=0)
    check_against_reference(tmp_path, muffled, {"other spectrum": sure})


def test_added_sound_may_be_the_fault_and_is_no_finding(tmp_path):
    rng = np.random.default_rng(3)
    squeal = 0.2 * np.sin(2 * np.pi * 3456.7 * np.arange(SECONDS * RATE) / RATE)[:, None]
    hiss = sosfilt(butter(2, 3000, "highpass", fs=RATE, output="sos"), rng.normal(scale=0.2, size=(SECONDS * RATE, 2)))
    for fault in (squeal, hiss):
        check_against_reference(tmp_path, machine(9) + fault, {})


def check_against_reference(folder, sound, expected):
    healthy = [write(folder / f"healthy_{seed}.wav", machine(seed)) for seed in range(4)]
    paths = [write(folder / "twin.wav", machine(9)), write(folder / "other.wav", sound)]
    table = check_recordings(paths, reference=healthy)
    assert found(table) == expected
    assert set(table["file"]) <= {paths[1]}
    assert table["usable"].all()


@pytest.mark.parametrize("sound", [
    np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE),
    np.sin(2 * np.pi * 50 * np.arange(RATE) / RATE + 0.3) / 2,
    np.tile(np.random.default_rng(0).normal(scale=0.1, size=160), 100),
    np.random.default_rng(0).normal(scale=1e-3, size=RATE),
], ids=["a tone of 16 samples", "hum", "a period", "faint noise"])  # fmt: skip
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
def test_odd_sounds_are_no_findings(tmp_path, sound, subtype):
    assert check_recordings(write(tmp_path / "a.wav", sound * 0.9, subtype=subtype)).empty


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000, 96000])
def test_a_machine_at_any_rate_is_no_finding(tmp_path, rate):
    assert check_recordings(write(tmp_path / "a.flac", machine(rate=rate))).empty


def test_what_cannot_be_read_is_a_row(tmp_path):
    good = write(tmp_path / "good.wav", machine())
    content = (tmp_path / "good.wav").read_bytes()
    (tmp_path / "cut.wav").write_bytes(content[: len(content) // 2])
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "text.wav").write_text("no audio")
    write(tmp_path / "nan.wav", np.r_[np.zeros(9), np.nan], subtype="FLOAT")
    os.mkfifo(tmp_path / "pipe.wav")
    names = ["cut.wav", "empty.wav", "missing.wav", "nan.wav", "pipe.wav", "text.wav"]
    table = check_recordings([good, *(tmp_path / name for name in names)], n_jobs=2)
    assert table["file"].tolist() == [str(tmp_path / name) for name in names]
    assert set(table["finding"]) == {"unreadable"}
    assert not table["usable"].any()
    assert not table["detail"].str.contains(str(tmp_path), regex=False).any()


def test_a_folder_is_searched_for_audio_files(tmp_path):
    (tmp_path / "monday").mkdir()
    for name in ("b.wav", "monday/a.FLAC"):
        write(tmp_path / name, machine() * 0)
    for name in ("notes.txt", ".hidden.wav", "voice.m4a"):
        (tmp_path / name).write_text("no audio")
    table = check_recordings(tmp_path)
    assert table["file"].tolist() == [str(tmp_path / name) for name in ("b.wav", "monday/a.FLAC", "voice.m4a")]
    assert table["finding"].tolist() == ["silent", "silent", "unreadable"]


def test_clips_with_paths_and_with_waveforms(tmp_path):
    paths = [write(tmp_path / f"{row}.wav", sound[:, 0]) for row, sound in enumerate([machine(), machine() * 0])]
    waveforms = Clips(waveform=np.stack([machine()[:, 0], np.zeros(SECONDS * RATE)])).with_attrs(sample_rate=RATE)
    assert check_recordings(Clips(path=paths))["file"].tolist() == [paths[1]]
    assert check_recordings(waveforms)["file"].tolist() == ["row 1"]
    assert check_recordings(waveforms.with_fields(path=paths))["file"].tolist() == [paths[1]]


def test_clips_of_integers_have_the_scale_of_their_type():
    for kind, scale in (("int16", 2**15), ("int32", 2**31), ("float32", 1)):
        sound = (clipped(machine(), 0.03).T[:1] * scale).astype(kind)
        table = check_recordings(Clips(waveform=sound).with_attrs(sample_rate=RATE))
        assert found(table) == {"clipped": "certain"}


@pytest.mark.parametrize("given, said", [
    ([], "no clips"),
    (np.zeros((2, 100)), "sample_rate"),
    (Clips(waveform=np.zeros((2, 100))), "sample rate"),
    (Clips(section=["00"]), "'waveform' or 'path'"),
    ([1.0, 2.0], "paths or Clips"),
])  # fmt: skip
def test_what_is_no_recording_is_an_error(given, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        check_recordings(given)


def test_a_folder_without_audio_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="no audio files"):
        check_recordings(tmp_path)


def test_a_reference_must_be_usable(tmp_path):
    good, silent = write(tmp_path / "good.wav", machine()), write(tmp_path / "silent.wav", machine() * 0)
    with pytest.raises(ValueError, match=r"missing\.wav: no such file"):
        check_recordings([good], reference=[tmp_path / "missing.wav", good])
    with pytest.raises(ValueError, match="silent"):
        check_recordings([good], reference=[silent])
    assert check_recordings([good], reference=[good, silent]).empty


@pytest.mark.parametrize("piece", [1000, 2**14, 10**6])
def test_one_recording_in_memory_in_pieces_of_any_size(tmp_path, monkeypatch, piece):
    monkeypatch.setattr(measuring, "_PIECE", piece)
    sound = with_gaps(clipped(machine(), 0.03), 3)
    path = write(tmp_path / "a.wav", sound, subtype="DOUBLE")
    in_memory, in_file = measure_samples(sound.T, RATE), measure_file(path)
    assert find(in_memory) == find(in_file)
    assert {finding.finding for finding in find(in_memory, make_reference([measure_samples(machine().T, RATE)]))} == {
        "clipped", "drop-outs"}  # fmt: skip
    for measured in (in_memory, in_file):
        np.testing.assert_allclose(measured.mean, sound.mean(axis=0), rtol=1e-9)
        np.testing.assert_allclose(measured.power, sound.var(axis=0), rtol=1e-9)
        assert measured.n_held.tolist() == [3, 3]
        assert measured.held.tolist() == [3 * 320, 3 * 320]


def test_the_power_of_the_spectrum_is_that_of_the_sound():
    measured = measure_samples(machine().T, RATE)
    power = measured.spectrum.sum(axis=1) * measured.frequencies[1]
    np.testing.assert_allclose(power, measured.power, rtol=0.02)


CLIPPED = {"M1_rpm1850_propeller"}  # 877 samples stand at 32767 and -32768


def test_no_false_finding_on_the_shipped_motors():
    clips = load_motors()
    table = check_recordings(clips, reference=clips[clips["label"] == 1], n_jobs=2)
    assert {os.path.splitext(os.path.basename(path))[0] for path in table["file"]} <= CLIPPED
    assert set(table["finding"]) <= {"clipped"}
    assert table["usable"].all()


def test_no_false_finding_on_the_slide_rail(shared):
    folder = shared / "mimii_slider" / "slider"
    for number in ("00", "02", "04", "06"):
        healthy = sorted((folder / "train").glob(f"normal_id_{number}_*"))[::6]
        assert check_recordings(sorted((folder / "test").glob(f"*_id_{number}_*"))[::8], reference=healthy).empty
