"""Frozen networks: what is pooled of which layer, where weights come from, and what is refused."""

import hashlib
import threading
from functools import partial

import joblib
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from safetensors.torch import save_file
from sklearn.base import clone
from torch import nn

from skasd.audio import AudioLoader
from skasd.clips import Clips
from skasd.detectors import MahalanobisDetector
from skasd.embedders import PretrainedEmbedder
from skasd.networks import AudioSetMobileNet, AudioSetSpectrogram, EfficientNet, LogMelLayer

LOG_MEL = np.random.default_rng(0).normal(size=(6, 4, 5)).astype(np.float32)


class Scaled(nn.Module):
    """Two channels, the input and twice the input; then a vector for each frame, and one for each clip."""

    def __init__(self):
        super().__init__()
        self.map, self.tokens, self.unused = nn.Conv2d(1, 2, 1, bias=False), nn.Flatten(2), nn.ReLU()
        self.map.weight.data = torch.tensor([1.0, 2.0]).view(2, 1, 1, 1)

    def forward(self, x):
        x = self.map(x[:, None])
        self.tokens(x.permute(0, 3, 1, 2))
        return x.mean((2, 3))


class Drawn(nn.Module):
    def __init__(self):
        super().__init__()
        self.map = nn.Conv2d(1, 2, 1)

    def forward(self, x):
        return self.map(x[:, None])


class NormedThenDrawn(Drawn):
    """Its first weights are ones, as in every batch norm, and those of the layer that follows are random."""

    def __init__(self):
        super().__init__()
        self.map = nn.Sequential(nn.BatchNorm2d(1), nn.Conv2d(1, 2, 1))


def embedder(network=Scaled, **params):
    return PretrainedEmbedder(network, **{"layers": ["map"], "device": "cpu", "batch_size": 4, **params})


def stacked(*statistics):
    """Rows of the map of `Scaled`, each with its two channels, one statistic after another."""
    return np.concatenate([(statistic[:, :, None] * [1, 2]).reshape(6, -1) for statistic in statistics], axis=1)


@pytest.mark.parametrize("network", [Scaled, Scaled()], ids=["class", "module"])
def test_rows_are_kept_and_time_is_pooled(network):
    made = embedder(network, statistics=("mean", "max")).fit_transform(LOG_MEL)
    assert made.dtype == np.float32
    assert_allclose(made, stacked(LOG_MEL.mean(2), LOG_MEL.max(2)), rtol=1e-5)


def test_global_pooling_leaves_the_channels():
    made = embedder(pool="global", statistics=("max", "mean")).fit_transform(LOG_MEL)
    assert_allclose(made, stacked(LOG_MEL.max((1, 2))[:, None], LOG_MEL.mean((1, 2))[:, None]), rtol=1e-5, atol=1e-6)


def test_names_and_groups_say_layer_statistic_row_and_channel():
    fitted = embedder(layers=["map", ""], statistics=("mean",)).fit(LOG_MEL)
    names = fitted.get_feature_names_out().tolist()
    assert names[:3] == ["map_mean_row0_channel0", "map_mean_row0_channel1", "map_mean_row1_channel0"]
    assert names[8:] == ["_mean_row0_channel0", "_mean_row0_channel1"]
    for group, columns in fitted.feature_groups_.items():
        assert all(name.startswith(group + "_channel") for name in names[columns])
    assert [name for columns in fitted.feature_groups_.values() for name in names[columns]] == names


def test_a_gaussian_for_each_row_is_one_for_each_band():
    log_mel = np.random.default_rng(1).normal(size=(60, 4, 5)).astype(np.float32)
    fitted = embedder(network=Drawn, random_weights=True, random_state=0).fit(log_mel)
    detector = MahalanobisDetector(feature_groups=fitted.feature_groups_).fit(fitted.transform(log_mel))
    assert list(detector.models_[""][""]) == [f"map_mean_row{row}" for row in range(4)]


def test_axes_of_tokens_are_told():
    with pytest.raises(ValueError, match=r"'tokens' makes 3 dimensions, shape \(2, 5, 8\).*'tc'"):
        embedder(layers=["tokens"]).fit(LOG_MEL)
    made = embedder(layers=["tokens"], axes="tc").fit_transform(LOG_MEL)
    means = LOG_MEL.mean(2)
    assert_allclose(made, np.concatenate([means, 2 * means], axis=1), rtol=1e-5)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"layers": ["maps"]}, "no layer 'maps'.*'map'"),
        ({"layers": ["unused"]}, "'unused' runs 0 times"),
        ({"layers": []}, "layers must name one"),
        ({"statistics": ("median",)}, "statistics.*median"),
        ({"axes": "ff"}, "axes must have 'c'"),
        ({"front_end": nn.Identity}, "sample_rate"),
        ({"network": Drawn}, "random weights.*weights="),
        ({"network": NormedThenDrawn}, "random weights.*weights="),
        ({"network": dict}, "torch.nn.Module.*dict"),
    ],
)
def test_what_cannot_be_is_refused(params, said):
    values = LOG_MEL[:, 0] if "front_end" in params else LOG_MEL
    with pytest.raises(ValueError, match=said):
        embedder(**params).fit(values)


