"""Laws that all networks keep, published parameter counts, and MobileFaceNet."""

import copy
import inspect
import io
import pickle
from functools import partial

import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn

from skasd import networks
from skasd.networks import (
    BandStandardizer,
    DenseAutoencoder,
    DualFeatureNetwork,
    EfficientNet,
    LogMelLayer,
    MobileFaceNet,
    MobileNetV2,
    MultiResolutionNetwork,
    SpectrogramResNet,
    WavegramLayer,
    WithFrontEnd,
)

pytestmark = pytest.mark.usefixtures("seeded")

MOBILEFACENET_STAGES = [64, 64, 128, 128, 128, 512, 128]
EFFICIENTNET_STAGES = [32, 16, 24, 40, 80, 112, 192, 320, 1280]

SMALL = {"n_fft": 256, "hop_length": 128, "n_mels": 32}
FAMILY = {  # how to make it, shape of a batch, shape of what it makes, channels of its stages
    "mobilefacenet": (MobileFaceNet, (4, 48, 40), (4, 128), MOBILEFACENET_STAGES),
    "mobilefacenet_paper": (
        partial(MobileFaceNet, layout="paper", in_channels=2, embedding_size=32),
        (4, 2, 32, 48),
        (4, 32),
        [64, 64, 64, 128, 128, 128, 128, 512, 32],
    ),
    "mobilenet_v2": (MobileNetV2, (4, 48, 40), (4, 1280), [16, 8, 16, 16, 32, 48, 80, 160, 1280]),
    "efficientnet": (partial(EfficientNet, in_channels=3), (4, 48, 40), (4, 1280), EFFICIENTNET_STAGES),
    "spectrogram_resnet": (
        partial(SpectrogramResNet, channels=(64, 64), embedding_size=24),
        (4, 48, 40),
        (4, 24),
        [64, 64, 64, 24],
    ),
    "multi_resolution": (
        partial(
            MultiResolutionNetwork,
            resolutions=((128, 64), (256, 128)),
            channels=(64, 64),
            spectrum_channels=64,
            branch_size=16,
        ),
        (4, 4000),
        (4, 48),
        None,
    ),
    "standardizer": (BandStandardizer, (4, 20, 30), (4, 20, 30), None),
    "log_mel": (partial(LogMelLayer, **SMALL), (4, 4000), (4, 32, 32), None),
    "wavegram": (partial(WavegramLayer, **SMALL), (4, 4000), (4, 32, 32), None),
    "dual": (partial(DualFeatureNetwork, **SMALL), (4, 4000), (4, 128), MOBILEFACENET_STAGES),
    "with_front_end": (
        partial(WithFrontEnd, [partial(LogMelLayer, **SMALL)], MobileNetV2),
        (4, 4000),
        (4, 1280),
        [16, 8, 16, 16, 32, 48, 80, 160, 1280],
    ),
    "autoencoder": (DenseAutoencoder, (4, 20), (4, 20), None),
}


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def batch(*shape, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(dtype)


@pytest.fixture(params=FAMILY)
def member(request):
    make, shape, out_shape, stages = FAMILY[request.param]
    network = make().eval()
    with torch.no_grad():
        network(batch(*shape))  # sizes come from here
    return make, network, batch(*shape), out_shape, stages


# Laws


@torch.no_grad()
def test_shapes(member):
    _, network, x, out_shape, stages = member
    embedding = network(x)
    assert embedding.shape == out_shape
    assert torch.isfinite(embedding).all()
    assert hasattr(network, "forward_stages") == (stages is not None)
    if stages is not None:
        outputs = network.forward_stages(x)
        assert [output.shape for output in outputs] == [(len(x), channels) for channels in stages]
        assert_allclose(outputs[-1], embedding, rtol=1e-4, atol=1e-6)


def test_gradients_reach_every_parameter(member):
    _, network, x, *_ = member
    network, x = network.train().double(), x.double().requires_grad_()
    out = network(x)
    (out * batch(*out.shape)).sum().backward()
    for name, parameter in [*network.named_parameters(), ("the input", x)]:
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().max() > 0, name


@torch.no_grad()
def test_rows_do_not_depend_on_each_other_in_eval_mode(member):
    _, network, x, *_ = member
    network, x = network.double(), x.double()
    expected, order = network(x), torch.tensor([2, 0, 3, 1])
    assert_allclose(network(x[order]), expected[order], rtol=1e-9, atol=1e-12)
    assert_allclose(torch.cat([network(row[None]) for row in x]), expected, rtol=1e-9, atol=1e-12)


@torch.no_grad()
def test_float64_agrees_with_float32(member):
    _, network, x, *_ = member
    single = network(x)
    double = network.double()(x.double())
    assert (single.dtype, double.dtype) == (torch.float32, torch.float64)
    assert (single - double).norm() < 1e-3 * double.norm()


@torch.no_grad()
@pytest.mark.parametrize("sized_first", [True, False], ids=["after_a_forward", "before_any_forward"])
def test_saved_weights_give_the_same_output(member, sized_first):
    make, network, x, *_ = member
    expected, file = network(x), io.BytesIO()
    torch.save(network.state_dict(), file)
    torch.manual_seed(1)
    fresh = make().eval()
    if sized_first:
        fresh(x)
    fresh.load_state_dict(torch.load(io.BytesIO(file.getvalue()), weights_only=True))
    assert torch.equal(fresh(x), expected)


@torch.no_grad()
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda network: pickle.loads(pickle.dumps(network))])
def test_copies_give_the_same_output(member, duplicate):
    _, network, x, *_ = member
    twin = duplicate(network)
    assert torch.equal(twin(x), network(x))
    assert count(twin) == count(network)


