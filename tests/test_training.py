"""Training by skorch: its callbacks work, Ctrl-C ends it, a checkpoint carries it on, and nothing of it leaks."""

import copy
import os
import pickle
import random
import subprocess
import sys
import textwrap
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from skorch.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    GradientNormClipping,
    LRScheduler,
    TensorBoard,
)
from torch import nn
from torch.optim import lr_scheduler

from skasd._groups import first_copies, joined
from skasd.augmentation import Augmentation, Mixup, SpecAugment
from skasd.clips import Clips
from skasd.detectors import AutoencoderDetector, CosineCenterDetector, FlowDetector
from skasd.embedders import ClassificationEmbedder
from skasd.losses import AdaCosLoss, SoftmaxLoss
from skasd.networks import LogMelLayer, MobileFaceNet, WithFrontEnd
from skasd.training import _memory as memory
from skasd.training import seeded, set_aside

TRAINING = {"max_epochs": 3, "batch_size": 16, "device": "cpu", "random_state": 0}


class SmallNetwork(nn.Sequential):
    """Bands are channels; batch norm and dropout, so that a training has all that it can forget."""

    def __init__(self, size=6):
        super().__init__(
            nn.LazyConv1d(8, 3), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.AdaptiveAvgPool1d(1), nn.Flatten(),
            nn.Linear(8, size),
        )  # fmt: skip


def make_clips(n_clips=48, seed=0):
    """Two sections, four attributes: each has a loud band of its own."""
    rng = np.random.default_rng(seed)
    number = np.arange(n_clips) % 4
    log_mel = rng.normal(size=(n_clips, 8, 12)).astype(np.float32)
    log_mel[np.arange(n_clips), number] += 3
    return Clips(
        log_mel=log_mel,
        section=np.where(number % 2, "01", "00"),
        attribute=np.array(list("abcd"))[number],
        domain=np.where(np.arange(n_clips) % 6, "source", "target"),
    )


def make_windows(n_clips=24, seed=0):
    rng = np.random.default_rng(seed)
    embedding = rng.normal(size=(n_clips, 4, 2)) @ rng.normal(size=(2, 5)) + 0.2 * rng.normal(size=(n_clips, 4, 5))
    return Clips(embedding=embedding, section=np.where(np.arange(n_clips) % 2, "01", "00"))


embedder = partial(ClassificationEmbedder, SmallNetwork, **TRAINING)
autoencoder = partial(AutoencoderDetector, network__n_hidden=(8,), network__n_bottleneck=2, **TRAINING)
flow = partial(FlowDetector, transforms=2, hidden_features=(8,), **TRAINING)
ESTIMATORS = {
    "embedder": (embedder, make_clips),
    "autoencoder": (autoencoder, make_windows),
    "flow": (flow, make_windows),
}
each_estimator = pytest.mark.parametrize(("make", "clips"), ESTIMATORS.values(), ids=ESTIMATORS)


def output(fitted, clips):
    if hasattr(fitted, "score_samples"):
        return fitted.score_samples(clips)
    return fitted.transform(clips)["embedding"]


def weights(fitted):
    modules = [fitted.network_, getattr(fitted, "loss_", nn.Identity())]
    return [tensor for module in modules for tensor in module.state_dict().values()]


def assert_same_training(one, other):
    for left, right in zip(weights(one), weights(other), strict=True):
        assert torch.equal(left, right)
    for left, right in zip(one.history_, other.history_, strict=True):
        assert {**left, "dur": 0} == {**right, "dur": 0}


# What skorch promises


@each_estimator
def test_callbacks_of_skorch_work_in_a_real_fit(make, clips, tmp_path):
    writer = pytest.importorskip("torch.utils.tensorboard").SummaryWriter(tmp_path / "board")
    callbacks = [
        Checkpoint(dirname=tmp_path),
        LRScheduler(lr_scheduler.StepLR, step_size=1, gamma=0.5),
        GradientNormClipping(0.1),
        EarlyStopping(patience=3),
        TensorBoard(writer),
    ]
    fitted = make(callbacks=callbacks, validation_fraction=0.25, lr=0.01).fit(clips())
    assert (tmp_path / "params.pt").stat().st_size > 0
    assert fitted.net_.history[:, "event_lr"] == [0.01, 0.005, 0.0025]
    events = next((tmp_path / "board").glob("events*")).read_bytes()
    assert b"Loss/train_loss" in events and b"Loss/valid_loss" in events
    saved = torch.load(tmp_path / "params.pt", weights_only=True)
    fitted.net_.module_.load_state_dict(saved)


