"""ROC curves with their partial region."""

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import roc_curve

from skasd._docstrings import documented
from skasd.metrics import anomaly_predictions, auc_score, pauc_score
from skasd.plotting._style import COLORS, NEUTRAL, NORMAL, Display, check_group, group_name, groups_of, plain

_LINE_COLORS = COLORS[:6]  # the last cannot be seen on white
_LINE_STYLES = ("-", "--", "-.", ":")


@documented
@dataclass(kw_only=True, eq=False, repr=False)
class PartialROCDisplay(Display):
    """The ROC curve, with the part with few false alarms shaded, whose area is the partial AUC.

    Make it with `from_estimator` or `from_predictions`.

    Parameters
    ----------
    fpr : ndarray of shape (n_points,), or list of them
        False positive rates: shares of the normal clips that raise an alarm. With groups, a list with one for each
        group, here and below.

    tpr : ndarray of shape (n_points,), or list of them
        True positive rates: shares of the anomalous clips that raise an alarm.

    {max_fpr}

    auc : float or list of float, default=None
        Area under the whole curve.

    pauc : float or list of float, default=None
        Standardised area under the shaded part.

    group : list of str, default=None
        Names of the groups.

    by : str, default=None
        What the groups are.

    {curve}

    Attributes
    ----------
    line_ : matplotlib.lines.Line2D, or list of them
        The curve, or one for each group.

    area_ : matplotlib.collections.PolyCollection, or list of them
        The shaded part.

    chance_ : matplotlib.lines.Line2D
        The curve of chance.

    {drawn}

    See Also
    --------
    ScoreHistogramDisplay : The scores and the threshold.
    skasd.metrics.pauc_score : The number.

    Notes
    -----
    If there are several sections, draw one curve for each with ``by="section"``: scores of different sections need not
    be comparable. With ``by="domain"``, a curve is for the clips of one domain, as in ``protocol="domain-only"``; by
    the rules of 2022 to 2026, the normal clips of a domain are compared with the anomalous ones of both.

    Examples
    --------
    >>> from skasd.plotting import PartialROCDisplay
    >>> display = PartialROCDisplay.from_predictions([0, 0, 1, 1], [0.1, 0.4, 0.3, 0.9], max_fpr=0.5)
    >>> print(display.line_.get_label())
    AUC 0.750
    pAUC 0.667 (FPR ≤ 50%)
    """

    fpr: np.ndarray | list
    tpr: np.ndarray | list
    max_fpr: float = 0.1
    auc: float | list | None = None
    pauc: float | list | None = None
    group: list | None = None
    by: str | None = None
    name: str | None = None

    @classmethod
    @documented
    def from_estimator(cls, estimator, X, y=None, *, by=None, max_fpr=0.1, name=None, ax=None, **kwargs):
        """Draw how a fitted detector ranks clips.

        Parameters
        ----------
        {judged}

        {by}

        {curve_ax_style}

        {returned}
        """
        y_true, y_score = anomaly_predictions(estimator, X, y)
        options = {"max_fpr": max_fpr, "group": groups_of(X, by, cls.__name__), "by": by, "name": name, "ax": ax}
        return cls.from_predictions(y_true, y_score, **options, **kwargs)

    @classmethod
    @documented
    def from_predictions(cls, y_true, y_score, *, group=None, by=None, max_fpr=0.1, name=None, ax=None, **kwargs):
        """Draw how scores rank clips.

        Parameters
        ----------
        {truth}

        {group}

        {curve_ax_style}

        {returned}

        Raises
        ------
        ValueError
            As in `skasd.metrics.auc_score`, of all clips or of one group.
        """
        curve = _curve(y_true, y_score, max_fpr)
        group = check_group(group, len(y_true), cls.__name__)
        if group is not None:
            curves = [_curve(*own, max_fpr, where) for where, *own in _by_group(y_true, y_score, group, by)]
            curve = {name: [one[name] for one in curves] for name in curve}
            curve["group"] = np.unique(group).tolist()
        return cls(**curve, max_fpr=max_fpr, by=by, name=name).plot(ax=ax, **kwargs)

    @documented
    def plot(self, ax=None, **kwargs):
        """Draw the curve, the shaded part and chance.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Where to draw, possibly with other curves; a new figure by default.

        {line_style}

        {returned}
        """
        self._open(ax)
        if self.group is None:
            self.line_, self.area_ = self._draw(self.fpr, self.tpr, self._legend(self.auc, self.pauc), **kwargs)
        else:
            self.line_, self.area_ = map(list, zip(*self._draw_groups(**kwargs), strict=True))
        label = None if any(line.get_label() == "chance" for line in self.ax_.lines) else "chance"
        (self.chance_,) = self.ax_.plot([0, 1], [0, 1], color=NEUTRAL, linestyle="--", label=label)
        self.ax_.set(xlabel="false positive rate (false alarms)", ylabel="true positive rate (anomalies found)")
        self.ax_.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
        self.ax_.legend(loc="lower right")
        return self

    def _draw_groups(self, **kwargs):
        aucs, paucs = ([None] * len(self.group) if given is None else given for given in (self.auc, self.pauc))
        for number, value in enumerate(self.group):
            legend = self._legend(aucs[number], paucs[number], f"{plain(self.by)} {group_name(value)}")
            style = {"color": _LINE_COLORS[number % len(_LINE_COLORS)], "linestyle": _LINE_STYLES[number % 4]}
            yield self._draw(self.fpr[number], self.tpr[number], legend, **style | kwargs)

    def _draw(self, fpr, tpr, legend, **kwargs):
        (line,) = self.ax_.plot(fpr, tpr, **{"color": NORMAL, "linewidth": 2, "label": legend} | kwargs)
        inside = np.append(fpr[fpr <= self.max_fpr], self.max_fpr)
        heights = np.append(tpr[fpr <= self.max_fpr], np.interp(self.max_fpr, fpr, tpr))
        alpha = 0.35 if self.group is None else 0.15  # which leaves several on each other to be seen
        return line, self.ax_.fill_between(inside, heights, color=line.get_color(), alpha=alpha, linewidth=0)

    def _legend(self, auc, pauc, group=""):
        auc = f"AUC {auc:.3f}" if auc is not None else None
        pauc = f"pAUC {pauc:.3f} (FPR ≤ {self.max_fpr:.0%})" if pauc is not None else None
        text = "\n".join(line for line in (plain(self.name), group.strip(), auc, pauc) if line) or "ROC"
        return f" {text}" if text.startswith("_") else text  # matplotlib would leave it out of the legend


def _curve(y_true, y_score, max_fpr, where=""):
    """The curve of clips and what it counts; `where` they are of is put before what is wrong with them."""
    try:
        auc, pauc = auc_score(y_true, y_score), pauc_score(y_true, y_score, max_fpr=max_fpr)
    except ValueError as error:
        raise ValueError(f"{where}{error}") from error
    ranks = np.unique(y_score, return_inverse=True)[1]  # differences of scores may overflow
    fpr, tpr, _ = roc_curve(np.asarray(y_true, dtype=int), ranks)
    return {"fpr": fpr, "tpr": tpr, "auc": auc, "pauc": pauc}


def _by_group(y_true, y_score, group, by):
    """Of each group its name in messages, its labels and its scores."""
    for value in np.unique(group).tolist():
        rows = group == value
        yield f"{by or 'group'} {value!r}: ", np.asarray(y_true)[rows], np.asarray(y_score)[rows]
