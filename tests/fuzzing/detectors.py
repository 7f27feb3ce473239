"""Detectors on data that are degenerate, huge, tiny, far from zero, repeated, or simply few."""

import pickle
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fuzzing.drawing import mostly
from fuzzing.judging import Sparing, check, must
from fuzzing.layouts import KEEPS, lay_out
from skasd.clips import Clips
from skasd.detectors import (
    AutoencoderDetector,
    CosineCenterDetector,
    FlowDetector,
    GaussianMixtureDetector,
    LocalOutlierFactorDetector,
    MahalanobisDetector,
    NearestNeighborsDetector,
    OutlierExposureDetector,
)
from skasd.ensemble import ScoreEnsemble
from skasd.features import FieldTransformer

TRAINING = {"max_epochs": 2, "batch_size": 8, "device": "cpu", "random_state": 0}
NETWORKS = {
    "autoencoder": AutoencoderDetector(network__n_hidden=(4,), network__n_bottleneck=2, **TRAINING),
    "flow": FlowDetector(transforms=2, hidden_features=(8,), **TRAINING),
}
DETECTORS = {
    **NETWORKS,
    "cosine": CosineCenterDetector(),
    "mahalanobis": MahalanobisDetector(),
    "mahalanobis sample": MahalanobisDetector(covariance="sample"),
    "mahalanobis oas domains": MahalanobisDetector(covariance="oas", per_domain=True),
    "mahalanobis groups": MahalanobisDetector(feature_groups={"first": [0], "all": slice(None)}),
    "mixture": GaussianMixtureDetector(random_state=0),
    "mixture diag": GaussianMixtureDetector(2, covariance_type="diag", density="component", random_state=0),
    "mixture tied": GaussianMixtureDetector(2, covariance_type="tied", target_ratio=0.5, random_state=0),
    "mixture spherical": GaussianMixtureDetector(3, covariance_type="spherical", reg_covar=0, random_state=0),
    "neighbors": NearestNeighborsDetector(),
    "neighbors euclidean": NearestNeighborsDetector(2, metric="euclidean"),
    "neighbors correlation": NearestNeighborsDetector(metric="correlation"),
    "neighbors local": NearestNeighborsDetector(metric="euclidean", normalization="local_density", n_local_neighbors=3),
    "neighbors variance": NearestNeighborsDetector(metric="euclidean", normalization="variance_minimizing",
                                                   n_local_neighbors=1),
    "neighbors groups": NearestNeighborsDetector(feature_groups={"first": [0], "all": slice(None)}),
    "neighbors smote": NearestNeighborsDetector(metric="cosine", target_ratio=1.0, random_state=0),
    "factor": LocalOutlierFactorDetector(3),
    "factor cosine": LocalOutlierFactorDetector(2, metric="cosine"),
    "exposure": OutlierExposureDetector(),
    "ensemble": ScoreEnsemble([("gauss", MahalanobisDetector()), ("near", LocalOutlierFactorDetector(2))]),
    "ensemble min": ScoreEnsemble([("near", CosineCenterDetector()), ("far", LocalOutlierFactorDetector(2))],
                                  combine="min", cv=2),
    "pipeline": make_pipeline(FieldTransformer(StandardScaler()), NearestNeighborsDetector(metric="euclidean")),
}  # fmt: skip
# By what power of a factor scores grow where all embeddings are multiplied by it; those not named have no such law.
DEGREES = {"cosine": 0, "mahalanobis": 0, "mahalanobis sample": 0, "mahalanobis oas domains": 0,
           "mahalanobis groups": 0, "neighbors": 0, "neighbors variance": 1, "neighbors groups": 0,
           "neighbors euclidean": 1, "neighbors correlation": 0,
           "neighbors local": 0, "neighbors smote": 0, "factor": 0, "factor cosine": 0, "ensemble": 0,
           "ensemble min": 0, "pipeline": 0}  # fmt: skip
# Detectors whose scores stay where all embeddings are moved.
MOVABLE = ("mahalanobis", "mahalanobis sample", "mahalanobis oas domains", "mahalanobis groups", "neighbors euclidean",
           "neighbors local", "factor", "ensemble", "mixture", "mixture diag", "mixture tied")  # fmt: skip