def test_spectrograms_that_are_not_finite_are_named():
    clips = Clips(log_mel=LOG_MEL.copy(), path=[f"{row}.wav" for row in range(6)])
    clips["log_mel"][[2, 5], 1, 1] = np.nan, np.inf
    for call in (embedder().fit, embedder().fit(LOG_MEL).transform):
        with pytest.raises(ValueError, match=r"'log_mel'.*2 of 6.*2\.wav, 5\.wav"):
            call(clips)


@pytest.fixture
def trained(tmp_path):
    torch.manual_seed(5)
    network = Drawn()
    torch.save({"epoch": 3, "model": {f"module.{key}": value for key, value in network.state_dict().items()}},
               tmp_path / "checkpoint.pt")  # fmt: skip
    torch.save(network.state_dict(), tmp_path / "state.pth")
    save_file(network.state_dict(), tmp_path / "state.safetensors")
    return network, tmp_path


@pytest.mark.usefixtures("seeded")
@pytest.mark.parametrize("name", ["state.pth", "state.safetensors", "checkpoint.pt"])
def test_weights_come_from_a_file_and_stay_in_what_is_saved(trained, name):
    network, folder = trained
    digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    fitted = embedder(Drawn, weights=folder / name, sha256=digest[:8]).fit(LOG_MEL)
    assert fitted.weights_sha256_ == digest
    made = fitted.transform(LOG_MEL)
    assert_array_equal(made, embedder(network).fit_transform(LOG_MEL))
    joblib.dump(fitted, folder / "embedder.joblib")
    for file in folder.glob("state.*"):
        file.unlink()
    assert_array_equal(joblib.load(folder / "embedder.joblib").transform(LOG_MEL), made)


@pytest.mark.usefixtures("seeded")
def test_weights_that_are_not_those_are_refused(trained):
    _, folder = trained
    path = folder / "state.pth"
    with pytest.raises(ValueError, match=r"state\.pth has the SHA-256 .*00000000"):
        embedder(Drawn, weights=path, sha256="00000000").fit(LOG_MEL)
    with pytest.raises(ValueError, match="sha256 must be at least 8"):
        embedder(Drawn, weights=path, sha256="abc").fit(LOG_MEL)
    with pytest.raises(ValueError, match=r"state\.pth does not hold the weights of Linear.*map\.weight"):
        embedder(partial(nn.Linear, 5, 2), layers=[""], axes="fc", weights=path).fit(LOG_MEL)
    with pytest.raises(FileNotFoundError, match=r"missing\.pth"):
        embedder(Drawn, weights=folder / "missing.pth").fit(LOG_MEL)


def test_random_weights_come_from_the_seed_whether_the_network_brings_others_or_not():
    one, two, other = (embedder(random_weights=True, random_state=seed).fit_transform(LOG_MEL) for seed in (0, 0, 1))
    assert_array_equal(one, two)
    assert not np.allclose(one, other)
    assert not np.allclose(one, embedder().fit_transform(LOG_MEL))


def test_weights_that_cannot_be_drawn_anew_are_named():
    class Own(Drawn):
        def __init__(self):
            super().__init__()
            self.own = nn.Module()
            self.own.bias = nn.Parameter(torch.zeros(3))

    with pytest.raises(ValueError, match=r"'own' .*reset_parameters"):
        embedder(Own, random_weights=True).fit(LOG_MEL)


class Front(nn.Module):
    sample_rate = 8000

    def forward(self, x):
        return x.unfold(1, 4, 4).transpose(1, 2)


def test_waveforms_come_to_the_rate_of_the_front_end():
    tones = np.sin(2 * np.pi * np.outer([300.0, 500.0], np.arange(16000)) / 16000)
    clips = Clips(waveform=tones).with_attrs(sample_rate=16000)
    front = embedder(front_end=Front).fit(clips)
    halved = np.sin(2 * np.pi * np.outer([300.0, 500.0], np.arange(8000)) / 8000)
    assert front.sample_rate_ == 8000
    assert_allclose(front.transform(clips)["embedding"], embedder(front_end=Front).fit_transform(halved), atol=1e-3)
    assert "waveform" not in front.transform(clips)
    assert "waveform" in clone(front).set_params(keep=("waveform",)).fit_transform(clips)


def test_what_the_network_has_heard_is_used_up():
    clips = Clips(log_mel=LOG_MEL, waveform=np.random.default_rng(0).normal(size=(6, 64)))
    assert list(embedder().fit_transform(clips)) == ["embedding"]
    assert set(embedder(front_end=Front).fit_transform(clips)) == {"log_mel", "embedding"}