def test_a_copy_taken_before_the_first_batch_learns_on_its_own(member):
    make, _, x, *_ = member
    network = make()
    twin = copy.deepcopy(network)
    network(x), twin(x)
    mine, its = ({p.data_ptr() for p in each.parameters()} for each in (network, twin))
    assert not mine & its


@torch.no_grad()
def test_the_seed_decides_the_weights(member):
    make, _, x, *_ = member

    def weights(seed):
        torch.manual_seed(seed)
        network = make().eval()
        network(x)
        return nn.utils.parameters_to_vector(network.parameters()) if count(network) else torch.zeros(0)

    assert torch.equal(weights(0), weights(0))
    assert not len(weights(0)) or not torch.equal(weights(0), weights(1))


def test_repr_names_the_network(member):
    make, network, *_ = member
    assert type(network).__name__ in repr(network)
    assert type(network).__name__ in repr(make())


@torch.no_grad()
@pytest.mark.parametrize("make", [MobileFaceNet, partial(MobileFaceNet, layout="paper"), MobileNetV2, EfficientNet])
@pytest.mark.parametrize("size", [(128, 32), (64, 64), (224, 64), (224, 313), (128, 563), (37, 101)])
def test_any_size_of_spectrogram(make, size):
    network = make().eval()
    assert torch.equal(network(batch(1, *size)), network(batch(1, 1, *size)))


