"""What may stand in ``y``: -1 for anomalies, and no words, bools or 0 and 1 by which they would train unnoticed."""

import re
from functools import partial

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch.nn import LazyLinear

from skasd.augmentation import Mixup
from skasd.clips import Clips
from skasd.detectors import CosineCenterDetector, MahalanobisDetector
from skasd.embedders import ClassificationEmbedder
from skasd.ensemble import ScoreEnsemble
from skasd.features import FieldTransformer
from skasd.losses import SoftmaxLoss
from skasd.metrics import auc_scorer
from skasd.model_selection import NormalOnlyKFold
from skasd.plotting import ScoreHistogramDisplay

X = np.random.default_rng(0).normal(size=(20, 2))
LABEL = np.repeat([1, -1], [15, 5])
WORDS_ARE_CLASSES = {
    "embedder": ClassificationEmbedder(partial(LazyLinear, 3), loss=SoftmaxLoss, max_epochs=1, device="cpu").fit
}
TRANSFORMERS = {
    "transformer": FieldTransformer(StandardScaler()).fit,
    "augmentation": Mixup().fit,
}
DETECTORS = {
    "detector": MahalanobisDetector().fit,
    "pipeline": make_pipeline(FieldTransformer(StandardScaler()), MahalanobisDetector()).fit,
    "ensemble": ScoreEnsemble([("one", MahalanobisDetector()), ("two", CosineCenterDetector())]).fit,
}
JUDGES = {
    "scorer": lambda X, y: auc_scorer(MahalanobisDetector().fit(X), X, y),
    "splitter": lambda X, y: list(NormalOnlyKFold(n_splits=2).split(X, y)),
    "display": lambda X, y: ScoreHistogramDisplay.from_predictions(y, X[:, 0]),
}


def each(readers):
    return pytest.mark.parametrize("read", readers.values(), ids=readers)


def advice(error):
    """What the message says to write."""
    return re.findall(r"np\.where\(.*?, -?1, -?1\)", str(error.value))


@each(TRANSFORMERS | DETECTORS | JUDGES)
@pytest.mark.parametrize("names", [["normal", "anomaly"], ["OK", "NG"], ["1", "-1"], ["00", " Faulty "]], ids=str)
def test_words_that_mean_anomalous_are_refused(read, names):
    y = np.repeat(names, [15, 5])
    with pytest.raises(ValueError, match=f"y .*{names[1]!r}.*only -1 ") as error:
        read(X, y)
    (code,) = advice(error)
    assert_array_equal(eval(code, {"np": np, "y": y}), LABEL)


@each(WORDS_ARE_CLASSES | TRANSFORMERS | DETECTORS | JUDGES)
def test_bools_are_refused(read):
    with pytest.raises(ValueError, match=r"y .*True and False") as error:
        read(X, LABEL == -1)
    if_true, if_false = advice(error)
    assert_array_equal(eval(if_true, {"np": np, "y": LABEL == -1}), LABEL)
    assert_array_equal(eval(if_false, {"np": np, "y": LABEL == 1}), LABEL)


@pytest.mark.parametrize("kind", [list, pd.Series, partial(np.array, dtype=object), lambda y: np.reshape(y, (-1, 1))])
def test_words_are_found_in_whatever_holds_them(kind):
    y = kind(["normal"] * 12 + ["anomaly"] * 4 + ["defect"] * 4)
    with pytest.raises(ValueError, match=r"np.isin\(y, \['anomaly', 'defect'\]\), -1, 1"):
        MahalanobisDetector().fit(X, y)


@pytest.mark.parametrize(
    "names", [["normal", "healthy"], ["ok", "good"], ["anomaly_detection_rig", "No fault"]], ids=str
)
def test_other_words_are_classes_of_normal_clips(names):
    detector = MahalanobisDetector().fit(X, np.repeat(names, 10))
    assert_array_equal(detector.score_samples(X), MahalanobisDetector().fit(X).score_samples(X))


def test_any_words_are_names_of_classes_where_classes_are_learned():
    (learn,) = WORDS_ARE_CLASSES.values()
    assert learn(X, np.repeat(["good", "bad"], 10)).classes_[0].tolist() == ["bad", "good"]
    with pytest.raises(ValueError, match=r"y holds the words 'bad'.*only -1 "):  # here the classes are the sections
        learn(Clips(waveform=X, section=["00", "01"] * 10), np.repeat(["good", "bad"], 10))


@each(DETECTORS)
@pytest.mark.parametrize("kind", [list, np.float64, np.uint8, pd.Series])
def test_a_detector_doubts_zeros_and_ones(read, kind):
    with pytest.warns(UserWarning, match=r"y .*0 and 1 only.*np\.where\(y == 1, -1, 1\)"):
        read(X, kind((LABEL == -1).astype(int)))


