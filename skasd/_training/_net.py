"""The skorch net that all estimators with a network train by."""

from skorch import NeuralNet
from skorch.callbacks import EarlyStopping
from torch.utils.data import default_collate

__all__ = ["TrainingNet", "whole_batches"]


class TrainingNet(NeuralNet):
    """A skorch net that Ctrl-C ends, and that goes on where a killed one was.

    skorch takes every KeyboardInterrupt for the wish to keep the weights as they are; here only that of `EarlyStopping`
    is one, and any other leaves `fit`.

    Parameters
    ----------
    *args : object
        As of `skorch.NeuralNet`.

    checkpoint : TrainingCheckpoint, default=None
        Keeps the state after every epoch.

    **kwargs : object
        As of `skorch.NeuralNet`.
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


def whole_batches(batch):
    """A batch (X, y): as a data set that reads whole batches gives it, or put together of single clips."""
    return batch if isinstance(batch, tuple) else default_collate(batch)
