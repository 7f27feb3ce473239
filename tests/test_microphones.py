"""Two microphones, near the machine and far from it: reading both, and removing the noise that the far one hears."""

import pickle
import re

import numpy as np
import pytest
import soundfile
from scipy.signal import lfilter
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from torch.nn import Identity

from skasd.audio import AudioLoader, LevelNormalizer, NoiseReference, load_audio
from skasd.augmentation import Mixup
from skasd.clips import Clips
from skasd.datasets import load_dcase, write_dcase
from skasd.detectors import MahalanobisDetector
from skasd.embedders import ClassificationEmbedder, PretrainedEmbedder, StatisticsEmbedder
from skasd.features import LogMelSpectrogram

RATE = 16000
NEAR, FAR = np.array([[0.5, -0.25, 0.125, 0.0], [0.0, 0.25, 0.5, 0.75]])


@pytest.fixture
def path(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.column_stack([NEAR, FAR]), RATE)
    return str(tmp_path / "a.wav")


@pytest.fixture
def mono(tmp_path):
    soundfile.write(tmp_path / "mono.wav", NEAR, RATE)
    return str(tmp_path / "mono.wav")


CHANNELS = [("near", NEAR), ("far", FAR), (1, FAR), ("both", [NEAR, FAR])]


@pytest.mark.parametrize("channel, expected", CHANNELS)
@pytest.mark.parametrize("dtype", ["float32", "int16"])
def test_channels_of_files_and_of_waveforms(path, channel, expected, dtype):
    options = {"channel": channel, "dtype": dtype}
    expected = np.multiply(expected, 32768 if dtype == "int16" else 1)
    np.testing.assert_array_equal(load_audio(path, sample_rate=None, **options), expected)
    waveforms = np.array([[NEAR, FAR]] * 3)
    for X in ([path] * 3, waveforms, Clips(path=[path] * 3), Clips(waveform=waveforms)):
        loader = AudioLoader(sample_rate=RATE, **options)
        made = loader.fit_transform(X)
        made = made["waveform"] if isinstance(made, Clips) else made
        assert made.dtype == dtype
        assert loader.n_samples_ == 4
        np.testing.assert_array_equal(made, [expected] * 3)


def test_the_mean_of_files(path):
    np.testing.assert_array_equal(load_audio(path, sample_rate=None), (NEAR + FAR) / 2)


@pytest.mark.parametrize("options", [
    {"offset": 2 / RATE}, {"duration": 3 / RATE}, {"duration": 6 / RATE}, {"duration": 9 / RATE, "pad_mode": "wrap"},
])  # fmt: skip
def test_both_are_cut_and_padded_as_each(path, options):
    for X in ([path], np.array([[NEAR, FAR]])):
        near, far, both = (
            AudioLoader(sample_rate=RATE, channel=channel, **options).fit_transform(X)
            for channel in ("near", "far", "both")
        )
        np.testing.assert_array_equal(both, np.stack([near, far], axis=1))


def test_both_are_resampled_as_each(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).uniform(-0.5, 0.5, (4410, 2)), 44100)
    near, far, both = (load_audio(tmp_path / "a.wav", channel=channel) for channel in ("near", "far", "both"))
    np.testing.assert_allclose(both, [near, far], atol=1e-6)


@pytest.mark.parametrize("channel", ["near", "far", "both"])
def test_one_microphone_is_not_two(mono, channel):
    with pytest.raises(ValueError, match=r"mono\.wav: 1 channels where a near and a far"):
        load_audio(mono, channel=channel)
    for X in (np.zeros((3, 100)), np.zeros((3, 3, 100))):
        with pytest.raises(ValueError, match=re.escape(f"near and a far microphone, shape (n_clips, 2, n_samples); got "
                                                       f"shape {X.shape}")):  # fmt: skip
            AudioLoader(channel=channel).fit(X)
    with pytest.raises(ValueError, match="no channel 2"):
        AudioLoader(channel=2).fit(np.zeros((3, 2, 100)))


