"""Confidence intervals of metrics."""

from numbers import Integral, Real
from typing import NamedTuple

import numpy as np
from sklearn.utils import check_random_state

from skasd._docstrings import documented
from skasd._reading import recording_numbers
from skasd._sklearn import Interval, check_params
from skasd.clips import Clips
from skasd.metrics._scores import check_clips, kinds_of

_BATCH_SIZE = 100  # resamples; all at once would hold n_resamples * n_clips counts


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


@check_params(
    metric=[callable],
    n_resamples=[Interval(Integral, 1, None, closed="left")],
    confidence_level=[Interval(Real, 0, 1, closed="neither")],
    random_state=["random_state"],
)
@documented
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
    """Confidence interval of a metric, by resampling clips of the same kind.

    Clips are drawn with replacement from those with the same label, section, domain and machine, if these are given, so
    that no resample loses a class or a domain. The interval says how much the metric would vary with other clips of the
    same machines; it says nothing about other machines or faults.

    Parameters
    ----------
    metric : callable
        Called as ``metric(y_true, y_score)``, with those of ``section``, ``domain`` and ``machine`` that are given as
        keywords. It returns a number.

    {truth}

    section : array-like of shape (n_clips,), default=None
        Section of each clip.

    domain : array-like of shape (n_clips,), default=None
        ``"source"`` or ``"target"`` for each clip.

    machine : array-like of shape (n_clips,), default=None
        Machine of each clip.

    groups : array-like of shape (n_clips,), default=None
        Which clips belong together, as ``groups=clips["recording"]`` for clips cut from recordings: whole groups are
        drawn. Clips of one recording are alike, and an interval that takes them for independent is far too narrow. A
        clip whose group is ``""`` or missing (None or NaN) is a group of its own.

    n_resamples : int, default=1000
        Number of resamples, at least 1.

    confidence_level : float, default=0.95
        Share of such intervals that cover the true value, in (0, 1).

    random_state : int, RandomState instance or None, default=None
        Seed of the resamples. Pass an int for repeatable results.

    Returns
    -------
    interval : BootstrapInterval
        ``value``, ``low`` and ``high``.

    Raises
    ------
    ValueError
        If fewer than two clips (or groups) are alike in label, section, domain and machine, if the metric returns
        anything but finite numbers, and as in `auc_score`.

    Notes
    -----
    A group with clips of several kinds, such as a recording in which a fault begins, is drawn from the groups with the
    same kinds.

    This is the percentile interval, shifted so that the median of the resamples equals the value: resamples add noise,
    which lowers a harmonic mean and a partial AUC, and with few clips the interval of `official_score` would lie below
    the score itself. If value and resamples are between 0 and 1, so are the ends. The interval is somewhat narrow: with
    50 normal and 50 anomalous clips of two normal distributions, 95 % intervals of the AUC and of the partial AUC
    covered the true value in 92 to 93 % of 400 trials. If the ranking is perfect, every resample is perfect too, and
    the interval has no width. The intervals of `skasd.evaluation.evaluate` are the same.

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
    value = _measure(metric, y_true, y_score, fields)
    unit, stratum = _units(y_true, fields, groups)
    rng, resampled = check_random_state(random_state), []
    for start in range(0, n_resamples, _BATCH_SIZE):
        for counts in draw_counts(unit, stratum, min(_BATCH_SIZE, n_resamples - start), rng):
            rows = np.repeat(np.arange(len(y_true)), counts.astype(int))
            drawn = {name: values[rows] for name, values in fields.items()}
            resampled.append(_measure(metric, y_true[rows], y_score[rows], drawn))
    return interval_of(value, np.array(resampled), confidence_level)


def _measure(metric, y_true, y_score, fields):
    value = metric(y_true, y_score, **fields)
    if np.ndim(value) or not isinstance(value, (Real, np.ndarray)) or not np.isfinite(value):
        raise ValueError(f"metric must give one finite number; it gave {value!r} for {len(y_true)} clips.")
    return float(value)


def _units(y_true, fields, groups):
    """As `resampling_units`, if there are at least two units of each kind."""
    if groups is not None and np.shape(groups) != y_true.shape:
        raise ValueError(f"groups must have one value per clip, shape {y_true.shape}; got shape {np.shape(groups)}.")
    kind, kinds = kinds_of(len(y_true), np.where(y_true == 1, "anomalous", "normal"), *fields.values())
    unit, stratum = resampling_units(kind, group_numbers(None, groups, len(y_true)))
    single = np.flatnonzero(np.bincount(stratum) < 2)
    if single.size:
        drawn = np.unique(kind[stratum[unit] == single[0]])
        names = " with ".join(" ".join(kinds[number]) for number in drawn)
        raise ValueError(f"There is only one clip or group of the kind '{names}': how far it varies cannot be told. "
                         "Give at least two of each kind, or leave a field out.")  # fmt: skip
    return unit, stratum


def group_numbers(X, groups, n_clips):
    """Number of the group of each clip, or of its recording where no groups are given."""
    if groups is None:
        return recording_numbers(X, n_clips)
    try:
        return recording_numbers(Clips(recording=groups), n_clips)
    except ValueError as error:
        raise ValueError(f"groups must name recordings: {error}") from error


def resampling_units(kind, group):
    """What is drawn as a whole, and among what, from the numbers of each clip's kind and group (n_clips,).

    Returns the unit of each clip (n_clips,), its group; and the stratum of each unit (n_units,): units of one stratum
    have clips of the same kinds and are drawn among each other, so that no resample loses a kind.
    """
    unit = np.unique(group, return_inverse=True)[1]
    lacks = np.ones((unit.max() + 1, kind.max() + 1), dtype=bool)
    lacks[unit, kind] = False
    return unit, np.unique(lacks, axis=0, return_inverse=True)[1].reshape(-1)


def draw_counts(unit, stratum, n_resamples, rng):
    """How often each clip is in each resample (n_resamples, n_clips); NaN where there is nothing to draw it among."""
    counts = np.empty((n_resamples, len(stratum)))
    for number in range(stratum.max() + 1):
        units = np.flatnonzero(stratum == number)
        drawn = rng.multinomial(len(units), np.full(len(units), 1 / len(units)), size=n_resamples)
        counts[:, units] = drawn if len(units) > 1 else np.nan
    return counts[:, unit]


def resampled_pauc(y_true, y_score, counts, max_fpr):
    """Standardised partial AUC of many resamples at once.

    The value for each row of ``counts`` (n_resamples, n_clips) is `pauc_score` of clips repeated so many times.
    """
    ranks = np.unique(-y_score, return_inverse=True)[1]
    order = np.argsort(ranks, kind="stable")
    last = np.append(np.diff(ranks[order]) != 0, True)  # of each group of equal scores
    tpr, fpr = (_rates(counts[:, order] * (y_true[order] == label), last) for label in (1, 0))
    left, right = np.minimum(fpr[:, :-1], max_fpr), np.minimum(fpr[:, 1:], max_fpr)
    rise = np.diff(tpr) / np.maximum(np.diff(fpr), np.finfo(float).tiny)
    area = ((right - left) * (tpr[:, :-1] + rise * (right - left) / 2)).sum(axis=1)
    lowest = max_fpr**2 / 2
    return (1 + (area - lowest) / (max_fpr - lowest)) / 2


def _rates(counts, last):
    counts = np.cumsum(counts, axis=1)[:, last]
    return np.hstack([np.zeros((len(counts), 1)), counts / counts[:, -1:]])


def interval_of(value, resampled, confidence_level=0.95):
    """Percentile interval, moved so that the median of the resamples is the value; NaN where nothing was resampled."""
    if not len(resampled):
        return BootstrapInterval(value, np.nan, np.nan)
    tail = (1 - confidence_level) / 2
    low, median, high = np.quantile(resampled, [tail, 0.5, 1 - tail])
    bounds = (0, 1) if 0 <= min(value, resampled.min()) and max(value, resampled.max()) <= 1 else (-np.inf, np.inf)
    return BootstrapInterval(value, *np.clip([low + value - median, high + value - median], *bounds).tolist())
