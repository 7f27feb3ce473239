"""The threshold of a detector, made when it is first asked for."""

import warnings

import numpy as np
from scipy.stats import gamma
from sklearn.base import OutlierMixin


class ThresholdMixin(OutlierMixin):
    """What follows from `score_samples` and the threshold ``offset_``."""

    def decision_function(self, X):
        """Score relative to the threshold: ``score_samples(X) - offset_``; negative = anomalous.

        Parameters
        ----------
        X : Clips or array-like of shape (n_clips, ...)
            Clips as `score_samples` takes them.

        Returns
        -------
        scores : ndarray of shape (n_clips,)
            Higher = more normal; below 0 = anomalous.
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X):
        """Call each clip normal (+1) or anomalous (-1).

        Parameters
        ----------
        X : Clips or array-like of shape (n_clips, ...)
            Clips as `score_samples` takes them.

        Returns
        -------
        labels : ndarray of shape (n_clips,)
            +1 for normal, -1 for anomalous clips.
        """
        return np.where(self.decision_function(X) >= 0, 1, -1)


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


def gamma_point(scores, share, otherwise):
    """The score below which this share lies of a gamma distribution that is fitted to the scores.

    Where it cannot be fitted, or is far from the scores, it is `otherwise`, with a warning.
    """
    if np.ptp(scores) == 0:
        raise ValueError("threshold='gamma' needs training scores that differ; all of them are the same. "
                         "Use threshold='quantile'.")  # fmt: skip
    try:
        with np.errstate(all="ignore"):
            offset = -float(gamma.ppf(1 - share, *gamma.fit(-scores)))
    except (ArithmeticError, RuntimeError, ValueError):  # scipy's FitError and others, by the scores
        offset = np.nan
    below = np.mean(scores < offset) if np.isfinite(offset) else np.nan
    chance = 3 * np.sqrt(share * (1 - share) / len(scores))  # three standard deviations
    if abs(below - share) <= max(chance, 0.9 * share):
        return offset
    found = "cannot be fitted to" if np.isnan(below) else "does not fit"
    alarms = "" if np.isnan(below) else f": {below:.1%} of the clips would be anomalous, and {share:.1%} should be"
    warnings.warn(f"The gamma distribution {found} the training scores{alarms}. "
                  "offset_ is their quantile instead; set threshold='quantile'.", stacklevel=3)  # fmt: skip
    return otherwise