@pytest.mark.parametrize("targets", [("section",), ("section", "attribute")])
def test_predict_gives_the_classes(targets):
    clips, test = make_clips(), make_clips(seed=1)
    fitted = embedder(targets=targets, loss=SoftmaxLoss, max_epochs=20, lr=0.02).fit(clips)
    predicted = fitted.net_.predict(test["log_mel"])
    named = [classes[numbers] for classes, numbers in zip(fitted.classes_, np.atleast_2d(predicted.T), strict=True)]
    for target, names in zip(targets, named, strict=True):
        assert (names == test[target]).mean() > 0.9
    proba = fitted.net_.predict_proba(test["log_mel"])
    assert np.atleast_2d(np.asarray(proba[0]).T if len(targets) == 1 else proba[1]).shape[-1] in (2, 4)


@pytest.mark.parametrize("make", [autoencoder, flow], ids=["autoencoder", "flow"])
def test_predict_of_a_detector_says_how_unusual_rows_are(make):
    X = make_windows()["embedding"]
    scored = EpochScoring(lambda net, X, y: net.predict(X).mean(), name="unusual")
    fitted = make(callbacks=[scored], validation_fraction=0.25).fit(X)
    rows = X.reshape(-1, 5)
    np.testing.assert_allclose(fitted.net_.predict(rows), -fitted.score_samples(rows), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(fitted.net_.history[-1, "unusual"], fitted.history_[-1]["valid_loss"], rtol=1e-4)
    sections = np.resize(["00", "01"], len(X))
    of_two = make().fit(Clips(embedding=X, section=sections))
    number = np.repeat(sections == "01", 4).astype(np.int64)
    unusual = of_two.net_.predict({"x": rows, "section": number}).reshape(len(X), -1).mean(axis=1)
    wanted = -of_two.score_samples(Clips(embedding=X, section=sections))
    np.testing.assert_allclose(unusual, wanted, rtol=1e-3, atol=1e-4)


def test_module_includes_the_front_end():
    network = partial(WithFrontEnd, [partial(LogMelLayer, n_fft=64, hop_length=32, n_mels=8)], SmallNetwork)
    waveform = np.random.default_rng(0).normal(scale=0.1, size=(12, 640)).astype(np.float32)
    clips = Clips(waveform=waveform, section=["00", "01"] * 6)
    fitted = ClassificationEmbedder(network, window_frames=8, hop_frames=4, **TRAINING).fit(clips)
    made = fitted.net_.module_.eval()(torch.from_numpy(waveform)).detach()
    assert made.shape == (12, 6)
    middle = (21 - 8) // 2
    spectrograms = fitted.network_.spectrograms(torch.from_numpy(waveform))[..., middle : middle + 8]
    torch.testing.assert_close(made, fitted.network_.backbone(spectrograms))
    np.testing.assert_array_equal(fitted.net_.predict(waveform), fitted.net_.predict_proba(waveform).argmax(axis=1))


@pytest.mark.parametrize("use_caching", [True, False])
def test_accuracy_on_the_clips_that_are_set_aside(use_caching):
    def accuracy(net, dataset, y=None):
        return np.mean(net.predict(dataset) == [int(label) for _, label in dataset])

    scoring = "accuracy" if use_caching else accuracy
    note = EpochScoring(scoring, lower_is_better=False, name="accuracy", use_caching=use_caching)
    on_train = EpochScoring("accuracy", lower_is_better=False, name="on_train", on_train=True)
    fitted = embedder(callbacks=[note, on_train], validation_fraction=0.5, max_epochs=20, lr=0.02).fit(make_clips())
    assert fitted.net_.history[-1, "accuracy"] > 0.9
    assert fitted.net_.history[-1, "on_train"] > 0.9


@each_estimator
def test_callbacks_of_the_user_stay_as_they_are(make, clips):
    callback = LRScheduler(lr_scheduler.StepLR, step_size=1)
    before = copy.deepcopy(vars(callback))
    plain = make().fit(clips())
    fitted = make(callbacks=[callback, ("named", EarlyStopping()), EpochScoring], validation_fraction=0.25)
    fitted.set_params(callbacks=[callback, ("named", EarlyStopping())]).fit(clips())
    assert vars(callback) == before
    assert len(pickle.dumps(fitted)) < len(pickle.dumps(plain)) + 4000
    assert clone(fitted).get_params()["callbacks"][0] is not callback


@each_estimator
def test_arguments_of_the_net_replace_ours(make, clips):
    given = {"iterator_train__drop_last": True, "iterator_train__shuffle": False, "optimizer__lr": 0.125}
    fitted = make(**given).fit(clips())
    assert fitted.net_.get_iterator(fitted.net_.get_dataset(np.zeros((5, 2))), training=True).drop_last
    assert fitted.net_.optimizer_.param_groups[0]["lr"] == 0.125


MISSPELT = [
    "lerning_rate",
    "netwrk__size",
    "optimizr__momentum",
    "network_size",
    "module",
    "criterion__margin",
    "patience",
]


@each_estimator
@pytest.mark.parametrize("name", MISSPELT)
def test_names_that_do_not_exist_are_told_with_those_that_do(make, clips, name):
    for estimator in (make(**{name: 1}), make().set_params(**{name: 1})):
        with pytest.raises(ValueError, match=rf"{name}'.* batch_size,.* optimizer__\.\.\."):
            estimator.fit(clips())


@each_estimator
@pytest.mark.parametrize(("name", "others"), [
    ("optimizer__foo", "optimizer__weight_decay"),
    ("iterator_train__foo", "iterator_train__num_workers"),
    ("iterator_valid__foo", "iterator_valid__num_workers"),
])  # fmt: skip
def test_arguments_that_a_part_of_the_net_does_not_take_are_told_with_those_that_it_takes(make, clips, name, others):
    with pytest.raises(ValueError, match=rf"{name.partition('__')[0]}=.*'foo'.* {others}"):
        make(**{name: 1}).fit(clips())


@each_estimator
@pytest.mark.parametrize("names", [["lr_schedule"], ["train_loss"], ["training_progress"], ["same", "same"]])
def test_names_of_callbacks_that_are_taken_are_told(make, clips, names):
    callbacks = [(name, GradientNormClipping(1.0)) for name in names]
    with pytest.raises(ValueError, match=f"callbacks: .*'{names[0]}'.*lr_schedule"):
        make(callbacks=callbacks, lr_schedule="cosine").fit(clips())


def test_a_schedule_of_the_user_has_its_name_where_there_is_no_other():
    schedule = LRScheduler(torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.1)
    fitted = embedder(callbacks=[("lr_schedule", schedule)]).fit(make_clips())
    assert fitted.net_.optimizer_.param_groups[0]["lr"] < 0.2 * fitted.lr


@pytest.mark.parametrize(("make", "name"), [(embedder, "pretrain__lr"), (embedder, "loader__mono"),
                                            (autoencoder, "augmentation__alpha")])  # fmt: skip
def test_parameters_of_an_estimator_that_is_not_there(make, name):
    with pytest.raises(ValueError, match=rf"{name}' for .*=None has no parameters"):
        make().set_params(**{name: 1})
    nested = embedder().set_params(pretrain=embedder(), pretrain__lr=0.5)
    assert nested.pretrain.lr == 0.5


def test_a_first_stage_with_another_network_is_told_in_a_few_words():
    first = embedder(network__size=5)
    with pytest.raises(ValueError, match=r"pretrain does not hold .*such as .*\(5.*wanted \(6") as caught:
        embedder(pretrain=first, network__size=6).fit(make_clips())
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("targets", [("section",), ("section", "attribute")])
def test_arguments_of_network_and_loss_are_parameters(targets):
    params = {"network__size": 5, "loss__scale": 7.0, "optimizer__weight_decay": 0.25, "targets": targets}
    fitted = embedder(**params)
    assert params.items() <= fitted.get_params().items()
    assert "network__size=5" in repr(fitted) and "network__size" in fitted._repr_html_()
    copied = pickle.loads(pickle.dumps(clone(fitted))).set_params(network__size=4)
    for one, size in ((fitted, 5), (copied, 4)):
        one.fit(make_clips())
        losses = getattr(one.loss_, "losses", [one.loss_])
        assert output(one, make_clips()).shape == (48, size)
        assert [loss.scale for loss in losses] == [7.0] * len(targets)
        assert one.net_.optimizer_.param_groups[0]["weight_decay"] == 0.25


def make_network(size=6):
    return SmallNetwork(size)


@pytest.mark.parametrize(
    "network", [SmallNetwork, make_network, partial(SmallNetwork)], ids=["class", "function", "partial"]
)
def test_a_search_goes_over_arguments_of_network_and_loss(network):
    clips = make_clips()
    system = Pipeline([("embedder", embedder().set_params(network=network)), ("detector", CosineCenterDetector())])
    grid = {"embedder__network__size": [2, 3], "embedder__loss__margin": [0.1], "embedder__callbacks": [None]}
    search = GridSearchCV(system, grid, scoring=lambda system, X, y: system["embedder"].stage_sizes_[0], cv=2)
    assert search.fit(clips, np.ones(48)).best_params_["embedder__network__size"] == 3
    with pytest.raises(ValueError, match=r"'sise'.* network__size"):
        embedder(network__sise=3).set_params(network=network).fit(clips)
    with pytest.raises(ValueError, match=r"'mragin'.* loss__margin"):
        embedder(loss__mragin=0.1).fit(clips)


# What the user gets wrong


class Broken(SmallNetwork):
    """A network of a user with a slip of the pen."""

    def forward(self, x):
        return self.hiden(x)


class NoForward(nn.Module):
    pass


def test_a_fault_in_the_network_is_shown_as_what_it_is():
    with pytest.raises(AttributeError, match="hiden") as caught:
        embedder().set_params(network=Broken).fit(make_clips())
    assert "return self.hiden(x)" in "".join(traceback.format_exception(caught.value))
    assert any("Broken" in note for note in caught.value.__notes__)
    with pytest.raises(NotImplementedError, match="forward"):
        embedder().set_params(network=NoForward).fit(make_clips())
    with pytest.raises(AttributeError, match="hiden"):
        AutoencoderDetector(Broken, **TRAINING).fit(make_windows())


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"network": MobileFaceNet()}, "network=MobileFaceNet"),
        ({"network": lambda: 3}, "torch.nn.Module"),
        ({"network": nn.Identity}, r"\(2, 8, 12\)"),
        ({"loss": nn.CrossEntropyLoss}, "SoftmaxLoss"),
        ({"loss": nn.CrossEntropyLoss()}, "loss=CrossEntropyLoss"),
        ({"loss": nn.CrossEntropyLoss, "targets": ("section", "attribute")}, "SoftmaxLoss"),
        ({"loss": lambda size, n: nn.Linear(size, n)}, "logits"),
        ({"augmentations": (Mixup,)}, "Mixup"),
        ({"augmentations": ("mixup",)}, "'mixup'"),
        ({"callbacks": ["early"]}, "'early'"),
        ({"callbacks": [EarlyStopping()]}, "EarlyStopping .*'valid_loss'"),
        ({"callbacks": [("best", Checkpoint())]}, "Checkpoint .*'valid_loss_best'"),
        ({"callbacks": [EpochScoring("accuracy", name="right"), EarlyStopping("right")]}, "'right'"),
        ({"validation_fraction": 0.001}, "0.001"),
        ({"device": "graphics"}, "'graphics'"),
        ({"device": "cuda:31"}, "cuda:31"),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_what_cannot_train_says_why(params, message):
    with pytest.raises((ValueError, TypeError), match=message):
        embedder().set_params(**params).fit(make_clips())


