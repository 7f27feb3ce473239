"""evaluate(shared=...): one step for all machines, the rest for each."""

import json

import numpy as np
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.pipeline import Pipeline, make_pipeline

from skasd.clips import Clips
from skasd.detectors import MahalanobisDetector
from skasd.evaluation import evaluate

QUIET = {"year": 2022, "n_resamples": 0, "verbose": 0}


class Center(TransformerMixin, BaseEstimator):
    """Takes away the mean of what it was fitted on, and writes down of which machines that was."""

    def __init__(self, log, scale=1.0):
        self.log = log
        self.scale = scale

    def fit(self, X, y=None):
        with open(self.log, "a") as log:
            log.write(json.dumps(sorted(set(X["machine"].tolist()))) + "\n")
        if not np.isfinite(self.scale):
            raise ValueError("the network is broken")
        self.mean_ = X["embedding"].mean(axis=0)
        return self

    def transform(self, X):
        return X.with_fields(embedding=self.scale * (X["embedding"] - self.mean_) ** 2)


@pytest.fixture
def machines():
    rng = np.random.default_rng(0)
    return {
        machine: Clips(
            embedding=rng.normal(place, size=(80, 2)) + 2.0 * (np.arange(80) >= 70)[:, np.newaxis],
            split=np.repeat(["train", "test"], 40),
            label=np.repeat([1, -1], [70, 10]),
            domain=np.tile(["source", "target"], 40),
            attribute=[""] * 80,
        )
        for machine, place in [("pump", 0.0), ("fan", 3.0)]
    }


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log"


def make_system(log, scale=1.0):
    return Pipeline([("embedder", Center(log, scale)), ("detector", MahalanobisDetector())])


def test_the_step_is_fitted_once_on_all_and_the_rest_on_each(machines, log):
    evaluation = evaluate(make_system(log), machines, shared="embedder", **QUIET)
    assert log.read_text() == '["fan", "pump"]\n'
    training = {machine: clips["embedding"][:40] for machine, clips in machines.items()}
    mean = np.concatenate(list(training.values())).mean(axis=0)
    for machine, clips in machines.items():
        detector = MahalanobisDetector().fit(
            Clips(embedding=(training[machine] - mean) ** 2, section=[""] * 40, domain=clips["domain"][:40])
        )
        wanted = -detector.score_samples(Clips(embedding=(clips["embedding"][40:] - mean) ** 2, section=[""] * 40))
        np.testing.assert_allclose(evaluation.clips[machine]["anomaly_score"], wanted)
        assert evaluation.runs[machine].shared_seconds > 0
    assert evaluation.shared == "embedder" and "embedder shared by all" in repr(evaluation)
    assert "embedder shared by all machines" in evaluation.to_markdown()
    assert "shared fit seconds" in set(evaluation.to_frame()["metric"])


def test_each_machine_is_another_without(machines, log):
    evaluation = evaluate(make_system(log), machines, **QUIET)
    assert log.read_text() == '["pump"]\n["fan"]\n'
    assert evaluation.shared is None and "shared" not in evaluation.to_markdown()


def test_what_is_in_the_results_folder_is_not_fitted_again(machines, log, tmp_path):
    kept = {"results": tmp_path / "results", "shared": "embedder", **QUIET}
    first = evaluate(make_system(log), machines, **kept)
    record = json.loads((tmp_path / "results" / "fan.json").read_text())
    assert record["fingerprints"]["shared step"]["step"] == "embedder" and record["shared_seconds"] > 0
    (tmp_path / "results" / "fan.json").unlink()
    again = evaluate(make_system(log), machines, **kept)
    assert log.read_text() == '["fan", "pump"]\n' * 2  # of all machines, although one alone was missing
    np.testing.assert_array_equal(first.clips["fan"]["anomaly_score"], again.clips["fan"]["anomaly_score"])
    evaluate(make_system(log), dict(reversed(machines.items())), **kept)
    assert len(log.read_text().splitlines()) == 2


@pytest.mark.parametrize("change", [{"shared": None}, {"machines": ["fan"]}], ids=["not shared", "fewer machines"])
def test_results_with_another_shared_step_are_refused(machines, log, tmp_path, change):
    kept = {"results": tmp_path / "results", "shared": "embedder", **QUIET}
    evaluate(make_system(log), machines, **kept)
    with pytest.raises(ValueError, match="other shared step"):
        evaluate(make_system(log), machines, **kept | change)


def test_results_without_a_shared_step_are_refused(machines, log, tmp_path):
    evaluate(make_system(log), machines, results=tmp_path / "results", **QUIET)
    with pytest.raises(ValueError, match="other shared step"):
        evaluate(make_system(log), machines, results=tmp_path / "results", shared="embedder", **QUIET)


def test_a_shared_step_that_fails_is_the_failure_of_all(machines, log):
    with pytest.raises(RuntimeError, match=r"2 of 2 machines failed:\n.*the network is broken"):
        evaluate(make_system(log, np.inf), machines, shared="embedder", **QUIET)


def test_a_function_may_give_the_systems_if_their_shared_steps_are_alike(machines, log):
    evaluation = evaluate(lambda machine: make_system(log), machines, shared="embedder", **QUIET)
    assert log.read_text() == '["fan", "pump"]\n' and not evaluation.failures
    with pytest.raises(ValueError, match=r"the same steps for all machines .* fan are not those of pump"):
        evaluate(lambda machine: make_system(log, len(machine)), machines, shared="embedder", **QUIET)


@pytest.mark.parametrize(
    ("system", "name", "message"),
    [
        (make_system("log"), "network", "'network' must name a step .* of pump has the steps embedder, detector"),
        (make_system("log"), "detector", "'detector' must name a step of the pipeline before the last"),
        (MahalanobisDetector(), "embedder", "is no pipeline but MahalanobisDetector"),
        (make_pipeline(MahalanobisDetector()), "embedder", "has the steps mahalanobisdetector"),
    ],
)
def test_a_name_that_is_no_step_is_an_error(machines, system, name, message):
    with pytest.raises(ValueError, match=message):
        evaluate(system, machines, shared=name, **QUIET)
