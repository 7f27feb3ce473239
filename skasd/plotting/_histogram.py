"""Histograms of scores."""

from dataclasses import dataclass

import numpy as np

from skasd._docstrings import documented
from skasd._reading import read_verdicts
from skasd.metrics import find_threshold
from skasd.plotting._style import ANOMALOUS, NORMAL, Display, check_group, group_name, groups_of, plain

_ROW = 0.9  # how much of its row the highest bar of a group fills


@documented
@dataclass(kw_only=True, eq=False, repr=False)
class ScoreHistogramDisplay(Display):
    """The scores of normal and of anomalous clips, with the threshold between them.

    Make it with `from_estimator` or `from_predictions`.

    Parameters
    ----------
    scores : ndarray of shape (n_clips,)
        Scores, higher = more normal.

    label : ndarray of shape (n_clips,)
        +1 for normal, -1 for anomalous clips.

    threshold : float, default=None
        Scores below it are alarms.

    group : ndarray of shape (n_clips,), default=None
        Group of each clip; each group has its own row in the picture.

    by : str, default=None
        What the groups are.

    {title}

    Attributes
    ----------
    normal_ : list of matplotlib.patches.Polygon
        The histogram of the normal clips, of each group from below; empty if there are none.

    anomalous_ : list of matplotlib.patches.Polygon
        The histogram of the anomalous clips, likewise.

    line_ : matplotlib.lines.Line2D or None
        The threshold, if there is one.

    {drawn}

    See Also
    --------
    PartialROCDisplay : The results with every other threshold.

    Examples
    --------
    >>> from skasd.plotting import ScoreHistogramDisplay
    >>> display = ScoreHistogramDisplay.from_predictions([1, 1, 1, -1], [-1.0, -1.1, -0.9, -3.0], threshold=-1.5)
    >>> display.ax_.get_xlabel()
    'score (higher = more normal)'
    """

    scores: np.ndarray
    label: np.ndarray
    threshold: float | None = None
    group: np.ndarray | None = None
    by: str | None = None
    name: str | None = None

    @classmethod
    @documented
    def from_estimator(cls, estimator, X, y=None, *, by=None, name=None, ax=None, **kwargs):
        """Draw the scores that a fitted detector gives clips.

        Parameters
        ----------
        estimator : estimator instance
            Fitted, with ``score_samples``, higher = more normal. If it has a ``decision_function``, its threshold
            ``offset_`` is drawn.

        {scored}

        {verdicts}

        {by}

        {title_ax_bars}

        {returned}
        """
        label = read_verdicts(X, y)
        scores = np.asarray(estimator.score_samples(X))
        threshold = find_threshold(estimator, X, scores) if hasattr(estimator, "decision_function") else None
        groups = {"group": groups_of(X, by, cls.__name__), "by": by}
        return cls.from_predictions(label, scores, threshold=threshold, **groups, name=name, ax=ax, **kwargs)

    @classmethod
    @documented
    def from_predictions(cls, label, scores, *, threshold=None, group=None, by=None, name=None, ax=None, **kwargs):
        """Draw existing scores.

        Parameters
        ----------
        label : array-like of shape (n_clips,)
            +1 for normal, -1 for anomalous clips.

        scores : array-like of shape (n_clips,)
            What ``score_samples`` gave: higher = more normal.

        threshold : float, default=None
            Scores below it are alarms.

        {group}

        {title_ax_bars}

        {returned}

        Raises
        ------
        ValueError
            If there are no clips, labels are not +1 or -1, lengths differ, scores are not finite or span more than a
            picture can show, or ``threshold`` is not finite.
        """
        scores = np.asarray(scores, dtype=float)
        if scores.ndim != 1 or not scores.size or not np.isfinite(scores).all():
            raise ValueError(f"scores must be one finite number per clip, shape (n_clips,); got shape {scores.shape} "
                             f"with {np.count_nonzero(~np.isfinite(scores))} NaN or infinite.")  # fmt: skip
        if threshold is not None and not np.isfinite(threshold):
            raise ValueError(f"threshold must be a finite number, or None; got {threshold!r}.")
        label, group = read_verdicts(scores, label), check_group(group, len(scores), cls.__name__)
        display = cls(scores=scores, label=label, threshold=threshold, group=group, by=by, name=name)
        return display.plot(ax=ax, **kwargs)

    @documented
    def plot(self, ax=None, **kwargs):
        """Draw the two histograms, each as shares of its group, and the threshold.

        Parameters
        ----------
        {ax}

        {bar_style}

        {returned}
        """
        self._open(ax)
        from matplotlib.ticker import PercentFormatter

        edges = np.histogram_bin_edges(self.scores, kwargs.pop("bins", 30), range=self._range())
        self.normal_ = self._histograms(1, "normal", edges, color=NORMAL, **kwargs)
        self.anomalous_ = self._histograms(-1, "anomalous", edges, color=ANOMALOUS, **kwargs)
        self.line_ = None
        if self.threshold is not None:
            label = f"threshold {self.threshold:.3g}: alarm below"
            color = self.ax_.xaxis.label.get_color()  # can be seen in whatever style the axes were made
            self.line_ = self.ax_.axvline(self.threshold, color=color, linestyle="--", label=label)
        self.ax_.set(xlabel="score (higher = more normal)", ylabel="clips (share of their group)")
        self.ax_.set_title(plain(self.name))
        if self.group is None:
            self.ax_.yaxis.set_major_formatter(PercentFormatter(xmax=1))
        else:
            names = list(map(group_name, np.unique(self.group)))
            self.ax_.set_yticks(range(len(names)), names)
            self.ax_.set_ylim(-0.05, len(names) + 0.4)  # with room for the legend
            self.ax_.set_ylabel(f"{plain(self.by or 'group')} (heights: share of its clips)")
        self.ax_.legend()
        return self

    def _range(self):
        """Lowest and highest edge, so far apart that there is a number for each edge between them."""
        low, high = float(self.scores.min()), float(self.scores.max())
        if not np.isfinite(high - low):
            raise ValueError(f"The scores go from {low:.3g} to {high:.3g}: too far to be drawn. Draw their ranks.")
        margin = 1e-9 * max(abs(low), abs(high), 1e-3)
        return (low - margin, high + margin) if 0 < high - low < margin else (low, high)

    def _histograms(self, label, name, edges, **style):
        """The histogram of the clips with this label, of each group in a row of its own."""
        rows = self.label == label
        legend = f"{name} ({np.count_nonzero(rows)} clips)"
        if self.group is None:
            return self._histogram(self.scores[rows], edges, label=legend, **style)
        highest = self._highest(edges)
        drawn = []
        for number, value in enumerate(np.unique(self.group)):
            row = {"bottom": number, "height": _ROW / highest, "label": None if drawn else legend}
            drawn += self._histogram(self.scores[rows & (self.group == value)], edges, **row | style)
        return drawn

    def _highest(self, edges):
        """The largest share of the clips of one group and label in one bin."""
        groups = {(value, label): self.scores[(self.group == value) & (self.label == label)]
                  for value in np.unique(self.group) for label in (1, -1)}  # fmt: skip
        return max(np.histogram(scores, edges)[0].max() / len(scores) for scores in groups.values() if len(scores))

    def _histogram(self, scores, edges, *, color, height=1.0, **kwargs):
        if not scores.size:
            return []
        style = {"histtype": "stepfilled", "facecolor": (color, 0.45), "edgecolor": color, "linewidth": 1.5}
        return self.ax_.hist(scores, edges, weights=np.full(len(scores), height / len(scores)), **style | kwargs)[2]
