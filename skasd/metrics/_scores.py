"""Metrics on labels and scores, and the checks of their input."""

from numbers import Real

import numpy as np
from scipy.stats import hmean
from sklearn.metrics import roc_auc_score

from skasd._docstrings import documented
from skasd._fields import as_field
from skasd._sklearn import Interval, check_params

MAX_FPR = Interval(Real, 0, 1, closed="right")


@documented
def auc_score(y_true, y_score, *, section=None, machine=None):
    """Area under the ROC curve: how often an anomalous clip scores higher than a normal one.

    Parameters
    ----------
    {truth}

    {sections}

    Returns
    -------
    auc : float
        Between 0 and 1; 0.5 is chance.

    Raises
    ------
    ValueError
        If there are no clips, if a section lacks normal or anomalous clips, if a score is not finite, lengths differ,
        ``y_true`` has values other than 0 and 1, or the name of a section or machine is missing.

    Examples
    --------
    >>> from skasd.metrics import auc_score
    >>> auc_score([0, 0, 1, 1], [0.1, 0.4, 0.3, 0.9])
    0.75
    """
    return pauc_score(y_true, y_score, section=section, machine=machine, max_fpr=1.0)


@check_params(max_fpr=[MAX_FPR])
@documented
def pauc_score(y_true, y_score, *, section=None, machine=None, max_fpr=0.1):
    """Area under the part of the ROC curve with few false alarms, standardised so that chance is 0.5.

    Parameters
    ----------
    {truth}

    {sections}

    {max_fpr}

    Returns
    -------
    pauc : float
        McClish's standardised partial AUC, as `sklearn.metrics.roc_auc_score` gives it.

    Raises
    ------
    ValueError
        As in `auc_score`.

    Examples
    --------
    >>> from skasd.metrics import pauc_score
    >>> round(pauc_score([0, 0, 1, 1], [0.1, 0.4, 0.3, 0.9], max_fpr=0.5), 4)
    0.6667
    """
    y_true, y_score, fields = check_clips(y_true, y_score, machine=machine, section=section)
    parts = parts_of(len(y_true), *fields.values())
    values = [roc_auc(y_true[rows], y_score[rows], max_fpr, " ".join(kind)) for kind, rows in parts]
    if len(values) == 1:  # 1 / (1 / x) may differ from x in the last digit
        return values[0]
    return float(hmean(np.maximum(values, np.finfo(float).eps)))


def check_clips(y_true, y_score, **fields):
    """Checked arrays of labels and scores, and of those fields that are given, as text."""
    y_true, y_score = _as_numbers("y_true", y_true), _as_numbers("y_score", y_score).astype(float)
    fields = {name: as_field(name, values) for name, values in fields.items() if values is not None}
    shapes = {name: values.shape for name, values in {"y_true": y_true, "y_score": y_score, **fields}.items()}
    if y_true.ndim != 1 or len(set(shapes.values())) > 1:
        raise ValueError(f"One value per clip is wanted, in one-dimensional arrays of one length; got shapes {shapes}.")
    if not len(y_true):
        raise ValueError("There are no clips: y_true and y_score are empty, and nothing can be measured. Look at how "
                         "the clips were chosen.")  # fmt: skip
    if not np.isin(y_true, (0, 1)).all():
        raise ValueError(f"y_true must hold 1 (anomalous) and 0 (normal); got {np.unique(y_true)[:5].tolist()}. From "
                         "labels with -1 for anomalous and +1 for normal clips, make it by "
                         "y_true = (label == -1).astype(int).")  # fmt: skip
    wrong = np.flatnonzero(~np.isfinite(y_score))
    if wrong.size:
        raise ValueError(f"y_score must be finite; {wrong.size} of {len(y_score)} scores are NaN or infinite, the "
                         f"first in row {wrong[0]}. Find out why these clips have no score.")  # fmt: skip
    unknown = np.setdiff1d(fields.get("domain", []), ["source", "target"]).tolist()
    if unknown:
        raise ValueError(f"domain must be 'source' or 'target' for each clip; got also {unknown[:5]}. "
                         "Leave out clips whose domain is unknown.")  # fmt: skip
    return y_true.astype(int), y_score, fields


def _as_numbers(name, values):
    """Numbers and bools as an array; text that reads like numbers, None and rows of several lengths are refused."""
    try:
        array = np.asarray(values)
        numbers = array
        if array.dtype == object and all(isinstance(value, Real) for value in array.flat):
            array = array.astype(float)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{name} must hold one number per clip, in an array; got {type(values).__name__}: {error}.") \
            from error  # fmt: skip
    if array.dtype.kind not in "biuf" or np.ma.is_masked(values):
        found = "masked values" if np.ma.is_masked(values) else f"values of dtype {array.dtype}"
        raise ValueError(f"{name} must hold one number per clip; got {found}.")
    finite = np.isfinite(array.astype(float))  # each NaN would differ from the next
    if len(np.unique(array[finite].astype(float))) < len(np.unique(numbers[finite])):
        raise ValueError(f"{name} holds different numbers that are the same in float64, such as integers above 2**53. "
                         "Subtract what they have in common before.")  # fmt: skip
    return array


def kinds_of(n_clips, *columns):
    """The number of each clip's combination of values (n_clips,), and these combinations in order, as tuples.

    Combinations are never told by joined names: 'a b' with 'c' is another one than 'a' with 'b c'.
    """
    if not columns:
        return np.zeros(n_clips, dtype=int), [()]
    codes = np.column_stack([np.unique(column, return_inverse=True)[1] for column in columns])
    _, first, numbers = np.unique(codes, axis=0, return_index=True, return_inverse=True)
    return numbers.reshape(-1), [tuple(column[row].item() for column in columns) for row in first]


def parts_of(n_clips, *columns):
    """Each combination of values, and its rows."""
    numbers, kinds = kinds_of(n_clips, *columns)
    return [(kind, np.flatnonzero(numbers == number)) for number, kind in enumerate(kinds)]


def roc_auc(y_true, y_score, max_fpr, section, domain=""):
    """Partial AUC of one section, whose name is for messages."""
    n_anomalous = int(y_true.sum())
    n_normal = len(y_true) - n_anomalous
    if not n_normal or not n_anomalous:
        where = (f"Section {section!r}" if section else "What was given") + (f", domain {domain!r}," if domain else "")
        raise ValueError(f"{where} has {n_normal} normal and {n_anomalous} anomalous clips: an AUC needs both. Add "
                         "clips of the missing kind, or leave this section out.")  # fmt: skip
    ranks = np.unique(y_score, return_inverse=True)[1]  # differences of scores may overflow
    return float(roc_auc_score(y_true, ranks, max_fpr=max_fpr))