def test_batches_of_one_clip_train_a_network_without_batch_norm():
    clips, network = make_clips(8), partial(nn.Sequential, nn.LazyConv1d(4, 12), nn.Flatten())
    assert np.isfinite(output(embedder(batch_size=1).set_params(network=network).fit(clips), clips)).all()


@pytest.mark.parametrize(("make", "clips"), [(ClassificationEmbedder, make_clips), (AutoencoderDetector, make_windows)])
def test_batches_of_one_clip_are_nothing_for_batch_norm(make, clips):
    network = partial(nn.Sequential, nn.Flatten(), nn.LazyLinear(5), nn.BatchNorm1d(5))
    with pytest.raises(ValueError, match="batch_size=1"):
        make(network, **(TRAINING | {"batch_size": 1})).fit(clips())


# Ctrl-C


class Interrupts(Callback):
    """Ctrl-C at some point of an epoch."""

    def __init__(self, where="on_epoch_end", epoch=2):
        self.where = where
        self.epoch = epoch

    def __getattribute__(self, name):
        if name.startswith("on_") and name == object.__getattribute__(self, "where"):
            return self._interrupt
        return object.__getattribute__(self, name)

    def _interrupt(self, net, **kwargs):
        if len(net.history) == self.epoch:
            raise KeyboardInterrupt


