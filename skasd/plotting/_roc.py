"""ROC curves with their partial region."""

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import roc_curve

from skasd._docstrings import documented
from skasd.metrics import anomaly_predictions, auc_score, pauc_score
from skasd.plotting._style import NEUTRAL, NORMAL, Display, plain


@documented
@dataclass(kw_only=True, eq=False, repr=False)
class PartialROCDisplay(Display):
    """The ROC curve, with the part of few false alarms shaded that the partial AUC counts.

    Make it with `from_estimator` or `from_predictions`.

    Parameters
    ----------
    fpr : ndarray of shape (n_points,)
        False positive rates: shares of the normal clips that raise an alarm.

    tpr : ndarray of shape (n_points,)
        True positive rates: shares of the anomalous clips that raise an alarm.

    {max_fpr}

    auc : float, default=None
        Area under the whole curve.

    pauc : float, default=None
        Standardised area under the shaded part.

    {curve}

    Attributes
    ----------
    line_ : matplotlib.lines.Line2D
        The curve.

    area_ : matplotlib.collections.PolyCollection
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
    All clips make one curve. Where there are several sections, draw one curve a section: the scores of different
    sections need not be comparable.

    Examples
    --------
    >>> from skasd.plotting import PartialROCDisplay
    >>> display = PartialROCDisplay.from_predictions([0, 0, 1, 1], [0.1, 0.4, 0.3, 0.9], max_fpr=0.5)
    >>> print(display.line_.get_label())
    AUC 0.750
    pAUC 0.667 (FPR ≤ 50%)
    """

    fpr: np.ndarray
    tpr: np.ndarray
    max_fpr: float = 0.1
    auc: float | None = None
    pauc: float | None = None
    name: str | None = None

    @classmethod
    @documented
    def from_estimator(cls, estimator, X, y=None, *, max_fpr=0.1, name=None, ax=None, **kwargs):
        """Draw how a fitted detector ranks clips.

        Parameters
        ----------
        {judged}

        {curve_ax_style}

        {returned}
        """
        y_true, y_score = anomaly_predictions(estimator, X, y)
        return cls.from_predictions(y_true, y_score, max_fpr=max_fpr, name=name, ax=ax, **kwargs)

    @classmethod
    @documented
    def from_predictions(cls, y_true, y_score, *, max_fpr=0.1, name=None, ax=None, **kwargs):
        """Draw how scores rank clips.

        Parameters
        ----------
        {truth}

        {curve_ax_style}

        {returned}

        Raises
        ------
        ValueError
            As in `skasd.metrics.auc_score`.
        """
        auc, pauc = auc_score(y_true, y_score), pauc_score(y_true, y_score, max_fpr=max_fpr)
        ranks = np.unique(y_score, return_inverse=True)[1]  # differences of scores may overflow
        fpr, tpr, _ = roc_curve(np.asarray(y_true, dtype=int), ranks)
        return cls(fpr=fpr, tpr=tpr, max_fpr=max_fpr, auc=auc, pauc=pauc, name=name).plot(ax=ax, **kwargs)

    @documented
    def plot(self, ax=None, **kwargs):
        """Draw the curve, the shaded part and chance.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            Where to draw, beside other curves if need be; a new figure by default.

        {line_style}

        {returned}
        """
        self._open(ax)
        style = {"color": NORMAL, "linewidth": 2, "label": self._legend()}
        (self.line_,) = self.ax_.plot(self.fpr, self.tpr, **style | kwargs)
        inside = np.append(self.fpr[self.fpr <= self.max_fpr], self.max_fpr)
        heights = np.append(self.tpr[self.fpr <= self.max_fpr], np.interp(self.max_fpr, self.fpr, self.tpr))
        self.area_ = self.ax_.fill_between(inside, heights, color=self.line_.get_color(), alpha=0.35, linewidth=0)
        label = None if any(line.get_label() == "chance" for line in self.ax_.lines) else "chance"
        (self.chance_,) = self.ax_.plot([0, 1], [0, 1], color=NEUTRAL, linestyle="--", label=label)
        self.ax_.set(xlabel="false positive rate (false alarms)", ylabel="true positive rate (anomalies found)")
        self.ax_.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
        self.ax_.legend(loc="lower right")
        return self

    def _legend(self):
        auc = f"AUC {self.auc:.3f}" if self.auc is not None else None
        pauc = f"pAUC {self.pauc:.3f} (FPR ≤ {self.max_fpr:.0%})" if self.pauc is not None else None
        text = "\n".join(line for line in (plain(self.name), auc, pauc) if line) or "ROC"
        return f" {text}" if text.startswith("_") else text  # matplotlib would leave it out of the legend
