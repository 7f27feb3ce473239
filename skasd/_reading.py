"""What estimators, metrics and splits ask of ``X``, be it `Clips` or a plain array, and of ``y``."""

import numpy as np
from sklearn.utils import validation

from skasd._labels import as_labels, check_words, doubt_zeros_and_ones, normal_rows, verdicts
from skasd._sklearn import num_samples
from skasd.clips import Clips

_MADE_BY = {
    "waveform": "an AudioLoader",
    "log_mel": "a LogMelSpectrogram",
    "embedding": "an embedder",
    "logits": "a ClassificationEmbedder",
}


def validate_data(estimator, X, **how):
    """As scikit-learn's, whose words for what is no real number show the whole array, and which lets axes be empty."""
    if _is_as_fitted(estimator, X, **how):
        return X
    owner = type(estimator).__name__
    try:
        values = validation.validate_data(estimator, X, **how)
    except ValueError as error:
        if "Complex data not supported" in str(error):
            raise ValueError(f"Complex data not supported: {owner} takes real numbers. Give np.abs(X), or X.real.") \
                from error  # fmt: skip
        if "could not convert string" in str(error):
            raise ValueError(f"{owner} takes numbers: {error}. Leave out what is text.") from error
        raise
    if _is_text(X):  # "4_2" would be 42
        raise ValueError(f"{owner} takes numbers; got text that reads like numbers. Convert it, as X.astype(float) "
                         "does, if that is what it means.")  # fmt: skip
    if 0 in values.shape:
        raise ValueError(f"{owner} was given an array of shape {values.shape}, which holds nothing. Look at how it was "
                         "made.")  # fmt: skip
    return values


def _is_as_fitted(estimator, X, *, reset=True, dtype="numeric", allow_nd=False, ensure_all_finite=True):
    """Whether scikit-learn would hand this array on as it is. To look takes it as long as a clip takes a detector."""
    if reset or ensure_all_finite or type(X) is not np.ndarray or hasattr(estimator, "feature_names_in_"):
        return False
    wanted = [X.dtype] if isinstance(dtype, str) else dtype if isinstance(dtype, list) else [dtype]
    is_table = X.ndim == 2 or (allow_nd and X.ndim > 2)
    if not (is_table and X.dtype.kind == "f" and X.dtype in wanted and X.size):
        return False
    return X.shape[1] == getattr(estimator, "n_features_in_", None)


def _is_text(X):
    values = np.asarray(X)
    return values.dtype.kind in "SUT" or (
        values.dtype == object and any(isinstance(v, (str, bytes)) for v in values.flat)
    )


def read_field(X, *names, owner):
    """The name and values of the first of these fields that ``X`` has; a plain array is taken for any of them."""
    if not isinstance(X, Clips):
        return None, X
    for name in names:
        if name in X:
            return name, X[name]
    advice = f" Put {_MADE_BY[name]} before it." if len(names) == 1 and name in _MADE_BY else ""
    raise ValueError(f"{owner} needs the field {' or '.join(map(repr, names))}; the clips have {', '.join(X)}.{advice}")


def read_text(X, field, n_clips):
    """The values of a field of text, ``""`` for each clip where there is no such field."""
    return X[field] if isinstance(X, Clips) and field in X else np.full(n_clips, "")


def section_fields(X):
    """The fields that tell the sections of clips apart, as far as they have them."""
    return {name: X[name] for name in ("machine", "section") if name in X} if isinstance(X, Clips) else {}


def check_plain(values, owner):
    """Refuse masked arrays, whose masks would be lost without a word, and times, which would become numbers."""
    if getattr(getattr(values, "dtype", None), "kind", None) in ("m", "M"):
        raise ValueError(f"{owner} takes numbers; got {values.dtype}.")
    if np.ma.is_masked(values):
        raise ValueError(f"{owner} was given an array with masked values, which it cannot leave out. Fill them, as "
                         "X.filled(...), or leave out these clips.")  # fmt: skip


def check_sample_rate(X, sample_rate, owner):
    """Refuse clips whose waveforms are known to have another sample rate in Hz; plain arrays cannot tell."""
    known = X.attrs.get("sample_rate") if isinstance(X, Clips) else None
    if known not in (None, sample_rate):
        raise ValueError(f"{owner} has sample_rate={sample_rate} Hz, and these waveforms have {known} Hz. Set "
                         f"sample_rate={known}, or make waveforms of {sample_rate} Hz, as AudioLoader does of files."
                         )  # fmt: skip


def recording_numbers(X, n_clips):
    """Number of the recording of each clip, (n_clips,): clips of one must stay on one side of every split.

    A clip whose recording is not known, as in all but `Clips` with the field ``recording``, has a number of its own.
    """
    if not isinstance(X, Clips) or "recording" not in X:
        return np.arange(n_clips)
    names, numbers = np.unique(X["recording"], return_inverse=True)
    return np.where(X["recording"] == "", len(names) + np.arange(n_clips), numbers)


def training_rows(X, y=None):
    """Mask of the rows of ``X`` that may train: all but those that ``y``, or else the field ``label``, calls -1."""
    if y is not None:
        check_words(as_labels(y, _n_to_train_on(X)))
    return class_rows(X, y)


def class_rows(X, y=None):
    """As `training_rows`, for an estimator to which words in ``y`` are the names of classes, whatever they say."""
    n_clips = _n_to_train_on(X)
    if y is None:
        y = X["label"] if isinstance(X, Clips) and "label" in X else np.ones(n_clips, dtype=int)
    normal = normal_rows(y, n_clips)
    if not normal.any():
        raise ValueError(f"There is nothing to train on: all {n_clips} clips are labelled -1 (anomalous). "
                         "Give at least some normal clips, labelled +1 or not at all.")  # fmt: skip
    return normal


def detector_rows(X, y=None):
    """As `training_rows`, for a detector, to which 0 and 1 are normal clips both: a warning says so."""
    normal = training_rows(X, y)
    if y is not None:
        doubt_zeros_and_ones(y, "y")
    elif isinstance(X, Clips) and "label" in X:
        doubt_zeros_and_ones(X["label"], "label")
    return normal


def read_verdicts(X, y=None):
    """Labels +1 (normal) and -1 (anomalous) from ``y``, or else from the field ``label`` of ``X``; no others."""
    if y is None:
        if not isinstance(X, Clips) or "label" not in X:
            raise ValueError("Labels are needed to score: pass y with +1 for normal and -1 for anomalous clips, or "
                             "Clips with the field 'label'.")  # fmt: skip
        y = X["label"]
    n_clips = num_samples(X)
    if not n_clips:
        raise ValueError("There are no clips to score. Look at how they were chosen.")
    return verdicts(y, n_clips)


def _n_to_train_on(X):
    n_clips = num_samples(X)
    if not n_clips:
        raise ValueError("There are no clips to train on: got n_samples=0. Look at how they were chosen.")
    return n_clips
