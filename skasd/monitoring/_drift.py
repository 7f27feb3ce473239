"""Whether healthy recordings still score as they did."""

from typing import NamedTuple

import numpy as np
from scipy.stats import mannwhitneyu

_SIGNIFICANT = 0.05


class Drift(NamedTuple):
    """Whether healthy recordings have become more unusual.

    Parameters
    ----------
    statistic : float
        Share of pairs of a new recording and one that was held out in training in which the new one scores lower; 0.5
        if nothing has changed.

    p_value : float
        One-sided p-value of the Mann-Whitney test: how often a difference as large would arise by chance.

    alarm_rate : float
        Share of the new recordings that raise an alarm.

    false_alarm_rate : float
        Share that was asked for.

    n_recordings : int
        Number of new recordings.

    See Also
    --------
    RecordingDetector.drift : Makes it.

    Examples
    --------
    >>> from skasd.monitoring import Drift
    >>> print(Drift(0.81, 0.002, 0.3, 0.05, 20))
    The scores of healthy recordings have moved (p = 0.002): in 81 % of pairs the new one is more unusual. 30 % of 20
    raise an alarm, where 5 % were asked for. If the machine is healthy, take these recordings in, by update.
    """

    statistic: float
    p_value: float
    alarm_rate: float
    false_alarm_rate: float
    n_recordings: int

    @property
    def has_moved(self):
        """Whether the p-value is below 0.05."""
        return self.p_value < _SIGNIFICANT

    def __str__(self):
        moved = "have moved" if self.has_moved else "have not moved, as far as these tell"
        advice = " If the machine is healthy, take these recordings in, by update." if self.has_moved else ""
        return (f"The scores of healthy recordings {moved} (p = {self.p_value:.2g}): in {self.statistic:.0%} of pairs "
                f"the new one is more unusual. {self.alarm_rate:.0%} of {self.n_recordings} raise an alarm, where "
                f"{self.false_alarm_rate:.0%} were asked for.{advice}").replace("%", " %")  # fmt: skip


def drift_of(new, usual, alarms, false_alarm_rate):
    """The `Drift` of scores, each in units of its section, from the usual ones."""
    test = mannwhitneyu(usual, new, alternative="greater")
    share = float(test.statistic) / (len(new) * len(usual))
    return Drift(share, float(test.pvalue), float(np.mean(alarms)), float(false_alarm_rate), len(new))