@pytest.mark.parametrize("as_field", [False, True])
def test_an_ensemble_doubts_once_and_only_where_detectors_do(as_field, recwarn):
    """Its members get what is left of -1, 0 and 1 without the anomalies, and might doubt that."""

    def fit(y):
        DETECTORS["ensemble"](*([Clips(embedding=X, label=y)] if as_field else [X, y]))

    fit(np.tile([-1, 0, 1, 1], 5))
    assert not recwarn.list
    fit(np.tile([0, 1], 10))
    (warning,) = recwarn.list
    assert "holds 0 and 1 only" in str(warning.message) and warning.filename == __file__


def test_a_detector_doubts_zeros_and_ones_in_the_field():
    message = r"label .*0 and 1 only.*unknown.*np\.where\(label == 1, -1, 1\)"
    with pytest.warns(UserWarning, match=message) as caught:
        MahalanobisDetector().fit(Clips(embedding=X, label=(LABEL == -1).astype(int)))
    assert caught[0].filename == __file__


@each(WORDS_ARE_CLASSES | TRANSFORMERS)
def test_zeros_and_ones_are_classes_for_all_others(read, recwarn):
    assert read(X, np.repeat([0, 1], 10)).n_features_in_ == 2
    assert not recwarn.list


NO_LABELS = {
    "None": [None] * 20,
    "one None": [1] * 13 + [None] + [1] * 6,
    "NaN": [1.0] * 13 + [np.nan] + [1.0] * 6,
    "NA": pd.array([1] * 13 + [pd.NA] + [1] * 6, dtype="Int64"),
    "NaT": [1] * 13 + [pd.NaT] + [1] * 6,
}


@each(WORDS_ARE_CLASSES | TRANSFORMERS | DETECTORS | JUDGES)
@pytest.mark.parametrize("y", NO_LABELS.values(), ids=NO_LABELS)
def test_missing_labels_are_named_by_their_rows(read, y):
    with pytest.raises(ValueError, match=r"y .*no value.* (0, 1, 2, 3, 4 and 15 more|13)\."):
        read(X, y)


def objects(*values):
    array = np.empty(20, dtype=object)
    array[:] = 1
    array[: len(values)] = values
    return array


NO_KIND = {
    "dicts": (objects({}, {}), "{}"),
    "lists": ([[1]] + [1] * 19, r"\[1\]"),
    "words and numbers": (["ok"] + [1] * 19, "'ok', 1"),
    "dates": (np.array(["2020-01-01"] * 20, dtype="datetime64[D]"), "2020-01-01"),
    "bytes": (np.array([b"ok"] * 20), "b'ok'"),
    "complex": ([1j] * 20, "1j"),
    "huge": ([10**30] + [1] * 19, "10{30}"),
    "masked": (np.ma.masked_equal(LABEL, -1), "masked"),
    "too long": (np.ones(21), r"\(21,\)"),
    "single": (1, r"\(\)"),
    "none": ([], r"\(0,\)"),
    "text": ("normal", r"\(\)"),
}


@each(TRANSFORMERS | DETECTORS | JUDGES)
@pytest.mark.parametrize(("y", "found"), NO_KIND.values(), ids=NO_KIND)
def test_what_is_no_label_is_shown(read, y, found):
    with pytest.raises(ValueError, match=f"y .*{found}"):
        read(X, y)


@each(DETECTORS)
@pytest.mark.parametrize(("y", "found"), [([0.5] + [1] * 19, r"0\.5"), ([np.inf] * 20, "inf"), ([-2] + [1] * 19, "-2")])
def test_numbers_that_are_no_labels_are_shown(read, y, found):
    with pytest.raises(ValueError, match=f"y .*-1 for anomalous.*{found}"):
        read(X, y)


@pytest.mark.parametrize("first", [[True], [np.True_, False]])
def test_bools_among_numbers_are_refused(first):
    y = first + [1] * (20 - len(first))
    with pytest.raises(ValueError, match=r"y .*True and False"):
        MahalanobisDetector().fit(X, y)
    with pytest.raises(ValueError, match=r"'label' .* got (np\.)?True"):
        Clips(embedding=X, label=y)


def test_no_clips_are_nothing_to_train_on():
    with pytest.raises(ValueError, match="no clips"):
        ScoreEnsemble([("one", MahalanobisDetector())]).fit(Clips(embedding=np.zeros((0, 2)), label=[]))


@pytest.mark.parametrize(
    "y", [LABEL, np.tile([-1, 0, 1, 1], 5), np.tile([1, 2], 10), np.zeros(20), np.tile(["0", "1"], 10)]
)
def test_other_labels_are_not_doubted(y, recwarn):
    normal = y != -1 if y.dtype.kind != "U" else np.ones(20, dtype=bool)
    scores = MahalanobisDetector().fit(X, y).score_samples(X)
    assert_array_equal(scores, MahalanobisDetector().fit(X[normal]).score_samples(X))
    assert not recwarn.list