@pytest.mark.parametrize("step", [
    AudioLoader(), LevelNormalizer(), LogMelSpectrogram(), ClassificationEmbedder(lambda n: None),
    PretrainedEmbedder(Identity, layers=[""]),
], ids=lambda step: type(step).__name__)  # fmt: skip
def test_steps_for_one_microphone_refuse_two(step):
    clips = Clips(waveform=np.zeros((3, 2, 4000), np.float32), section=["00", "01", "02"])
    with pytest.raises(ValueError, match=r"takes mono waveforms.* \(3, 2, 4000\).*NoiseReference"):
        step.fit(clips)


@pytest.mark.parametrize("step", [
    LogMelSpectrogram(), ClassificationEmbedder(lambda n: None), PretrainedEmbedder(Identity, layers=[""]),
])  # fmt: skip
def test_a_loader_of_both_is_none_for_steps_that_hear_one(path, step):
    clips = Clips(path=[path] * 2, section=["00", "01"])
    with pytest.raises(ValueError, match="channel='both'"):
        clone(step).set_params(loader=AudioLoader(channel="both")).fit(clips)


def test_clips_carry_both():
    clips = Clips(waveform=np.zeros((3, 2, 5)), section=["00", "00", "01"]).with_attrs(sample_rate=RATE)
    assert "microphones" in clips._repr_html_()
    assert (clips + clips)[1:3]["waveform"].shape == (2, 2, 5)
    assert pickle.loads(pickle.dumps(clips))["waveform"].shape == (3, 2, 5)
    with pytest.raises(ValueError, match="rows of shape"):
        clips + clips.with_fields(waveform=np.zeros((3, 5)))
    assert Mixup(random_state=0).fit_transform(clips)["waveform"].shape[1:] == (2, 5)


def test_both_are_written_and_read_again(tmp_path):
    sound = np.random.default_rng(0).uniform(-0.9, 0.9, (2, 2, 50)).astype(np.float32)
    known = {"machine": "fan", "section": "00", "domain": "source", "attribute": "", "split": "train", "label": 1}
    fields = {name: [value] * 2 for name, value in known.items()}
    folder = write_dcase(Clips(fields, waveform=sound).with_attrs(sample_rate=RATE), tmp_path)
    again = AudioLoader(sample_rate=RATE, channel="both").fit_transform(load_dcase(folder))
    np.testing.assert_allclose(again["waveform"], sound, atol=1 / 32768)


# NoiseReference


def hall(seed=0, seconds=10, noise_level=0.2):
    """A tone at the near microphone, the noise there, and the same noise as the far one hears it."""
    rng = np.random.default_rng(seed)
    tone = 0.05 * np.sin(2 * np.pi * 1234 * np.arange(seconds * RATE) / RATE)
    source = rng.normal(scale=noise_level, size=seconds * RATE)
    near, far = lfilter([0.8, -0.3, 0, 0.2, 0.1], [1], source), lfilter([1, 0.4, -0.2], [1, -0.5], source)
    return tone, near, far


def level(samples):
    return 10 * np.log10(np.mean(np.square(samples)))


def level_of_tone(samples):
    time = np.arange(len(samples)) / RATE
    return 20 * np.log10(2 * abs(np.mean(samples * np.exp(-2j * np.pi * 1234 * time))))


@pytest.mark.parametrize("noise_level", [0.02, 0.2])
@pytest.mark.parametrize("gain", [1e-3, 1.0])
def test_the_noise_falls_and_the_tone_stays(noise_level, gain):
    tone, near, far = hall(noise_level=noise_level)
    clean = NoiseReference().fit_transform(gain * np.array([[tone + near, far]]))[0] / gain
    assert level(clean - tone) < level(near) - 15
    assert abs(level_of_tone(clean) - level_of_tone(tone)) < 0.5


