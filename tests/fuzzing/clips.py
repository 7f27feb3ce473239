"""Fields of `Clips` from whatever people have, and everything that can be done with clips."""

import pickle
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from fuzzing.drawing import mostly
from fuzzing.judging import Sparing, check, must
from skasd._reading import recording_numbers
from skasd.clips import Clips

OPTIONAL = ("domain", "attribute", "recording")
NEEDED = ("path", "machine", "section", "split")
MISSING = {"None": None, "nan": float("nan"), "float32 nan": np.float32("nan"), "NA": pd.NA, "NaT": pd.NaT}
TEXTS = (
    "",
    "00",
    "fan",
    " ",
    "ü",
    "None",
    "nan",
    "a b",
    "a/b",
    "../x",
    "$x^2$",
    "a\0b",
    "a\0",
    "\0",
    "\ud800",
    "x" * 300,
)
NO_TEXTS = {
    "one and a half": 1.5,
    "True": True,
    "complex": 1j,
    "list": ["a"],
    "dict": {},
    "bytes": b"fan",
    "inf": float("inf"),
}
NUMBERS = {"int": 7, "numpy int": np.int8(7), "big int": 10**30, "float": 7.0}
VALUES = {
    **{repr(text): text for text in TEXTS},
    **MISSING,
    **NO_TEXTS,
    **NUMBERS,
    "Path": Path("fan"),
    "str_": np.str_("fan"),
}
HOLDERS = {
    "list": list,
    "tuple": tuple,
    "object array": lambda values: _objects(values),
    "array": np.array,
    "series": pd.Series,
    "object series": lambda values: pd.Series(values, dtype=object),
    "categorical": lambda values: pd.Series(values).astype("category"),
    "string array": lambda values: pd.array(values, dtype="string"),
    "iterator": iter,
    "set": set,
    "dict": lambda values: dict.fromkeys(range(len(values)), "x"),
    "StringDType": lambda values: np.array(values, dtype=np.dtypes.StringDType()),
}  # fmt: skip
LABELS = ([1, -1, 0], [1, 1, 1], [1.0, -1.0, 0.0], [True, False, True], ["1", "-1", "0"], [None, 1, -1], [2, 1, 1],
          [float("nan"), 1, 1], [10**30, 1, 1], [1, 1], [[1], [1], [1]], [0.5, 1, 1], [pd.NA, 1, 1])  # fmt: skip
ATTRS = {"sample_rate": (16000, 0, -1, 1.5, True, "16000", np.int64(8), None, float("nan"), 10**20),
         "classes": (("a", "b"), ["a", "b"], None)}  # fmt: skip


@dataclass(frozen=True, repr=False)
class Case(Sparing):
    """Clips with one text field of three values, perhaps a label and an attribute, and rows that are picked."""

    field: str = "section"
    values: tuple = ("'00'", "'00'", "'00'")
    holder: str = "list"
    label: int = 0
    attr: tuple = ()
    rows: object = (0, 2)

    @property
    def names(self):
        """What a message must name."""
        return (repr(self.field), "'label'", *ATTRS, "rows", "mask", "row numbers", "indexed by")


def cases():
    """Fields of which some values are strange, in holders of all kinds."""
    values = mostly(["'00'"], VALUES)
    rows = st.one_of(
        st.lists(st.integers(-3, 2), max_size=4).map(tuple),
        st.lists(st.booleans(), min_size=3, max_size=3).map(tuple),
        st.sampled_from([(0, 3), (True, False), (0.0, 1.0), ("a",), (None,), ((0, 1), (1, 2))]),
    )
    attrs = st.one_of(*(st.tuples(st.just(name), st.sampled_from(values)) for name, values in ATTRS.items()))
    return st.builds(
        Case,
        st.sampled_from([*OPTIONAL, *NEEDED, "own"]),
        st.tuples(values, values, values),
        mostly(["list"], HOLDERS),
        st.integers(0, 5).flatmap(lambda n: st.just(0) if n else st.integers(0, len(LABELS) - 1)),
        st.one_of(st.just(()), attrs),
        rows,
    )


def law(case):
    """What is accepted is there as it was given, missing values are empty, and rows stay together."""
    values = [VALUES[name] for name in case.values]
    try:
        held = HOLDERS[case.holder](values)
    except (TypeError, ValueError):
        held = values
    given = values if case.holder == "iterator" else list(held)
    fields = {case.field: held, "label": LABELS[case.label], "waveform": np.arange(12.0).reshape(3, 4)}
    clips = Clips(fields).with_fields(logits=np.zeros((3, 2))).with_attrs(**dict([case.attr] if case.attr else []))
    check(case.holder not in ("set", "dict"), f"a {case.holder} became rows")
    check(clips["label"].tolist() == [int(label) for label in np.ravel(LABELS[case.label])], "other labels")
    if case.field != "own":
        _check_texts(case, given, clips[case.field])
    _check_shown(clips)
    _check_recordings(clips)
    _check_rows(clips, case.rows)


def _check_texts(case, values, found):
    check(found.dtype.kind in "UT" and found.shape == (3,), f"the field is {found.dtype} of shape {found.shape}")
    for value, text in zip(values, found.tolist(), strict=True):
        if isinstance(value, (str, Path)):
            check(text == str(value), f"{value!r} became {text!r}")
        elif value is pd.NA or value is None or value != value:
            check(case.field in OPTIONAL and text == "", f"{value!r} became {text!r} in {case.field}")
        else:
            number = isinstance(value, (int, np.integer)) and not isinstance(value, bool) and text == str(value)
            check(number or (case.field == "path" and isinstance(value, bytes)), f"{value!r} became {text!r}")


def _check_shown(clips):
    with must("showing clips"):
        shown, frame, page = repr(clips), clips.to_frame(), clips._repr_html_()
    check(all(name in shown and name in page for name in clips), "a field is not shown")
    check(len(frame) == 3, f"a data frame of {len(frame)} rows")


def _check_recordings(clips):
    with must("numbers of recordings"):
        numbers = recording_numbers(clips, 3)
    if "recording" in clips:
        names = clips["recording"].tolist()
        same = [
            [(left == right and left != "") or i == j for j, right in enumerate(names)] for i, left in enumerate(names)
        ]
        check(np.array_equal(numbers[:, np.newaxis] == numbers, same), f"{numbers} for {names}")


def _check_rows(clips, rows):
    with must("pickling and joining"):
        again, twice = pickle.loads(pickle.dumps(clips)), clips + clips
    check(again.attrs == clips.attrs == twice.attrs, "attributes are lost")
    for name in clips:
        check(_same(again[name], clips[name]), f"{name} is another after pickling")
        check(_same(twice[name][3:], clips[name]), f"{name} is another after joining")
    picked = clips[np.array(rows)]
    check(picked.attrs == clips.attrs, "attributes are lost")
    for name in clips:
        check(_same(picked[name], clips[name][np.array(rows, dtype=None if rows else int)]), f"other rows of {name}")


def _same(left, right):
    return left.shape == right.shape and all(map(_equal, left.ravel().tolist(), right.ravel().tolist()))


def _equal(left, right):
    return left is right or repr(left) == repr(right)


def _objects(values):
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array
