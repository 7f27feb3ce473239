"""What may come as ``y``, for everything that reads labels."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.preprocessing import StandardScaler

from fuzzing.drawing import mostly
from fuzzing.judging import Sparing, check
from skasd.augmentation import Mixup
from skasd.clips import Clips
from skasd.detectors import CosineCenterDetector, MahalanobisDetector
from skasd.ensemble import ScoreEnsemble
from skasd.features import FieldTransformer
from skasd.metrics import auc_scorer
from skasd.model_selection import NormalOnlyKFold

X = np.random.default_rng(0).normal([3, 0], 1, size=(12, 2))
LEARNERS = {
    "MahalanobisDetector": MahalanobisDetector(),
    "ScoreEnsemble": ScoreEnsemble([("near", CosineCenterDetector()), ("gauss", MahalanobisDetector())], cv=2),
    "FieldTransformer": FieldTransformer(StandardScaler()),
    "Mixup": Mixup(),
}
JUDGES = ("auc_scorer", "NormalOnlyKFold")
VALUES = {
    "1": 1, "-1": -1, "0": 0, "2": 2, "half": 0.5, "-1.0": -1.0, "1.0": 1.0, "-2": -2, "None": None,
    "nan": float("nan"), "inf": float("inf"), "NA": pd.NA, "NaT": pd.NaT, "True": True, "False": False,
    "text 1": "1", "text -1": "-1", "ok": "ok", "anomaly": "anomaly", "Anomalous ": "Anomalous ", "bytes": b"1",
    "huge": 10**30, "-huge": -(10**30), "2**63": 2**63, "list": [1], "dict": {}, "complex": 1j, "numpy": np.int8(-1),
    "date": np.datetime64("2020-01-01"),
}  # fmt: skip
HOLDERS = {
    "list": list,
    "array": np.array,
    "object array": lambda values: np.array([*values, None], dtype=object)[:-1],
    "series": pd.Series,
    "Int64": lambda values: pd.array(values, dtype="Int64"),
    "categorical": lambda values: pd.Series(values).astype("category"),
    "column": lambda values: np.array(values).reshape(-1, 1),
    "frame": lambda values: pd.DataFrame({"label": values}),
    "tensor": torch.tensor,
    "uint8": lambda values: np.array(values).astype(np.uint8),
    "float32": lambda values: np.array(values, dtype=np.float32),
    ">i4": lambda values: np.array(values, dtype=">i4"),
    "too short": lambda values: values[:-1],
    "empty": lambda values: [],
    "scalar": lambda values: values[0],
    "masked": lambda values: np.ma.masked_equal(values, -1),
    "iterator": iter,
}


@dataclass(frozen=True, repr=False)
class Case(Sparing):
    """Twelve labels: the first ones as given, the others 1 or -1."""

    reader: str
    first: tuple = ()
    n_anomalous: int = 0
    holder: str = "list"
    as_field: bool = False

    @property
    def names(self):
        """What a message must name."""
        return ("y ", "y_", "label", "anomalous", "normal clip")


def cases():
    """Labels of which a few are strange."""
    return st.builds(
        Case,
        st.sampled_from([*LEARNERS, *JUDGES]),
        st.one_of(
            st.just(()),
            st.lists(st.sampled_from(["1", "-1", "0"]), max_size=12).map(tuple),
            st.lists(st.sampled_from(list(VALUES)), max_size=12).map(tuple),
            st.sampled_from(list(VALUES)).map(lambda name: (name,)),
            st.sampled_from(list(VALUES)).map(lambda name: (name,) * 12),
        ),
        st.sampled_from([0, 4, 6, 12]),
        mostly(["list"], HOLDERS, 0.7),
        st.booleans(),
    )


def law(case):
    """Rows that are -1 never train, others do; judges know +1 and -1 alone; everything else is an error."""
    values = [VALUES[name] for name in case.first]
    values += [-1 if row < case.n_anomalous else 1 for row in range(12 - len(values))]
    try:
        y = HOLDERS[case.holder](values)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        y = values
    if hasattr(y, "dtype") and np.size(y) == 12:
        values = np.asarray(y, dtype=object).ravel().tolist()
    given, y = (Clips(embedding=X, label=y), None) if case.as_field else (X, y)
    if case.reader in JUDGES:
        _look_at_judge(case, given, y, values)
        return
    trained = clone(LEARNERS[case.reader]).fit(given, y)
    check(case.holder not in ("too short", "empty", "scalar"), f"{case.holder} labels were accepted")
    check(not np.ma.is_masked(y), "masked labels were accepted")
    normal = np.array([not (_is_number(value) and value == -1) for value in values])
    for value in values:
        allowed = isinstance(value, str) or (_is_number(value) and value == int(value) and value >= -1)
        check(allowed, f"{value!r} was accepted as a label")
    alone = clone(LEARNERS[case.reader]).fit(X[normal])
    apply = "score_samples" if hasattr(trained, "score_samples") else "transform"
    check(np.array_equal(getattr(trained, apply)(X), getattr(alone, apply)(X)), "a row that is -1 has trained")


def _look_at_judge(case, given, y, values):
    if case.reader == "NormalOnlyKFold":
        folds = list(NormalOnlyKFold(2).split(given, y))
        check(all(values[row] == 1 for train, _ in folds for row in train), "a fold trains on an anomaly")
    else:
        reached = auc_scorer(MahalanobisDetector().fit(X), given, y)
        check(0 <= reached <= 1, f"an AUC of {reached}")
    strange = [value for value in values if not _is_number(value) or value not in (-1, 1)]
    check(not strange, f"{strange[:3]} were accepted as labels")


def _is_number(value):
    return isinstance(value, (int, float, np.integer)) and not isinstance(value, bool) and abs(value) < np.inf
