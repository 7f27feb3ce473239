"""The picture of training: the numbers of the history, whoever holds it, in the right places; and bad input."""

import numpy as np
import pytest
from matplotlib.colors import to_hex
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from torch import nn

from skasd.clips import Clips
from skasd.detectors import CosineCenterDetector
from skasd.embedders import ClassificationEmbedder, StatisticsEmbedder
from skasd.plotting import TrainingHistoryDisplay

HISTORY = [
    {"epoch": 1, "train_loss": 4.0, "valid_loss": 5.0, "dur": 0.1},
    {"epoch": 2, "train_loss": 2.0, "valid_loss": 3.0, "dur": 0.1},
    {"epoch": 3, "train_loss": 1.0, "valid_loss": 3.5, "dur": 0.1},
]
WITHOUT_VALIDATION = [{"epoch": row["epoch"], "train_loss": row["train_loss"]} for row in HISTORY]


def make_network():
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(4))


def make_embedder(**params):
    return ClassificationEmbedder(make_network, max_epochs=3, device="cpu", random_state=0, **params)


@pytest.fixture
def clips():
    log_mel = np.random.default_rng(0).normal(size=(24, 4, 5)).astype(np.float32)
    return Clips(log_mel=log_mel, section=["00", "01"] * 12, label=np.ones(24))


def legend(display):
    return [text.get_text() for text in display.ax_.get_legend().get_texts()]


def test_lines_are_the_numbers_of_the_history():
    display = TrainingHistoryDisplay.from_history(HISTORY, name="fan")
    assert display.train_line_.get_xydata().tolist() == [[1, 4], [2, 2], [3, 1]]
    assert display.valid_line_.get_xydata().tolist() == [[1, 5], [2, 3], [3, 3.5]]
    assert display.best_.get_xydata().tolist() == [[2, 3]]
    assert display.epoch.tolist() == [1, 2, 3]
    assert display.train_loss.tolist() == [4, 2, 1] and display.valid_loss.tolist() == [5, 3, 3.5]
    assert display.figure_ is display.ax_.figure


def test_says_what_is_what():
    display = TrainingHistoryDisplay.from_history(HISTORY, name="fan")
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("epoch", "loss (lower = better)")
    assert display.ax_.get_title() == "fan"
    assert legend(display) == ["training", "validation", "least validation loss: 3, epoch 2"]


def test_blue_and_orange():
    display = TrainingHistoryDisplay.from_history(HISTORY)
    colors = [to_hex(line.get_color()) for line in (display.train_line_, display.valid_line_, display.best_)]
    assert colors == ["#0072b2", "#e69f00", "#e69f00"]


def test_without_validation_there_is_one_line():
    display = TrainingHistoryDisplay.from_history(WITHOUT_VALIDATION)
    assert display.valid_loss is None and display.valid_line_ is None and display.best_ is None
    assert legend(display) == ["training"] and len(display.ax_.lines) == 1


@pytest.mark.parametrize("n_epochs", [1, 2, 3])
def test_epochs_are_whole_numbers(n_epochs):
    display = TrainingHistoryDisplay.from_history(HISTORY[:n_epochs])
    ticks = display.ax_.get_xticks()
    assert (ticks == np.round(ticks)).all()


def test_one_epoch_can_be_seen():
    assert TrainingHistoryDisplay.from_history(HISTORY[:1]).train_line_.get_marker() == "."
    assert TrainingHistoryDisplay.from_history(HISTORY).train_line_.get_marker() == "None"


def test_losses_that_are_not_numbers_have_no_best():
    history = [row | {"valid_loss": np.nan} for row in HISTORY]
    assert TrainingHistoryDisplay.from_history(history).best_ is None
    history[2]["valid_loss"] = 7.0
    assert TrainingHistoryDisplay.from_history(history).best_.get_xydata().tolist() == [[3, 7]]


def test_from_whatever_holds_an_embedder(clips):
    system = make_pipeline(make_embedder(validation_fraction=0.25), CosineCenterDetector())
    search = GridSearchCV(
        system,
        {"classificationembedder__lr": [1e-2]},
        cv=2,
        scoring=lambda system, X, y: system.score_samples(X).mean(),
    ).fit(clips, clips["label"])
    best = search.best_estimator_
    for holder in (best[0], best, search):
        display = TrainingHistoryDisplay.from_estimator(holder, name="fan")
        assert display.train_loss.tolist() == [row["train_loss"] for row in best[0].history_]
        assert display.valid_loss.tolist() == [row["valid_loss"] for row in best[0].history_]
        assert len(display.epoch) == 3 and display.name == "fan"


def test_from_the_history_of_the_net(clips):
    embedder = make_embedder().fit(clips)
    display = TrainingHistoryDisplay.from_history(embedder.net_.history)
    assert display.train_loss.tolist() == [row["train_loss"] for row in embedder.history_]


def test_nobody_holds_a_history():
    with pytest.raises(ValueError, match=r"got 0 in StatisticsEmbedder, CosineCenterDetector\. Fit a Classification"):
        TrainingHistoryDisplay.from_estimator(make_pipeline(StatisticsEmbedder(), CosineCenterDetector()))
    with pytest.raises(ValueError, match="got 0 in ClassificationEmbedder"):
        TrainingHistoryDisplay.from_estimator(make_embedder())


def test_two_hold_a_history():
    first = make_embedder()
    first.history_ = HISTORY
    with pytest.raises(ValueError, match="got 2 in ClassificationEmbedder, ClassificationEmbedder"):
        second = clone(first)
        second.history_ = HISTORY
        TrainingHistoryDisplay.from_estimator(make_pipeline(first, second))


@pytest.mark.parametrize(
    ("history", "found"), [([], "got no epochs"), ([{"epoch": 1}], r"got 1 epochs, the first with \['epoch'\]")]
)
def test_bad_history(history, found):
    with pytest.raises(ValueError, match=found):
        TrainingHistoryDisplay.from_history(history)
