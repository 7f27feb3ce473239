"""What a field of `Clips` may hold: the rules for text, numbers and attributes, and words for what is there."""

import os
from collections.abc import Mapping, Set
from numbers import Integral

import numpy as np

from skasd._folders import audio_files
from skasd._labels import LABELS, as_label_field, has_no_value

_UNKNOWN_IS_EMPTY = ("domain", "attribute", "recording")  # values that are not there become ""
_TEXT_FIELDS = frozenset({"path", "machine", "section", "split", *_UNKNOWN_IS_EMPTY})
_DIMENSIONS = {"waveform": (2, 3), "log_mel": (3,), "embedding": (2, 3), "logits": (2, 3), "label": (1,)}
_AXES = {
    ("waveform", 2): "mono audio: clips, samples",
    ("waveform", 3): "audio: clips, microphones, samples",
    ("log_mel", 3): "levels in dB: clips, bands, frames",
    ("embedding", 2): "clips, features",
    ("embedding", 3): "clips, windows, features",
    ("logits", 2): "clips, classes",
    ("logits", 3): "clips, windows, classes",
}
_ATTRS_OF = {"sample_rate": "waveform", "classes": "logits", "target": "logits"}
_N_SHOWN = 5


def as_field(name, values):
    """The values of a field as an array, one row per clip, or an error that names the field and the rows."""
    if not isinstance(name, str):
        raise TypeError(f"Names of fields are text; got {name!r} of type {type(name).__name__}.")
    if name == "path" and isinstance(values, (str, bytes, os.PathLike)) and os.path.isdir(values):
        values = audio_files(values)
    if isinstance(values, (str, bytes, os.PathLike)):
        raise ValueError(f"The field {name!r} needs one value per clip, got the single value {os.fsdecode(values)!r}; "
                         "put it into a list.")  # fmt: skip
    if isinstance(values, (Mapping, Set)):
        raise ValueError(f"The field {name!r} needs one value per clip, in their order; got a {type(values).__name__}. "
                         "Give a list.")  # fmt: skip
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):  # arrays of pandas have a mask, too
        raise ValueError(f"The field {name!r} has masked values, which an array cannot keep. Fill them, as "
                         "values.filled(...), or leave these clips out.")  # fmt: skip
    values = _as_text(name, values) if name in _TEXT_FIELDS else _as_array(name, values)
    _check_dimensions(name, values)
    return as_label_field(values) if name == "label" else values


def as_attrs(attrs, fields):
    """Attributes, checked, of the fields that are there; None leaves one out."""
    attrs = {name: value for name, value in attrs.items() if value is not None}
    rate = attrs.get("sample_rate", 1)
    if isinstance(rate, bool) or not isinstance(rate, Integral) or rate < 1:
        raise ValueError(f"The attribute sample_rate must be a whole number of Hz, at least 1; got {rate!r}.")
    for name, value in attrs.items():
        if isinstance(value, (list, np.ndarray)):
            attrs[name] = tuple(np.asarray(value).tolist())
    return {name: value for name, value in attrs.items() if _ATTRS_OF.get(name) is None or _ATTRS_OF[name] in fields}


def check_lengths(rows):
    """Refuse waveforms of several lengths, which cannot be the rows of one array, and say what to do."""
    lengths = {len(row) for row in rows if hasattr(row, "__len__")}
    if len(lengths) > 1:
        raise ValueError(
            f"The waveforms have several lengths, {min(lengths)} to {max(lengths)} samples. Cut them to one length, or "
            "give the paths of the files, as Clips(path=[...]), to an AudioLoader with duration=... (seconds)."
        )


def contents(name, values):
    """What a field holds, in words; large arrays are not looked into, for they may be gigabytes."""
    if values.ndim > 1 or not len(values):
        return _AXES.get((name, values.ndim), "")
    if values.dtype.kind == "f":
        known = values[~np.isnan(values)]
        missing = f", {len(values) - len(known)} NaN" if len(known) < len(values) else ""
        return f"{known.min():.6g} to {known.max():.6g}{missing}" if len(known) else "NaN"
    if values.dtype.kind not in "biuU":
        return ""
    unique, counts = np.unique(values, return_counts=True)
    if len(unique) == len(values) > _N_SHOWN:
        return f"all different, first {values[0]}"
    names = [LABELS[value] if name == "label" else str(value) or "none" for value in unique[:_N_SHOWN].tolist()]
    shown = [f"{value} ({count})" for value, count in zip(names, counts, strict=False)]
    return ", ".join(shown) + (f", … {len(unique)} in all" if len(unique) > _N_SHOWN else "")


def _as_text(name, values):
    if isinstance(values, np.ndarray) and values.dtype.kind == "U":
        return values
    try:
        rows = list(values)
    except TypeError:
        raise ValueError(f"The field {name!r} needs one value per clip; got {values!r}.") from None
    texts = [_text_of(name, value) for value in rows]
    missing = [row for row, text in enumerate(texts) if text is None]
    others = [row for row, text in enumerate(texts) if not isinstance(text, str)]
    for found, what in ((missing, "no value"), (others, "values that are not text")):
        if found:
            shown = ", ".join(f"{row} ({rows[row]!r})" for row in found[:_N_SHOWN])
            more = f" and {len(found) - _N_SHOWN} more" if len(found) > _N_SHOWN else ""
            raise ValueError(f"The field {name!r} has {what} in the rows {shown}{more}. Give each clip a text, or "
                             "leave these clips out.")  # fmt: skip
    return np.array(texts, dtype=str)


def _text_of(name, value):
    """The text that a value is, None where there is no value, and the value itself where it is no text."""
    if isinstance(value, str):
        return value if not value.endswith("\0") else value.encode()  # numpy drops a NUL at the end
    if name == "path" and isinstance(value, (bytes, os.PathLike)):
        return os.fsdecode(value)
    if isinstance(value, Integral) and not isinstance(value, (bool, np.bool_)):
        return str(int(value))
    if has_no_value(value):
        return "" if name in _UNKNOWN_IS_EMPTY else None
    return value


def _as_array(name, values):
    if name == "waveform" and isinstance(values, (list, tuple)):
        check_lengths(values)
    as_they_are = name == "label" and isinstance(values, (list, tuple))  # numpy makes 1 of True beside a number
    try:
        values = np.asarray(values, dtype=object if as_they_are else None)
    except ValueError as error:  # rows of several shapes
        raise ValueError(f"The rows of the field {name!r} do not have one shape: {error}. Give an array with one row "
                         "per clip.") from error  # fmt: skip
    if values.dtype == object and all(isinstance(value, str) for value in values.flat):
        values = values.astype(str)
    return values


def _check_dimensions(name, values):
    allowed = (1,) if name in _TEXT_FIELDS else _DIMENSIONS.get(name, range(1, 65))
    if values.ndim in allowed:
        return
    wanted = "at least 1" if isinstance(allowed, range) else " or ".join(map(str, allowed))
    raise ValueError(f"The field {name!r} must have {wanted} dimensions, the first one the clips; "
                     f"got shape {values.shape}.")  # fmt: skip
