"""Where among scores the threshold lies, also where they are few, or many of them come from few recordings."""

import warnings

import numpy as np

from skasd.detectors._threshold import gamma_point

_RAREST = 1e-9  # no smaller share, with which numbers could overflow
_TAIL = 0.5  # share of the scores, the lowest, that says how scores go on below them


def score_held_out(scores, recordings, sections, contamination, threshold):
    """The score below which the share `contamination` of the clips of new recordings lies, on average.

    The scores are of clips from which the model has not learned, with the numbers of the recording and the section of
    each, all (n_clips,); `threshold` is the parameter of all detectors. The share below the lowest of n scores is
    1 / (n + 1) on average, and not 0. Where a smaller one is wanted, the lower half of the scores is taken for the tail
    of an exponential distribution. Many clips of few recordings tell no more than these recordings do, as far as their
    scores agree.
    """
    n = n_independent(scores, recordings, sections)
    _doubt_few(n, len(scores), contamination)
    offset = empirical_point(scores, contamination, n)
    if threshold == "quantile":
        return offset
    return gamma_point(scores, max(_level(contamination, n), contamination / 2), offset)


def _level(share, n):
    """The level of the quantile of n scores below which this share lies on average."""
    return (share * (n + 1) - 0.5) / n


def empirical_point(scores, share, n):
    """The score below which this share lies on average, of scores that tell as much as n independent ones."""
    if share * (n + 1) >= 1:
        return _quantile(scores, share, n)
    upper = _quantile(scores, _TAIL, n)
    tail = upper - scores[scores < upper]
    if not len(tail):
        return upper
    # What is exceeded with this probability after n_tail draws from an exponential distribution of unknown scale
    n_tail = max(_TAIL * (n + 1) - 1, 1)
    return float(upper - tail.mean() * n_tail * ((_TAIL / max(share, _RAREST)) ** (1 / n_tail) - 1))


def _quantile(scores, share, n):
    return float(np.quantile(scores, np.clip(_level(share, n), 0, 1), method="hazen"))


def _doubt_few(n, n_clips, contamination):
    needed = np.ceil(1 / (2 * contamination)) - 1
    if n < needed:
        warnings.warn(f"contamination={contamination} needs scores of at least {needed:.9g} recordings (or clips, if "
                      f"these are not known) that did not train; the {n_clips} clips that set the threshold tell no "
                      f"more than {n:.3g}: scores below them are a guess, and the share of alarms may "
                      "be several times larger or smaller. Train with more recordings, raise contamination, or set "
                      "offset_ by other clips.", stacklevel=3)  # fmt: skip


def n_independent(scores, recordings, sections):
    """How many independent clips tell as much as these: their number divided by the design effect of recordings.

    The correlation of clips of one recording is estimated from ranks by the analysis of variance.
    """
    ranks = np.argsort(np.argsort(scores)).astype(float)
    ranks -= (np.bincount(sections, ranks) / np.maximum(np.bincount(sections), 1))[sections]
    _, number, sizes = np.unique(recordings, return_inverse=True, return_counts=True)
    n_clips, n_recordings = len(scores), len(sizes)
    if n_recordings in (1, n_clips):
        return n_recordings
    means = np.bincount(number, ranks) / sizes
    within = np.sum((ranks - means[number]) ** 2) / (n_clips - n_recordings)
    between = np.sum(sizes * means**2) / (n_recordings - 1)
    typical = (n_clips - np.sum(sizes**2) / n_clips) / (n_recordings - 1)
    total = between + (typical - 1) * within
    correlation = np.clip((between - within) / total, 0, 1) if total > 0 else 0.0
    return n_clips / (1 + (np.sum(sizes**2) / n_clips - 1) * correlation)
