"""Detectors in files that are safe to load."""

import io
import json
import os
import pickle
import warnings
import zipfile
from functools import partial

import joblib
import numpy as np
import pytest
import skops.io
from estimators import ESTIMATORS
from sklearn.exceptions import InconsistentVersionWarning, NotFittedError
from sklearn.pipeline import make_pipeline
from torch import nn

from skasd.clips import Clips
from skasd.detectors import (
    FlowDetector,
    GaussianMixtureDetector,
    LocalOutlierFactorDetector,
    MahalanobisDetector,
    NearestNeighborsDetector,
)
from skasd.embedders import ClassificationEmbedder, PretrainedEmbedder, StatisticsEmbedder
from skasd.features import LogMelSpectrogram
from skasd.monitoring import RecordingDetector, load_detector, save_detector, statistics_pipeline
from skasd.networks import SpectrogramResNet
from skasd.systems import cnn_global, statistics_ensemble

RATE = 16000


def sounds(seed, n):
    rng = np.random.default_rng(seed)
    waveform = (0.1 * rng.standard_normal((n, RATE * 3 // 4))).astype(np.float32)
    return Clips(waveform=waveform, section=["a", "b"] * (n // 2)).with_attrs(sample_rate=RATE)


def with_detector(detector):
    return make_pipeline(LogMelSpectrogram(n_mels=8), StatisticsEmbedder(), detector)


def with_network(system):
    return system.set_params(embedder__min_steps=2, embedder__max_epochs=1, log_mel__hop_length=128)


LOCAL = {"normalization": "local_density", "n_local_neighbors": 2}
PIPELINES = {
    "default": None,
    "neighbours": with_detector(NearestNeighborsDetector()),
    "directions": with_detector(NearestNeighborsDetector(metric="cosine", **LOCAL)),
    "outlier factor": with_detector(LocalOutlierFactorDetector(n_neighbors=2)),
    "mixture": with_detector(GaussianMixtureDetector()),
    "flow": with_detector(FlowDetector(max_epochs=1, device="cpu")),
    "ensemble": statistics_ensemble(),
    "frozen": make_pipeline(
        LogMelSpectrogram(n_mels=32, hop_length=128),
        PretrainedEmbedder(SpectrogramResNet, layers=["trunk.stages.1"], random_weights=True, random_state=0),
        NearestNeighborsDetector(),
    ),
    "cnn": with_network(cnn_global(preset="small", weights=None, device="cpu", random_state=0)),
}


@pytest.fixture(scope="module")
def detector():
    return RecordingDetector(cv=2, false_alarm_rate=0.2).fit(sounds(0, 12))


@pytest.mark.filterwarnings("ignore:false_alarm_rate:UserWarning", "ignore:The target:UserWarning")
@pytest.mark.parametrize("name", PIPELINES)
def test_a_loaded_detector_scores_the_same_to_the_bit(name, tmp_path):
    fitted = RecordingDetector(PIPELINES[name], cv=2, false_alarm_rate=0.2).fit(sounds(0, 24))
    save_detector(fitted, tmp_path / "pump.skasd")
    loaded = load_detector(tmp_path / "pump.skasd")
    new = sounds(1, 6)
    for method in ("score_samples", "decision_function", "predict", "p_values"):
        assert np.array_equal(getattr(loaded, method)(new), getattr(fitted, method)(new))
    assert loaded.locate(new[:1]) == fitted.locate(new[:1])
    assert loaded.log_ == fitted.log_ and os.listdir(tmp_path) == ["pump.skasd"]


def test_a_loaded_detector_learns_on(detector, tmp_path):
    save_detector(detector, tmp_path / "pump.skasd")
    loaded = load_detector(tmp_path / "pump.skasd").update(sounds(2, 4))
    assert loaded.log_[-1]["n_recordings"] == 16
    save_detector(loaded, tmp_path / "pump.skasd")  # which replaces the older one
    assert load_detector(tmp_path / "pump.skasd").log_ == loaded.log_


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda estimator: type(estimator).__name__)
def test_no_estimator_holds_a_type_that_is_not_known(estimator, tmp_path):
    estimator = type(estimator)(**estimator.get_params(deep=False))
    estimator.fitted_ = True
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", r".*not of skasd:\nestimators\.OneLayer\nTo load")
        save_detector(estimator, tmp_path / "one.skasd")
    assert repr(load_detector(tmp_path / "one.skasd", trusted=["estimators.OneLayer"])) == repr(estimator)


class Run:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def archive(path, schema, **members):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("schema.json", schema if isinstance(schema, str) else json.dumps(schema))
        for name, data in members.items():
            file.writestr(name, data)


def named(class_name, module, loader, content):
    """An archive's node of this type, as skops writes it."""
    node = {"__class__": class_name, "__module__": module, "__loader__": loader, "content": content, "__id__": 1}
    return node | {name: value for name, value in stored(0).items() if name in ("protocol", "_skops_version")}


def stored(value):
    return json.loads(zipfile.ZipFile(io.BytesIO(skops.io.dumps(value))).read("schema.json"))


def test_a_hostile_file_runs_nothing(detector, tmp_path):
    path, touched = tmp_path / "pump.skasd", tmp_path / "touched"
    arguments = {name: stored(value) for name, value in {"one": (str(touched),), "list": [str(touched)]}.items()}
    as_object = arguments["one"] | {"__loader__": "ObjectNode"}
    hostile = [partial(os.system, f"touch {touched}"), {"f": os.system}, os.system]
    nodes = [
        named("Popen", "subprocess", "ConstructorFromReduceNode", arguments["one"]),
        named("system", "os", "FunctionNode", {}),
        named("mkdir", "os", "ConstructorFromReduceNode", arguments["one"]),
        named("mkdir", "skasd.monitoring._saving.os", "ConstructorFromReduceNode", arguments["one"]),
        named("SoundFile", "skasd.audio.files", "ConstructorFromReduceNode", arguments["one"]),
        named("Path", "skasd.monitoring._saving", "ConstructorFromReduceNode", arguments["one"]),
        named("write_dcase", "skasd.datasets._write_dcase", "FunctionNode", {}),
        named("TrainingCheckpoint", "skasd.training._checkpoint", "ConstructorFromReduceNode", arguments["one"]),
        named("GraphModule", "torch.fx.graph_module", "ObjectNode", as_object),
        named("load", "torch.nn.modules.module.torch", "FunctionNode", {}),
        named("__main__", "skasd", "ObjectNode", as_object),
    ]
    for value in hostile:
        path.write_bytes(skops.io.dumps(value))
        with pytest.raises(ValueError, match="not trusted"):
            load_detector(path)
    for node in nodes:
        archive(path, node)
        with pytest.raises(ValueError, match=r"not trusted|damaged") as told:
            load_detector(path)
        assert "damaged" in str(told.value) or f"{node['__module__']}.{node['__class__']}" in str(told.value)
    assert not touched.exists()


def test_a_pickle_is_never_opened(tmp_path):
    path, touched = tmp_path / "pump.skasd", tmp_path / "touched"
    joblib.dump(Run(touched), path)
    with pytest.raises(ValueError, match="joblib"):
        load_detector(path)
    archive(path, "{}", **{"model.pkl": pickle.dumps(Run(touched))})
    with pytest.raises(ValueError, match=r"pump\.skasd' is damaged"):
        load_detector(path)
    archive(path, stored(np.zeros(3)) | {"file": "array.npy"}, **{"array.npy": pickle.dumps(Run(touched))})
    with pytest.raises(ValueError, match=r"pump\.skasd' is damaged"):
        load_detector(path)
    assert not touched.exists()


def test_weights_and_filters_that_point_outside_are_refused(tmp_path):
    log_mel = LogMelSpectrogram(n_mels=4).fit(sounds(0, 2)["waveform"])
    log_mel.filter_bank_.indices[0] = 10**6
    state = log_mel.__getstate__()
    with pytest.raises(ValueError, match="indices"):
        LogMelSpectrogram().__setstate__(state)


def test_files_that_are_none_are_told(detector, tmp_path):
    with pytest.raises(FileNotFoundError):
        load_detector(tmp_path / "none.skasd")
    for path in (tmp_path, os.devnull):
        with pytest.raises(ValueError, match="no file that save_detector"):
            load_detector(path)
    save_detector(detector, tmp_path / "pump.skasd")
    data = (tmp_path / "pump.skasd").read_bytes()
    for cut in (0, 10, len(data) // 2, len(data) - 10):
        (tmp_path / "cut.skasd").write_bytes(data[:cut])
        with pytest.raises(ValueError, match=r"cut\.skasd"):
            load_detector(tmp_path / "cut.skasd")
    for place in (data.rindex(b"PK\x05\x06") + 12, data.rindex(b"PK\x01\x02") + 6):  # in the table of contents
        (tmp_path / "bits.skasd").write_bytes(data[:place] + b"\xff\xff" + data[place + 2 :])
        with pytest.raises(ValueError, match=r"bits\.skasd"):
            load_detector(tmp_path / "bits.skasd")
    archive(tmp_path / "list.skasd", stored([1, 2]))
    with pytest.raises(ValueError, match="no detector, but an object of type list"):
        load_detector(tmp_path / "list.skasd")


def test_only_detectors_are_overwritten(detector, tmp_path):
    (tmp_path / "pump.wav").write_bytes(b"sound")
    with pytest.raises(FileExistsError, match="no saved detector"):
        save_detector(detector, tmp_path / "pump.wav")
    assert (tmp_path / "pump.wav").read_bytes() == b"sound"
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileExistsError, match="no saved detector"):
        save_detector(detector, tmp_path / "pipe")
    with pytest.raises(NotFittedError):
        save_detector(RecordingDetector(), tmp_path / "pump.skasd")


def test_what_has_no_name_cannot_be_stored(tmp_path):
    fitted = with_detector(NearestNeighborsDetector(metric=lambda x, y: 0.0)).fit(sounds(0, 6))
    with pytest.raises(ValueError, match="cannot be stored without code"):
        save_detector(fitted, tmp_path / "pump.skasd")
    assert os.listdir(tmp_path) == []


class OwnNetwork(nn.Module):
    """Of the user, with a layer that has two names."""

    def __init__(self):
        super().__init__()
        self.layer = nn.LazyLinear(4)
        self.same = self.layer

    def forward(self, x):
        return self.same(x.flatten(1))


def test_types_of_the_user_must_be_named(tmp_path):
    fitted = make_pipeline(
        LogMelSpectrogram(n_mels=8),
        ClassificationEmbedder(OwnNetwork, max_epochs=1, device="cpu", random_state=0),
        MahalanobisDetector(),
    ).fit(sounds(0, 12))
    name = f"{OwnNetwork.__module__}.OwnNetwork"
    with pytest.warns(UserWarning, match=name):
        save_detector(fitted, tmp_path / "own.skasd")
    with pytest.raises(ValueError, match=name):
        load_detector(tmp_path / "own.skasd")
    loaded, new = load_detector(tmp_path / "own.skasd", trusted=[name]), sounds(1, 4)
    assert np.array_equal(loaded.score_samples(new), fitted.score_samples(new))
    network = loaded[1].network_
    assert network.same is network.layer


def test_other_versions_are_told(detector, tmp_path, monkeypatch):
    save_detector(detector, tmp_path / "pump.skasd")
    monkeypatch.setattr("skasd.__version__", "99.1")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warned = load_detector(tmp_path / "pump.skasd")
    assert {issubclass(one.category, InconsistentVersionWarning) for one in caught} == {True}
    assert any("RecordingDetector was saved with skasd 0" in str(one.message) for one in caught)
    assert np.array_equal(warned.score_samples(sounds(1, 2)), detector.score_samples(sounds(1, 2)))


def test_the_default_pipeline_alone_can_be_saved(tmp_path):
    fitted, new = statistics_pipeline().fit(sounds(0, 12)), sounds(1, 4)
    save_detector(fitted, tmp_path / "new folder" / "pump.skasd")
    assert np.array_equal(load_detector(tmp_path / "new folder" / "pump.skasd").predict(new), fitted.predict(new))
