"""What a label means: -1 anomalous, +1 normal, 0 unknown; in ``y`` also names and numbers of classes of normal clips.

Nothing else says -1: words, bools, and 1 where 0 means normal, are refused or doubted, for they would train.
"""

import warnings
from numbers import Real

import numpy as np

LABELS = {-1: "anomalous", 0: "unknown", 1: "normal"}
_SAY_ANOMALOUS = frozenset(
    "-1 abnormal anomalous anomaly bad broken damaged defect defective fault faulty ng nok outlier".split()
)


def as_label_field(values):
    """Values of the field ``label`` as integers, all of them +1, -1 or 0."""
    if values.dtype.kind in "iuf" and np.isin(values, (-1, 0, 1)).all():
        return values.astype(np.int64, copy=False)
    allowed = [isinstance(value, Real) and not isinstance(value, (bool, np.bool_)) and value in (-1, 0, 1)
               for value in values.tolist()]  # fmt: skip
    if not all(allowed):
        rows = np.flatnonzero(~np.array(allowed))
        found = list(dict.fromkeys(repr(values[row : row + 1].tolist()[0]) for row in rows))[:5]
        raise ValueError(f"The field 'label' holds +1 (normal), -1 (anomalous) or 0 (unknown); got {', '.join(found)} "
                         f"in {len(rows)} rows, the first of them {rows[0]}. With a mask that is True where clips are "
                         "anomalous, write np.where(mask, -1, 1).")  # fmt: skip
    return values.astype(np.int64, copy=False)


def as_labels(y, n_clips):
    """``y`` as an array of one number or name per clip, if none is missing or a bool."""
    if isinstance(y, np.ma.MaskedArray) and np.ma.is_masked(y):
        raise ValueError("y has masked values, and nothing says what these clips are. Leave them out, or fill them.")
    y = np.asarray(y) if hasattr(y, "dtype") else np.asarray(y, dtype=object)
    if y.shape == (n_clips, 1):
        y = y[:, 0]
    if y.shape != (n_clips,):
        raise ValueError(f"y must have one value per clip, shape ({n_clips},); got shape {y.shape}.")
    y = y if y.dtype.kind in "biufU" else _from_objects(y)
    if y.dtype.kind == "b":
        raise ValueError("y holds True and False, and nothing says which of the two is anomalous. Write "
                         "np.where(y, -1, 1) if True is, np.where(y, 1, -1) if False is.")  # fmt: skip
    if y.dtype.kind == "f" and np.isnan(y).any():
        raise _no_value(np.flatnonzero(np.isnan(y)))
    return y


def check_words(y):
    """Refuse words that say what -1 says: in ``y`` they would be names of classes, all of them normal."""
    names = np.unique(y).tolist() if y.dtype.kind == "U" else []
    anomalous = [name for name in names if name.strip().lower() in _SAY_ANOMALOUS]
    if anomalous:
        raise ValueError(f"y holds the words {', '.join(map(repr, names[:5]))}; only -1 says that a clip is anomalous, "
                         f"words are names of classes. Write np.where(np.isin(y, {anomalous}), -1, 1).")  # fmt: skip


def normal_rows(y, n_clips):
    """Mask of the rows of ``y`` that are not -1: +1, 0, other whole numbers and names are normal clips."""
    y = as_labels(y, n_clips)
    if y.dtype.kind == "U":
        return np.ones(n_clips, dtype=bool)
    wrong = np.flatnonzero(~np.isfinite(y) | (y != np.round(y)) | (y < -1))
    if wrong.size:
        raise ValueError(
            "Unknown label type: y must hold -1 for anomalous clips, and +1, 0 or a class (a whole number or a name) "
            f"for the others; got {np.unique(y[wrong])[:5].tolist()} in {wrong.size} rows, the first one {wrong[0]}."
        )
    return y != -1


def verdicts(y, n_clips):
    """``y`` as an array of +1 (normal) and -1 (anomalous), as metrics need it; nothing else is one."""
    y = as_labels(y, n_clips)
    check_words(y)
    if y.dtype.kind not in "iuf" or not np.isin(y, (-1, 1)).all():
        found = sorted(list(dict.fromkeys(map(repr, y.tolist())))[:5])
        raise ValueError(
            f"y must hold +1 (normal) and -1 (anomalous); got [{', '.join(found)}]. 0 means unknown: leave "
            "such clips out. Labels with 0 for normal and 1 for anomalous are converted by np.where(y == 1, -1, 1)."
        )
    return y


def doubt_zeros_and_ones(labels, name):
    """Warn where labels look like those of a classifier, in which 1 often means what -1 says here."""
    if labels is None or not np.array_equal(np.unique(np.asarray(labels)), [0, 1]):
        return
    taken = "unknown and normal clips" if name == "label" else "two classes of normal clips"
    warnings.warn(f"{name} holds 0 and 1 only: taken as {taken}, which all train. If 1 means anomalous, give "
                  f"np.where({name} == 1, -1, 1).", stacklevel=5)  # fmt: skip


def has_no_value(value):
    """Whether a value is None, or NaN, NaT or pandas' NA, which differ from themselves or do not say."""
    try:
        return value is None or not bool(value == value)
    except (TypeError, ValueError):
        return type(value).__name__ == "NAType"


def _from_objects(y):
    """Labels that came as objects: all of them numbers, or or all of them texts; bools stay bools."""
    values = y.tolist() if y.dtype.kind in "OT" else list(y)
    missing = [row for row, value in enumerate(values) if has_no_value(value)]
    if missing:
        raise _no_value(missing)
    if any(isinstance(value, (bool, np.bool_)) for value in values):
        return np.ones(len(values), dtype=bool)
    for kind in (str, Real):
        if all(isinstance(value, kind) for value in values):
            array = np.array(values)
            if array.dtype.kind in "iufU":
                return array
    types = sorted({type(value).__name__ for value in values})
    raise ValueError(f"y must hold numbers (-1 for anomalous clips) or names of classes, all of one kind; got "
                     f"{', '.join(map(repr, values[:5]))} of type {' and '.join(types)}.")  # fmt: skip


def _no_value(rows):
    shown = ", ".join(map(str, rows[:5])) + (f" and {len(rows) - 5} more" if len(rows) > 5 else "")
    return ValueError(f"y has no value in the rows {shown}. Leave these clips out, or say what they are: -1 for "
                      "anomalous, +1 for normal, 0 for unknown.")  # fmt: skip
