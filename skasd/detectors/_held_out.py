"""Which training clips belong together, and in which parts they are left out for the threshold."""

from typing import NamedTuple

import numpy as np

from skasd._groups import deal_out
from skasd.detectors._numbers import RowError

_N_PARTS = 10


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

    `score` is given the number of the part of each row, and leaves out one part after the other.
    """
    n_groups = len(np.unique(rows.group))
    for n_parts in dict.fromkeys((min(_N_PARTS, n_groups), n_groups)):
        try:
            return score(deal_out(rows.group, n_parts, rows.domain))
        except RowError:  # one row is at fault, in whichever parts
            raise
        except ValueError as error:
            too_few = error
    raise too_few
