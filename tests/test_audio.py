import re

import librosa
import numpy as np
import pandas
import pytest
import soundfile
from sklearn.base import clone

from skasd.audio import AudioLoader, LevelNormalizer, load_audio
from skasd.clips import Clips

RATE = 8000


def write(path, samples, rate=RATE, **options):
    soundfile.write(path, samples, rate, **options)
    return str(path)


@pytest.fixture
def noise():
    return np.random.default_rng(0).uniform(-0.5, 0.5, size=RATE)


@pytest.fixture
def paths(tmp_path, noise):
    return [write(tmp_path / f"clip_{i}.wav", np.roll(noise, i)) for i in range(12)]


def load(path, **options):
    return load_audio(path, **{"sample_rate": RATE, **options})


# What is read


def test_int16_is_bit_exact_and_scaled_by_32768(tmp_path):
    samples = np.array([-32768, -1, 0, 1, 32767], dtype=np.int16)
    path = write(tmp_path / "a.wav", samples)
    np.testing.assert_array_equal(load(path, dtype="int16"), samples)
    np.testing.assert_array_equal(load(path), samples / np.float32(32768))


def test_int16_clips_what_lies_beyond_full_scale(tmp_path):
    path = write(tmp_path / "a.wav", np.array([1.5, -1.5, 0.5]), subtype="FLOAT")
    assert load(path, dtype="int16").tolist() == [32767, -32768, 16384]
    assert load(path).tolist() == [1.5, -1.5, 0.5]


@pytest.mark.parametrize("channel, expected", [("mix", [0.25, 0.0]), (0, [0.5, -0.5]), (1, [0.0, 0.5])])
def test_channels(tmp_path, channel, expected):
    path = write(tmp_path / "stereo.wav", np.array([[0.5, 0.0], [-0.5, 0.5]]))
    assert load(path, channel=channel).tolist() == expected


@pytest.mark.parametrize(
    "options, expected",
    [
        ({}, [1, 2, 3, 4, 5]),
        ({"offset": 2 / RATE}, [3, 4, 5]),
        ({"duration": 2 / RATE}, [1, 2]),
        ({"duration": 2 / RATE, "offset": 1 / RATE}, [2, 3]),
        ({"duration": 7 / RATE}, [1, 2, 3, 4, 5, 0, 0]),
        ({"duration": 12 / RATE, "pad_mode": "wrap"}, [1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 1, 2]),
        ({"duration": 4 / RATE, "offset": 3 / RATE, "pad_mode": "wrap"}, [4, 5, 4, 5]),
        ({"duration": 5 / RATE, "pad_mode": "error"}, [1, 2, 3, 4, 5]),
    ],
)
@pytest.mark.parametrize("given", ["path", "waveform"])
def test_crop_and_pad(tmp_path, options, expected, given):
    samples = np.arange(1, 6, dtype=np.int16)
    X = [write(tmp_path / "a.wav", samples)] if given == "path" else samples[None]
    loader = AudioLoader(sample_rate=RATE, dtype="int16", **options)
    assert loader.fit_transform(X).tolist() == [expected]
    assert loader.n_samples_ == len(expected)
    if given == "path":
        assert load(X[0], dtype="int16", **options).tolist() == expected


