"""What a sample is: every type is scaled by its full scale or refused, wherever waveforms are taken."""

import tempfile

import numpy as np
import pandas
import pytest
import soundfile
import torch
from sklearn.base import BaseEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skasd.audio import AudioLoader, LevelNormalizer
from skasd.clips import Clips
from skasd.datasets import load_dcase, load_motors, make_machine_sounds, write_dcase
from skasd.detectors import MahalanobisDetector
from skasd.embedders import StatisticsEmbedder
from skasd.features import FieldTransformer, LogMelSpectrogram
from skasd.networks import LogMelLayer, WavegramLayer

RATE, N_SAMPLES = 8000, 1200
SMALL = {"sample_rate": RATE, "n_fft": 256, "hop_length": 128, "n_mels": 8}
FLOATS = np.random.default_rng(0).integers(-128, 128, size=(4, N_SAMPLES)) / 128  # that all types hold exactly
SCALED = {
    "int8": lambda x: x * 2**7,
    "uint8": lambda x: x * 2**7 + 2**7,
    "int16": lambda x: x * 2**15,
    ">i2": lambda x: x * 2**15,
    "int32": lambda x: x * 2.0**31,
    ">i4": lambda x: x * 2.0**31,
    "float16": lambda x: x,
    "float32": lambda x: x,
    ">f4": lambda x: x,
    "float64": lambda x: x,
    ">f8": lambda x: x,
    "longdouble": lambda x: x,
}
REFUSED = ["int64", "uint16", "uint32", "uint64", "bool", "complex64", "timedelta64[s]"]


def by_display(waveforms):
    from skasd.plotting import SpectrogramDisplay

    return SpectrogramDisplay.from_waveform(waveforms[0], **SMALL).log_mel


def by_anomaly_map(waveforms):
    from skasd.plotting import AnomalyMapDisplay

    system = make_pipeline(LogMelSpectrogram(**SMALL), StatisticsEmbedder(), MahalanobisDetector()).fit(FLOATS)
    display = AnomalyMapDisplay.from_estimator(system, waveforms, 1, method="filtering", patch_shape=(4, 4))
    return display.anomaly_map


def by_file(waveforms):
    n = len(waveforms)
    same = {"machine": "fan", "section": "00", "domain": "source", "split": "train", "attribute": "", "label": 1}
    clips = Clips({name: [value] * n for name, value in same.items()}, waveform=waveforms)
    with tempfile.TemporaryDirectory() as folder:
        paths = load_dcase(write_dcase(clips, folder, sample_rate=RATE))["path"]
        return np.stack([soundfile.read(path)[0] for path in paths])


TAKERS = {
    "AudioLoader": lambda X: AudioLoader(sample_rate=RATE).fit_transform(X),
    "AudioLoader to int16": lambda X: AudioLoader(sample_rate=RATE, dtype="int16").fit_transform(X),
    "LevelNormalizer": lambda X: LevelNormalizer().fit_transform(X),
    "LogMelSpectrogram": lambda X: LogMelSpectrogram(**SMALL).fit_transform(X),
    "clips": lambda X: LogMelSpectrogram(**SMALL).fit_transform(Clips(waveform=X))["log_mel"],
    "objects": lambda X: LogMelSpectrogram(**SMALL).fit_transform(X.astype(object)),
    "data frame": lambda X: AudioLoader(sample_rate=RATE).fit_transform(pandas.DataFrame(X)),
    "SpectrogramDisplay": by_display,
    "AnomalyMapDisplay": by_anomaly_map,
    "write_dcase": by_file,
    "LogMelLayer": lambda X: LogMelLayer(**SMALL)(torch.from_numpy(X)),
    "WavegramLayer": lambda X: WavegramLayer(n_mels=4, n_fft=64, hop_length=32)(torch.from_numpy(X)).shape,
}
EXPECTED = {}


def expected(taker):
    if taker not in EXPECTED:
        EXPECTED[taker] = np.asarray(TAKERS[taker](FLOATS))
    return EXPECTED[taker]


def skip_what_libraries_lack(taker, dtype):
    if taker == "objects" and not dtype.startswith((">f", "f", "long", "b", "int64")):
        pytest.skip("objects have no sizes: integers are refused as int64")
    if "Layer" in taker and (dtype.startswith(">") or dtype in ("longdouble", "timedelta64[s]")):
        pytest.skip("torch has no such type")
    if taker == "data frame" and dtype.startswith(">"):
        pytest.skip("pandas wants the byte order of the machine")


@pytest.mark.parametrize("dtype", SCALED)
@pytest.mark.parametrize("taker", TAKERS)
def test_every_type_is_scaled_by_its_full_scale(taker, dtype):
    skip_what_libraries_lack(taker, dtype)
    made = np.asarray(TAKERS[taker](SCALED[dtype](FLOATS).astype(dtype)))
    np.testing.assert_allclose(
        made, expected(taker), rtol=1e-4, atol=2e-3 if "Map" in taker or "Mel" in taker else 1e-6
    )


@pytest.mark.parametrize("dtype", REFUSED)
@pytest.mark.parametrize("taker", TAKERS)
def test_types_that_do_not_tell_their_full_scale_are_refused_by_name(taker, dtype):
    skip_what_libraries_lack(taker, dtype)
    with pytest.raises((ValueError, TypeError), match=rf"(?i){dtype.rstrip('[s]64')}"):
        TAKERS[taker]((FLOATS * 100).astype("int64").astype(dtype))