@each_estimator
@pytest.mark.parametrize("where", ["on_epoch_begin", "on_grad_computed", "on_batch_end", "on_epoch_end"])
def test_ctrl_c_leaves_fit_and_nothing_half_trained(make, clips, where):
    fitted = make().fit(clips())
    interrupted = fitted.set_params(callbacks=[Interrupts(where), EarlyStopping(patience=2)], validation_fraction=0.25)
    with pytest.raises(KeyboardInterrupt):
        interrupted.fit(clips())
    assert [name for name in vars(interrupted) if name.endswith("_")] == []


@each_estimator
def test_a_fit_that_fails_leaves_nothing_of_an_earlier_one(make, clips):
    fitted = make().fit(clips())
    with pytest.raises(ValueError, match="diverged"):
        fitted.set_params(lr=1e30, optimizer=torch.optim.SGD, callbacks__gradient_norm_clipping=None).fit(clips())
    assert [name for name in vars(fitted) if name.endswith("_")] == []


def run(code, *arguments):
    """A process of its own, in which all that is here is there."""
    tests = Path(__file__).parent
    paths = os.pathsep.join([str(tests.parent), str(tests)])
    code = f"from test_training import *\n{textwrap.dedent(code)}"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
    )


def test_a_real_signal_ends_the_program():
    done = run("""
        import signal

        class Types(Callback):
            def on_batch_end(self, net, **kwargs):
                if len(net.history) == 2:
                    os.kill(os.getpid(), signal.SIGINT)

        embedder(callbacks=[Types()], max_epochs=50).fit(make_clips())
        print("went on")
    """)
    assert done.returncode != 0
    assert "KeyboardInterrupt" in done.stderr and "went on" not in done.stdout


