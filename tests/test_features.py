import subprocess
import sys

import librosa
import numpy as np
import pytest
import soundfile
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler

from skasd.audio import AudioLoader
from skasd.clips import Clips
from skasd.detectors import MahalanobisDetector
from skasd.features import FieldTransformer, FrameStacker, LogMelSpectrogram, LogSTFT

pytestmark = pytest.mark.filterwarnings("ignore:.*slated for removal:DeprecationWarning")  # what librosa imports

EPSILON = np.finfo(float).eps
SMALL = {"sample_rate": 8000, "n_fft": 256, "hop_length": 128, "n_mels": 20}


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(0).uniform(-0.3, 0.3, size=(3, 12000)).astype(np.float32)


def librosa_log_mel(waveforms, *, power=2.0, ref=1.0, amin=EPSILON, top_db=None, sample_rate=16000, **options):
    defaults = {"n_fft": 1024, "hop_length": 512, "n_mels": 128}
    to_db = librosa.power_to_db if power == 2 else librosa.amplitude_to_db
    return np.stack([to_db(librosa.feature.melspectrogram(y=y, sr=sample_rate, power=power, **{**defaults, **options}),
                           ref=ref, amin=amin, top_db=top_db) for y in waveforms])  # fmt: skip


# Values


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"n_fft": 512, "hop_length": 100, "n_mels": 40},
        {"n_fft": 601, "hop_length": 333, "n_mels": 17},
        {"n_fft": 2048, "hop_length": 1000, "win_length": 777},
        {"n_fft": 601, "hop_length": 97, "win_length": 300, "n_mels": 10},
        {"n_fft": 12000, "hop_length": 5000},
        {"center": False},
        {"center": False, "n_fft": 777, "hop_length": 512, "n_mels": 31},
        {"htk": True, "norm": None, "fmin": 100.0, "fmax": 8000.0},
        {"norm": 1.0, "n_mels": 64},
        {"window": "hamming"},
        {"window": ("kaiser", 8.0)},
        {"window": ("general_cosine", [0.5, 0.4, 0.1])},  # whose parameters are a list
        {"pad_mode": "reflect"},
        {"pad_mode": "edge", "n_fft": 601},
        {"ref": 0.01, "amin": 1e-5, "top_db": 7.0},
        {"sample_rate": 44100, "fmin": 50.0, "n_fft": 4096, "hop_length": 1024},
    ],
    ids=str,
)
def test_values_are_those_of_librosa(noise, options, power):
    log_mel = LogMelSpectrogram(power=power, **options).fit_transform(noise)
    expected = librosa_log_mel(noise, power=power, **options)
    assert log_mel.dtype == np.float32
    assert log_mel.shape == expected.shape
    np.testing.assert_allclose(log_mel, expected, rtol=0, atol=1e-3)


def librosa_log_stft(waveforms, *, ref=1.0, amin=EPSILON, top_db=None, **options):
    spectra = [np.abs(librosa.stft(y, **{"n_fft": 1024, "hop_length": 512, **options})) ** 2 for y in waveforms]
    return np.stack([librosa.power_to_db(each, ref=ref, amin=amin, top_db=top_db) for each in spectra])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"n_fft": 601, "hop_length": 97, "win_length": 300},
        {"n_fft": 12000, "hop_length": 5000},
        {"center": False, "window": ("kaiser", 8.0)},
        {"pad_mode": "reflect", "n_fft": 256},
        {"ref": 0.01, "amin": 1e-5, "top_db": 7.0},
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_log_stft_is_that_of_librosa(noise, options, dtype):
    log_stft = LogSTFT(**options).fit_transform(noise.astype(dtype))
    expected = librosa_log_stft(noise.astype(dtype), **options)
    assert (log_stft.dtype, log_stft.shape) == (np.float32, expected.shape)
    loud = expected > expected.max() - 60  # single bins of noise can be as good as empty
    np.testing.assert_allclose(log_stft[loud], expected[loud], rtol=0, atol=1e-2 if dtype == np.float32 else 1e-4)


