"""The skorch nets that the estimators with a network train by."""

from contextlib import nullcontext

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import EarlyStopping
from skorch.dataset import unpack_data
from skorch.utils import to_numpy

from skasd._sklearn import InvalidParameterError
from skasd.audio.samples import as_floats
from skasd.augmentation import Batch


class TrainingNet(NeuralNet):
    """A skorch net that Ctrl-C ends, and that goes on where a killed one was.

    skorch takes every KeyboardInterrupt for the wish to keep the weights as they are; here only that of `EarlyStopping`
    is one, and any other leaves `fit`. The checkpoint, if there is one, keeps the state after every epoch.
    """

    def __init__(self, *args, checkpoint=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.checkpoint = checkpoint

    def partial_fit(self, X, y=None, classes=None, **fit_params):
        if not self.initialized_:
            self.initialize()
        self.notify("on_train_begin", X=X, y=y)
        goes_on = self.checkpoint is None or self.checkpoint.restore(self)
        if goes_on:
            try:
                self.fit_loop(X, y, epochs=self.max_epochs - len(self.history), **fit_params)
            except _StoppedEarly:
                pass
        self.notify("on_train_end", X=X, y=y)
        return self

    def initialize_callbacks(self):
        try:
            return super().initialize_callbacks()
        except ValueError as error:
            raise InvalidParameterError(f"callbacks: {error} Training has callbacks of its own, with the names "
                                        "train_loss, valid_loss, epoch_timer, print_log, training_progress, "
                                        "loss_of_best_epoch and, unless lr_schedule is 'constant', lr_schedule."
                                        ) from error  # fmt: skip

    def notify(self, method_name, **cb_kwargs):
        stopped = False
        try:
            super().notify(method_name, **cb_kwargs)
        except KeyboardInterrupt:
            stopped = method_name == "on_epoch_end" and self._has_stopped_early()
            if not stopped:
                raise
        if method_name == "on_epoch_end" and self.checkpoint is not None:
            self.checkpoint.save(self, has_ended=stopped)
        if stopped:
            raise _StoppedEarly

    def _has_stopped_early(self):
        return any(isinstance(one, EarlyStopping) and one.misses_ == one.patience for _, one in self.callbacks_)


class _StoppedEarly(Exception):
    """The end of a training that its validation loss has ended."""


class EmbeddingNet(TrainingNet):
    """A skorch net whose module is a `SplitNetwork` and whose criterion is a loss with its own head.

    A training batch is augmented before the back end sees it, with a front end before the first augmentation that works
    on spectrograms. `predict` gives the numbers of the classes, (n_clips,) or, of several targets,
    (n_clips, n_targets).
    """

    def __init__(self, *args, augmentations, n_classes, draws, mixed_precision, **kwargs):
        super().__init__(*args, **kwargs)
        self.augmentations = augmentations
        self.n_classes = n_classes
        self.draws = draws  # generator of all that augmentation and crops draw
        self.mixed_precision = mixed_precision

    def train_step_single(self, batch, **fit_params):
        self._set_training(True)
        X, y = unpack_data(batch)
        X = {name: values.to(self.device, non_blocking=True) for name, values in X.items()}
        y = y.to(self.device, non_blocking=True)
        with autocast(self.device, self.mixed_precision):
            augmented = self._augment(labels=_by_target(y), **X)
            embedding = self.module_(spectrograms=augmented.x)
        loss = self._loss(embedding, augmented.targets)
        loss.backward()
        return {"loss": loss, "y_pred": embedding}

    def _augment(self, x, labels, domain=None):
        """What the back end is trained on: a `Batch` of crops of spectrograms (or of what the network takes)."""
        of_spectrograms = [one.works_on == "log_mel" for one in self.augmentations]
        n_before = of_spectrograms.index(True) if any(of_spectrograms) else len(of_spectrograms)
        batch = Batch.from_labels(as_floats(x, torch.float32), labels, self.n_classes, domain)
        for augmentation in self.augmentations[:n_before]:
            batch = augmentation(batch, self.draws)
        batch = batch._replace(x=self.module_.random_crop(self.module_.front(batch.x), self.draws))
        for augmentation in self.augmentations[n_before:]:
            batch = augmentation(batch, self.draws)
        return batch

    def infer(self, x, **fit_params):
        with autocast(self.device, self.mixed_precision):
            return super().infer(x, **fit_params)

    def get_loss(self, y_pred, y_true, X=None, training=False):
        return self._loss(y_pred, _by_target(y_true.to(self.device)))

    def predict_proba(self, X):
        """Probability of each class, or a list of these for each target, as in scikit-learn."""
        self.check_is_fitted()
        with torch.inference_mode(), autocast(self.device, self.mixed_precision):
            logits = [self.criterion_.logits(embedding) for embedding in self.forward_iter(X, device=self.device)]
        if not isinstance(logits[0], tuple):
            return to_numpy(torch.cat(logits).float().softmax(dim=1))
        return [to_numpy(torch.cat(parts).float().softmax(dim=1)) for parts in zip(*logits, strict=True)]

    def predict(self, X):
        """Number of the likeliest class, for each target."""
        proba = self.predict_proba(X)
        if isinstance(proba, list):
            return np.stack([one.argmax(axis=1) for one in proba], axis=1)
        return proba.argmax(axis=1)

    def _loss(self, embedding, targets):
        with autocast(self.device, self.mixed_precision):
            return self.criterion_(embedding, targets if len(targets) > 1 else targets[0])


def _by_target(y):
    """Class numbers (n_clips,) or (n_clips, n_targets), one tensor per target."""
    return (y,) if y.ndim == 1 else y.unbind(dim=1)


def autocast(device, mixed_precision):
    """Context in which matrix products run in bfloat16, or a context that does nothing."""
    if not mixed_precision:
        return nullcontext()
    return torch.autocast(torch.device(device).type, dtype=torch.bfloat16)