def test_early_stopping_of_the_user_ends_training_as_if_all_epochs_were_done():
    stop = EarlyStopping(patience=1, threshold=0.5)
    fitted = embedder(callbacks=[stop], validation_fraction=0.25, max_epochs=50).fit(make_clips())
    assert len(fitted.history_) < 50
    assert np.isfinite(output(fitted, make_clips())).all()
    assert stop.misses_ == 0


# Checkpoints


class Dies(Callback):
    """The end of the process, or of the fit, in the middle of an epoch or at its end."""

    def __init__(self, epoch, where="on_epoch_end", end=None):
        self.epoch = epoch
        self.where = where
        self.end = end

    def on_epoch_end(self, net, **kwargs):
        self._die(net, "on_epoch_end")

    def on_batch_end(self, net, **kwargs):
        self._die(net, "on_batch_end")

    def _die(self, net, where):
        if len(net.history) == self.epoch and where == self.where:
            raise OSError("the power is gone") if self.end is None else self.end(9)


def scheduled(policy, **params):
    return {"callbacks": [LRScheduler(policy, **params)]}


BEST = EarlyStopping(patience=2, load_best=True)
CHECKPOINTED = {
    "plain": {},
    "augmented": {
        "augmentations": (Mixup(target_share=0.5), SpecAugment(freq_mask=2, time_mask=4)),
        "loss": AdaCosLoss,
        "window_frames": 8,
        "hop_frames": 2,
    },
    "schedule": {"lr_schedule": "cosine", "callbacks": [GradientNormClipping(0.5)]},
    "one cycle": {"lr_schedule": "one_cycle"},
    "warm-up": {"lr_schedule": "warmup", "min_steps": 12},
    "of every batch": scheduled(lr_scheduler.OneCycleLR, max_lr=0.1, total_steps=50, step_every="batch"),
    "milestones": scheduled(lr_scheduler.MultiStepLR, milestones=[1, 3, 4], gamma=0.3),
    "plateau": {
        **scheduled(lr_scheduler.ReduceLROnPlateau, monitor="valid_loss", patience=0, threshold=0.9),
        "validation_fraction": 0.25,
    },
    "stops early": {"validation_fraction": 0.25, "callbacks": [BEST], "lr": 0.3, "max_epochs": 30},
    "momentum": {"optimizer": torch.optim.SGD, "optimizer__momentum": 0.9, "lr": 0.05},
    "pretrained": {"pretrain": ClassificationEmbedder(SmallNetwork, **TRAINING)},
    "workers": {"iterator_train__num_workers": 1},
}


@pytest.mark.parametrize("where", ["on_epoch_end", "on_batch_end"])
@pytest.mark.parametrize("params", CHECKPOINTED.values(), ids=CHECKPOINTED)
def test_a_killed_embedder_ends_with_the_weights_of_one_that_was_not(params, where, tmp_path):
    clips, params = make_clips(), {"max_epochs": 5} | params
    whole = embedder().set_params(**params).fit(clips)
    own = params.get("callbacks", [])
    with pytest.raises(OSError, match="power"):
        embedder(checkpoint=tmp_path).set_params(**(params | {"callbacks": [*own, Dies(3, where)]})).fit(clips)
    resumed = embedder(checkpoint=tmp_path).set_params(**params).fit(clips)
    assert_same_training(whole, resumed)
    np.testing.assert_array_equal(output(whole, clips), output(resumed, clips))


class Rates(Callback):
    """The learning rate of every batch, as the optimizer has it."""

    def on_train_begin(self, net, **kwargs):
        self.rates_ = []

    def on_batch_begin(self, net, training, **kwargs):
        self.rates_ += [net.optimizer_.param_groups[0]["lr"]] * training


def rates(**params):
    """Learning rates of 48 clips in batches of 12."""
    fitted = embedder().set_params(**{"batch_size": 12, "lr": 0.1, "callbacks": [Rates()]} | params).fit(make_clips())
    return np.array(dict(fitted.net_.callbacks_)["Rates"].rates_)


def test_schedules_by_name():
    np.testing.assert_allclose(rates(lr_schedule="constant", max_epochs=2), 0.1)
    np.testing.assert_allclose(rates(lr_schedule="cosine", max_epochs=2), np.repeat([0.1, 0.05], 4))
    cycle, warm = rates(lr_schedule="one_cycle", max_epochs=10), rates(lr_schedule="warmup", max_epochs=10)
    assert cycle[0] == pytest.approx(0.1 / 25) and cycle.max() == pytest.approx(0.1, rel=0.02) and cycle[-1] < 1e-3
    assert 8 < cycle.argmax() < 16  # three tenths of 40
    np.testing.assert_allclose(warm[:5], [0.025, 0.05, 0.075, 0.1, 0.1])
    assert (np.diff(warm[4:]) < 0).all() and warm[-1] < 1e-3


