"""Log-mel and wavegram layers, and networks that begin with them."""

from functools import partial

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn

from skasd.features import LogMelSpectrogram
from skasd.networks import DualFeatureNetwork, EfficientNet, LogMelLayer, MobileFaceNet, WavegramLayer, WithFrontEnd

pytestmark = pytest.mark.usefixtures("seeded")

SMALL = {"n_fft": 256, "hop_length": 128, "n_mels": 32}


def batch(*shape, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(dtype)


# Log-mel


PAD_MODES = ["constant", "edge", "reflect", "symmetric", "wrap"]
PARAMETERS = [
    {},
    {"n_fft": 512, "hop_length": 128, "win_length": 400, "n_mels": 40},
    {"window": "hamming", "center": False, "norm": None},
    {"pad_mode": "reflect", "htk": True, "fmin": 100.0, "fmax": 4000.0},
    {"pad_mode": "edge", "sample_rate": 8000, "n_fft": 1023},
    {"power": 1.0, "amin": 1e-3},
    {"power": 3.0, "ref": 2.0, "n_mels": 224},
    {"top_db": 20.0, "ref": 0.5},
]


def waveforms(n_samples=12_345):
    """Noise, louder from clip to clip, and a silent end."""
    x = np.random.default_rng(0).normal(size=(3, n_samples)) * [[0.001], [0.01], [0.1]]
    x[:, -4000:] = 0
    return x


@pytest.mark.parametrize("parameters", [*PARAMETERS, *({"pad_mode": mode} for mode in PAD_MODES)], ids=str)
def test_log_mel_agrees_with_the_transformer(parameters):
    x = waveforms()
    expected = LogMelSpectrogram(**parameters).fit_transform(x)
    assert_allclose(LogMelLayer(**parameters).double()(torch.as_tensor(x)), expected, atol=1e-4)
    single = LogMelSpectrogram(**parameters).fit_transform(x.astype(np.float32))
    assert_allclose(LogMelLayer(**parameters)(torch.as_tensor(x, dtype=torch.float32)), single, atol=5e-3)


def test_log_mel_of_sixteen_bit_samples():
    samples = torch.as_tensor(waveforms() * 2**15).to(torch.int16)
    assert torch.equal(LogMelLayer()(samples), LogMelLayer()(samples / 2**15))


def test_log_mel_keeps_full_precision_under_autocast():
    layer, x = LogMelLayer(), torch.as_tensor(waveforms(), dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        log_mel = layer(x)
    assert log_mel.dtype == torch.float32
    assert torch.equal(log_mel, layer(x))


def test_log_mel_warns_of_bands_without_a_frequency():
    with pytest.warns(UserWarning, match="13 of 128 mel bands"):
        LogMelLayer(n_fft=256, n_mels=128)


def test_log_mel_of_silence_is_amin():
    assert_allclose(LogMelLayer(amin=1e-10, ref=10.0)(torch.zeros(1, 4000)), -110, rtol=1e-6)


def test_log_mel_saves_nothing():
    assert not LogMelLayer().state_dict()


@pytest.mark.parametrize(
    "layer, x, match",
    [
        (LogMelLayer(), torch.zeros(16000), r"\(batch, n_samples\).*\(16000,\)"),
        (LogMelLayer(center=False), torch.zeros(1, 1023), "1024 .* 1023"),
        (LogMelLayer(), torch.zeros(1, 0), "at least 1 samples .* got 0"),
        (LogMelLayer(), torch.zeros(1, 16000, dtype=torch.int64), "got int64"),
        (WavegramLayer(), torch.zeros(2, 1, 16000), r"\(batch, n_samples\).*\(2, 1, 16000\)"),
    ],
)
def test_front_ends_refuse_what_are_no_waveforms(layer, x, match):
    with pytest.raises(ValueError, match=match):
        layer(x)


@pytest.mark.parametrize("pad_mode", PAD_MODES)
def test_log_mel_pads_as_numpy_does(pad_mode):
    """Down to clips much shorter than the padding."""
    for n_samples in (1, 2, 700, 3000):
        x = batch(2, n_samples)
        padded = torch.as_tensor(np.pad(x, [(0, 0), (512, 512)], pad_mode))
        assert torch.equal(LogMelLayer(pad_mode=pad_mode)(x), LogMelLayer(center=False)(padded))


@pytest.mark.parametrize(
    "parameters, match",
    [
        ({"pad_mode": "mirror"}, "pad_mode .*'mirror'"),
        ({"win_length": 2048}, "win_length=2048 .*n_fft=1024"),
        ({"fmin": 500.0, "fmax": 500.0}, "fmax=500.0 .*fmin=500.0"),
    ],
)
def test_log_mel_refuses_parameters_that_do_not_fit(parameters, match):
    with pytest.raises(ValueError, match=match):
        LogMelLayer(**parameters)


# Wavegram and composites


@torch.no_grad()
def test_wavegram_filters_lie_on_the_frames_of_the_log_mel():
    """A filter that is one in the middle of its frame picks every 512th sample."""
    layer = WavegramLayer(n_mels=1, n_layers=0)
    layer.filters.weight.zero_()[0, 0, 512] = 1
    x = batch(2, 5000)
    assert torch.equal(layer(x)[:, 0], x[:, ::512])


@torch.no_grad()
def test_wavegram_normalises_over_time():
    """Filters of one sample, and a last convolution that hands on its input: normalised, leaky clip by clip."""
    layer = WavegramLayer(n_mels=1, n_fft=1, hop_length=1, n_layers=1)
    x = torch.tensor([[1.0, 2.0, 3.0, 6.0], [-10.0, -20.0, -30.0, -60.0]])
    layer(x)
    layer.filters.weight.fill_(1)
    layer.layers[0][2].weight.zero_()[0, 0, 1] = 1
    z = np.array([-2, -1, 0, 3]) / np.sqrt(3.5)
    expected = [np.where(z > 0, z, 0.2 * z), np.where(z < 0, -z, -0.2 * z)]
    assert_allclose(layer(x)[:, 0], expected, atol=1e-5)


def test_wavegram_refuses_another_length():
    layer = WavegramLayer()
    layer(torch.zeros(1, 16000))
    with pytest.raises(ValueError, match=r"32 frames.* 63"):
        layer(torch.zeros(1, 32000))


@torch.no_grad()
def test_dual_features_are_log_mel_and_wavegram():
    network, x = DualFeatureNetwork(**SMALL, fmin=100.0, backbone=EfficientNet).eval(), 0.1 * batch(2, 4000)
    embedding = network(x)
    log_mel, wavegram = network.spectrograms(x).unbind(1)
    assert torch.equal(log_mel, LogMelLayer(**SMALL, fmin=100.0)(x))
    assert torch.equal(wavegram, network.front_ends[1](x))
    assert torch.equal(embedding, network.backbone(torch.stack([log_mel, wavegram], 1)))


def test_any_module_can_stand_behind_a_front_end():
    network = WithFrontEnd([partial(LogMelLayer, **SMALL)], partial(nn.Flatten, 1))
    assert network(torch.zeros(2, 1280)).shape == (2, 32 * 11)
    assert not hasattr(network, "forward_stages")


def test_front_ends_of_different_sizes_cannot_be_stacked():
    network = WithFrontEnd([LogMelLayer, partial(LogMelLayer, n_mels=64)], MobileFaceNet)
    with pytest.raises(ValueError, match=r"\(128, 32\), \(64, 32\)"):
        network(torch.zeros(1, 16000))


@pytest.mark.parametrize("front_ends, backbone, name", [([LogMelLayer()], MobileFaceNet, "front_ends"),
                                                        ([LogMelLayer], MobileFaceNet(), "backbone"),
                                                        ([LogMelLayer], "mobilefacenet", "backbone")])  # fmt: skip
def test_composites_are_made_of_what_makes_modules(front_ends, backbone, name):
    with pytest.raises(TypeError, match=f"{name} .*module"):
        WithFrontEnd(front_ends, backbone)