DTYPES = ("float32", "float16", ">f8", "int64", "int8", "uint8", "longdouble", "bool")
VALUES = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "positive": lambda rng, shape: rng.uniform(1, 2, size=shape),
    "constant": lambda rng, shape: np.ones(shape),
    "zeros": lambda rng, shape: np.zeros(shape),
    "some zeros": lambda rng, shape: rng.normal(size=shape) * (np.indices(shape)[0] % 3 > 0),
    "copies": lambda rng, shape: rng.normal(size=shape)[rng.integers(0, max(1, shape[0] // 4), shape[0])],
    "two values": lambda rng, shape: rng.integers(0, 2, size=shape).astype(float),
    "collinear": lambda rng, shape: rng.normal(size=(*shape[:-1], 1)) * np.arange(1.0, shape[-1] + 1),
    "one constant column": lambda rng, shape: rng.normal(size=shape) * (np.arange(shape[-1]) > 0),
    "constant rows": lambda rng, shape: rng.normal(size=(*shape[:-1], 1)) * np.ones(shape),
    "scales": lambda rng, shape: rng.normal(size=shape) * 10.0 ** np.linspace(-8, 8, shape[-1]),
    "one odd": lambda rng, shape: rng.normal(size=shape) * np.where(np.indices(shape)[0] == 0, 1e12, 1),
    "heavy": lambda rng, shape: rng.standard_cauchy(size=shape) ** 3,
    "nan": lambda rng, shape: np.where(np.arange(np.prod(shape)).reshape(shape) == 3, np.nan, rng.normal(size=shape)),
    "inf": lambda rng, shape: np.where(np.arange(np.prod(shape)).reshape(shape) == 3, np.inf, rng.normal(size=shape)),
    "max": lambda rng, shape: rng.choice([-1, 1], shape) * np.finfo(float).max,
}  # fmt: skip
SECTIONS = {"none": None, "one": ("00",), "two": ("00", "01"), "rare": ("00",) * 9 + ("01",)}
DOMAINS = {
    "none": None,
    "source": ("source",),
    "both": ("source", "source", "target"),
    "rare": ("source",) * 9 + ("target",),
}
LABELS = {"none": None, "normal": (1,), "some anomalous": (1, 1, -1), "anomalous": (-1,), "unknown": (0, 1, 1, -1)}
RECORDINGS = {"none": None, "one": ("a",), "some": ("a", "a", "b", "b", "", "c"), "unknown": ("",)}


@dataclass(frozen=True, repr=False)
class Case(Sparing):
    """A detector, and the clips that it learns from and scores."""

    detector: str
    values: str = "normal"
    shape: tuple = (24, 3)
    exponent: int = 0
    origin: int = 0
    dtype: str = "float64"
    layout: str = "c"
    section: str = "none"
    domain: str = "none"
    label: str = "none"
    recording: str = "none"
    threshold: str = "quantile"
    seed: int = 0

    @property
    def untrue(self):
        """What no message may say."""
        finite = np.isfinite(_embeddings(self)).all()
        return ("contains NaN", "contains infinity") if finite else ()


def cases():
    """Data that are degenerate in one or two ways."""
    shapes = st.one_of(
        st.tuples(mostly([24], [12, 40, 100, 8, 5, 3, 2, 1, 0], 0.85), mostly([3], [2, 1, 6, 30, 0], 0.85)),
        st.tuples(st.sampled_from([24, 24, 12, 4]), st.sampled_from([2, 2, 1, 5, 0]), st.sampled_from([3, 1])),
    )
    return st.builds(
        Case,
        st.sampled_from(list(DETECTORS)),
        mostly(["normal", "positive"], VALUES, 0.85),
        shapes,
        mostly([0], [-1000, -500, -100, 50, 100, 400, 511, 600, 1000], 0.85),
        mostly([0], [2**10, 2**20, 2**30, -(2**20)], 0.85),
        mostly(["float64"], ["float32", "float16", ">f8", "int64", "int8", "uint8", "longdouble", "bool"], 0.85),
        mostly(["c"], KEEPS, 0.85),
        mostly(["none"], SECTIONS, 0.85),
        mostly(["none"], DOMAINS, 0.85),
        mostly(["none"], LABELS, 0.85),
        mostly(["none"], RECORDINGS, 0.85),
        mostly(["quantile"], ["gamma"], 0.85),
        st.integers(0, 99),
    )


def law(case):
    """Scores are finite, the same alone, in any order and type and after saving, and follow the units."""
    X = _embeddings(case)
    detector = _fit(case, X)
    clips = _clips(case, X)
    scores = detector.score_samples(clips)
    check(scores.shape == (len(X),) and scores.dtype == float, f"scores are {scores.dtype} of shape {scores.shape}")
    check(
        np.isfinite(scores).all() and np.isfinite(detector[-1].offset_),
        f"scores {scores[:5]}, threshold {detector[-1].offset_}",
    )
    with must("scoring in other ways"):
        decided, called = detector.decision_function(clips), detector.predict(clips)
        alone = np.concatenate([detector.score_samples(clips[row : row + 1]) for row in range(min(len(X), 12))])
        order = np.random.default_rng(case.seed).permutation(len(X))
        moved = detector.score_samples(clips[order])
        again = pickle.loads(pickle.dumps(detector)).score_samples(clips)
    check(
        np.array_equal(decided, scores - detector[-1].offset_), "decision_function is not the score minus the threshold"
    )
    check(np.array_equal(called, np.where(decided < 0, -1, 1)), "predict is not the sign of decision_function")
    check(np.array_equal(again, scores), "another score after pickling")
    check(_close(case, alone, scores[:12]), f"alone {alone[:5]}, in a batch {scores[:5]}")
    check(_close(case, moved, scores[order]), "another score in another order")
    _compare_types(case, X, detector, scores)
    _compare_units(case, detector, scores)


def _fit(case, X):
    detector = clone(DETECTORS[case.detector])
    if case.threshold != "quantile" and "threshold" in detector.get_params():
        detector.set_params(threshold=case.threshold)
    detector = detector if hasattr(detector, "steps") else make_pipeline(detector)
    return detector.fit(_clips(case, X))


def _embeddings(case):
    """What the detector is given: values on a grid that no change of origin or unit rounds, where they are ordinary."""
    X = VALUES[case.values](np.random.default_rng(case.seed), case.shape)
    if case.values in ("normal", "positive", "copies", "collinear"):
        X = np.rint(X * 1024) / 1024
    with np.errstate(all="ignore"):
        X = (X + case.origin) * 2.0**case.exponent
        return X.astype(case.dtype)


def _clips(case, X):
    cycles = {"section": SECTIONS, "domain": DOMAINS, "label": LABELS, "recording": RECORDINGS}
    chosen = {name: cycle[getattr(case, name)] for name, cycle in cycles.items()}
    fields = {name: np.resize(cycle, len(X)) for name, cycle in chosen.items() if cycle is not None}
    field = "logits" if case.detector == "exposure" else "embedding"
    clips = Clips(fields | {field: lay_out(X, case.layout)})
    if field == "logits" and X.shape[-1]:
        clips = clips.with_attrs(classes=tuple(f"{i:02d}" for i in range(X.shape[-1])))
    return clips


def _close(case, left, right):
    """Whether scores agree but for rounding; what has no unit is rounded where its terms are of the order of one."""
    if case.detector in NETWORKS:  # these compute in single precision
        return np.allclose(left, right, rtol=1e-3, atol=1e-4)
    rounding = 1e-12 * (DEGREES.get(case.detector) == 0)
    return np.allclose(left, right, rtol=1e-6, atol=1e-9 * np.abs(right).max(initial=0) + rounding)


def _compare_types(case, X, detector, scores):
    """The same numbers as contiguous float64 give the same scores."""
    if case.dtype == "float64" and case.layout == "c":
        return
    plain = np.ascontiguousarray(X, dtype=float)
    if not np.array_equal(plain, X):
        return
    with must("the same numbers as contiguous float64"):
        wanted = _fit(case, plain)
    check(
        _close(case, wanted.score_samples(_clips(case, plain)), scores),
        f"{case.dtype} {case.layout} gives other scores",
    )
    check(_close(case, wanted[-1].offset_, detector[-1].offset_), f"{case.dtype} {case.layout} gives another threshold")


def _compare_units(case, detector, scores):
    """Embeddings in another unit, or counted from another origin, give the scores that they should."""
    degree = DEGREES.get(case.detector, 0)
    exact = case.dtype == "float64" and case.values in ("normal", "positive", "copies", "collinear")
    if not exact or not (case.exponent or case.origin):
        return
    if (case.exponent and case.detector not in DEGREES) or (case.origin and case.detector not in MOVABLE):
        return
    usual = Case(**{**vars(case), "exponent": 0, "origin": 0})
    wanted = _fit(usual, _embeddings(usual)).score_samples(_clips(usual, _embeddings(usual)))
    with np.errstate(all="ignore"):
        scaled = scores * 2.0 ** (-case.exponent * degree)
    tolerance = 1e-4 * np.abs(wanted).max() + 1e-6
    error = np.abs(scaled - wanted).max()
    check(
        error <= tolerance,
        f"differs by {error:.3g} in another unit or from another origin, of {np.abs(wanted).max():.3g}",
    )
