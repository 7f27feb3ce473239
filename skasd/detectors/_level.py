"""At which level of scores the threshold lies, where they are few, or many of them come from few recordings."""

import numpy as np

from skasd.detectors._threshold import score_at


def score_held_out(scores, recordings, sections, contamination, threshold):
    """The score below which a share of the clips of new recordings lies, on average.

    The share below the lowest of n scores is 1 / (n + 1) on average, and not 0; and many clips of few recordings tell
    no more than these recordings do, as far as their scores agree.

    Parameters
    ----------
    scores : ndarray of shape (n_clips,)
        Scores of clips from which the model has not learned.

    recordings : ndarray of int of shape (n_clips,)
        The recording of each clip.

    sections : ndarray of int of shape (n_clips,)
        The section of each clip.

    contamination : float
        The share.

    threshold : {"quantile", "gamma"}
        As the parameter of all detectors.

    Returns
    -------
    offset : float
    """
    n_independent = _n_independent(scores, recordings, sections)
    level = (contamination * (n_independent + 1) - 0.5) / n_independent
    if threshold == "quantile":
        return float(np.quantile(scores, np.clip(level, 0, 1), method="hazen"))
    return score_at(scores, max(level, contamination / 2), threshold)


def _n_independent(scores, recordings, sections):
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