def test_few_clips_are_not_few_steps():
    assert len(rates(max_epochs=3)) == 12
    assert len(rates(max_epochs=3, min_steps=9)) == 12
    assert len(rates(max_epochs=1, min_steps=18)) == 20  # whole epochs
    cycle = rates(max_epochs=1, min_steps=18, lr_schedule="one_cycle")
    assert len(cycle) == 20 and cycle[-1] < 0.02 * cycle.max()
    with pytest.raises(ValueError, match="'min_steps'"):
        rates(min_steps=0)


def test_steps_are_those_of_the_sampler_and_rates_those_of_the_optimizer():
    sampler = torch.utils.data.RandomSampler(range(48), num_samples=24)
    cycle = rates(
        min_steps=6, max_epochs=1, lr_schedule="one_cycle", iterator_train__sampler=sampler, optimizer__lr=0.5
    )
    assert len(cycle) == 6 and cycle.max() == pytest.approx(0.5, rel=0.1)
    given = {"optimizer": torch.optim.SGD, "optimizer__momentum": 0.3, "lr_schedule": "one_cycle"}
    assert embedder().set_params(**given).fit(make_clips()).net_.optimizer_.param_groups[0]["momentum"] == 0.3


class Libc:
    """A C library that notes what it is told."""

    def __init__(self):
        self.told, self.trims = {}, 0

    def mallopt(self, option, value):
        self.told[option] = value

    def malloc_trim(self, pad):
        self.trims += 1


def test_memory_is_kept_in_training_and_given_back_after(monkeypatch):
    libc = Libc()
    monkeypatch.setattr(memory, "_glibc", lambda: libc)
    with pytest.raises(KeyError), memory.keeping_memory():
        with memory.keeping_memory():
            assert libc.told[-4] == 0  # no memory is mapped
        assert libc.told[-4] == 0 and not libc.trims
        raise KeyError
    assert libc.told == {-1: 131072, -4: 65536} and libc.trims == 1


def test_malloc_that_the_user_has_told_how_to_work_is_left_alone(monkeypatch):
    monkeypatch.setenv("MALLOC_ARENA_MAX", "2")
    assert memory._glibc.__wrapped__() is None


class Draws(np.random.RandomState):
    """A random state that draws what it is told."""

    def __init__(self, seed):
        super().__init__(0)
        self.seed_drawn = seed

    def randint(self, *args, **kwargs):
        return self.seed_drawn


def test_a_training_with_any_seed_goes_on_with_its_own(tmp_path):
    clips = make_clips()
    with pytest.raises(OSError, match="power"):
        embedder(checkpoint=tmp_path, callbacks=[Dies(2)]).set_params(random_state=None).fit(clips)
    resumed = embedder(checkpoint=tmp_path).set_params(random_state=None).fit(clips)
    seed = torch.load(tmp_path / "training.pt", weights_only=True)["seed"]
    assert_same_training(embedder().set_params(random_state=Draws(seed)).fit(clips), resumed)


@pytest.mark.parametrize("make", [autoencoder, flow], ids=["autoencoder", "flow"])
@pytest.mark.parametrize(
    "params", [{"augmentation": Mixup()}, {"validation_fraction": 0.25, "callbacks": [BEST]}], ids=["mixup", "best"]
)
def test_a_killed_detector_ends_with_the_weights_of_one_that_was_not(make, params, tmp_path):
    clips = make_windows()
    params = {"max_epochs": 6, "threshold": "quantile"} | params
    whole, own = make(**params).fit(clips), params.get("callbacks", [])
    with pytest.raises(OSError, match="power"):
        make(checkpoint=tmp_path, **(params | {"callbacks": [*own, Dies(3)]})).fit(clips)
    resumed = make(checkpoint=tmp_path, **params).fit(clips)
    assert_same_training(whole, resumed)
    np.testing.assert_array_equal(whole.decision_function(clips), resumed.decision_function(clips))


