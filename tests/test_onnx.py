"""Detectors as ONNX graphs, which score as they do."""

import json
import os
import subprocess
import sys

import numpy as np
import onnxruntime
import pytest
from sklearn.pipeline import make_pipeline

import skasd
from skasd.audio import LevelNormalizer
from skasd.datasets import load_motors
from skasd.detectors import (
    CosineCenterDetector,
    GaussianMixtureDetector,
    MahalanobisDetector,
    NearestNeighborsDetector,
)
from skasd.embedders import StatisticsEmbedder
from skasd.features import LogMelSpectrogram, LogSTFT
from skasd.monitoring import RecordingDetector, export_onnx, statistics_pipeline
from skasd.systems import cnn_global

pytestmark = pytest.mark.filterwarnings("ignore:false_alarm_rate:UserWarning", "ignore:The target:UserWarning")


def motors(split):
    return load_motors(split=split, duration=2.0, hop_duration=5.0)


def cnn():
    system = cnn_global(preset="small", weights=None, device="cpu", random_state=0)
    return system.set_params(embedder__min_steps=4, embedder__max_epochs=1, log_mel__hop_length=128)


def small(detector, **params):
    log_mel = LogMelSpectrogram(n_fft=256, n_mels=8, **params)
    return make_pipeline(log_mel, StatisticsEmbedder(statistics=("std", "rank")), detector)


LOCAL = {"normalization": "local_density", "n_local_neighbors": 2}
PIPELINES = {
    "default": (statistics_pipeline(), "worst"),
    "cnn": (cnn(), "worst"),
    "neighbours": (small(NearestNeighborsDetector(), pad_mode="reflect", power=1.0), "mean"),
    "local": (
        small(
            NearestNeighborsDetector(2, metric="cosine", **LOCAL),
            center=False,
            top_db=30.0,
        ),
        3,
    ),
    "centers": (make_pipeline(LogSTFT(n_fft=256), StatisticsEmbedder(), CosineCenterDetector()), "worst"),
}


@pytest.mark.parametrize("name", PIPELINES)
def test_the_graph_scores_real_recordings_as_the_detector_does(name, tmp_path):
    pipeline, summary = PIPELINES[name]
    detector = RecordingDetector(pipeline, summary=summary, cv=2).fit(motors("train"))
    export_onnx(detector, tmp_path / "motor.onnx")
    session, test = onnxruntime.InferenceSession(tmp_path / "motor.onnx"), motors("test")
    column = [list(detector.offsets_).index(section) for section in test["section"]]
    given = [session.run(None, {"waveform": waveform}) for waveform in test["waveform"]]
    score, decision = (np.array([one[kind][own] for one, own in zip(given, column, strict=True)]) for kind in (0, 1))
    assert score == pytest.approx(detector.score_samples(test), rel=1e-4)
    margin = np.abs(detector.score_samples(test)).max()
    assert decision == pytest.approx(detector.decision_function(test), abs=1e-4 * margin)
    clips = detector.score_clips(test[:1])["score"]
    assert given[0][2][:, column[0]] == pytest.approx(clips, rel=1e-4)


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    """A detector of recordings of one section, and its graph."""
    waveforms = 0.1 * np.random.default_rng(0).standard_normal((12, 8000))
    detector = RecordingDetector(small(MahalanobisDetector()), sample_rate=8000, cv=2).fit(waveforms)
    path = tmp_path_factory.mktemp("onnx") / "new folder" / "pump.onnx"
    export_onnx(detector, path)
    return detector, path


def test_the_graph_tells_what_it_wants(graph):
    detector, path = graph
    told = onnxruntime.InferenceSession(path).get_modelmeta().custom_metadata_map
    assert told["skasd_version"] == skasd.__version__ and told["sample_rate"] == "8000"
    assert (float(told["clip_duration"]), float(told["hop_duration"])) == (0.5, 0.25)
    assert dict(zip(json.loads(told["sections"]), json.loads(told["offsets"]), strict=True)) == detector.offsets_
    assert os.path.dirname(skasd.__file__).encode() not in path.read_bytes()  # nor where it was made


def test_the_graph_needs_nothing_of_this_package(graph, tmp_path):
    detector, path = graph
    waveform = (0.1 * np.random.default_rng(1).standard_normal(9999)).astype(np.float32)
    np.save(tmp_path / "waveform.npy", waveform)
    code = (
        "import sys, numpy, onnxruntime; "
        f"run = onnxruntime.InferenceSession({str(path)!r}).run; "
        f"print(run(None, {{'waveform': numpy.load({str(tmp_path / 'waveform.npy')!r})}})[0][0]); "
        "assert not {'skasd', 'librosa', 'torch', 'sklearn'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) == pytest.approx(detector.score_samples([waveform])[0], rel=1e-4)


@pytest.mark.parametrize("n_samples", [0, 100, 2000, 3999])
def test_what_is_shorter_than_a_clip_has_no_score(graph, n_samples):
    session = onnxruntime.InferenceSession(graph[1], sess_options=_quiet())
    with pytest.raises(Exception, match="index"):
        session.run(None, {"waveform": np.zeros(n_samples, np.float32)})


def _quiet():
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return options


@pytest.mark.parametrize(
    ("pipeline", "told"),
    [
        (make_pipeline(LevelNormalizer(), *(step for _, step in statistics_pipeline().steps)), "LevelNormalizer"),
        (small(GaussianMixtureDetector()), "GaussianMixtureDetector"),
        (small(NearestNeighborsDetector(metric="canberra")), "canberra"),
        (small(MahalanobisDetector(), pad_mode="wrap"), "wrap"),
    ],
)
def test_what_cannot_be_exported_is_named(pipeline, told, tmp_path):
    detector = RecordingDetector(pipeline, cv=2).fit(motors("train"))
    with pytest.raises(ValueError, match=f"{told}.* cannot be exported"):
        export_onnx(detector, tmp_path / "motor.onnx")
    assert not os.listdir(tmp_path)


def test_nothing_is_overwritten(graph, tmp_path):
    (tmp_path / "mine.onnx").write_bytes(b"mine")
    with pytest.raises(FileExistsError, match=r"mine\.onnx"):
        export_onnx(graph[0], tmp_path / "mine.onnx")
    assert (tmp_path / "mine.onnx").read_bytes() == b"mine"
    with pytest.raises(ValueError, match="takes a RecordingDetector; got Pipeline"):
        export_onnx(statistics_pipeline(), tmp_path / "other.onnx")
