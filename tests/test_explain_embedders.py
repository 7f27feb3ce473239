"""What the command that explains the embedders measures with: a distance, statistics of maps, altered networks."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from skasd.clips import Clips
from skasd.detectors import MahalanobisDetector
from skasd.metrics import auc_scorer
from skasd.networks import MobileFaceNet

BENCHMARKS = Path(__file__).parent / "benchmarks"
BLOCKS = ("_Bottleneck", "InvertedResidual", "DepthwiseSeparableConv")


@pytest.fixture(scope="module")
def explain():
    sys.path.insert(0, str(BENCHMARKS))
    yield importlib.import_module("explain_embedders")
    sys.path.remove(str(BENCHMARKS))


@pytest.mark.parametrize("n_features", [3, 60])
def test_the_distance_ranks_as_the_detector_does_with_fewer_and_with_more_features_than_clips(explain, n_features):
    rng = np.random.default_rng(0)
    scale = rng.uniform(0.1, 2, n_features)
    train = Clips(embedding=rng.normal(size=(40, n_features)) * scale, section=["00"] * 40, label=[1] * 40)
    test = Clips(embedding=rng.normal(size=(40, n_features)), section=["00"] * 40, label=[1, -1] * 20)
    auc = explain.mahalanobis_aucs(train, train["embedding"], test, test["embedding"])
    assert auc == [auc_scorer(MahalanobisDetector().fit(train), test)]


def test_statistics_of_the_spectrogram_are_those_of_the_control(explain):
    log_mel = np.random.default_rng(0).normal(size=(2, 64, 8)).astype(np.float32)
    control = explain.StatisticsEmbedder().fit_transform(log_mel)
    np.testing.assert_allclose(explain._statistics(log_mel[:, None], 64), control, rtol=1e-5, atol=1e-6)
    whole = log_mel.mean(axis=1)
    np.testing.assert_allclose(explain._statistics(log_mel[:, None], 1)[:, 1], whole.std(axis=1), rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "n_channels", "n_blocks", "activation", "last_map"),
    [
        ("MobileNetV2", 16, 17, torch.nn.ReLU6, (2, 1)),
        ("MobileNetV2, twice the channels", 32, 17, torch.nn.ReLU6, (2, 1)),
        ("MobileNetV2, no last halving", 16, 17, torch.nn.ReLU6, (4, 2)),
        ("MobileNetV2, all of these but the last halving", 32, 7, torch.nn.PReLU, (4, 2)),
        ("MobileFaceNet", 64, 6, torch.nn.PReLU, (4, 2)),
        ("MobileFaceNet, 15 blocks", 64, 15, torch.nn.PReLU, (4, 2)),
        ("MobileFaceNet, the same, ReLU, plain mean", 16, 6, torch.nn.ReLU, (2, 1)),
    ],
)
def test_altered_networks_differ_in_what_their_names_say(explain, name, n_channels, n_blocks, activation, last_map):
    network, shapes = explain.networks()[name]().eval(), []
    is_face = isinstance(network, MobileFaceNet)
    blocks = [module for module in network.modules() if type(module).__name__ in BLOCKS]
    last = network.stages[-1] if is_face else network.model.bn2
    last.register_forward_hook(lambda module, args, output: shapes.append(tuple(output.shape[2:])))
    first = network.forward_stages(torch.zeros(2, 64, 32))[0]
    assert (first.shape[1], len(blocks), shapes[0]) == (n_channels, n_blocks, last_map)
    activations = {torch.nn.ReLU, torch.nn.ReLU6, torch.nn.PReLU}
    assert activations & {type(module) for module in network.modules()} == {activation}


def test_the_plain_mean_weighs_all_places_alike(explain):
    network = explain.networks()["MobileFaceNet, plain mean"]().eval()
    network(torch.zeros(2, 64, 32))
    assert torch.all(network.global_conv.weight == 1 / 8)


@pytest.mark.parametrize(
    ("name", "shape", "n_shortcuts"),
    [
        ("bands and frames", (4, 2), 3),
        ("bands", (4, 16), 3),
        ("frames", (32, 2), 3),
        ("neither", (32, 16), 3),
        ("neither, with shortcuts", (32, 16), 5),
    ],
)
def test_bottlenecks_halve_what_they_are_told_to(explain, name, shape, n_shortcuts):
    network, shapes = explain.halving()[name]().eval(), []
    network.stages[4].register_forward_hook(lambda module, args, output: shapes.append(tuple(output.shape[2:])))
    network(torch.zeros(2, 64, 32))
    network.forward_stages(torch.zeros(2, 64, 32))
    assert shapes == [shape, shape]
    assert sum(getattr(module, "residual", False) for module in network.modules()) == n_shortcuts