def test_it_is_the_formula():
    import librosa

    tone, near, far = hall(seconds=1)
    scaled = np.array([tone + near, far])
    scale = 0.9 / np.abs(scaled).max()
    C, F = (librosa.stft(channel * scale, n_fft=1024, hop_length=512, window="hann") for channel in scaled)
    H = (C * F.conj()).sum(axis=1) / ((np.abs(F) ** 2).sum(axis=1) + 1e-12)
    expected = librosa.istft(C - H[:, None] * F, hop_length=512, window="hann", length=RATE) / scale
    clean = NoiseReference().fit_transform(scaled[None])[0]
    np.testing.assert_allclose(clean[1024:-1024], expected[1024:-1024], atol=2e-3)  # frames differ at the ends


def test_what_is_explained_wholly_and_not_at_all():
    tone, near, _ = hall(seconds=1)
    silent = np.zeros_like(tone)
    same, alone, none = NoiseReference().fit_transform(np.array([[near, near / 2], [near, silent], [silent, silent]]))
    assert level(same) < level(near) - 100
    np.testing.assert_allclose(alone, near, atol=1e-6)
    assert not none.any()


@pytest.mark.parametrize("dtype, scale", [("int16", 2**15), ("int32", 2**31), ("float64", 1), (">f4", 1)])
def test_every_type_of_samples(dtype, scale):
    _, near, far = hall(seconds=1, noise_level=0.1)
    sound = np.array([[near, far]])
    expected = NoiseReference().fit_transform(sound)
    made = NoiseReference().fit_transform((sound * scale).astype(dtype))
    assert made.dtype == np.float32
    np.testing.assert_allclose(made, expected, atol=1e-4)


def test_a_clip_alone_and_among_others_in_a_pipeline(tmp_path):
    paths = []
    for seed in range(8):
        tone, near, far = hall(seed, seconds=1)
        paths.append(str(tmp_path / f"{seed}.wav"))
        soundfile.write(paths[-1], 0.5 * np.column_stack([tone + near, far]), RATE)
    steps = [AudioLoader(channel="both"), NoiseReference(), LogMelSpectrogram(n_mels=16), StatisticsEmbedder()]
    system = make_pipeline(*steps, MahalanobisDetector()).fit(Clips(path=paths))
    scores = system.score_samples(Clips(path=paths))
    assert np.isfinite(scores).all()
    np.testing.assert_allclose(system.score_samples(Clips(path=paths[3:4])), scores[3:4], rtol=1e-9)
    again = pickle.loads(pickle.dumps(system))
    np.testing.assert_array_equal(again.score_samples(Clips(path=paths)), scores)
    clean = make_pipeline(*steps[:2]).fit_transform(Clips(path=paths))
    assert clean["waveform"].shape == (8, RATE)
    assert clean.attrs["sample_rate"] == RATE


@pytest.mark.parametrize("given, said", [
    (np.zeros((3, 4000)), r"near and a far microphone.*\(3, 4000\).*channel='both'"),
    (np.zeros((3, 3, 4000)), r"near and a far microphone.*\(3, 3, 4000\)"),
    (np.zeros((3, 2, 1000)), "shorter than one frame: 1000 samples"),
    (np.full((3, 2, 4000), np.nan), "row 0: 8000 of 8000 samples are NaN"),
    (np.zeros((3, 2, 4000), dtype="int64"), "int64"),
    (Clips(path=["a.wav"]), "'waveform'.*AudioLoader"),
])  # fmt: skip
def test_what_are_no_two_microphones(given, said):
    with pytest.raises(ValueError, match=said):
        NoiseReference().fit(given)


@pytest.mark.parametrize("options", [{"hop_length": 513}, {"n_fft": 1}, {"hop_length": 0}, {"n_fft": "1024"}])
def test_parameters(options):
    with pytest.raises(ValueError, match=r"hop_length|n_fft"):
        clone(NoiseReference(**options)).fit(np.zeros((1, 2, 4000)))
