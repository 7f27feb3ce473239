"""Choosing without labels: pseudo anomalies and what a detector makes of them."""

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV, KFold

from skasd.clips import Clips
from skasd.detectors import CosineCenterDetector, MahalanobisDetector
from skasd.ensemble import select_systems
from skasd.metrics import PseudoAnomalyScorer

KINDS = ["shuffled", "section", "equalized", "tone", "clicks"]


class Recorder:
    """A detector that gives scores in turn, and remembers what it was asked about."""

    def __init__(self):
        self.seen = []

    def score_samples(self, X):
        self.seen.append(X)
        return np.full(len(X), -float(len(self.seen)))


def make_clips(field, dtype=np.float32):
    shape = {"waveform": (1000,), "log_mel": (12, 40), "embedding": (5,)}[field]
    values = np.random.default_rng(0).normal(0, 1000, size=(20, *shape)).astype(dtype)
    return Clips({field: values}, section=np.repeat(["00", "01"], 10))


@pytest.mark.parametrize("dtype", [np.float32, np.int16])
@pytest.mark.parametrize("field", ["waveform", "log_mel", "embedding"])
def test_every_kind_changes_every_clip_and_a_detector_that_notices_has_auc_one(field, dtype):
    clips, detector = make_clips(field, dtype), Recorder()
    aucs = PseudoAnomalyScorer().by_kind(detector, clips)
    assert list(aucs) == KINDS[: 2 if field == "embedding" else None]
    assert set(aucs.values()) == {1.0}
    for changed in detector.seen[1:]:
        assert changed[field].dtype == dtype and changed[field].shape == clips[field].shape
        assert (changed[field] != clips[field]).reshape(20, -1).any(axis=1).all()
        np.testing.assert_array_equal(changed["section"], clips["section"])


def test_shuffled_features_come_from_clips_of_the_same_section():
    clips, detector = make_clips("embedding"), Recorder()
    PseudoAnomalyScorer(["shuffled"]).by_kind(detector, clips)
    for section in ("00", "01"):
        own, made = (one["embedding"][clips["section"] == section] for one in (clips, detector.seen[1]))
        assert all(np.isin(made[:, column], own[:, column]).all() for column in range(5))


def test_clips_of_another_section_are_presented_as_of_this_one():
    clips, detector = make_clips("embedding"), Recorder()
    PseudoAnomalyScorer(["section"]).by_kind(detector, clips)
    assert np.isin(detector.seen[1]["embedding"][:10], clips["embedding"][10:]).all()


def test_a_tone_of_known_level_is_added_to_waveforms():
    clips, detector = make_clips("waveform"), Recorder()
    PseudoAnomalyScorer(["tone"]).by_kind(detector, clips)
    tone = detector.seen[1]["waveform"] - clips["waveform"]
    levels = [np.sqrt(np.mean(part**2, axis=1)) for part in (tone, clips["waveform"])]
    np.testing.assert_allclose(levels[0] / levels[1], 0.3, rtol=0.05)


def test_known_anomalies_are_left_out():
    clips, detector = make_clips("embedding"), Recorder()
    PseudoAnomalyScorer().by_kind(detector, clips, np.tile([1, -1], 10))
    assert [len(X) for X in detector.seen] == [10, 10, 10]


def test_a_search_and_a_selection_use_it_without_labels():
    rng = np.random.default_rng(0)
    X = np.repeat(rng.normal(size=(300, 1)), 3, axis=1) + 0.1 * rng.normal(size=(300, 3)) + 3
    grid = {"covariance": ["ledoit_wolf", "sample"]}
    search = GridSearchCV(MahalanobisDetector(), grid, scoring=PseudoAnomalyScorer(), cv=KFold(3)).fit(X)
    assert search.best_score_ > 0.9
    clips = Clips(embedding=X, machine=["fan"] * 300, label=[-1] * 300)
    systems = {"cosine": CosineCenterDetector(), "mahalanobis": MahalanobisDetector()}
    selection = select_systems(systems, clips, scorer=PseudoAnomalyScorer(), cv=KFold(3), labels=None)
    assert selection.best == {"fan": "mahalanobis"}
    with pytest.raises(ValueError, match="verdict"):
        select_systems(systems, clips.without("label"), scorer=PseudoAnomalyScorer(), cv=KFold(3), labels="verdict")


@pytest.mark.parametrize("kinds", ["tone", [], ["noise"]])
def test_kinds_that_are_none_are_refused(kinds):
    with pytest.raises(ValueError, match="kinds"):
        PseudoAnomalyScorer(kinds)


def test_what_cannot_be_changed_is_refused():
    with pytest.raises(ValueError, match="tone"):
        PseudoAnomalyScorer(["tone"])(Recorder(), make_clips("embedding"))
    with pytest.raises(ValueError, match="AudioLoader"):
        PseudoAnomalyScorer()(Recorder(), Clips(path=["a.wav", "b.wav"]))