@pytest.mark.parametrize(
    ("options", "first", "last"),
    [({"fmin": 200.0}, 13, 512), ({"fmax": 1000.0}, 0, 64), ({"fmin": 1000, "fmax": 1000.5}, 64, 64)],
)
def test_log_stft_keeps_the_bins_from_fmin_to_fmax(noise, options, first, last):
    whole, part = LogSTFT().fit(noise), LogSTFT(**options).fit(noise)
    np.testing.assert_array_equal(part.transform(noise), whole.transform(noise)[:, first : last + 1])
    np.testing.assert_allclose(part.frequencies_, librosa.fft_frequencies(sr=16000, n_fft=1024)[first : last + 1])


def test_log_stft_of_clips_is_where_all_that_follows_looks(noise, tmp_path):
    path = tmp_path / "00.wav"
    soundfile.write(path, noise[0], 16000, subtype="FLOAT")
    made = LogSTFT(n_fft=256).fit_transform(Clips(path=[str(path)], section=["00"]))
    assert list(made) == ["path", "section", "log_mel"]
    np.testing.assert_array_equal(made["log_mel"], LogSTFT(n_fft=256).fit_transform(noise[:1]))
    system = make_pipeline(LogSTFT(n_fft=64, hop_length=64), FrameStacker(n_frames=1), MahalanobisDetector())
    assert np.isfinite(system.fit(Clips(waveform=noise)).score_samples(Clips(waveform=noise))).all()


def test_log_stft_without_a_bin_is_refused(noise):
    with pytest.raises(ValueError, match=r"fmin=101.*fmax=109.*n_fft=1024"):
        LogSTFT(fmin=101, fmax=109).fit(noise)


def test_quiet_bands_beside_loud_ones():
    tones = 0.7 * np.sin(2 * np.pi * np.array([[440.0], [3000.0]]) * np.arange(32000) / 16000)
    waveforms = tones + 1e-5 * np.random.default_rng(1).standard_normal(tones.shape)
    expected = librosa_log_mel(waveforms)
    depth = expected.max(axis=1, keepdims=True) - expected
    assert depth.max() > 130
    np.testing.assert_allclose(LogMelSpectrogram().fit_transform(waveforms), expected, rtol=0, atol=1e-3)
    single = LogMelSpectrogram().fit_transform(waveforms.astype(np.float32))
    np.testing.assert_allclose(single[depth < 70], expected[depth < 70], rtol=0, atol=1e-3)


def test_digital_silence_is_the_floor_of_the_dcase_baselines():
    log_mel = LogMelSpectrogram().fit_transform(np.zeros((1, 2048)))
    np.testing.assert_allclose(log_mel, 10 * np.log10(EPSILON), rtol=1e-6)


def test_values_on_recordings(shared):
    paths = sorted(shared.rglob("*.wav"))[::4] + sorted(shared.rglob("*.flac"))[::6]
    assert len(paths) > 10
    loader = AudioLoader(duration=10.0)
    log_mel = LogMelSpectrogram(loader=loader).fit_transform(paths)
    assert log_mel.shape == (len(paths), 128, 313)
    np.testing.assert_allclose(log_mel, librosa_log_mel(loader.fit_transform(paths)), rtol=0, atol=1e-3)


