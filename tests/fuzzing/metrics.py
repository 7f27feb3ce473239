"""Figures of labels and scores, against figures that are counted pair by pair."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from fuzzing.drawing import mostly
from fuzzing.judging import Sparing, check, must
from fuzzing.layouts import DTYPES, LAYOUTS, lay_out
from skasd.metrics import auc_score, bootstrap_interval, domain_scores, official_score, pauc_score

SCORES = {
    "distinct": lambda rng, n: rng.permutation(n) / 4,
    "ties": lambda rng, n: rng.integers(0, 3, n) / 2,
    "constant": lambda rng, n: np.ones(n),
    "huge": lambda rng, n: rng.choice([-1e308, -1e307, 1e307, 1e308], n),
    "tiny": lambda rng, n: rng.choice([0, 5e-324, -5e-324, 1e-310], n),
    "near": lambda rng, n: 1e16 + 2 * rng.permutation(n),
    "nan": lambda rng, n: np.where(np.arange(n) == n // 2, np.nan, rng.normal(size=n)),
    "inf": lambda rng, n: np.where(np.arange(n) == n // 2, np.inf, rng.normal(size=n)),
    "negative inf": lambda rng, n: np.where(np.arange(n) == n // 2, -np.inf, rng.normal(size=n)),
}
NAMES = {
    "none": lambda rng, n: None,
    "one": lambda rng, n: ["00"] * n,
    "two": lambda rng, n: np.where(np.arange(n) % 2, "00", "01"),
    "numbers": lambda rng, n: np.arange(n) % 2,
    "missing": lambda rng, n: [None if i == 0 else "00" for i in range(n)],
    "pandas": lambda rng, n: pd.Series(["00"] * n).astype("category"),
    "short": lambda rng, n: ["00"] * (n - 1),
    "spaces": lambda rng, n: np.where(np.arange(n) % 2, "a b", "a"),
    "a text": lambda rng, n: "00",
}
DOMAINS = {
    "none": lambda rng, n: None,
    "both": lambda rng, n: np.where(np.arange(n) // 2 % 2, "source", "target"),
    "source": lambda rng, n: ["source"] * n,
    "unknown": lambda rng, n: ["" if i == 0 else "source" for i in range(n)],
    "missing": lambda rng, n: [None] * n,
}
METRICS = {"auc": auc_score, "pauc": pauc_score, "official": official_score, "domain": domain_scores,
           "bootstrap": bootstrap_interval}  # fmt: skip
TRUTHS = ("01", "-11", "float", "bool", "text", "02", "nan", "all 0", "all 1", "short", "column", "None")


@dataclass(frozen=True, repr=False)
class Case(Sparing):
    """A metric, labels, scores and names."""

    metric: str = "auc"
    n_clips: int = 12
    truth: str = "01"
    scores: str = "distinct"
    dtype: str = "float64"
    layout: str = "c"
    section: str = "none"
    domain: str = "none"
    max_fpr: object = 0.5
    year: int = 2022
    seed: int = 0

    @property
    def names(self):
        """What a message must name."""
        return (
            "y_true",
            "y_score",
            "section",
            "Section",
            "domain",
            "max_fpr",
            "year",
            "clip",
            "What was given",
            "anomal",
        )


def cases():
    """Mostly what metrics want, with one or two strange things."""
    return st.builds(
        Case,
        st.sampled_from(list(METRICS)),
        mostly([12, 24], [0, 1, 2, 3, 40]),
        mostly(["01"], TRUTHS),
        mostly(["distinct", "ties"], SCORES),
        mostly(["float64"], DTYPES),
        mostly(["c"], LAYOUTS),
        mostly(["none", "two"], NAMES),
        mostly(["both"], DOMAINS),
        mostly([0.1, 0.5, 1.0], [1e-12, 0.0, float("nan"), 1, 2]),
        mostly([2020, 2021, 2022, 2025], [1999]),
        st.integers(0, 9),
    )


def law(case):
    """Figures between 0 and 1, and the very ones that counting pairs gives, in any order of the clips."""
    rng = np.random.default_rng(case.seed)
    y_true, plain = _truth(case.truth, case.n_clips), np.arange(case.n_clips) % 3 == 0
    scores = SCORES[case.scores](rng, case.n_clips)
    with np.errstate(all="ignore"):
        scores = scores.astype(case.dtype)
    parameters = {"section": NAMES[case.section](rng, case.n_clips)}
    if case.metric in ("official", "domain", "bootstrap"):
        parameters["domain"] = DOMAINS[case.domain](rng, case.n_clips)
    if case.metric == "official":
        parameters["year"] = case.year
    if case.metric in ("pauc", "official", "domain"):
        parameters["max_fpr"] = case.max_fpr
    figures = _figures(case, y_true, lay_out(scores, case.layout), parameters)
    check(all(np.isfinite(figure) and 0 <= figure <= 1 for figure in figures), f"figures {figures}")
    if case.truth in ("01", "float") and case.dtype == "float64" and case.layout in ("c", "fortran", "list", "strided"):
        _compare(case, plain, scores, parameters, figures)


def _figures(case, y_true, scores, parameters):
    if case.metric == "bootstrap":
        parameters = {"metric": _two_names, "n_resamples": 20, "random_state": 0} | parameters
        return list(bootstrap_interval(y_true=y_true, y_score=scores, **parameters))
    if case.metric == "domain":
        domain = parameters.pop("domain")
        return [value for record in domain_scores(y_true, scores, domain, **parameters) for value in record[1:]]
    return [METRICS[case.metric](y_true, scores, **parameters)]


def _two_names(y_true, y_score, section=None, domain=None):
    return auc_score(y_true, y_score, section=section)


def _compare(case, plain, scores, parameters, figures):
    if case.metric == "auc" and case.section in ("none", "one"):
        anomalous, normal = scores[plain][:, np.newaxis], scores[~plain]
        wanted = np.mean((anomalous > normal) + 0.5 * (anomalous == normal))
        check(abs(figures[0] - wanted) < 1e-12, f"AUC {figures[0]}, counted {wanted}")
    order = np.random.default_rng(case.seed + 1).permutation(len(plain))
    moved = {name: value if value is None or isinstance(value, (str, int, float)) else np.asarray(value)[order]
             for name, value in parameters.items()}  # fmt: skip
    if case.metric == "domain":
        moved["domain"] = np.asarray(DOMAINS[case.domain](None, case.n_clips))[order]
    with must("clips in another order"):
        again = _figures(case, plain[order].astype(int), scores[order], moved)
    check(case.metric == "bootstrap" or np.allclose(again, figures, atol=1e-9), f"{again} in another order, {figures}")


def _truth(name, n_clips):
    y = (np.arange(n_clips) % 3 == 0).astype(int)
    return {
        "01": y,
        "-11": 1 - 2 * y,
        "float": y.astype(float),
        "bool": y == 1,
        "text": y.astype(str),
        "02": 2 * y,
        "nan": np.where(np.arange(n_clips) == 1, np.nan, y),
        "all 0": 0 * y,
        "all 1": 0 * y + 1,
        "short": y[:-1],
        "column": y.reshape(-1, 1),
        "None": [None] * n_clips,
    }[name]