def test_a_process_that_is_killed_goes_on_in_another(tmp_path):
    done = run("""
        for name, (make, clips) in ESTIMATORS.items():
            pid = os.fork()
            if pid == 0:
                make(max_epochs=6, checkpoint=f"{sys.argv[1]}/{name}", callbacks=[Dies(4, end=os._exit)]).fit(clips())
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    """, tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    for name, (make, clips) in ESTIMATORS.items():
        epochs = []
        count = EpochScoring(lambda net, X, y, seen=epochs: len(seen.append(0) or []), name="n", on_train=True,
                             use_caching=False)  # fmt: skip
        resumed = make(max_epochs=6, checkpoint=tmp_path / name, callbacks=[count]).fit(clips())
        assert len(epochs) == 3
        assert_same_training(make(max_epochs=6).fit(clips()), resumed)


@each_estimator
def test_a_training_that_has_ended_is_loaded(make, clips, tmp_path):
    first = make(checkpoint=str(tmp_path)).fit(clips())
    stamp = (tmp_path / "training.pt").stat().st_mtime_ns
    again = make(checkpoint=str(tmp_path)).fit(clips())
    assert (tmp_path / "training.pt").stat().st_mtime_ns == stamp
    assert_same_training(first, again)
    np.testing.assert_array_equal(output(first, clips()), output(again, clips()))


DIFFERENT = {
    "lr": ({"lr": 0.5}, make_clips()),
    "max_epochs": ({"max_epochs": 4}, make_clips()),
    "random_state": ({"random_state": 1}, make_clips()),
    "network__size": ({"network__size": 7}, make_clips()),
    "loss": ({"loss": SoftmaxLoss}, make_clips()),
    "augmentations": ({"augmentations": (Mixup(alpha=0.1),)}, make_clips()),
    "callbacks": ({"callbacks": [LRScheduler(lr_scheduler.StepLR, step_size=1)]}, make_clips()),
    "clips": ({}, make_clips(seed=1)),
    "classes": ({}, make_clips().with_fields(section=["00"] * 20 + ["01"] * 28)),
    "domain": ({}, make_clips().without("domain")),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_the_checkpoint_of_another_training_is_an_error_that_says_what_differs(name, tmp_path):
    embedder(checkpoint=tmp_path).fit(make_clips())
    params, clips = DIFFERENT[name]
    with pytest.raises(ValueError, match=rf"differs is {name}\b.*checkpoint"):
        embedder(checkpoint=tmp_path).set_params(**params).fit(clips)


def test_the_checkpoint_of_another_version_is_an_error(tmp_path, monkeypatch):
    embedder(checkpoint=tmp_path).fit(make_clips())
    monkeypatch.setattr("skasd.__version__", "99.0")
    with pytest.raises(ValueError, match=r"versions.*99\.0"):
        embedder(checkpoint=tmp_path).fit(make_clips())


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"junk" * 100, b"null"])
def test_a_broken_checkpoint_and_a_folder_that_cannot_be_are_named(tmp_path, content):
    (tmp_path / "training.pt").write_bytes(content)
    with pytest.raises(ValueError, match=r"training\.pt cannot be read"):
        embedder(checkpoint=tmp_path).fit(make_clips())
    with pytest.raises(OSError, match=r"training\.pt.*checkpoint"):
        embedder(checkpoint=tmp_path / "training.pt").fit(make_clips())


def test_a_checkpoint_of_which_one_bit_has_changed_is_damaged(tmp_path):
    embedder(checkpoint=tmp_path).fit(make_clips())
    content = bytearray((tmp_path / "training.pt").read_bytes())
    for place in np.random.default_rng(0).integers(0, len(content), 20):
        changed = content.copy()
        changed[place] ^= 1
        (tmp_path / "training.pt").write_bytes(changed)
        with pytest.raises(ValueError, match=r"training\.pt cannot be read: it is damaged"):
            embedder(checkpoint=tmp_path).fit(make_clips())


def test_a_checkpoint_without_a_name_is_not_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="checkpoint must name a folder; got ''"):
        embedder(checkpoint="").fit(make_clips())
    assert list(tmp_path.iterdir()) == []


def test_checkpoints_leave_no_rests_behind(tmp_path):
    folder = tmp_path / "a" / "b"
    embedder(checkpoint=folder).fit(make_clips())
    (folder / "training.pt.1234.part").write_bytes(b"of a process that was killed while it wrote")
    embedder(checkpoint=folder).fit(make_clips())
    assert [path.name for path in folder.iterdir()] == ["training.pt"]


class Noise(Augmentation):
    """An augmentation of a user that draws from numpy and Python, where it should not."""

    works_on = "any"

    def draw(self, batch, generator):
        return {}

    def apply(self, batch, params):
        return batch._replace(x=batch.x + np.random.normal() + random.random())


def test_randomness_of_numpy_and_python_is_part_of_the_training_and_leaves_no_trace(tmp_path):
    clips = make_clips()
    np.random.seed(5), random.seed(5)
    wanted = np.random.random(), random.random()
    np.random.seed(5), random.seed(5)
    whole = embedder(augmentations=(Noise(),)).fit(clips)
    with pytest.raises(OSError, match="power"):
        embedder(augmentations=(Noise(),), callbacks=[Dies(2)], checkpoint=tmp_path).fit(clips)
    resumed = embedder(augmentations=(Noise(),), checkpoint=tmp_path).fit(clips)
    assert (np.random.random(), random.random()) == wanted
    assert_same_training(whole, resumed)