@torch.no_grad()
@pytest.mark.parametrize("seconds, n_mels", [(1, 64), (10, 128), (18, 128), (2, 224)])
def test_any_length_of_clip(seconds, n_mels):
    network = DualFeatureNetwork(n_mels=n_mels).eval()
    x = 0.1 * batch(1, seconds * 16000)
    assert network.spectrograms(x).shape == (1, 2, n_mels, 1 + seconds * 16000 // 512)
    assert network(x).shape == (1, 128)


def test_a_network_learns():
    """Two kinds of spectrogram, one with a stripe: a few steps tell them apart."""
    x, y = 10 * batch(16, 32, 32) - 40, torch.arange(16) % 2
    x[y == 1, 10:14] += 30
    network = MobileFaceNet(embedding_size=2)
    network(x)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    losses = []
    for _ in range(15):
        optimizer.zero_grad()
        losses.append(nn.functional.cross_entropy(network(x), y))
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.3 * losses[0]


# Parameter counts


@torch.no_grad()
def test_published_parameter_counts_of_mobilefacenet():
    """Backbone on two channels and 128 x 313, with a dense layer of 41 classes behind it."""
    for layout, expected in {"dcase": 875_625, "paper": 1_064_681}.items():
        network = MobileFaceNet(in_channels=2, layout=layout).eval()
        network(torch.zeros(1, 2, 128, 313))
        assert network.global_conv.weight.shape == (512, 1, 8, 20)
        assert count(network) + count(nn.Linear(128, 41)) == expected


@torch.no_grad()
def test_published_parameter_counts_of_the_front_end():
    layer = WavegramLayer()
    layer(torch.zeros(1, 160_000))
    assert count(layer) == 280_406 == 128 * 1024 + 3 * (2 * 313 + 128 * 128 * 3)
    network = DualFeatureNetwork().eval()
    network(torch.zeros(1, 160_000))
    assert count(network) + count(nn.Linear(128, 41)) == 280_406 + 875_625
    assert count(LogMelLayer()) == 0


def test_parameter_count_of_mobilenet_v2_agrees_with_torchvision():
    torchvision = pytest.importorskip("torchvision")
    for width in (0.5, 1.0):
        theirs = torchvision.models.mobilenet_v2(width_mult=width).features
        assert count(MobileNetV2(width=width, in_channels=3)) == count(theirs)


def test_parameter_count_of_efficientnet_is_the_published_one():
    assert count(EfficientNet(in_channels=3)) + count(nn.Linear(1280, 1000)) == 7_794_184


def test_parameter_count_of_the_dcase_autoencoder():
    network = DenseAutoencoder()
    network(torch.zeros(2, 640))
    statistics = sum(buffer.numel() for name, buffer in network.named_buffers() if "running" in name)
    assert (count(network), count(network) + statistics) == (267_928, 269_992)  # trainable, and all: the baseline's


# MobileFaceNet


@torch.no_grad()
def test_global_convolution_agrees_with_torchs():
    network = MobileFaceNet().eval()
    network(torch.zeros(1, 64, 48))
    weight, x = network.global_conv.weight, batch(2, 512, 4, 3)
    assert weight.shape == (512, 1, 4, 3)
    assert_allclose(network.global_conv(x), nn.functional.conv2d(x, weight, groups=512), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_stages_are_the_means_of_the_maps():
    network, maps = MobileFaceNet(layout="paper").eval(), []
    for stage in network.stages:
        stage.register_forward_hook(lambda module, args, out: maps.append(out))
    stages = network.forward_stages(batch(2, 100, 70))
    sizes = [(50, 35), (50, 35), (25, 18), (13, 9), (13, 9), (7, 5), (7, 5), (7, 5)]
    assert [tuple(each.shape[2:]) for each in maps] == sizes
    for stage, each in zip(stages[:-1], maps, strict=True):
        assert_allclose(stage, each.flatten(2).mean(2), rtol=1e-4, atol=1e-6)


@torch.no_grad()
def test_bottlenecks_add_their_input_where_the_shape_allows():
    network = MobileFaceNet().eval()
    first, second = network.stages[2]
    assert (first.residual, second.residual) == (False, True)
    second.layers[-1].weight.zero_()  # the last normalisation: nothing is left but the input
    x = batch(1, 128, 8, 8)
    assert torch.equal(second(x), x)


def test_a_table_of_ones_own():
    network = MobileFaceNet(layout=[(1, 8, 1, 2)], in_channels=3)
    assert [each.shape[1] for each in network.forward_stages(batch(2, 3, 9, 17))] == [64, 64, 8, 512, 128]
    assert network.global_conv.weight.shape == (512, 1, 3, 5)


@pytest.mark.parametrize("layout", ["tiny", [], [(2, 128, 2)]])
def test_mobilefacenet_refuses_an_unknown_table(layout):
    with pytest.raises(ValueError, match=r"layout .*'dcase', 'paper'"):
        MobileFaceNet(layout=layout)


def test_mobilefacenet_refuses_another_size():
    network = MobileFaceNet().eval()
    network(torch.zeros(1, 128, 313))
    assert network(torch.zeros(1, 128, 320)).shape == (1, 128)
    for size in [(112, 313), (128, 304), (128, 321)]:
        with pytest.raises(ValueError, match=r"128 mel bands .* 305 to 320 "):
            network(torch.zeros(1, *size))
    with pytest.raises(ValueError, match="113"):
        network(torch.zeros(1, 113, 313))


@pytest.mark.parametrize("make, smallest", [(MobileFaceNet, 16), (MobileNetV2, 32), (EfficientNet, 32)])
def test_networks_refuse_what_is_too_small(make, smallest):
    network = make().eval()
    assert network(torch.zeros(1, smallest, smallest)).shape[0] == 1
    for size in [(smallest - 1, 64), (64, smallest - 1)]:
        with pytest.raises(ValueError, match=f"{smallest} .* {smallest} frames.*{size[0]} x"):
            network(torch.zeros(1, *size))


@pytest.mark.parametrize("make", [MobileFaceNet, MobileNetV2, EfficientNet])
def test_networks_refuse_other_shapes(make):
    with pytest.raises(ValueError, match=r"spectrograms .*\(64, 64\)"):
        make()(torch.zeros(64, 64))
    with pytest.raises(ValueError, match=r" 1 input channel.* 2, .*in_channels=2"):
        make()(torch.zeros(1, 2, 64, 64))


def test_the_autoencoder_narrows_and_widens_again():
    network = DenseAutoencoder(n_hidden=(32, 16), n_bottleneck=4)
    network(torch.zeros(2, 20))
    layers = [module for module in network.modules() if isinstance(module, nn.Linear)]
    assert [tuple(layer.weight.shape) for layer in layers] == [(32, 20), (16, 32), (4, 16), (16, 4), (32, 16), (20, 32)]
    assert network.eval()(-torch.ones(1, 20)).min() < 0  # the output is linear


def test_the_autoencoder_refuses_what_are_no_vectors():
    with pytest.raises(ValueError, match=r"\(batch, n_features\).*\(2, 5, 128\)"):
        DenseAutoencoder()(torch.zeros(2, 5, 128))


# The package


def test_all_names_are_there():
    assert sorted(networks.__all__) == networks.__all__ == dir(networks)
    functions = {name for name in networks.__all__ if not inspect.isclass(getattr(networks, name))}
    assert functions == {"learn_standardization"}
    with pytest.raises(AttributeError, match=r"'skasd\.networks'.*'ResNet'"):
        _ = networks.ResNet


@torch.no_grad()
@pytest.mark.parametrize("make", [MobileFaceNet, MobileNetV2, EfficientNet, SpectrogramResNet])
@pytest.mark.parametrize("channels", [1, 2])
def test_maps_have_their_channels_last_in_memory_on_a_cpu(make, channels, monkeypatch):
    network, maps = make(in_channels=channels).eval(), []
    x = batch(2, channels, 64, 64)
    before = network(x)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda module, args, out: maps.append(out))
    assert torch.equal(network(x), before)
    wide = [one for one in maps if one.shape[1] > 1 < one.shape[2] * one.shape[3]]
    assert wide and all(one.is_contiguous(memory_format=torch.channels_last) for one in wide)
    monkeypatch.setattr("skasd.networks.inputs.channels_last", lambda x: x)
    assert_allclose(network(x), before, rtol=1e-3, atol=1e-5)
