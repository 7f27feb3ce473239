"""The callbacks of a training: copies of the user's, and our own."""

import copy

from skorch.callbacks import BatchScoring, Callback, EarlyStopping, EpochScoring

from skasd._progress import progress_bar
from skasd._sklearn import InvalidParameterError


class TrainingProgress(Callback):
    """Epochs with their losses and the time left, see `skasd._progress.progress_bar`."""

    def __init__(self, verbose):
        self.verbose = verbose
        self.progress = None

    def on_epoch_begin(self, net, **kwargs):
        if self.progress is None:
            done = len(net.history) - 1  # before it was killed
            self.progress = progress_bar(
                net.max_epochs, desc="Training", unit=" epochs", initial=done, verbose=bool(self.verbose)
            )

    def on_epoch_end(self, net, **kwargs):
        last = net.history[-1]
        losses = [f"{name} {last[name]:.4g}" for name in ("train_loss", "valid_loss") if name in last]
        self.progress.set_postfix_str(", ".join(losses), refresh=False)
        self.progress.update()

    def close(self):
        """Leave the bar, wherever training has ended."""
        if self.progress is not None:
            self.progress.close()


class LossOfBestEpoch(Callback):
    """Brings the loss, with its head, back to the epoch to which `EarlyStopping(load_best=True)` brings the network."""

    def on_train_begin(self, net, **kwargs):
        self.weights_ = {}

    def on_epoch_end(self, net, **kwargs):
        for name, one in net.callbacks_:
            if isinstance(one, EarlyStopping) and one.load_best and one.best_epoch_ == net.history[-1, "epoch"]:
                self.weights_[name] = copy.deepcopy(net.criterion_.state_dict())

    def on_train_end(self, net, **kwargs):
        for weights in self.weights_.values():
            net.criterion_.load_state_dict(weights)
        self.weights_ = {}


def copies_of_callbacks(given, *, has_validation):
    """Copies of the callbacks that the user gave.

    Training changes a callback, and what the user gave is a parameter, which stays as it is.
    """
    copies = [_named_copy(one) for one in given or []]
    if not has_validation:
        _check_monitors([one[1] if isinstance(one, tuple) else one for one in copies])
    return copies


def _named_copy(given):
    callback = given[1] if isinstance(given, (tuple, list)) and len(given) == 2 else given
    if isinstance(callback, type) and issubclass(callback, Callback):
        return tuple(given) if callback is not given else given
    if not isinstance(callback, Callback):
        raise InvalidParameterError(f"callbacks must hold callbacks of skorch, or pairs of a name and one; got "
                                    f"{given!r}.")  # fmt: skip
    copied = _copy(callback)
    return copied if callback is given else (given[0], copied)


def _copy(callback):
    """A copy that shares only what cannot be copied, such as the writer of TensorBoard."""
    copied = copy.copy(callback)
    for name, value in vars(callback).items():
        try:
            setattr(copied, name, copy.deepcopy(value))
        except Exception:  # whatever the class of the value raises
            continue
    return copied


def _check_monitors(callbacks):
    """Refuse a callback that waits for a number of clips that do not train, where all train."""
    scores = [one for one in callbacks if isinstance(one, (BatchScoring, EpochScoring)) and not one.on_train]
    missing = {"valid_loss", *(one.name or str(one.scoring) for one in scores)}
    missing |= {f"{name}_best" for name in missing}
    for one in callbacks:
        monitor = getattr(one, "monitor", None)
        if isinstance(monitor, str) and monitor in missing:
            raise ValueError(f"The callback {type(one).__name__} watches {monitor!r}, which comes from clips that do "
                             "not train, and all clips train. Set validation_fraction above 0.")  # fmt: skip
