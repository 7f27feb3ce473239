"""The threshold of a detector, made when it is first asked for."""

import warnings

import numpy as np
from scipy.stats import gamma


class NoThresholdError(ValueError, AttributeError):
    """There is no threshold; `hasattr` says so, too."""


class Threshold:
    """A number that `make` gives at first need; what it was made of is then let go, and is never saved.

    Where there is no such number, for a `ValueError`, the detector can still score and be saved.
    """

    def __init__(self, make):
        self._make = make

    def value(self):
        """The number, or the error that tells why there is none."""
        self._settle()
        if self._error is not None:
            raise NoThresholdError(self._error)
        return self._value

    def _settle(self):
        make = self._make  # another thread may settle it meanwhile, to the same value
        if make is None:
            return
        value = error = None
        try:
            value = make()
        except ValueError as failure:
            error = str(failure)
        self._value, self._error = value, error
        self._make = None

    def __getstate__(self):
        self._settle()
        return self.__dict__


def score_at(scores, contamination, threshold):
    """The score below which a share of the scores lies, as their quantile or by a gamma distribution fitted to them."""
    quantile = float(np.quantile(scores, contamination))
    if threshold == "quantile":
        return quantile
    if np.ptp(scores) == 0:
        raise ValueError("threshold='gamma' needs training scores that differ; all of them are the same. "
                         "Use threshold='quantile'.")  # fmt: skip
    offset = _gamma_point(scores, contamination)
    share = np.mean(scores < offset) if np.isfinite(offset) else np.nan
    if _is_plausible(share, contamination, len(scores)):
        return offset
    found = "cannot be fitted to" if np.isnan(share) else "does not fit"
    alarms = "" if np.isnan(share) else f": {share:.1%} of the clips would be anomalous where contamination=" \
        f"{contamination} asks for {contamination:.1%}"  # fmt: skip
    warnings.warn(f"The gamma distribution {found} the training scores{alarms}. "
                  "offset_ is their quantile instead; set threshold='quantile'.", stacklevel=3)  # fmt: skip
    return quantile


def _gamma_point(scores, contamination):
    try:
        with np.errstate(all="ignore"):
            return -float(gamma.ppf(1 - contamination, *gamma.fit(-scores)))
    except (ArithmeticError, RuntimeError, ValueError):  # scipy's FitError and others, by the scores
        return np.nan


def _is_plausible(share, wanted, n_clips):
    """Whether a share of clips is near the wanted one, as far as the number of clips can tell."""
    chance = 3 * np.sqrt(wanted * (1 - wanted) / n_clips)  # three standard deviations
    return abs(share - wanted) <= max(chance, 0.9 * wanted)
