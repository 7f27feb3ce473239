"""What every estimator with a network shares: parameters, one fit by skorch, and how it is saved and loaded."""

import math
import os
from contextlib import contextmanager
from numbers import Integral, Real

import numpy as np
import torch
from skorch.helper import predefined_split

from skasd._sklearn import Interval, StrOptions
from skasd.training._callbacks import LossOfBestEpoch, TrainingProgress, copies_of_callbacks
from skasd.training._checkpoint import TrainingCheckpoint
from skasd.training._data import whole_batches
from skasd.training._memory import keeping_memory
from skasd.training._network import NetworkMixin
from skasd.training._parameters import NetParametersMixin
from skasd.training._randomness import draw_seed
from skasd.training._ready import forget_ready
from skasd.training._schedules import SCHEDULES, schedule_callback
from skasd.training._split import set_aside


class TrainingMixin(NetworkMixin, NetParametersMixin):
    """Training by skorch for an estimator that has the parameters named in `_training_constraints`.

    The estimator makes its modules and data sets inside `_fitting` and calls `_fit_net`. What it saves holds the
    modules named in `_modules` on the CPU, and neither data nor optimizer state.
    """

    _optimizer = torch.optim.Adam  # where none is given

    _training_constraints: dict = {
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "optimizer": [callable],
        "lr_schedule": [StrOptions(SCHEDULES)],
        "min_steps": [Interval(Integral, 1, None, closed="left")],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "callbacks": [list, None],
        "checkpoint": [str, os.PathLike, None],
        "device": [str],
        "verbose": ["verbose"],
        "random_state": ["random_state"],
    }

    @contextmanager
    def _fitting(self):
        """A fit: what an earlier one has left is forgotten, and so is what it leaves itself if it does not end."""
        self._forget_fit()
        try:
            yield
        except BaseException:
            self._forget_fit()
            raise

    def _forget_fit(self):
        forget_ready(self)
        for name in [name for name in vars(self) if name.endswith("_") and not name.startswith("__")]:
            del self.__dict__[name]  # a property, such as offset_, has none to delete

    def _begin_training(self):
        """The checkpoint, if there is to be one, and the seed: that of the training that goes on."""
        checkpoint = None if self.checkpoint is None else TrainingCheckpoint(self.checkpoint)
        if checkpoint is not None and checkpoint.seed is not None and self.random_state is None:
            return checkpoint, checkpoint.seed
        return checkpoint, draw_seed(self.random_state)

    def _fit_net(self, net_class, module, criterion, train, valid, *, generator, checkpoint, **arguments):
        """Train a module on one data set and watch its loss on another, which may be empty."""
        progress = TrainingProgress(self.verbose)
        arguments |= self._net_arguments(train, valid, generator, progress)
        self.net_ = net_class(module, criterion, checkpoint=checkpoint, **arguments)
        try:
            with keeping_memory():
                self.net_.fit(train, None)
        except ValueError as error:
            if _NORM_OF_ONE not in str(error):
                raise
            raise ValueError(
                f"Batch norm cannot learn from one row at a time: {len(train)} train, with batch_size="
                f"{self.batch_size}. Set batch_size to 2 or more, and give more clips."
            ) from error
        finally:
            progress.close()
        names = ("epoch", "train_loss", "valid_loss", "dur")
        self.history_ = [{name: row[name] for name in names if name in row} for row in self.net_.history]
        if "train_loss" not in self.history_[-1]:
            raise ValueError(f"Not one batch was trained on: there are {len(train)} clips, and "
                             f"{self._net_params} leave none. Lower batch_size, or leave out drop_last.")  # fmt: skip
        if not np.isfinite(self.history_[-1]["train_loss"]):
            raise ValueError(f"Training diverged: the loss is {self.history_[-1]['train_loss']} after epoch "
                             f"{len(self.history_)}. Lower lr, clip the gradient, or look whether the clips are in the "
                             "usual units, and not all the same.")  # fmt: skip

    def _net_arguments(self, train, valid, generator, progress):
        given = self._arguments_of_net()
        batch_size = given.get("iterator_train__batch_size", self.batch_size)
        shared = {"collate_fn": whole_batches, "pin_memory": self._device() != "cpu"}
        has_validation = len(valid) > 0 or "train_split" in given
        callbacks = copies_of_callbacks(given.get("callbacks"), has_validation=has_validation)
        n_clips, batch_size = len(given.get("iterator_train__sampler", train)), max(1, batch_size)
        drop_last = given.get("iterator_train__drop_last", n_clips % batch_size == 1 < n_clips)
        n_batches = max(1, n_clips // batch_size if drop_last else math.ceil(n_clips / batch_size))
        max_epochs = max(self.max_epochs, math.ceil(given.pop("min_steps", 0) / n_batches))
        lr, cycles_momentum = (
            given.get("optimizer__lr", self.lr),
            not any(name.startswith("optimizer") for name in given),
        )
        schedule = schedule_callback(self.lr_schedule, lr, max_epochs, n_batches, cycles_momentum)
        return {
            "optimizer": self._optimizer,
            "lr": self.lr,
            "max_epochs": max_epochs,
            "batch_size": self.batch_size,
            "train_split": predefined_split(valid) if len(valid) else None,
            "callbacks__print_log": None,
            "device": self._device(),
            "verbose": 0,
            "iterator_train__shuffle": "iterator_train__sampler" not in given,
            "iterator_train__generator": generator,
            "iterator_train__drop_last": drop_last,  # batch norm needs two rows
            **{f"iterator_{name}__{key}": value for name in ("train", "valid") for key, value in shared.items()},
            **given,
            "callbacks": [
                ("training_progress", progress),
                *callbacks,
                *self._further_callbacks(callbacks),
                ("loss_of_best_epoch", LossOfBestEpoch()),
                *schedule,
            ],
        }

    def _further_callbacks(self, given):
        """Names and callbacks that an estimator trains with, beside those that were given."""
        return []

    def _set_aside(self, groups, labels, seed):
        """Mask of the clips that watch the loss: whole groups, alike the others in their labels (n_labels, n_clips)."""
        n_groups = len(np.unique(groups))
        if not self.validation_fraction:
            return np.zeros(len(groups), dtype=bool)
        n_aside = round(self.validation_fraction * n_groups)
        if not n_aside:
            raise ValueError(f"validation_fraction={self.validation_fraction} of {n_groups} recordings (or clips, if "
                             f"these are not known) is none. Give at least {1 / n_groups:.2g}, or 0.")  # fmt: skip
        aside = set_aside(groups, labels, n_aside, seed)
        if not aside.any():
            raise ValueError("No class has clips of two recordings, so that none can be set aside to watch the loss. "
                             "Set validation_fraction=0.")  # fmt: skip
        return aside

    def __getstate__(self):
        state = super().__getstate__()
        state.pop("net_", None)
        return state


_NORM_OF_ONE = "more than 1 value per channel"  # how torch says it
