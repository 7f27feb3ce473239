"""Plain arrays of every type, shape and layout, for every transformer that takes them."""

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.preprocessing import StandardScaler

from fuzzing.drawing import mostly
from fuzzing.judging import Sparing, check, must
from fuzzing.layouts import DTYPES, LAYOUTS, lay_out
from skasd.audio import AudioLoader, LevelNormalizer
from skasd.augmentation import Mixup
from skasd.clips import Clips
from skasd.embedders import StatisticsEmbedder
from skasd.features import FieldTransformer, FrameStacker, LogMelSpectrogram, LogSTFT

MEL = {"n_fft": 32, "hop_length": 16, "n_mels": 3, "sample_rate": 1000, "n_jobs": 1}
TAKERS = {
    "LogMelSpectrogram": ("waveform", LogMelSpectrogram(**MEL)),
    "LogMelSpectrogram centred": ("waveform", LogMelSpectrogram(**MEL, center=True, pad_mode="reflect", power=1.0)),
    "LogSTFT": ("waveform", LogSTFT(n_fft=32, hop_length=16, sample_rate=1000, n_jobs=1)),
    "LevelNormalizer": ("waveform", LevelNormalizer()),
    "AudioLoader": ("waveform", AudioLoader(sample_rate=1000)),
    "AudioLoader int16": ("waveform", AudioLoader(sample_rate=1000, dtype="int16", duration=0.05)),
    "FrameStacker": ("log_mel", FrameStacker(n_frames=2, hop_frames=2)),
    "StatisticsEmbedder": ("log_mel", StatisticsEmbedder(statistics=["mean", "std", "max", "rank"])),
    "FieldTransformer": ("embedding", FieldTransformer(StandardScaler())),
    "Mixup": ("embedding", Mixup(random_state=0)),
}
SHAPES = {"waveform": (5, 64), "log_mel": (5, 3, 7), "embedding": (5, 4)}
VALUES = {
    "ordinary": lambda rng, shape: rng.integers(-120, 120, shape) / 128,
    "zeros": lambda rng, shape: np.zeros(shape),
    "one silent": lambda rng, shape: rng.uniform(-1, 1, shape) * (np.indices(shape)[0] > 0),
    "constant": lambda rng, shape: np.full(shape, 0.5),
    "huge": lambda rng, shape: rng.uniform(-1, 1, shape) * 1e300,
    "large": lambda rng, shape: rng.uniform(-1, 1, shape) * 3e38,
    "tiny": lambda rng, shape: rng.uniform(-1, 1, shape) * 1e-310,
    "far": lambda rng, shape: 1e6 + rng.uniform(-1, 1, shape),
    "nan": lambda rng, shape: _with(rng.uniform(-1, 1, shape), np.nan),
    "inf": lambda rng, shape: _with(rng.uniform(-1, 1, shape), -np.inf),
}  # fmt: skip
RESHAPED = {
    "as it is": lambda X: X,
    "no rows": lambda X: X[:0],
    "no columns": lambda X: X[:, :0],
    "one row": lambda X: X[:1],
    "one column": lambda X: X[:, :1],
    "flat": lambda X: X.ravel(),
    "scalar": lambda X: X.ravel()[0],
    "one axis more": lambda X: X[..., np.newaxis],
    "stereo": lambda X: np.stack([X, X], axis=1),
}


@dataclass(frozen=True, repr=False)
class Case(Sparing):
    """An array and who takes it."""

    taker: str
    values: str = "ordinary"
    dtype: str = "float64"
    layout: str = "c"
    reshaped: str = "as it is"
    in_clips: bool = False
    seed: int = 0

    @property
    def untrue(self):
        """What no message may say."""
        given = _numbers(self, TAKERS[self.taker][0])[0]
        finite = given.dtype.kind not in "fc" or np.isfinite(given).all()
        return ("contains NaN", "are NaN or inf", "holds NaN or inf") if finite and self.layout != "half masked" else ()


def cases():
    """Arrays of which one or two properties are strange."""
    return st.builds(
        Case,
        st.sampled_from(list(TAKERS)),
        mostly(["ordinary"], VALUES, 0.75),
        mostly(["float64"], DTYPES, 0.75),
        mostly(["c"], LAYOUTS, 0.75),
        mostly(["as it is"], RESHAPED, 0.75),
        st.booleans(),
        st.integers(0, 9),
    )


def law(case):
    """An array gives what the same numbers give as contiguous floats; integers of audio are scaled by their type."""
    field, taker = TAKERS[case.taker]
    X, plain = _numbers(case, field)
    given = lay_out(RESHAPED[case.reshaped](X), case.layout)
    if case.in_clips:
        made = clone(taker).fit_transform(Clips({field: given}))
        made = made[next(name for name in ("embedding", "log_mel", "waveform") if name in made)]
    else:
        made = clone(taker).fit_transform(given)
    made = np.asarray(made)
    check(made.dtype.kind in "fiu", f"a result of dtype {made.dtype}")
    check(np.isfinite(made).all(), f"{np.count_nonzero(~np.isfinite(made))} of {made.size} numbers are not finite")
    if case.reshaped not in ("as it is", "one row") or not _comparable(case):
        return
    with must("the same numbers as contiguous floats"):
        wanted = clone(taker).fit_transform(RESHAPED[case.reshaped](plain))
    check(made.shape == wanted.shape, f"shape {made.shape} where contiguous floats give {wanted.shape}")
    tolerance = _tolerance(case, np.abs(wanted).max()) + 0.51 * (made.dtype.kind in "iu")  # mixed in their own type
    error = np.abs(np.subtract(made, wanted, dtype=float)).max()
    check(error <= tolerance, f"differs by {error:.3g} from what contiguous floats give, {tolerance:.3g} is allowed")


def _numbers(case, field):
    """The array in its type, and the numbers that it means as float64."""
    X = VALUES[case.values](np.random.default_rng(case.seed), SHAPES[field])
    dtype = np.dtype(case.dtype)
    if dtype.kind in "iu" and field == "waveform":
        bits, half = 8 * dtype.itemsize, 2.0 ** (8 * dtype.itemsize - 1)
        codes = np.rint(np.clip(np.nan_to_num(X), -1, 1 - 2.0 ** (1 - min(bits, 50))) * half)
        samples = (codes + half * (dtype.kind == "u")).astype(dtype)
        return samples, _meant(samples)
    with np.errstate(all="ignore"):
        codes = (np.rint(np.nan_to_num(X) * 100).astype("int64") if dtype.kind in "iubm" else X).astype(dtype)
        return codes, codes.astype(float) if dtype.kind in "iufb" else X


def _meant(samples):
    """The floats that integers of audio mean: full scale is that of their type, unsigned ones rest in its middle."""
    half = 2.0 ** (8 * samples.dtype.itemsize - 1)
    return samples.astype(float) / half - (samples.dtype.kind == "u")


def _comparable(case):
    """Whether floats of the same numbers say what is right."""
    return case.layout not in ("half masked", "strings") and case.dtype not in ("complex128", "timedelta64[ns]", "bool")


def _tolerance(case, scale):
    """Single precision; of levels, which are logarithms, more, since near silence they hang on the last digits."""
    if case.taker.startswith("Log"):
        return 0.02 if case.values == "ordinary" else np.inf
    return ((2e-3 if case.dtype == "float16" else 1e-5) if case.taker != "FieldTransformer" else 1e-6) * max(
        scale, 1e-3
    )


def _with(X, value):
    X.flat[X.size // 2] = value
    return X