def test_files_are_read_at_the_rate_of_the_front_end(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    paths = [tmp_path / f"{number}.wav" for number in range(2)]
    for number, path in enumerate(paths):
        soundfile.write(path, 0.5 * np.sin(np.arange(16000) * (number + 1) / 50), 16000, subtype="FLOAT")
    fitted = embedder(front_end=Front).fit(Clips(path=paths))
    clips = AudioLoader().fit_transform(Clips(path=paths))
    expected = fitted.transform(Clips(path=paths))["embedding"]
    assert_allclose(fitted.transform(clips)["embedding"], expected, atol=1e-5)
    with pytest.raises(ValueError, match=r"loader makes waveforms at 16000 Hz.*8000"):
        embedder(front_end=Front, loader=AudioLoader()).fit(clips)


def test_another_rate_is_refused_where_there_is_no_front_end():
    clips = Clips(waveform=np.random.default_rng(0).normal(size=(3, 64)))
    fitted = embedder(OnWaveforms(), layers=[""], axes="ct")
    fitted.fit(clips.with_attrs(sample_rate=16000))
    with pytest.raises(ValueError, match="16000 Hz; these have 8000 Hz"):
        fitted.transform(clips.with_attrs(sample_rate=8000))
    with pytest.raises(ValueError, match="fitted on waveforms; these are spectrograms"):
        fitted.transform(LOG_MEL)


class OnWaveforms(nn.Module):
    def forward(self, x):
        return x[:, None]


def test_threads_share_a_network_and_do_not_hear_each_other():
    log_mel = np.random.default_rng(0).normal(size=(8, 6, 4, 50)).astype(np.float32)
    fitted = embedder(batch_size=1).fit(log_mel[0])
    expected, found = [fitted.transform(one) for one in log_mel], [None] * len(log_mel)

    def work(number):
        found[number] = fitted.transform(log_mel[number])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(log_mel))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert_array_equal(found, expected)


def test_anomalies_do_not_teach_the_level_of_the_bands():
    pytest.importorskip("timm")
    log_mel = np.random.default_rng(0).normal(size=(6, 32, 32)).astype(np.float32)
    log_mel[5] += 100
    make = partial(EfficientNet, variant="test_efficientnet", weights=None)
    params = {"layers": ["model.bn1"], "random_weights": True, "random_state": 0}
    with_label = embedder(make, **params).fit(Clips(log_mel=log_mel, label=[1] * 5 + [-1]))
    assert_allclose(with_label.transform(log_mel), embedder(make, **params).fit(log_mel[:5]).transform(log_mel))


def test_the_spectrogram_of_audioset_by_hand():
    """A tone has its power in the band whose middle is nearest on the mel scale; silence is the constant."""
    layer = AudioSetSpectrogram()
    assert_allclose(layer(torch.zeros(1, 32000)), (np.log(1e-5) + 4.5) / 5, rtol=1e-5)
    middles = 700 * (np.exp(np.linspace(0, np.log1p(15000 / 700), 130)[1:-1]) - 1)
    for band in (40, 80, 120):
        tone = torch.sin(2 * torch.pi * middles[band] * torch.arange(32000, dtype=torch.float64) / 32000)
        assert layer(tone[None])[0, :, 50].argmax() == band
    assert LogMelLayer(sample_rate=32000, hop_length=320)(torch.zeros(1, 32000)).shape[2] == 101


@pytest.fixture
def mn04(shared):
    pytest.importorskip("torchvision")
    return shared / "weights" / "mn04_as_mAP_432.pt"


def test_the_weights_of_mn04_by_either_name(mn04):
    tone = 0.1 * np.sin(2 * np.pi * 440 * np.arange(32000) / 32000)[None]
    tone = tone + 0.01 * np.random.default_rng(0).normal(size=(3, 32000))
    params = {"layers": ["features.10", ""], "front_end": AudioSetSpectrogram}
    one = embedder(AudioSetMobileNet, weights=mn04, sha256="899a8c62", **params).fit(tone)
    other = embedder(AudioSetMobileNet, weights=mn04.with_name("mn04_as_torchvision.pth"), **params)
    assert_array_equal(one.transform(tone), other.fit_transform(tone))
    assert one.layers[0] + "_mean_row7" in one.feature_groups_


def test_mn04_takes_a_tone_for_a_sine_wave(mn04):
    """Classes of AudioSet: 0 is speech, 496 to 499 are sine wave, harmonic, chirp tone and sound effect."""
    tone = 0.1 * np.sin(2 * np.pi * 1000 * np.arange(10 * 32000) / 32000)[None]
    params = {"layers": [""], "front_end": AudioSetSpectrogram, "weights": mn04}
    logits = embedder(AudioSetMobileNet, **params).fit(tone).transform(tone)[0]
    assert set(np.argsort(-logits)[:10].tolist()) & set(range(490, 510))
