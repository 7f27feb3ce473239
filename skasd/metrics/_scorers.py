"""Metrics of fitted detectors, in the shape that scikit-learn's searches call."""

import numpy as np

from skasd._docstrings import documented
from skasd._reading import read_verdicts, section_fields
from skasd.clips import Clips
from skasd.metrics._official import official_score
from skasd.metrics._scores import auc_score, pauc_score


@documented
def anomaly_predictions(estimator, X, y=None):
    """``y_true`` and ``y_score``, as metrics take them, from a fitted detector: the one place where the sign changes.

    Parameters
    ----------
    {judged}

    Returns
    -------
    y_true : ndarray of shape (n_clips,)
        1 for anomalous, 0 for normal clips.

    y_score : ndarray of shape (n_clips,)
        The negative of ``score_samples``: higher = more anomalous.

    Raises
    ------
    ValueError
        If there are no labels, or labels other than +1 and -1.

    Examples
    --------
    >>> from sklearn.metrics import average_precision_score
    >>> from sklearn.neighbors import LocalOutlierFactor
    >>> from skasd.metrics import anomaly_predictions
    >>> detector = LocalOutlierFactor(n_neighbors=2, novelty=True).fit([[0.0], [0.1], [0.2], [0.3]])
    >>> y_true, y_score = anomaly_predictions(detector, [[0.05], [5.0]], [1, -1])
    >>> y_true
    array([0, 1])
    >>> average_precision_score(y_true, y_score)
    1.0
    """
    y_true = (read_verdicts(X, y) == -1).astype(int)
    return y_true, -np.asarray(estimator.score_samples(X))


@documented
def auc_scorer(estimator, X, y=None):
    """AUC of a fitted detector, for ``scoring=`` of `GridSearchCV` and `cross_validate`.

    Parameters
    ----------
    {judged_by_section}

    Returns
    -------
    auc : float
        Between 0 and 1; higher is better.

    Raises
    ------
    ValueError
        If a section lacks normal or anomalous clips, or if labels are not +1 or -1. A search turns this into NaN and a
        warning, unless it is given ``error_score="raise"``.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn.neighbors import LocalOutlierFactor
    >>> from skasd.metrics import auc_scorer
    >>> from skasd.model_selection import NormalOnlyKFold
    >>> rng = np.random.default_rng(0)
    >>> X, y = np.r_[rng.normal(0, 1, (60, 2)), rng.normal(3, 1, (20, 2))], np.repeat([1, -1], [60, 20])
    >>> grid = {"n_neighbors": [2, 10]}
    >>> search = GridSearchCV(LocalOutlierFactor(novelty=True), grid, scoring=auc_scorer, cv=NormalOnlyKFold())
    >>> search.fit(X, y).best_params_
    {'n_neighbors': 10}
    """
    y_true, y_score = anomaly_predictions(estimator, X, y)
    return auc_score(y_true, y_score, **section_fields(X))


@documented
def pauc_scorer(estimator, X, y=None, *, max_fpr=0.1):
    """Partial AUC of a fitted detector, for ``scoring=`` of `GridSearchCV` and `cross_validate`.

    Parameters
    ----------
    {judged_by_section}

    max_fpr : float, default=0.1
        Highest false positive rate that counts, in (0, 1]. For another value pass
        ``scoring=functools.partial(pauc_scorer, max_fpr=0.2)``.

    Returns
    -------
    pauc : float
        Standardised, between 0 and 1; higher is better.

    Raises
    ------
    ValueError
        As in `auc_scorer`.

    Notes
    -----
    ``sklearn.metrics.make_scorer(roc_auc_score, max_fpr=0.1, response_method="decision_function")`` is something else:
    it treats normal clips as the class to be found, and so measures the other end of the ROC curve.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.neighbors import LocalOutlierFactor
    >>> from skasd.metrics import pauc_scorer
    >>> detector = LocalOutlierFactor(n_neighbors=2, novelty=True).fit([[0.0], [0.1], [0.2], [0.3]])
    >>> pauc_scorer(detector, [[0.05], [0.15], [5.0]], [1, 1, -1])
    1.0
    """
    y_true, y_score = anomaly_predictions(estimator, X, y)
    return pauc_score(y_true, y_score, **section_fields(X), max_fpr=max_fpr)


@documented
def official_scorer(estimator, X, y=None, *, year=2022, protocol="official", max_fpr=0.1):
    """Official DCASE score of a fitted detector, for ``scoring=`` of `GridSearchCV` and `cross_validate`.

    Parameters
    ----------
    {fitted}

    X : Clips
        Clips to score, with the fields ``section`` and ``domain`` (2020: ``section`` alone), and ``machine`` if there
        are several machines.

    {verdicts}

    year : int, default=2022
        Year whose rules are used, see `official_score`. For another value pass
        ``scoring=functools.partial(official_scorer, year=2021)``.

    {rule}

    Returns
    -------
    score : float
        Between 0 and 1; higher is better.

    Raises
    ------
    ValueError
        If a field is missing, and as in `official_score`.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from skasd.clips import Clips
    >>> from skasd.metrics import official_scorer
    >>> class Loudness:
    ...     def score_samples(self, X):
    ...         return -abs(X["embedding"]).max(axis=1)
    >>> clips = Clips(embedding=[[1.0], [2.0], [3.0], [4.0]], label=[1, 1, -1, -1], section=["00"] * 4,
    ...               domain=["source", "target", "source", "target"])
    >>> official_scorer(Loudness(), clips)
    1.0
    """
    needed = ("section",) if year == 2020 else ("section", "domain")
    missing = [name for name in needed if not isinstance(X, Clips) or name not in X]
    if missing:
        got = f"Clips with {', '.join(X)}" if isinstance(X, Clips) else type(X).__name__
        raise ValueError(f"official_scorer needs Clips with the fields {needed}; {missing} are missing, got {got}. "
                         "Use auc_scorer or pauc_scorer for data without domains.")  # fmt: skip
    y_true, y_score = anomaly_predictions(estimator, X, y)
    fields = {name: X[name] for name in (*needed, "machine") if name in X}
    return official_score(y_true, y_score, **fields, year=year, protocol=protocol, max_fpr=max_fpr)


def find_threshold(estimator, X, scores):
    """The score at which the decision function is zero; a pipeline or a search has that, but no ``offset_``."""
    row = int(np.argmin(np.abs(scores)))  # rounding takes least from it
    return float(scores[row] - estimator.decision_function(X[row : row + 1])[0])