# What goes in


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_every_input_gives_the_same(noise, tmp_path, n_jobs):
    samples = np.rint(noise * 32767).astype(np.int16)
    paths = [tmp_path / f"{row}.wav" for row in range(len(samples))]
    for path, waveform in zip(paths, samples, strict=True):
        soundfile.write(path, waveform, 8000)
    step = LogMelSpectrogram(n_jobs=n_jobs, **SMALL)
    expected = step.fit_transform(samples.astype(np.float32) / 32768)
    assert expected.shape == (3, 20, step.n_frames_)
    for X in (samples, paths, [str(path) for path in paths], np.array(paths)):
        np.testing.assert_array_equal(step.fit_transform(X), expected)
        np.testing.assert_array_equal(step.transform(paths), expected)
    np.testing.assert_allclose(step.fit_transform(samples / 32768), expected, rtol=0, atol=1e-3)
    clips = Clips(path=paths, section=["00", "00", "01"])
    made = step.fit_transform(clips)
    assert list(made) == ["path", "section", "log_mel"]
    np.testing.assert_array_equal(made["log_mel"], expected)
    read = AudioLoader(sample_rate=8000, dtype="int16").fit_transform(clips)
    assert list(step.fit_transform(read)) == ["path", "section", "log_mel"]


def test_waveform_comes_before_path(noise):
    clips = Clips(path=["missing.wav"] * 3, waveform=noise)
    step = LogMelSpectrogram(**SMALL)
    made = step.fit_transform(clips)
    assert list(made) == ["path", "log_mel"]
    np.testing.assert_array_equal(made["log_mel"], step.fit_transform(noise))
    assert list(step.set_params(keep=["waveform"]).fit_transform(clips)) == ["path", "waveform", "log_mel"]


def test_loader_reads_as_it_is_told(tmp_path, noise):
    path = tmp_path / "stereo.flac"
    soundfile.write(path, np.stack([noise[0], noise[1]], axis=1), 8000)
    loader = AudioLoader(sample_rate=8000, channel=1, offset=0.25, duration=1.0)
    step = LogMelSpectrogram(loader=loader, **SMALL).fit([path])
    assert step.n_features_in_ == 8000
    np.testing.assert_allclose(step.transform([path]), step.transform(noise[1:2, 2000:10000]), rtol=0, atol=0.05)


def test_clips_and_blocks_do_not_touch_each_other(noise):
    step = LogMelSpectrogram(n_fft=256, hop_length=7, n_mels=20, sample_rate=8000).fit(noise)
    assert step.n_frames_ > 3 * (2**17 // 256)
    together = step.transform(noise)
    np.testing.assert_array_equal(step.transform(noise[::-1])[::-1], together)
    np.testing.assert_array_equal(step.set_params(n_jobs=2).transform(noise), together)
    np.testing.assert_allclose(together[:1], librosa_log_mel(noise[:1], n_fft=256, hop_length=7, n_mels=20,
                                                            sample_rate=8000), rtol=0, atol=1e-3)  # fmt: skip


def test_files_are_never_held_together(tmp_path):
    code = """
import sys, tracemalloc
from skasd.audio import AudioLoader
from skasd.features import LogMelSpectrogram
step = LogMelSpectrogram(n_jobs=2)
step.fit_transform(sys.argv[1:3])
tracemalloc.start()
size = step.fit_transform(sys.argv[1:] * 50).nbytes
print(tracemalloc.get_traced_memory()[1] / size)
"""
    paths = [tmp_path / "a.wav", tmp_path / "b.wav"]
    for path in paths:
        soundfile.write(path, np.random.default_rng(0).uniform(-0.1, 0.1, 160000), 16000)
    done = subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, text=True, check=True)
    assert 1 < float(done.stdout) < 2


# Bad input


@pytest.mark.parametrize(
    "options, message",
    [
        ({"win_length": 2000}, r"win_length=2000 must be at most n_fft=1024"),
        ({"fmin": 4000.0, "fmax": 3000.0}, r"fmax=3000.0 Hz must be above fmin=4000.0 Hz"),
        ({"n_fft": 12001}, r"shorter than one frame: n_features = 12000 samples and n_fft = 12001"),
        ({"loader": AudioLoader(sample_rate=8000)}, r"The loader makes waveforms at 8000 Hz and sample_rate is 16000"),
        ({"loader": AudioLoader(channel=-1)}, "The 'channel' parameter of AudioLoader"),
        ({"hop_length": 0}, "The 'hop_length' parameter"),
        ({"power": 0}, "The 'power' parameter"),
        ({"amin": 0.0}, "The 'amin' parameter"),
        ({"norm": "l2"}, "The 'norm' parameter"),
        ({"pad_mode": "empty"}, "The 'pad_mode' parameter"),
    ],
)
def test_parameters_are_checked(noise, options, message):
    with pytest.raises(ValueError, match=message):
        LogMelSpectrogram(**options).fit(noise)


