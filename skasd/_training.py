"""What every estimator with a network shares: its training by skorch, its progress, and how it is saved and loaded."""

import copy
import warnings
from contextlib import contextmanager
from numbers import Integral, Real

import numpy as np
import torch
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from skorch.callbacks import Callback, EarlyStopping, GradientNormClipping, LRScheduler
from skorch.helper import predefined_split

import skasd
from skasd._progress import Progress
from skasd._validation import Interval, StrOptions

__all__ = ["TrainingMixin", "TrainingProgress", "seeded"]


class TrainingMixin:
    """Training by skorch for an estimator that has the parameters named in `_training_constraints`.

    The estimator makes its modules and data sets and calls `_fit_net`. What it saves holds the modules named in
    `_modules` on the CPU, and neither data nor optimizer state.
    """

    _training_constraints: dict = {
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "optimizer": [callable],
        "lr_schedule": [StrOptions({"constant", "cosine"})],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "patience": [Interval(Integral, 1, None, closed="left"), None],
        "max_grad_norm": [Interval(Real, 0, None, closed="neither"), None],
        "callbacks": [list, None],
        "net_params": [dict, None],
        "device": [str],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }
    _modules = ("network_",)

    def _fit_net(self, net_class, module, criterion, train, valid, generator, **arguments):
        """Train a module on one data set and watch its loss on another, which may be empty."""
        shared = {"collate_fn": _as_it_is, "pin_memory": self._device() != "cpu"}
        self.net_ = net_class(
            module,
            criterion,
            optimizer=self.optimizer,
            lr=self.lr,
            max_epochs=self.max_epochs,
            batch_size=self.batch_size,
            train_split=predefined_split(valid) if len(valid) else None,
            callbacks=self._all_callbacks(),
            callbacks__print_log=None,
            device=self._device(),
            verbose=0,
            iterator_train__shuffle=True,
            iterator_train__generator=generator,
            iterator_train__drop_last=len(train) % self.batch_size == 1 < len(train),  # batch norm needs two rows
            **{f"iterator_{name}__{key}": value for name in ("train", "valid") for key, value in shared.items()},
            **arguments,
            **(self.net_params or {}),
        )
        self.net_.fit(train, None)
        names = ("epoch", "train_loss", "valid_loss", "dur")
        self.history_ = [{name: row[name] for name in names if name in row} for row in self.net_.history]
        if not np.isfinite(self.history_[-1]["train_loss"]):
            raise ValueError(f"Training diverged: the loss is {self.history_[-1]['train_loss']} after epoch "
                             f"{len(self.history_)}. Lower lr, or set max_grad_norm.")  # fmt: skip

    def _dry(self, module, x):
        """The output for one batch, which gives lazy modules their sizes."""
        try:
            return module(x)
        except (RuntimeError, TypeError, ValueError) as error:
            raise ValueError(f"The network {self.network!r} cannot take clips of shape {tuple(x.shape[1:])}: {error}") \
                from error  # fmt: skip

    def _split_rows(self, rows, label, seed):
        """Rows to train on and rows to watch the loss on, alike in their labels; a class with one row trains."""
        if not self.validation_fraction:
            if self.patience is not None:
                raise ValueError(f"patience={self.patience} needs validation_fraction above 0: the loss that is "
                                 "watched must come from clips that do not train.")  # fmt: skip
            return rows, rows[:0]
        label = label[rows]
        many = np.bincount(label)[label] > 1
        train, valid = train_test_split(
            rows[many], test_size=self.validation_fraction, stratify=label[many], random_state=seed
        )
        return np.concatenate([train, rows[~many]]), valid

    def _all_callbacks(self):
        callbacks = list(self.callbacks or [])
        if self.lr_schedule == "cosine":
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR
            callbacks.append(("lr_schedule", LRScheduler(schedule, T_max=self.max_epochs)))
        if self.max_grad_norm is not None:
            callbacks.append(("max_grad_norm", GradientNormClipping(self.max_grad_norm)))
        if self.patience is not None:
            callbacks.append(("patience", EarlyStopping(patience=self.patience, load_best=True, sink=_as_it_is)))
        if self.verbose:
            callbacks.append(("progress", TrainingProgress()))
        return callbacks

    def _device(self):
        if self.device != "auto":
            return self.device
        return "cuda" if torch.cuda.is_available() else "cpu"

    def __getstate__(self):
        state = super().__getstate__().copy()
        state.pop("net_", None)
        for name in self._modules:
            if name in state:
                state[name] = _on_cpu(state[name])
        return state | {"_versions": _versions()}

    def __setstate__(self, state):
        saved, now = state.pop("_versions"), _versions()
        if saved != now:
            warnings.warn(f"This {type(self).__name__} was saved with {saved} and is loaded with {now}; scores may "
                          "differ. Fit it again if they do.", UserWarning, stacklevel=2)  # fmt: skip
        super().__setstate__(state)


class TrainingProgress(Callback):
    """Epochs with their losses and the time left, see `skasd._progress.Progress`."""

    def on_train_begin(self, net, **kwargs):
        self.progress_ = Progress(net.max_epochs, desc="Training", unit=" epochs")

    def on_epoch_end(self, net, **kwargs):
        last = net.history[-1]
        losses = [f"{name} {last[name]:.4g}" for name in ("train_loss", "valid_loss") if name in last]
        self.progress_.update(note=", ".join(losses))

    def on_train_end(self, net, **kwargs):
        self.progress_.close()
        del self.progress_


@contextmanager
def seeded(random_state):
    """Torch's randomness, inside, from a seed that `random_state` gives; outside it stays as it was."""
    seed = check_random_state(random_state).randint(np.iinfo(np.int32).max)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield seed


def _on_cpu(module):
    module = copy.deepcopy(module).cpu()
    module.zero_grad(set_to_none=True)
    return module


def _versions():
    return f"skasd {skasd.__version__}, torch {torch.__version__.partition('+')[0]}"


def _as_it_is(batch):
    return batch
