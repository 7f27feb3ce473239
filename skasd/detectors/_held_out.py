"""Which training clips belong together, and in which parts they are left out for the threshold."""

from typing import NamedTuple

import numpy as np

from skasd._groups import deal_out
from skasd.detectors._numbers import RowError

_N_PARTS = 10
_FAR = 3  # times the interquartile range of the other parts


class TrainingRows(NamedTuple):
    """The training rows of one section: values (n, d), and of each row the domain and the group that it belongs to."""

    section: str
    X: np.ndarray
    domain: np.ndarray
    group: np.ndarray

    def __getitem__(self, mask):
        return TrainingRows(self.section, self.X[mask], self.domain[mask], self.group[mask])


def rows_of_windows(section, windows, domain, group):
    """The rows of the windows (n_clips, n_windows, d) of clips with these domains and groups (n_clips,)."""
    n_windows = windows.shape[1]
    return TrainingRows(
        section, windows.reshape(-1, windows.shape[2]), np.repeat(domain, n_windows), np.repeat(group, n_windows)
    )


def take(windows, clips):
    """The windows of these clips, in their order, copied only where some are left out."""
    return windows if len(clips) == len(windows) else windows[clips]


def score_left_out(score, rows):
    """What `score` gives for rows that are left out in ten parts or, where that leaves too few, group by group.

    `score` is given the number of the part of each row, and leaves out one part after the other. A row unlike all
    others widens each model but the one by which its part is scored, too low; then the parts are made smaller.
    """
    n_groups = len(np.unique(rows.group))
    for n_parts in dict.fromkeys((min(_N_PARTS, n_groups), n_groups)):
        part = deal_out(rows.group, n_parts, rows.domain)
        try:
            scores = score(part)
            if not _stands_out(scores, part):
                return scores
            return score(deal_out(rows.group, min(2 * n_parts, n_groups), rows.domain))
        except RowError:  # one row is at fault, in whichever parts
            raise
        except ValueError as error:
            too_few = error
    raise too_few


def _stands_out(scores, part):
    """Whether the scores of one part lie far below those of the others."""
    scores = scores if scores.ndim == 1 else scores.max(axis=1)
    medians = [np.median(scores[part == number]) for number in range(part.max() + 1)]
    others = scores[part != np.argmin(medians)]
    lower, middle, upper = np.quantile(others, [0.25, 0.5, 0.75])
    return min(medians) < middle - _FAR * (upper - lower)
