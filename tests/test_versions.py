"""Every estimator tells, when it is loaded, that it was saved by other versions."""

import pickle
import warnings

import joblib
import numpy as np
import pytest
from estimators import ESTIMATORS
from sklearn.base import clone
from sklearn.exceptions import InconsistentVersionWarning

import skasd
from skasd._versions import InconsistentSkasdVersionWarning
from skasd.augmentation import SevenBandParametricEQ, SpecAugment
from skasd.clips import Clips
from skasd.detectors import MahalanobisDetector
from skasd.embedders import PretrainedEmbedder

EVERY = [*ESTIMATORS, SpecAugment(), SevenBandParametricEQ(sample_rate=16000)]
each = pytest.mark.parametrize("estimator", EVERY, ids=lambda estimator: type(estimator).__name__)


def has_network(estimator):
    return hasattr(estimator, "max_epochs") or isinstance(estimator, PretrainedEmbedder)


@each
def test_another_version_of_the_package_is_told(estimator, monkeypatch):
    saved = pickle.dumps(estimator)
    monkeypatch.setattr("skasd.__version__", "99.1")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pickle.loads(saved)
    assert {one.category for one in caught} == {InconsistentSkasdVersionWarning}
    own = str(caught[-1].message)  # after those of the estimators inside
    assert type(estimator).__name__ in own and f"skasd {skasd.__version__}" in own and "skasd 0." in own


@each
def test_another_version_of_torch_is_told_where_a_network_is_inside(estimator, monkeypatch):
    saved = pickle.dumps(estimator)
    monkeypatch.setattr("torch.__version__", "99.1+cpu")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pickle.loads(saved)
    assert ["torch 99.1 " in str(one.message) or "torch 99.1;" in str(one.message) for one in caught] == (
        [True] if has_network(estimator) else []
    )


@each
def test_a_state_without_versions_can_be_read(estimator):
    state = estimator.__getstate__()
    del state["_versions"]
    loaded = type(estimator).__new__(type(estimator))
    with pytest.warns(InconsistentVersionWarning, match="an unknown version"):
        loaded.__setstate__(state)
    assert repr(loaded) == repr(estimator)


@each
def test_the_same_version_says_nothing(estimator):
    loaded = pickle.loads(pickle.dumps(clone(estimator)))
    assert repr(loaded) == repr(estimator)


def test_a_fitted_estimator_scores_the_same_whatever_version_loads_it(tmp_path, monkeypatch):
    clips = Clips(embedding=np.random.default_rng(0).normal(size=(20, 3)))
    detector = MahalanobisDetector().fit(clips)
    joblib.dump(detector, tmp_path / "detector.joblib")
    monkeypatch.setattr("skasd.__version__", "99.1")
    with pytest.warns(InconsistentVersionWarning):
        loaded = joblib.load(tmp_path / "detector.joblib")
    np.testing.assert_array_equal(loaded.decision_function(clips), detector.decision_function(clips))