@pytest.mark.parametrize(
    "value, message", [(np.nan, "NaN"), (-np.inf, "infinite"), (3e38, r"reach 3e\+38"), (1e300, r"1e\+300")]
)
@pytest.mark.parametrize("taker", ["AudioLoader", "AudioLoader to int16", "LevelNormalizer", "LogMelSpectrogram"])
def test_samples_that_cannot_be_computed_with_are_told_by_clip(taker, value, message):
    waveforms = FLOATS.copy()
    waveforms[2, :5] = value
    for X, name in ((waveforms, "row 2"), (Clips(waveform=waveforms, path=list("abcd"), section=["00"] * 4), "c")):
        if isinstance(X, Clips):
            if "Loader" in taker:
                continue  # it reads the paths
            step = LevelNormalizer() if taker == "LevelNormalizer" else LogMelSpectrogram(**SMALL)
            call = step.fit_transform
        else:
            call = TAKERS[taker]
        with pytest.raises(ValueError, match=rf"1 of 4 clips cannot be used:\n{name}: .*{message}"):
            call(X)


@pytest.mark.parametrize("scale", [2.0**31, 1e-6, 1e-30, 1e-44, 1e-310])
def test_level_of_loud_and_of_quiet_samples(scale):
    levelled = LevelNormalizer(level=-20.0).fit_transform(FLOATS * scale)
    np.testing.assert_allclose(np.sqrt(np.square(levelled).mean(axis=1)), 0.1, rtol=1e-4)


# Channels


@pytest.mark.parametrize("step", [AudioLoader(), LevelNormalizer(), LogMelSpectrogram()])
@pytest.mark.parametrize("shape", [(3, 2, 4000), (2, 4000, 2), (16000, 2), (16000, 1), (48000, 8)])
def test_stereo_asks_which_channel(step, shape):
    with pytest.raises(ValueError, match=r"got shape .*[Mm]ean or one channel\? .*mean\(axis=1\).*\[:, 0\]"):
        step.fit(np.ones(shape))


def test_stereo_in_a_network_and_in_a_picture_asks_which_channel():
    from skasd.plotting import SpectrogramDisplay

    with pytest.raises(ValueError, match=r"Mean or one channel\?"):
        LogMelLayer()(torch.zeros(2, 2, 4000))
    with pytest.raises(ValueError, match=r"mean or one channel\?"):
        SpectrogramDisplay.from_waveform(np.zeros((16000, 2)))


# Sample rates


@pytest.fixture
def clips():
    return Clips(waveform=FLOATS, section=["00"] * 4).with_attrs(sample_rate=RATE)


@pytest.mark.parametrize(
    "step",
    [AudioLoader(), *(LogMelSpectrogram(**SMALL | {"sample_rate": rate}) for rate in (16000, RATE + 1))],
)
def test_another_sample_rate_is_an_error(clips, step):
    with pytest.raises(ValueError, match=rf"{step.sample_rate} Hz.* {RATE} Hz.*sample_rate={RATE}"):
        step.fit(clips)
    step.fit(clips["waveform"])  # arrays cannot tell
    with pytest.raises(ValueError, match=f"{RATE} Hz"):
        step.transform(clips)
    step.set_params(sample_rate=RATE).fit_transform(clips)


def test_sample_rate_travels(tmp_path, clips):
    path = tmp_path / "a.wav"
    soundfile.write(path, FLOATS[0], 44100)
    loaded = AudioLoader(sample_rate=RATE).fit_transform(Clips(path=[path]))
    assert loaded.attrs["sample_rate"] == RATE
    assert loaded[:1].attrs["sample_rate"] == LevelNormalizer().fit_transform(loaded).attrs["sample_rate"] == RATE
    kept = LogMelSpectrogram(**SMALL, keep=["waveform"]).fit_transform(clips)
    assert kept.attrs["sample_rate"] == RATE
    assert AudioLoader(sample_rate=16000).fit_transform(Clips(path=[path]).with_attrs()).attrs["sample_rate"] == 16000
    assert make_machine_sounds(n_sections=1, n_train_source=1, n_test=0, n_train_target=0, duration=0.5,
                               sample_rate=22050).attrs["sample_rate"] == 22050  # fmt: skip
    assert load_motors(motor="M1", split="test").attrs["sample_rate"] == 16000


def test_anomaly_map_takes_the_sample_rate_of_the_clips(clips):
    from skasd.plotting import AnomalyMapDisplay

    class Loudness(BaseEstimator):
        def score_samples(self, X):
            return -np.square(X["waveform"]).mean(axis=1)

    display = AnomalyMapDisplay.from_estimator(Loudness(), clips, patch_shape=(128, 2))
    assert display.sample_rate == RATE


# What is no array of numbers


@pytest.mark.parametrize(
    "step", [LogMelSpectrogram(**SMALL), StatisticsEmbedder(), FieldTransformer(StatisticsEmbedder())]
)
def test_masks_and_times_are_refused(step):
    shape = {"StatisticsEmbedder": (4, 3, 5)}.get(type(step).__name__, (4, N_SAMPLES))
    with pytest.raises(ValueError, match="masked"):
        step.fit(np.ma.masked_greater(np.arange(np.prod(shape), dtype=float).reshape(shape), 5))
    with pytest.raises(ValueError, match="timedelta64"):
        step.fit(np.ones(shape).astype("timedelta64[s]"))


def test_field_transformer_makes_finite_numbers():
    step = FieldTransformer(FunctionTransformer(np.log)).fit(np.ones((4, 3)))
    with np.errstate(divide="ignore"), pytest.raises(ValueError, match=r"infinity for 1 of 4 clips: row 2"):
        step.transform(np.where(np.arange(4)[:, None] == 2, 0.0, np.ones((4, 3))))