# Devices, threads, files


@pytest.mark.parametrize(("device", "devices"), [("cpu", []), ("cuda", [2]), ("cuda:3", [3])])
def test_randomness_is_forked_on_the_device_in_use_alone(device, devices, monkeypatch):
    asked = []
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda index: asked.append(index) or torch.zeros(16))
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, index: None)
    monkeypatch.setattr(torch.cuda, "device", lambda index: threading.Lock())
    monkeypatch.setattr(torch.cuda, "manual_seed", lambda seed: None)
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda seed: pytest.fail("every device was seeded"))
    with seeded(3, device):
        drawn = torch.rand(2)
    assert asked == devices
    torch.testing.assert_close(drawn, torch.rand(2, generator=torch.Generator().manual_seed(3)))


@each_estimator
def test_six_threads_share_one_pipeline(make, clips, tmp_path):
    joblib.dump(make().fit(clips()), tmp_path / "fitted.joblib")
    parts = [clips(seed=seed) for seed in range(30)]
    alone = [output(joblib.load(tmp_path / "fitted.joblib"), part) for part in parts]
    for _ in range(3):
        fitted = joblib.load(tmp_path / "fitted.joblib")  # whose copies are not there yet
        with ThreadPoolExecutor(6) as pool:
            together = list(pool.map(partial(output, fitted), parts))
        np.testing.assert_array_equal(together, alone)


@each_estimator
def test_scoring_leaves_what_was_fitted_and_copies_it_once(make, clips, monkeypatch):
    fitted = make().fit(clips())
    fitted.network_.train()
    before = {name: id(value) for name, value in vars(fitted).items()}
    n_copies = []
    counted = SimpleNamespace(deepcopy=lambda module: n_copies.append(0) or copy.deepcopy(module))
    monkeypatch.setattr("skasd.training._ready.copy", counted)
    first, second = output(fitted, clips()), output(fitted, clips())
    np.testing.assert_array_equal(first, second)
    assert len(n_copies) <= 1
    assert {name: id(value) for name, value in vars(fitted).items()} == before
    assert fitted.network_.training


@each_estimator
def test_weights_that_are_changed_in_place_count(make, clips):
    fitted = make().fit(clips())
    before = output(fitted, clips())
    with torch.no_grad():
        for parameter in fitted.network_.parameters():
            parameter += 0.1
    assert not np.allclose(output(fitted, clips()), before)


# What is set aside


def test_copies_and_recordings_are_groups():
    values = np.array([[0.0, 1], [2, 3], [0, 1], [4, 5], [2, 3], [6, 7]])
    groups = joined(np.array([7, 8, 9, 8, 3, 2]), first_copies(values))  # 1 and 3 by recording, 1 and 4 as copies
    found = [np.flatnonzero(groups == group).tolist() for group in np.unique(groups)]
    assert sorted(found) == [[0, 2], [1, 3, 4], [5]]


@pytest.mark.parametrize("seed", range(5))
def test_whole_groups_are_set_aside_alike_in_their_labels(seed):
    rng = np.random.default_rng(seed)
    groups, labels = np.repeat(np.arange(40), 3), np.repeat(rng.permutation(np.arange(40) % 4), 3)
    aside = set_aside(groups, labels[None], 8, seed)
    assert aside.sum() == 24
    assert not set(groups[aside]) & set(groups[~aside])
    assert np.bincount(labels[aside]).tolist() == [6, 6, 6, 6]


def test_no_label_loses_its_last_clip():
    groups = np.arange(10)
    labels = np.array([[0, 0, 0, 0, 0, 0, 0, 0, 1, 1], [0, 0, 0, 0, 0, 0, 1, 2, 3, 3]])
    for seed in range(20):
        aside = set_aside(groups, labels, 9, seed)
        for row in labels:
            assert set(row[~aside]) == set(row)


def test_an_embedder_sets_whole_recordings_and_all_copies_aside():
    clips = make_clips(24)
    recording = np.array([f"r{number}" for number in np.arange(24) // 4 * 2 + np.arange(24) % 2])
    twice = clips + clips
    twice = twice.with_fields(recording=np.concatenate([recording, [""] * 24]))
    rows = []
    note = EpochScoring(lambda net, X, y: rows.append(X.rows) or 0.0, name="rows", use_caching=False)
    embedder(max_epochs=1, validation_fraction=0.3, callbacks=[note]).fit(twice)
    aside = np.isin(np.arange(48), rows[0])
    np.testing.assert_array_equal(aside[:24], aside[24:])
    assert {len(set(aside[:24][recording == name])) for name in recording} == {1}
    assert 8 <= aside.sum() <= 24