def test_bands_without_a_bin_are_a_warning(noise):
    with pytest.warns(UserWarning, match=r"Empty filters"):
        n_empty = (librosa.filters.mel(sr=16000, n_fft=256, n_mels=128) == 0).all(axis=1).sum()
    assert n_empty > 10
    with pytest.warns(UserWarning, match=f"^{n_empty} of 128 mel bands have no frequency bin in them"):
        LogMelSpectrogram(n_fft=256).fit(noise)


def test_other_number_of_samples(noise, tmp_path):
    step = LogMelSpectrogram(**SMALL).fit(noise)
    with pytest.raises(ValueError, match="X has 11999 features, but LogMelSpectrogram is expecting 12000"):
        step.transform(noise[:, 1:])
    path = tmp_path / "short.wav"
    soundfile.write(path, noise[0, :-1], 8000)
    with pytest.raises(ValueError, match=r"short.wav: 11999 samples where 12000 are wanted.*set duration"):
        step.transform([path])


def test_one_bad_file_does_not_hide_the_others(noise, tmp_path):
    paths = [tmp_path / f"{row}.wav" for row in range(5)]
    for path in paths[:3]:
        soundfile.write(path, noise[0], 8000)
    paths[3].write_text("no audio")
    step = LogMelSpectrogram(**SMALL)
    for call in (step.fit, step.fit(paths[:3]).transform):
        with pytest.raises(
            ValueError, match=r"^2 of 5 clips cannot be used:\n.*3.wav: cannot be read.*\n.*4.wav: no such"
        ):
            call(paths)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_samples_must_be_finite(noise, bad):
    broken = noise.copy()
    broken[1:, 77] = bad
    step = LogMelSpectrogram(**SMALL)
    for call in (step.fit, step.fit(noise).transform):
        with pytest.raises(
            ValueError, match=r"^2 of 3 clips .*\nrow 1: 1 of 12000 samples are NaN or infinite\nrow 2: 1"
        ):
            call(broken)


# Frames


def test_frames_are_stacked_in_the_order_of_time():
    log_mel = np.arange(2 * 3 * 6, dtype=np.float32).reshape(2, 3, 6)
    vectors = FrameStacker(n_frames=2, hop_frames=3).fit_transform(log_mel)
    assert vectors.shape == (2, 2, 6)
    assert vectors[0].tolist() == [[0, 6, 12, 1, 7, 13], [3, 9, 15, 4, 10, 16]]
    for clip in range(2):
        for window, start in enumerate((0, 3)):
            expected = np.concatenate([log_mel[clip, :, start], log_mel[clip, :, start + 1]])
            np.testing.assert_array_equal(vectors[clip, window], expected)


def test_ten_seconds_are_309_vectors_of_640():
    clips = Clips(log_mel=np.zeros((1, 128, 313)), section=["00"])
    made = FrameStacker().fit_transform(clips)
    assert list(made) == ["section", "embedding"]
    assert made["embedding"].shape == (1, 309, 640)
    assert list(FrameStacker(keep=["log_mel"]).fit_transform(clips)) == ["log_mel", "section", "embedding"]


@pytest.mark.parametrize(
    "X, message",
    [
        (np.ones((2, 3, 4)), "fewer frames than a window: 4 and n_frames=5"),
        (np.ones((2, 3)), "fewer frames than a window: 1 and n_frames=5"),
        (np.ones((2, 3, 9, 1)), r"Spectrograms have three dimensions, .* got shape \(2, 3, 9, 1\)"),
        (Clips(waveform=np.ones((2, 3))), "FrameStacker needs the field 'log_mel'; the clips have waveform"),
    ],
)
def test_what_cannot_be_stacked(X, message):
    with pytest.raises(ValueError, match=message):
        FrameStacker().fit(X)


