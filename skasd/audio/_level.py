"""Clips of one level."""

from numbers import Real

import numpy as np

from skasd._docstrings import documented
from skasd._problems import first_ten, names_of
from skasd._sklearn import Interval
from skasd._transformer import ClipTransformer
from skasd.audio.samples import as_dtype, read_waveforms


@documented
class LevelNormalizer(ClipTransformer):
    """Bring every clip to the same level.

    Some faults are simply louder, and so are some recordings. After this step a detector can no longer go by the
    loudness of a clip; comparing results with and without it shows how much of them is loudness.

    Parameters
    ----------
    level : float, default=-20.0
        Root mean square of every clip in dBFS, from -200 to 100: 0 is that of a square wave at full scale. Peaks may
        exceed full scale; they are not clipped.

    Attributes
    ----------
    n_features_in_ : int
        Length of the waveforms seen in `fit`, in samples.

    {named_samples}

    See Also
    --------
    AudioLoader : Reads the waveforms.

    Examples
    --------
    >>> from skasd.audio import LevelNormalizer
    >>> LevelNormalizer(level=0.0).fit_transform([[0.5, -0.5, 0.5], [0.0, 0.0, 0.75**0.5]]).round(3)
    array([[ 1.   , -1.   ,  1.   ],
           [ 0.   ,  0.   ,  1.732]], dtype=float32)
    """

    _parameter_constraints: dict = {"level": [Interval(Real, -200, 100, closed="both")]}

    def __init__(self, *, level=-20.0):
        self.level = level

    _reads = ("waveform",)
    _makes = "waveform"
    _columns = "n_features_in_"

    def _check(self, X, values, *, reset):
        return read_waveforms(self, X, values, reset=reset)

    def _transform(self, waveforms, X):
        levelled = np.empty(waveforms.shape, dtype=np.float32)
        for samples, place in zip(waveforms, levelled, strict=True):
            place[:] = _at_level(as_dtype(samples, "float64"), 10 ** (self.level / 20))
        silent = np.flatnonzero(~levelled.any(axis=1))
        if silent.size:
            raise ValueError(f"{len(silent)} of {len(waveforms)} clips have no level, all their samples are zero: "
                             f"{first_ten(names_of(X, silent), ', ')}. Leave these clips out, or leave out the "
                             "LevelNormalizer.")  # fmt: skip
        return levelled


def _at_level(samples, level):
    """Samples with another root mean square, by way of their peak, whose square would overflow; silence stays."""
    peak = np.abs(samples).max()
    if peak == 0:
        return samples
    samples = samples / peak
    return samples * (level / np.sqrt(np.mean(np.square(samples))))
