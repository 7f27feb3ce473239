"""Batches of every size, type and level, for every augmentation."""

from dataclasses import dataclass

import numpy as np
import torch
from hypothesis import strategies as st

from fuzzing.drawing import mostly
from fuzzing.judging import Sparing, check
from skasd.augmentation import Batch, FeatureExchange, Mixup, SevenBandParametricEQ, SpecAugment, StatisticsExchange

AUGMENTATIONS = {
    "mixup": ("log_mel", Mixup(probability=1.0)),
    "mixup of waveforms": ("waveform", Mixup()),
    "spec augment": ("log_mel", SpecAugment()),
    "spec augment wide": ("log_mel", SpecAugment(freq_mask=2, time_mask=3)),
    "equalizer": ("waveform", SevenBandParametricEQ(sample_rate=16000)),
    "statistics exchange": ("log_mel", StatisticsExchange(probability=1.0)),
    "statistics exchange some": ("log_mel", StatisticsExchange()),
    "feature exchange": ("embedding", FeatureExchange(branch_sizes=(2, 3, 1), probability=1.0)),
    "feature exchange some": ("embedding", FeatureExchange(branch_sizes=[2, 4])),
    "feature exchange of one": ("embedding", FeatureExchange(branch_sizes=(6,))),
}
SHAPES = {"waveform": (6, 400), "log_mel": (6, 5, 12), "embedding": (6, 6)}
VALUES = {
    "ordinary": lambda rng, shape: rng.normal(size=shape),
    "zeros": lambda rng, shape: np.zeros(shape),
    "constant": lambda rng, shape: np.full(shape, -60.0),
    "constant but for rounding": lambda rng, shape: -60 + 1e-14 * rng.normal(size=shape),
    "one constant": lambda rng, shape: rng.normal(size=shape) * (np.indices(shape)[0] > 0),
    "far": lambda rng, shape: 1e6 + rng.normal(size=shape),
    "tiny": lambda rng, shape: 1e-30 * rng.normal(size=shape),
    "large": lambda rng, shape: 1e4 * rng.uniform(-1, 1, size=shape),
}  # fmt: skip
RESHAPED = {
    "as it is": lambda X: X,
    "one clip": lambda X: X[:1],
    "no clips": lambda X: X[:0],
    "one column": lambda X: X[..., :1],
    "no columns": lambda X: X[..., :0],
    "one axis less": lambda X: X[0],
    "one axis more": lambda X: np.stack([X, X], axis=1),
}
DTYPES = ("float64", "float16", "bfloat16", "int16", "int64", "bool")


@dataclass(frozen=True, repr=False)
class Case(Sparing):
    """An augmentation and its batch."""

    augmentation: str
    values: str = "ordinary"
    dtype: str = "float32"
    reshaped: str = "as it is"
    n_classes: tuple = (2,)
    domain: bool = False
    seed: int = 0


def cases():
    """Batches of which one or two properties are strange."""
    return st.builds(
        Case,
        st.sampled_from(list(AUGMENTATIONS)),
        mostly(["ordinary"], VALUES, 0.7),
        mostly(["float32"], DTYPES, 0.8),
        mostly(["as it is"], RESHAPED, 0.7),
        mostly([(2,)], [(), (1,), (5, 2), (3, 1, 2)], 0.7),
        st.booleans(),
        st.integers(0, 99),
    )


def law(case):
    """Clips keep their shape, type and number, and are finite; targets are shares of as many classes as announced."""
    field, augmentation = AUGMENTATIONS[case.augmentation]
    rng = np.random.default_rng(case.seed)
    values = RESHAPED[case.reshaped](VALUES[case.values](rng, SHAPES[field]))
    values = (
        np.clip(values, -3e4, 3e4) if case.dtype == "float16" else np.ascontiguousarray(values)
    )  # which holds 65504
    x = torch.from_numpy(values).to(getattr(torch, case.dtype))
    labels = [torch.from_numpy(rng.integers(0, number, len(x))) for number in case.n_classes]
    domain = torch.from_numpy(rng.integers(-1, 2, len(x))) if case.domain else None
    batch = Batch.from_labels(x, labels, case.n_classes, domain)
    before = x.clone()
    made, again = (augmentation(batch, torch.Generator().manual_seed(case.seed)) for _ in range(2))
    check(torch.equal(x, before), "the clips that were given have changed")
    check(made.x.shape == x.shape and made.x.dtype == x.dtype, f"{x.dtype} {x.shape} became {made.x.dtype}")
    check(bool(torch.isfinite(made.x).all()), "numbers that are not finite")
    check(torch.equal(made.x, again.x), "the same draws give other clips")
    wanted = augmentation.n_classes(case.n_classes)
    check(tuple(target.shape[1] for target in made.targets) == tuple(wanted), f"not the {wanted} classes announced")
    for target in made.targets:
        check(bool(torch.allclose(target.sum(dim=1), torch.ones(len(x)), atol=1e-5)), "targets do not sum to one")
        check(bool((target >= 0).all()), "a target is negative")
