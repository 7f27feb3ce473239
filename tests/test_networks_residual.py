"""The residual networks without pretraining, and the layer that standardises what they get."""

from functools import partial

import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.preprocessing import StandardScaler
from torch import nn

from skasd.augmentation import Mixup, SpecAugment, StatisticsExchange
from skasd.clips import Clips
from skasd.embedders import ClassificationEmbedder
from skasd.losses import AdaProjLoss, FeatureExchangeLoss, SubclusterAdaCosLoss, SubspaceLoss
from skasd.networks import (
    BandStandardizer,
    LogMelLayer,
    MultiResolutionNetwork,
    SpectrogramResNet,
    WithFrontEnd,
    learn_standardization,
)

pytestmark = pytest.mark.usefixtures("seeded")

SMALL = partial(
    MultiResolutionNetwork,
    resolutions=((128, 64), (512, 256)),
    channels=(4, 8),
    spectrum_channels=8,
    branch_size=6,
)


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def batch(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


# Published sizes


@torch.no_grad()
def test_published_parameter_counts():
    network = MultiResolutionNetwork().eval()
    network(torch.zeros(1, 160_000))
    assert [count(branch) for branch in network.branches] == [769_104, 965_712, 1_735_760, 1_529_856]
    assert count(network) == 5_000_432
    single = MultiResolutionNetwork(resolutions=((1024, 512),)).eval()
    single(torch.zeros(1, 160_000))
    assert count(single) == 2_495_568


@torch.no_grad()
@pytest.mark.parametrize("n_fft, hop_length, shape", [(256, 128, (125, 1251)), (1024, 512, (500, 313)),
                                                      (4096, 2048, (1997, 79))])  # fmt: skip
def test_published_sizes_of_the_spectrograms(n_fft, hop_length, shape):
    network = MultiResolutionNetwork(resolutions=((n_fft, hop_length),))
    assert network.branches[0].magnitudes(torch.zeros(1, 160_000)).shape == (1, *shape)


# MultiResolutionNetwork


@torch.no_grad()
def test_magnitudes_of_a_tone_by_hand():
    """A tone of amplitude 1 in the middle of bin 32: half the sum of the window, over the root of its energy."""
    time = torch.arange(16_000, dtype=torch.float64) / 16_000
    magnitudes = MultiResolutionNetwork(resolutions=((1024, 512),), fmin=0).branches[0].magnitudes
    found = magnitudes(torch.sin(2 * torch.pi * 500 * time).float()[None])[0, :, 10]
    window = torch.hann_window(1024, dtype=torch.float64)
    assert found.argmax() == 32
    assert found[32].item() == pytest.approx((window.sum() / 2 / window.square().sum().sqrt()).item(), rel=1e-4)
    assert found[40:].max() < 1e-3


@torch.no_grad()
def test_the_embedding_has_the_branches_side_by_side():
    network = SMALL().eval()
    parts = network.forward_branches(batch(3, 4000))
    assert tuple(part.shape[1] for part in parts) == network.branch_sizes == (6, 6, 6)
    assert torch.equal(network(batch(3, 4000)), torch.cat(parts, dim=1))


@torch.no_grad()
@pytest.mark.parametrize("n_samples", [100, 4000, 16_000, 70_000])
def test_clips_of_any_length(n_samples):
    for make in (SMALL, partial(MultiResolutionNetwork, channels=(4, 4), spectrum_channels=4)):
        embedding = make().eval()(batch(2, n_samples))
        assert embedding.isfinite().all()


@torch.no_grad()
def test_integer_waveforms_are_the_same_as_their_real_numbers():
    x = torch.arange(-4000, 4000, dtype=torch.int16).view(2, 4000)
    network = SMALL().eval()
    assert torch.equal(network(x), network(x / 2**15))


@torch.no_grad()
def test_another_length_is_refused():
    network = SMALL().eval()
    network(batch(1, 4000))
    with pytest.raises(ValueError, match=r"4000 samples.*4001"):
        network(batch(1, 4001))


def test_ranges_without_a_frequency_are_refused():
    with pytest.raises(ValueError, match=r"fmin=200.*fmax=240.*n_fft=128.*16000"):
        SMALL(fmin=200, fmax=240)


@torch.no_grad()
def test_silence_has_a_finite_embedding():
    for network in (SMALL(), SMALL().eval()):
        assert network(torch.zeros(2, 4000)).isfinite().all()


# SpectrogramResNet


@torch.no_grad()
def test_the_resnet_takes_any_size_but_keeps_to_its_bands():
    for size in [(3, 1), (16, 16), (64, 157), (128, 32), (224, 313)]:
        network = SpectrogramResNet().eval()
        assert network(batch(2, *size)).isfinite().all()
        assert network(batch(2, size[0], 40)).shape == (2, 128)
        with pytest.raises(ValueError, match=rf"\(1, {size[0]}, 'any'\)"):
            network(batch(2, size[0] + 1, 40))
    with pytest.raises(ValueError, match=r"1 input channel.*got 2"):
        SpectrogramResNet()(batch(2, 2, 16, 16))


@torch.no_grad()
def test_the_resnet_hears_in_which_band_something_is():
    """The same sound sixteen bands higher is the same to a network that averages over bands."""
    low, high = torch.zeros(2, 1, 64, 64)
    low[:, 10:14, 20:40], high[:, 26:30, 20:40] = 1, 1
    network = SpectrogramResNet().eval()
    a, b = network(low), network(high)
    assert nn.functional.cosine_similarity(a, b) < 0.95


# Standardisation


@torch.no_grad()
def test_bands_are_standardised_as_by_scikit_learn():
    x = batch(30, 5, 7) * torch.arange(1.0, 6)[:, None] - 40
    layer = BandStandardizer()
    learn_standardization(layer, x.split([1, 2, 20, 7]))
    frames = x.movedim(1, 2).flatten(0, 1).double().numpy()
    expected = StandardScaler().fit(frames)
    assert_allclose(layer.mean.ravel(), expected.mean_, rtol=1e-6)
    assert_allclose(layer.std.ravel(), expected.scale_, rtol=1e-6)
    assert_allclose(layer(x).movedim(1, 2).flatten(0, 1), expected.transform(frames), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_channels_have_statistics_of_their_own():
    x = torch.stack([batch(6, 4, 9), 100 + 10 * batch(6, 4, 9, seed=1)], dim=1)
    layer = BandStandardizer()
    learn_standardization(layer, [x])
    assert layer.mean.shape == (2, 4, 1)
    y = layer(x)
    assert_allclose(y.mean((0, 3)), torch.zeros(2, 4), atol=1e-4)
    assert_allclose(y.std((0, 3), correction=0), torch.ones(2, 4), rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("level", [-156.5, 0.0])
def test_constant_bands_do_not_outweigh_the_others(level):
    x = 3 * batch(8, 4, 50)
    x[:, 2] = level
    x[0, 2, 0] *= 1 + 1e-6  # rounding
    layer = BandStandardizer()
    learn_standardization(layer, [x])
    others = x[:, [0, 1, 3]].var((0, 2), correction=0).mean().sqrt()
    assert layer.std[2].item() == pytest.approx(others.item(), rel=1e-4)
    faint = x.clone()
    faint[:, 2] += 6.0
    assert layer(faint)[:, 2].abs().max() < 3


@torch.no_grad()
def test_silence_alone_is_standardised_by_1():
    layer = BandStandardizer()
    learn_standardization(layer, [torch.full((2, 3, 4), -156.5)])
    assert layer.std.tolist() == [[1.0]] * 3
    assert layer(torch.full((1, 3, 4), -156.5)).abs().max() < 1e-4


@torch.no_grad()
def test_learning_again_forgets():
    layer = BandStandardizer()
    learn_standardization(layer, [batch(4, 3, 5)])
    learn_standardization(layer, [x := 7 + batch(4, 3, 5, seed=1)])
    assert_allclose(layer.mean, x.mean((0, 2), keepdim=True)[0], rtol=1e-5)


def test_a_network_without_such_a_layer_is_left_alone():
    network, batches = nn.Linear(2, 2), iter(["not looked at"])
    weight = network.weight.clone()
    learn_standardization(network, batches)
    assert next(batches) == "not looked at"
    assert torch.equal(network.weight, weight)


@pytest.mark.parametrize("make", [SpectrogramResNet, partial(WithFrontEnd, [partial(LogMelLayer, n_mels=32)],
                                                             SpectrogramResNet)])  # fmt: skip
def test_every_layer_of_a_network_learns_and_is_saved(make):
    network = make().eval()
    x = batch(8, 4000) if isinstance(network, WithFrontEnd) else 5 * batch(8, 32, 20) - 40
    network(x)
    learn_standardization(network, x.split(3))
    backbone = getattr(network, "backbone", network)
    spectrograms = network.spectrograms(x) if isinstance(network, WithFrontEnd) else x
    y = backbone.standardizer(spectrograms[:, None])
    assert_allclose(y.mean((0, 1, 3)), torch.zeros(32), atol=1e-4)
    fresh = make().eval()
    fresh.load_state_dict(network.state_dict())
    assert torch.equal(fresh(x), network(x))


@pytest.mark.parametrize(
    "batches, message", [([], "no batches"), ([torch.full((2, 3, 4), torch.nan)], "NaN or infinite")]
)
def test_nothing_to_learn_from_is_an_error(batches, message):
    layer = BandStandardizer()
    layer(torch.zeros(2, 3, 4))
    with pytest.raises(ValueError, match=message):
        learn_standardization(layer, batches)
    assert (layer.mean == 0).all() and (layer.std == 1).all()


# Training by the embedder


@pytest.mark.parametrize(
    "loss, params",
    [
        (SubclusterAdaCosLoss, {"dynamic": False, "trainable": True}),
        (AdaProjLoss, {}),
        (SubspaceLoss, {"branch_sizes": (6, 6, 6)}),
        (FeatureExchangeLoss, {"branch_sizes": (6, 6, 6), "loss_params": {"dynamic": False}}),
    ],
)
def test_waveforms_train_with_each_loss(loss, params):
    clips = Clips(waveform=0.1 * batch(12, 2000).numpy(), section=["00", "01", "02"] * 4)
    augmentations = (Mixup(alpha=1.0, probability=0.5),)
    make = partial(
        ClassificationEmbedder, SMALL, loss=loss, augmentations=augmentations, max_epochs=2,
        batch_size=6, device="cpu", random_state=0, **{f"loss__{name}": value for name, value in params.items()},
    )  # fmt: skip
    first, second = (make().fit(clips) for _ in range(2))
    embedding = first.transform(clips)["embedding"]
    assert embedding.shape == (12, 18)
    assert (embedding == second.transform(clips)["embedding"]).all()
    assert make(output="logits").fit(clips).transform(clips)["logits"].shape == (12, 3)


def test_waveforms_of_another_sample_rate_are_refused():
    clips = Clips(waveform=0.1 * batch(4, 2000).numpy(), section=["00", "01"] * 2).with_attrs(sample_rate=8000)
    with pytest.raises(ValueError, match=r"MultiResolutionNetwork.*16000.*8000"):
        ClassificationEmbedder(SMALL, max_epochs=1, device="cpu").fit(clips)


def test_spectrograms_train_with_augmentation_on_both_sides_of_the_front_end():
    clips = Clips(waveform=0.1 * batch(12, 4000).numpy(), section=["00", "01", "02"] * 4)
    network = partial(WithFrontEnd, [partial(LogMelLayer, n_mels=32)], partial(SpectrogramResNet, channels=(4, 8)))
    embedder = ClassificationEmbedder(
        network,
        loss=SubclusterAdaCosLoss,
        augmentations=(Mixup(), StatisticsExchange(), SpecAugment()),
        output="stages",
        max_epochs=2,
        batch_size=6,
        device="cpu",
        random_state=0,
    ).fit(clips)
    assert embedder.stage_sizes_ == [4, 4, 8, 128]
    assert embedder.loss_.n_classes == 9
    assert embedder.transform(clips)["embedding"].shape == (12, 144)
