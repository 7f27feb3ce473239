"""What a sample is: the types that waveforms may have, the scale of each, and the rate at which samples were taken.

Conventions
-----------
- Full scale is -1 to +1. Floats are taken as they are; integers of 8, 16 and 32 bits have the full scale of their type,
  in any byte order, and 8 bits without a sign are centred on 128, as in WAV files. Samples of 24 bits in int32 fill its
  upper three bytes, as soundfile and SciPy give them.
- Other types do not tell their scale, and are refused.
"""

import math

import numpy as np

from skasd._problems import names_of, raise_problems
from skasd._reading import check_plain, validate_data

__all__ = [
    "as_dtype",
    "as_floats",
    "check_mono",
    "check_mono_loader",
    "n_resampled",
    "precision_of",
    "read_channels",
    "read_waveforms",
    "resampled",
    "scale_of",
    "what_is_wrong",
]

_SCALES = {"int8": (0, 2**7), "uint8": (128, 2**7), "int16": (0, 2**15), "int32": (0, 2**31)}
_LARGEST = np.float64(2**32)  # beyond the largest integer that a recorder writes as a float
_MOST_CHANNELS = 8
_FEWEST_SAMPLES = 1000


def scale_of(dtype, owner="A waveform"):
    """Value at rest and full scale of a type of numpy or torch: ``(samples - rest) / scale`` is in [-1, 1]."""
    name = str(dtype).removeprefix("torch.") if not isinstance(dtype, np.dtype) else dtype.name
    if name.startswith(("float", "bfloat", "longdouble")):
        return 0, 1
    if name not in _SCALES:
        raise ValueError(f"{owner} takes samples as floats with full scale at 1, or as {', '.join(_SCALES)}; got "
                         f"{name}, which does not tell its full scale. Divide by it, as samples / 32768.0 where they "
                         "come from 16 bits.")  # fmt: skip
    return _SCALES[name]


def precision_of(dtype):
    """Name of the floats that samples of a type are computed in: float32 where it holds them exactly, else float64."""
    return "float32" if np.can_cast(dtype, np.float32) else "float64"


def as_dtype(samples, dtype):
    """Samples as "float32", "float64" or "int16", which clips what lies beyond full scale."""
    if samples.dtype.name == dtype:
        return samples.astype(dtype, copy=False)
    rest, scale = scale_of(samples.dtype)
    if dtype != "int16":
        scaled = samples.astype(dtype) if scale == 1 else np.multiply(samples, 1 / scale, dtype=dtype)
        return scaled - scaled.dtype.type(rest / scale) if rest else scaled
    samples = as_dtype(samples, precision_of(samples.dtype))
    return np.minimum(np.rint(np.clip(samples, -1, 1) * np.float32(2**15)), 2**15 - 1).astype(np.int16)


def as_floats(x, dtype, owner="A network"):
    """A batch of torch as real numbers; samples of integers come to [-1, 1]."""
    rest, scale = scale_of(x.dtype, owner)
    x = x.to(dtype)
    return x if scale == 1 else (x - rest) / scale


def resampled(samples, rate, wanted_rate):
    """Floats of one waveform, (n_samples,) or (n_channels, n_samples), at another sample rate, by soxr."""
    import soxr

    made = soxr.resample(samples.T, rate, wanted_rate, quality="HQ").T
    n_samples = n_resampled(samples.shape[-1], rate, wanted_rate)
    missing = max(0, n_samples - made.shape[-1])
    return np.pad(made[..., :n_samples], [(0, 0)] * (made.ndim - 1) + [(0, missing)])


def n_resampled(n_samples, rate, wanted_rate):
    """Length of so many samples at another rate."""
    return math.ceil(n_samples * wanted_rate / rate)


def what_is_wrong(samples):
    """Why samples of one clip cannot be computed with, in words, or None where nothing is wrong."""
    if samples.dtype.kind != "f" or max(samples.max(), -samples.min()) <= _LARGEST:
        return None
    n_bad = np.count_nonzero(~np.isfinite(samples))
    if n_bad:
        return f"{n_bad} of {len(samples)} samples are NaN or infinite"
    return f"its samples reach {max(samples.max(), -samples.min()):.3g}, where full scale is 1 and 2**32 the most"


def read_waveforms(estimator, X, values, *, reset, check=True):
    """As `read_channels`, for an estimator that takes mono waveforms, (n_clips, n_samples)."""
    if getattr(values, "ndim", 0) > 2:  # before the number of channels is compared with that of samples in fit
        check_mono(values, type(estimator).__name__)
    waveforms = read_channels(estimator, X, values, reset=reset, check=check)
    check_mono(waveforms, type(estimator).__name__)
    return waveforms


def read_channels(estimator, X, values, *, reset, check=True):
    """Waveforms (n_clips, n_samples), or (n_clips, n_channels, n_samples), of an estimator that was given these values.

    They keep their type. Its ``n_features_in_`` is set (`reset`) or compared. Samples must be numbers that can be
    computed with, unless the estimator looks itself (`check=False`); X names the clips in which they are not.
    """
    owner = type(estimator).__name__
    check_plain(values, owner)
    values = _with_own_type(values)
    waveforms = validate_data(estimator, values, dtype="numeric", reset=reset, ensure_all_finite=False, allow_nd=True)
    scale_of(waveforms.dtype, owner)
    if check and waveforms.dtype.kind == "f":
        axes = tuple(range(1, waveforms.ndim))
        peaks = np.maximum(waveforms.max(axis=axes), -waveforms.min(axis=axes))
        bad = np.flatnonzero(~(peaks <= _LARGEST))
        problems = [
            f"{name}: {what_is_wrong(waveforms[row].ravel())}" for name, row in zip(names_of(X, bad), bad, strict=True)
        ]
        raise_problems(list(map(ValueError, problems)), len(waveforms))
    return waveforms


def _with_own_type(values):
    """Arrays and data frames of objects with the type of these objects, so that integers are not taken for floats."""
    if hasattr(values, "infer_objects"):
        return values.infer_objects()
    return np.asarray(values.tolist()) if getattr(values, "dtype", None) == np.dtype(object) else values


def check_mono(waveforms, owner):
    """Refuse what has channels: arrays (n_clips, n_channels, n_samples), and one recording (n_samples, n_channels)."""
    if waveforms.ndim > 2:
        raise ValueError(f"{owner} takes mono waveforms, shape (n_clips, n_samples); got shape "
                         f"{tuple(waveforms.shape)}. Mean or one channel? If the second axis holds the channels, "
                         "write X.mean(axis=1), or X[:, 0] for the first; of a near and a far "
                         "microphone make one by NoiseReference, or AudioLoader(channel='near').")  # fmt: skip
    n_rows, n_columns = waveforms.shape
    if n_columns <= _MOST_CHANNELS and n_rows >= _FEWEST_SAMPLES:
        raise ValueError(f"{owner} takes waveforms, shape (n_clips, n_samples); got shape {tuple(waveforms.shape)}, "
                         f"which would be {n_rows} clips of {n_columns} samples. Is it one recording of {n_columns} "
                         "channels? Mean or one channel? Write X.mean(axis=1)[None], or X[:, 0][None] for the "
                         "first.")  # fmt: skip


def check_mono_loader(loader, owner):
    """Refuse an `AudioLoader` that keeps both microphones, for an estimator that hears one."""
    if getattr(loader, "channel", None) == "both":
        raise ValueError(f"{owner} takes mono waveforms, and its loader has channel='both'. Set channel='near', or put "
                         "AudioLoader(channel='both') and NoiseReference before it.")  # fmt: skip