# Fields


@pytest.mark.parametrize("transformer", [StandardScaler(), PCA(n_components=2), Normalizer()], ids=str)
def test_field_is_transformed_as_scikit_learn_does(transformer):
    rng = np.random.default_rng(0)
    X, new = rng.normal(size=(20, 4)).astype(np.float32), rng.normal(size=(5, 4)).astype(np.float32)
    expected = transformer.fit(X.astype(np.float64)).transform(new.astype(np.float64))
    step = FieldTransformer(transformer).fit(X)
    np.testing.assert_allclose(step.transform(new), expected, rtol=1e-6)
    clips = step.transform(Clips(embedding=new, section=["00"] * 5))
    np.testing.assert_array_equal(clips["embedding"], step.transform(new))
    windows = FieldTransformer(transformer).fit(X.reshape(5, 4, 4)).transform(new.reshape(1, 5, 4))
    np.testing.assert_allclose(windows, expected[None], atol=1e-6)


@pytest.mark.parametrize("given", ["label", "y"])
def test_field_transformer_trains_on_normals_only(given):
    rng = np.random.default_rng(0)
    embedding, label = rng.normal(size=(30, 3, 2)), np.repeat([1, -1, 0], 10)
    embedding[label == -1] += 100
    clips = Clips(embedding=embedding)
    step = FieldTransformer(StandardScaler())
    step.fit(clips.with_fields(label=label)) if given == "label" else step.fit(clips, label)
    np.testing.assert_allclose(step.transformer_.mean_, embedding[label != -1].reshape(-1, 2).mean(axis=0))


def test_field_transformer_hands_targets_on():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(20, 2, 3)), np.tile([0, 1], 10)
    made = FieldTransformer(LinearDiscriminantAnalysis()).fit(X, y).transform(X)
    expected = LinearDiscriminantAnalysis().fit(X.reshape(-1, 3), np.repeat(y, 2)).transform(X.reshape(-1, 3))
    np.testing.assert_allclose(made, expected.reshape(20, 2, 1))


def test_other_field_and_no_field():
    clips = Clips(waveform=[[1.0, 2.0], [3.0, 4.0]])
    made = FieldTransformer(StandardScaler(), field="waveform").fit_transform(clips)
    np.testing.assert_array_equal(made["waveform"], [[-1, -1], [1, 1]])
    with pytest.raises(ValueError, match="FieldTransformer needs the field 'embedding'; the clips have waveform"):
        FieldTransformer(StandardScaler()).fit(clips)
    with pytest.raises(ValueError, match=r"field='log_mel' has bands and frames. Put a FrameStacker"):
        FieldTransformer(StandardScaler(), field="log_mel").fit(Clips(log_mel=np.ones((2, 2, 2))))


# Together


def test_pipeline_from_clips_and_from_arrays(noise):
    pipeline = make_pipeline(
        LogMelSpectrogram(**SMALL), FrameStacker(n_frames=3), FieldTransformer(make_pipeline(StandardScaler(), PCA(2)))
    )
    clips = pipeline.fit_transform(Clips(waveform=noise, section=["00", "00", "01"]))
    assert list(clips) == ["section", "embedding"]
    np.testing.assert_array_equal(clips["embedding"], pipeline.fit_transform(noise))


def test_import_is_light():
    code = "import sys, skasd.features; sys.exit(any(name in sys.modules for name in ('numba', 'torch', 'matplotlib')))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_transformer_computes_in_double_precision():
    X = (1e6 + np.random.default_rng(0).uniform(-1, 1, size=(50, 3))).astype(np.float32)
    made = FieldTransformer(StandardScaler()).fit_transform(X)
    assert made.dtype == np.float32
    np.testing.assert_allclose(made, StandardScaler().fit_transform(X.astype(float)), rtol=1e-6)
