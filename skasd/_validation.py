"""Checks that several rooms share, and the only importer of scikit-learn's private names."""

from numbers import Real

import numpy as np
from sklearn.base import _fit_context
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    InvalidParameterError,
    Options,
    StrOptions,
    validate_params,
)
from sklearn.utils._repr_html.estimator import _VisualBlock
from sklearn.utils.validation import _num_samples, check_is_fitted
from sklearn.utils.validation import validate_data as _validate_data

from skasd._fields import has_no_value
from skasd.clips import Clips

__all__ = [
    "HasMethods",
    "Interval",
    "InvalidParameterError",
    "Options",
    "StrOptions",
    "_VisualBlock",
    "_fit_context",
    "_num_samples",
    "as_labels",
    "check_is_fitted",
    "read_field",
    "training_rows",
    "validate_data",
    "validate_params",
]


_MADE_BY = {
    "waveform": "an AudioLoader",
    "log_mel": "a LogMelSpectrogram",
    "embedding": "an embedder",
    "logits": "a ClassificationEmbedder",
}
_SAY_ANOMALOUS = frozenset(
    "-1 abnormal anomalous anomaly bad broken damaged defect defective fault faulty ng nok outlier".split()
)


def validate_data(estimator, X, **how):
    """As scikit-learn's, whose words for what is no real number show the whole array, and which lets axes be empty."""
    owner = type(estimator).__name__
    try:
        values = _validate_data(estimator, X, **how)
    except ValueError as error:
        if "Complex data not supported" in str(error):
            raise ValueError(f"Complex data not supported: {owner} takes real numbers. Give np.abs(X), or X.real.") \
                from error  # fmt: skip
        if "could not convert string" in str(error):
            raise ValueError(f"{owner} takes numbers: {error}. Leave out what is text.") from error
        raise
    if 0 in values.shape:
        raise ValueError(f"{owner} was given an array of shape {values.shape}, which holds nothing. Look at how it was "
                         "made.")  # fmt: skip
    return values


def read_field(X, *names, owner):
    """The name and values of the first of these fields that ``X`` has; a plain array stands for any of them."""
    if not isinstance(X, Clips):
        return None, X
    for name in names:
        if name in X:
            return name, X[name]
    advice = f" Put {_MADE_BY[name]} before it." if len(names) == 1 and name in _MADE_BY else ""
    raise ValueError(f"{owner} needs the field {' or '.join(map(repr, names))}; the clips have {', '.join(X)}.{advice}")


def training_rows(X, y=None):
    """Mask of the rows of ``X`` that may train: all but those that ``y``, or else the field ``label``, calls -1."""
    n_clips = _num_samples(X)
    if not n_clips:
        raise ValueError("There are no clips to train on: got n_samples=0. Look at how they were chosen.")
    if y is None:
        y = X["label"] if isinstance(X, Clips) and "label" in X else np.ones(n_clips, dtype=int)
    normal = _check_y(y, n_clips) != -1
    if not normal.any():
        raise ValueError(f"There is nothing to train on: all {n_clips} clips are labelled -1 (anomalous). "
                         "Give at least some normal clips, labelled +1 or not at all.")  # fmt: skip
    return normal


def as_labels(y, n_clips):
    """``y`` as an array of one number or name per clip, if neither words nor bools in it mean what -1 says."""
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
    names = np.unique(y).tolist() if y.dtype.kind == "U" else []
    anomalous = [name for name in names if name.strip().lower() in _SAY_ANOMALOUS]
    if anomalous:
        raise ValueError(f"y holds the words {', '.join(map(repr, names[:5]))}; only -1 says that a clip is anomalous, "
                         f"words are names of classes. Write np.where(np.isin(y, {anomalous}), -1, 1).")  # fmt: skip
    return y


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


def _check_y(y, n_clips):
    y = as_labels(y, n_clips)
    if y.dtype.kind == "U":
        return np.ones(n_clips, dtype=int)  # names of classes: all normal
    wrong = np.flatnonzero(~np.isfinite(y) | (y != np.round(y)) | (y < -1))
    if wrong.size:
        raise ValueError(
            "Unknown label type: y must hold -1 for anomalous clips, and +1, 0 or a class (a whole number or a name) "
            f"for the others; got {np.unique(y[wrong])[:5].tolist()} in {wrong.size} rows, the first one {wrong[0]}."
        )
    return y