@pytest.mark.filterwarnings("ignore:.*slated for removal:DeprecationWarning")  # what librosa.load imports
@pytest.mark.parametrize("rate", [44100, 16000, 11025, 4000])
def test_resampling_is_that_of_librosa(tmp_path, rate):
    path = write(tmp_path / "a.flac", np.random.default_rng(1).uniform(-0.5, 0.5, size=rate // 2 + 7), rate)
    expected, _ = librosa.load(path, sr=RATE)
    np.testing.assert_allclose(load(path), expected, rtol=0, atol=1e-6)
    assert AudioLoader(sample_rate=RATE).fit([path]).n_samples_ == len(expected)


def test_resampling_lets_no_alias_pass(tmp_path):
    seconds = np.arange(32000) / 32000
    waveform = load(write(tmp_path / "tone.wav", 0.5 * np.sin(2 * np.pi * 6000 * seconds), 32000, subtype="FLOAT"))
    assert np.abs(waveform[500:-500]).max() < 1e-5  # 6 kHz is above the new Nyquist frequency of 4 kHz


# Many files


@pytest.mark.parametrize("n_jobs", [None, 2])
@pytest.mark.parametrize("dtype", ["float32", "int16"])
def test_many_files_are_each_file(paths, n_jobs, dtype):
    expected = np.stack([load(path, dtype=dtype) for path in paths])
    loader = AudioLoader(sample_rate=RATE, dtype=dtype, n_jobs=n_jobs)
    clips = loader.fit_transform(Clips(path=paths, section=["00"] * len(paths)))
    assert list(clips) == ["path", "section", "waveform"]
    assert clips["waveform"].dtype == dtype
    np.testing.assert_array_equal(clips["waveform"], expected)
    np.testing.assert_array_equal(loader.fit_transform(np.array(paths)), expected)


def test_waveforms_pass_with_their_values(noise):
    waveforms = np.stack([noise, -noise])
    np.testing.assert_array_equal(AudioLoader().fit_transform(waveforms), waveforms.astype(np.float32))
    clips = AudioLoader(dtype="int16").fit_transform(Clips(waveform=waveforms))
    np.testing.assert_array_equal(clips["waveform"], np.rint(waveforms * 32768))
    np.testing.assert_array_equal(AudioLoader().fit_transform(clips)["waveform"], clips["waveform"] / 32768)


def test_path_is_read_although_there_is_a_waveform(paths):
    clips = Clips(path=paths, waveform=np.zeros((len(paths), 3)))
    assert AudioLoader(sample_rate=RATE).fit_transform(clips)["waveform"].shape == (len(paths), RATE)


# Bad input


def broken_file(path, kind, noise):
    if kind == "text.wav":
        path.write_text("this is not audio\n" * 10)
    elif kind == "void.wav":
        path.write_bytes(b"")
    elif kind == "cut.wav":
        write(path, noise)
        path.write_bytes(path.read_bytes()[:5000])
    else:
        bad = {"no_samples.wav": 0, "nan.wav": np.nan, "infinite.wav": -np.inf}[kind]
        write(path, np.where(np.arange(RATE) < 3, bad, noise)[: None if bad else 0], subtype="FLOAT")
    return str(path)


BROKEN = {
    "text.wav": r"cannot be read as audio \(Format not recognised\)",
    "void.wav": r"is empty \(0 bytes\)",
    "no_samples.wav": "has no samples",
    "nan.wav": "3 of 8000 samples are NaN or infinite",
    "infinite.wav": "3 of 8000 samples are NaN or infinite",
    "cut.wav": "is cut off, its header promises 16000 bytes of audio and there are 4956",
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_file(tmp_path, noise, paths, kind):
    path = broken_file(tmp_path / f"broken_{kind}", kind, noise)
    with pytest.raises(ValueError, match=f"^{re.escape(path)}: {BROKEN[kind]}"):
        load(path)
    for duration in (None, 1.0):
        with pytest.raises(ValueError, match=f"^1 of 13 clips cannot be used:\n{re.escape(path)}: {BROKEN[kind]}"):
            AudioLoader(sample_rate=RATE, duration=duration).fit_transform([*paths, path])


@pytest.mark.parametrize(
    "options, message",
    [
        ({"sample_rate": 16000, "resample": False}, "sample rate 8000 Hz where 16000 Hz was wanted; set resample=True"),
        ({"channel": "mono"}, "2 channels where mono was promised; set channel='mix'"),
        ({"channel": 2}, "there is no channel 2; the file has 2, counted from 0"),
        ({"offset": 1.0}, "offset=1.0 s is past the end of the clip, at 1 s"),
        ({"duration": 1.5, "pad_mode": "error"}, "8000 samples, 4000 fewer than the duration asks for"),
    ],
)
def test_broken_promise(tmp_path, noise, options, message):
    path = write(tmp_path / "stereo.wav", np.stack([noise, noise], axis=1))
    with pytest.raises(ValueError, match=f"^{re.escape(path)}: {message}"):
        load(path, **options)
    with pytest.raises(ValueError, match=f"^2 of 2 clips cannot be used:\n{re.escape(path)}: {message}"):
        AudioLoader(**{"sample_rate": RATE, **options}).fit_transform([path, path])


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_first_ten_of_many_broken_files(tmp_path, paths, n_jobs):
    missing = [str(tmp_path / f"missing_{i:02}.wav") for i in range(13)]
    with pytest.raises(ValueError, match="13 of 25 clips cannot be used") as caught:
        AudioLoader(sample_rate=RATE, n_jobs=n_jobs).fit(paths[:6] + missing + paths[6:])
    lines = str(caught.value).splitlines()
    assert lines[1:] == [f"{path}: no such file" for path in missing[:10]] + ["and 3 more"]


def test_files_of_other_length_are_listed(tmp_path, paths, noise):
    odd = [write(tmp_path / "short.wav", noise[:-1]), write(tmp_path / "long.wav", np.append(noise, 0.1))]
    loader = AudioLoader(sample_rate=RATE)
    with pytest.raises(ValueError, match="2 of 14 clips cannot be used") as caught:
        loader.fit([odd[0], *paths, odd[1]])
    assert "short.wav: 7999 samples where 8000 are wanted" in str(caught.value)
    assert "long.wav: 8001 samples where 8000 are wanted" in str(caught.value)
    assert "set duration=... (seconds)" in str(caught.value)
    with pytest.raises(ValueError, match=r"short.wav: 7999 samples where 8000 are wanted"):
        loader.fit(paths).transform(odd[:1])
    with pytest.raises(ValueError, match="waveforms: 7 samples where 8000 are wanted"):
        loader.transform(np.ones((2, 7)))
    assert clone(loader).set_params(duration=0.5).fit_transform([*paths, *odd]).shape == (14, 4000)


@pytest.mark.parametrize(
    "X, message",
    [
        ("fan.wav", "Expected a sequence of paths, got the single path 'fan.wav'"),
        ([], "empty sequence of paths"),
        (Clips(path=[]), "empty sequence of paths"),
        (Clips(section=["00"]), "AudioLoader needs the field 'path' or 'waveform'; the clips have section"),
        ([1.0, 2.0], "Expected 2D array"),
        ([np.zeros(8), np.zeros(5)], r"several lengths, 5 to 8 samples.*duration"),
        (pandas.DataFrame({"path": ["fan.wav"]}), r"data frame with the column 'path'; give Clips\(frame\)"),
        ([[1.0, np.nan]], "1 of 2 samples are NaN"),
    ],
)
def test_what_is_no_audio(X, message):
    with pytest.raises(ValueError, match=message):
        AudioLoader().fit(X)


def test_offset_past_the_end_of_waveforms():
    with pytest.raises(ValueError, match=r"offset=1.0 s is past the end of the waveforms, which have 8000 samples"):
        AudioLoader(sample_rate=RATE, offset=1.0).fit(np.ones((2, RATE)))


@pytest.mark.parametrize(
    "options", [{"sample_rate": 0}, {"duration": 0.0}, {"offset": -1.0}, {"channel": "left"}, {"channel": -1},
                {"resample": "yes"}, {"pad_mode": "reflect"}, {"dtype": "float64"}],
)  # fmt: skip
def test_parameters_are_checked(paths, options):
    (name,) = options
    for call in (lambda: load(paths[0], **options), lambda: AudioLoader(**options).fit(paths)):
        with pytest.raises(ValueError, match=f"The {name!r} parameter of"):
            call()


# Level


def test_level_worked_by_hand():
    # Root mean square 0.5 (-6.02 dB) and 5 full scales; wanted: 0.1.
    levelled = LevelNormalizer(level=-20.0).fit_transform(np.array([[0.5, -0.5], [7.0, 1.0]]))
    np.testing.assert_allclose(levelled, [[0.1, -0.1], [0.14, 0.02]], rtol=1e-6)
    assert levelled.dtype == np.float32


@pytest.mark.parametrize("level", [-60.0, -20.0, 3.0])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int16"])
def test_level_of_any_waveform(noise, level, dtype):
    waveforms = np.outer([0.002, 0.1, 1.0], noise)
    waveforms = np.rint(waveforms * 32767).astype(dtype) if dtype == "int16" else waveforms.astype(dtype)
    clips = LevelNormalizer(level=level).fit_transform(Clips(waveform=waveforms, section=["00", "00", "01"]))
    assert list(clips) == ["waveform", "section"]
    np.testing.assert_allclose(20 * np.log10(clips["waveform"].std(axis=1)), level, atol=0.05)
    np.testing.assert_allclose(np.square(clips["waveform"]).mean(axis=1), 10 ** (level / 10), rtol=1e-4)


def test_silent_clips_have_no_level(noise):
    waveforms = np.stack([noise, 0 * noise, noise])
    normalizer = LevelNormalizer().fit(waveforms)
    with pytest.raises(ValueError, match=r"1 of 3 clips have no level, all their samples are zero: row 1. Leave"):
        normalizer.transform(waveforms)
    with pytest.raises(ValueError, match=r"all their samples are zero: b.wav. Leave"):
        normalizer.transform(Clips(waveform=waveforms, path=["a.wav", "b.wav", "c.wav"]))


@pytest.mark.parametrize("channel", [True, False])
def test_a_channel_is_no_boolean(tmp_path, channel):
    path = write(tmp_path / "stereo.wav", np.zeros((RATE, 2)))
    with pytest.raises(ValueError, match="'channel'"):
        load_audio(path, channel=channel)
    with pytest.raises(ValueError, match="'channel'"):
        AudioLoader(channel=channel).fit([path])


def test_a_second_channel_after_fit_is_named(noise):
    fitted = LevelNormalizer().fit(noise[np.newaxis])
    with pytest.raises(ValueError, match="mono waveforms"):
        fitted.transform(np.stack([noise, noise])[np.newaxis])
