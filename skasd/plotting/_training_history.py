"""Losses over the epochs of training."""

from dataclasses import dataclass

import numpy as np

from skasd._docstrings import documented
from skasd.plotting._style import ANOMALOUS, NORMAL, Display, plain


@documented
@dataclass(kw_only=True, eq=False, repr=False)
class TrainingHistoryDisplay(Display):
    """The training loss of each epoch and, if clips were set aside, the validation loss.

    A validation loss that rises while the training loss falls means too many epochs or too few clips; two flat lines
    mean a learning rate that is too low or far too high. Make it with `from_estimator` or `from_history`.

    Parameters
    ----------
    epoch : ndarray of shape (n_epochs,)
        Numbers of the epochs.

    train_loss : ndarray of shape (n_epochs,)
        Mean loss of the training clips during an epoch, lower = the classes are told apart better. The network sees
        them augmented and with dropout, so it can be above the validation loss.

    valid_loss : ndarray of shape (n_epochs,), default=None
        Mean loss of the clips that were set aside, after each epoch, without augmentation and dropout.

    {title}

    Attributes
    ----------
    train_line_ : matplotlib.lines.Line2D
        The training loss.

    valid_line_ : matplotlib.lines.Line2D or None
        The validation loss, if there is one.

    best_ : matplotlib.lines.Line2D or None
        A dot at the epoch with the lowest validation loss, if there is one.

    {drawn}

    See Also
    --------
    skasd.embedders.ClassificationEmbedder : Trains. Its ``validation_fraction`` sets clips aside.

    Examples
    --------
    >>> from skasd.plotting import TrainingHistoryDisplay
    >>> history = [
    ...     {"epoch": 1, "train_loss": 2.5, "valid_loss": 2.6},
    ...     {"epoch": 2, "train_loss": 1.5, "valid_loss": 1.9},
    ...     {"epoch": 3, "train_loss": 0.9, "valid_loss": 2.0},
    ... ]
    >>> display = TrainingHistoryDisplay.from_history(history)
    >>> display.best_.get_label()
    'least validation loss: 1.9, epoch 2'
    >>> display.ax_.set_yscale("log")
    """

    epoch: np.ndarray
    train_loss: np.ndarray
    valid_loss: np.ndarray | None = None
    name: str | None = None

    @classmethod
    @documented
    def from_estimator(cls, estimator, *, name=None, ax=None, **kwargs):
        """Draw the losses of a fitted embedder.

        Parameters
        ----------
        estimator : estimator instance
            Fitted `skasd.embedders.ClassificationEmbedder`, or a pipeline or search that holds one.

        {title_ax_style}

        {returned}

        Raises
        ------
        ValueError
            If there is no training history, or more than one.
        """
        return cls.from_history(_find_history(estimator), name=name, ax=ax, **kwargs)

    @classmethod
    @documented
    def from_history(cls, history, *, name=None, ax=None, **kwargs):
        """Draw a training history.

        Parameters
        ----------
        history : sequence of dict
            For each epoch ``epoch``, ``train_loss`` and, if there is one, ``valid_loss``, as in the ``history_`` of an
            embedder or the ``history`` of a skorch net.

        {title_ax_style}

        {returned}

        Raises
        ------
        ValueError
            If there are no epochs, or epochs without a training loss.
        """
        if not len(history) or not all({"epoch", "train_loss"} <= set(row) for row in history):
            found = f"{len(history)} epochs, the first with {list(history[0])}" if len(history) else "no epochs"
            raise ValueError(f"A history has at least one epoch, and each has 'epoch' and 'train_loss'; got {found}. "
                             "Fit the embedder, and give its history_.")  # fmt: skip
        known = [key for key in ("epoch", "train_loss", "valid_loss") if all(key in row for row in history)]
        columns = {key: np.array([row[key] for row in history]) for key in known}
        return cls(**columns, name=name).plot(ax=ax, **kwargs)

    @documented
    def plot(self, ax=None, **kwargs):
        """Draw the losses over the epochs.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Where to draw; a new figure by default. For a logarithmic scale use ``display.ax_.set_yscale("log")``.

        **kwargs : dict
            For `matplotlib.axes.Axes.plot`, for both lines.

        {returned}
        """
        self._open(ax)
        from matplotlib.ticker import MaxNLocator

        self.train_line_ = self._line(self.train_loss, "training", color=NORMAL, **kwargs)
        self.valid_line_ = self.best_ = None
        if self.valid_loss is not None:
            self.valid_line_ = self._line(self.valid_loss, "validation", color=ANOMALOUS, **kwargs)
            self.best_ = self._mark_best()
        self.ax_.set(xlabel="epoch", ylabel="loss (lower = better)", title=plain(self.name))
        self.ax_.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        self.ax_.legend()
        return self

    def _line(self, loss, label, **kwargs):
        marker = "." if len(self.epoch) == 1 else None  # a line of one point is none
        return self.ax_.plot(self.epoch, loss, **{"linewidth": 2, "marker": marker, "label": label} | kwargs)[0]

    def _mark_best(self):
        if np.isnan(self.valid_loss).all():
            return None
        best = np.nanargmin(self.valid_loss)
        epoch, loss = self.epoch[best], self.valid_loss[best]
        style = {"color": self.valid_line_.get_color(), "marker": "o", "linestyle": "none"}
        return self.ax_.plot(epoch, loss, label=f"least validation loss: {loss:.3g}, epoch {epoch}", **style)[0]


def _find_history(estimator):
    """The history of the estimator, or of the one step that has one in its pipeline or search."""
    estimator = getattr(estimator, "best_estimator_", estimator)
    steps = [step for _, step in getattr(estimator, "steps", [(None, estimator)])]
    histories = [step.history_ for step in steps if hasattr(step, "history_")]
    if len(histories) != 1:
        names = ", ".join(type(step).__name__ for step in steps)
        raise ValueError(f"Wanted one fitted embedder that keeps a history of training; got {len(histories)} in "
                         f"{names}. Fit a ClassificationEmbedder, or give its history_ to from_history.")  # fmt: skip
    return histories[0]
