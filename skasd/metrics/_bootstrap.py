"""Confidence intervals of metrics."""

from typing import NamedTuple

import numpy as np
from scipy.stats import bootstrap
from sklearn.utils import check_random_state

from skasd._validation import validate_params
from skasd.metrics._scores import check_clips, join_names


class BootstrapInterval(NamedTuple):
    """A metric with its confidence interval: what `bootstrap_interval` returns.

    Parameters
    ----------
    value : float
        The metric on the clips as they are.

    low : float
        Lower end of the interval.

    high : float
        Upper end of the interval.

    See Also
    --------
    bootstrap_interval : Makes one.

    Examples
    --------
    >>> from skasd.metrics import BootstrapInterval
    >>> auc = BootstrapInterval(value=0.81, low=0.74, high=0.87)
    >>> print(f"{auc.value} [{auc.low}, {auc.high}]")
    0.81 [0.74, 0.87]
    """

    value: float
    low: float
    high: float


@validate_params({"metric": [callable], "random_state": ["random_state"]}, prefer_skip_nested_validation=True)
def bootstrap_interval(
    metric,
    y_true,
    y_score,
    *,
    section=None,
    domain=None,
    machine=None,
    groups=None,
    n_resamples=1000,
    confidence_level=0.95,
    random_state=None,
):
    """Confidence interval of a metric, by resampling clips among their like.

    Clips are drawn with replacement among those of the same label, section, domain and machine, as far as these are
    given, so that no resample loses a class or a domain. The interval says how far the metric would move with other
    clips of the same machines; it knows nothing of machines or faults that are not among them.

    Parameters
    ----------
    metric : callable
        Called as ``metric(y_true, y_score)``, with those of ``section``, ``domain`` and ``machine`` that are given as
        keywords. It gives a number.

    y_true : array-like of shape (n_clips,)
        1 for anomalous, 0 for normal clips.

    y_score : array-like of shape (n_clips,)
        Anomaly scores, higher = more anomalous.

    section : array-like of shape (n_clips,), default=None
        Section of each clip.

    domain : array-like of shape (n_clips,), default=None
        ``"source"`` or ``"target"`` for each clip.

    machine : array-like of shape (n_clips,), default=None
        Machine of each clip.

    groups : array-like of shape (n_clips,), default=None
        Which clips belong together, such as windows cut from one recording: whole groups are drawn. Windows of one
        recording are alike, and an interval that takes them for independent is far too narrow.

    n_resamples : int, default=1000
        Number of resamples.

    confidence_level : float, default=0.95
        Share of such intervals that cover the true value, in (0, 1).

    random_state : int, RandomState instance or None, default=None
        Draws the resamples. Pass an int for repeatable results.

    Returns
    -------
    interval : BootstrapInterval
        ``value``, ``low`` and ``high``.

    Raises
    ------
    ValueError
        If fewer than two clips (or groups) are alike in label, section, domain and machine, if a group has clips that
        are not alike in these, and as in `auc_score`.

    Notes
    -----
    The percentile interval of `scipy.stats.bootstrap`, each kind of clips being one of its samples. It never leaves
    the range of the metric, and is somewhat narrow: with 50 normal and 50 anomalous clips of two normal distributions,
    95 % intervals of the AUC covered the true value in 91 to 93 % of 400 trials. Where the ranking is perfect every
    resample is perfect too, and the interval has no width. The noise of resamples lowers a harmonic mean: with few
    clips the interval of `official_score` lies too low, and may lie below the score itself. That of
    `skasd.evaluation.evaluate` is moved up.

    Examples
    --------
    >>> import numpy as np
    >>> from skasd.metrics import auc_score, bootstrap_interval
    >>> y_true, y_score = np.repeat([0, 1], 50), np.r_[0:50, 30:80]
    >>> interval = bootstrap_interval(auc_score, y_true, y_score, random_state=0)
    >>> interval.value, bool(0.8 < interval.low < 0.92 < interval.high < 1)
    (0.92, True)
    """
    y_true, y_score, fields = check_clips(y_true, y_score, section=section, domain=domain, machine=machine)
    value = float(metric(y_true, y_score, **fields))
    members, samples = _resampling_units(y_true, fields, groups)

    def statistic(*drawn):
        rows = np.concatenate([members[unit] for unit in np.concatenate(drawn)])
        return metric(y_true[rows], y_score[rows], **{name: values[rows] for name, values in fields.items()})

    result = bootstrap(
        samples,
        statistic,
        vectorized=False,
        method="percentile",
        n_resamples=n_resamples,
        batch=min(n_resamples, 100),  # all at once would hold n_resamples * n_clips indices
        confidence_level=confidence_level,
        random_state=check_random_state(random_state),
    )
    low, high = result.confidence_interval
    return BootstrapInterval(value, float(low), float(high))


def _resampling_units(y_true, fields, groups):
    """Rows of each unit that is drawn as a whole, and the units of each kind of clips."""
    groups = np.arange(len(y_true)) if groups is None else np.asarray(groups)
    if groups.shape != y_true.shape:
        raise ValueError(f"groups must have one value a clip, shape {y_true.shape}; got shape {groups.shape}.")
    names, unit = np.unique(groups, return_inverse=True)
    kinds, kind = np.unique(
        join_names(np.where(y_true == 1, "anomalous", "normal"), *fields.values()), return_inverse=True
    )
    pairs = np.unique(np.column_stack([unit, kind]), axis=0)
    repeated = np.flatnonzero(np.diff(pairs[:, 0]) == 0)
    if repeated.size:
        mixed = pairs[repeated[0], 0]
        found = kinds[pairs[pairs[:, 0] == mixed, 1]].tolist()
        raise ValueError(
            f"Group {names[mixed].item()!r} has clips of several kinds: {found}. "
            "Groups must be alike in label, section, domain and machine; split the group, or leave a field out."
        )
    samples = [pairs[pairs[:, 1] == index, 0] for index in range(len(kinds))]
    for name, units in zip(kinds, samples, strict=True):
        if len(units) < 2:
            raise ValueError(f"There is only one clip or group of the kind '{name}': how far it varies cannot be told. "
                             "Give at least two of each kind, or leave a field out.")  # fmt: skip
    return np.split(np.argsort(unit, kind="stable"), np.cumsum(np.bincount(unit))[:-1]), samples
