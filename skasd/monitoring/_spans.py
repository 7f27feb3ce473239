"""Where in a recording something is unusual, and in which bands."""

from typing import NamedTuple

import numpy as np

_UNUSUAL = 4.0  # interquartile ranges from the middle of healthy clips
_SHARE_OF_PEAK = 0.5
_LEAST_SPREAD = 0.5  # dB
_MOST_BANDS = 3


class Band(NamedTuple):
    """A band of frequencies that stands out in a part of a recording.

    Parameters
    ----------
    low, high : float
        Where it begins and ends, in Hz.

    difference : float
        How much louder it is than in the median of the healthy clips, in dB, where it stands out most; negative if it
        is quieter.

    is_short : bool
        Whether its loudest moment stands out more than its mean.

    See Also
    --------
    Span : A part of a recording, which has such bands.

    Examples
    --------
    >>> from skasd.monitoring import Band
    >>> print(Band(4800.0, 7300.0, 12.0, True))
    4.8 to 7.3 kHz, at moments 12 dB louder than usual
    """

    low: float
    high: float
    difference: float
    is_short: bool

    def __str__(self):
        moments = "at moments " if self.is_short else ""
        change = f"{abs(self.difference):.0f} dB {'louder' if self.difference > 0 else 'quieter'} than usual"
        return f"{_hertz(self.low, self.high)}, {moments}{change}"


class Span(NamedTuple):
    """A part of a recording, and how unusual it is.

    Parameters
    ----------
    start, end : float
        Seconds from the beginning of the recording.

    score : float
        The lowest score of its clips; higher = more normal.

    p_value : float
        Share of healthy recordings that have a clip as unusual, estimated from those that were held out.

    bands : tuple of Band
        What stands out in its worst clip, at most three bands, the most unusual first; empty if no band does.

    See Also
    --------
    RecordingDetector.locate : Finds them.

    Examples
    --------
    >>> from skasd.monitoring import Band, Span
    >>> print(Span(3.0, 4.25, -31.5, 0.02, (Band(4800.0, 7300.0, 12.0, True),)))
    3.00 to 4.25 s, p = 0.02: 4.8 to 7.3 kHz, at moments 12 dB louder than usual
    """

    start: float
    end: float
    score: float
    p_value: float
    bands: tuple

    def __str__(self):
        return f"{self.start:.2f} to {self.end:.2f} s, p = {self.p_value:.2g}: {in_words(self.bands)}"


def in_words(bands):
    """What stands out."""
    return "; ".join(map(str, bands)) or "no band alone stands out"


def runs(mask):
    """First and last position of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(int)))
    return list(zip(edges[::2], edges[1::2] - 1, strict=True))


class UsualLevels:
    """The levels (n_clips, 2, n_bands) of healthy clips in dB: their middle and spread, with the edges of the bands."""

    def __init__(self, levels):
        low, self.middle, high = np.quantile(levels, [0.25, 0.5, 0.75], axis=0)
        self.spread = np.maximum(high - low, _LEAST_SPREAD)

    def bands(self, levels, edges):
        """The bands of one clip (2, n_bands) that stand out, most unusual first; `edges` (n_bands, 2) are in Hz."""
        excess = (levels - self.middle) / self.spread
        kind = np.argmax(np.abs(excess), axis=0)
        columns = np.arange(len(kind))
        found, difference = excess[kind, columns], (levels - self.middle)[kind, columns]
        limit = max(_UNUSUAL, _SHARE_OF_PEAK * np.abs(found).max())
        places = [run for sign in (1, -1) for run in runs(sign * found >= limit)]
        peaks = [first + np.argmax(np.abs(found[first : last + 1])) for first, last in places]
        order = np.argsort([-abs(found[peak]) for peak in peaks])[:_MOST_BANDS]
        return tuple(
            Band(
                float(edges[places[at][0], 0]),
                float(edges[places[at][1], 1]),
                float(difference[peak]),
                bool(kind[peak]),
            )
            for at, peak in ((at, peaks[at]) for at in order)
        )


def _hertz(low, high):
    if high < 1000:
        return f"{low:.0f} to {high:.0f} Hz"
    return f"{low / 1000:.1f} to {high / 1000:.1f} kHz"
