"""Which clips are set aside from training: whole recordings, with all their copies."""

from collections import Counter

import numpy as np


def set_aside(groups, labels, n_aside, seed):
    """Mask (n_clips,) of the clips of some groups, alike the others in their labels (n_labels, n_clips).

    There are `n_aside` groups, or fewer where a value of a label would have no clips left.
    """
    order = np.argsort(groups, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
    members = [members[place] for place in np.random.RandomState(seed).permutation(len(members))]
    left = Counter(pair for column in np.transpose(labels) for pair in enumerate(column.tolist()))
    free = [rows for rows in members if _spares(left, labels, rows)]
    free.sort(key=lambda rows: tuple(labels[:, rows[0]].tolist()))
    aside = np.zeros(len(groups), dtype=bool)
    share = min(1.0, n_aside / max(len(free), 1))
    steps = np.floor(np.arange(len(free) + 1) * share + 0.5)  # evenly along the labels
    for rows in (free[place] for place in np.flatnonzero(np.diff(steps))):
        if _spares(left, labels, rows):
            aside[rows] = True
            left -= Counter(_pairs(labels, rows))
    return aside


def _pairs(labels, rows):
    return [pair for row in rows for pair in enumerate(labels[:, row].tolist())]


def _spares(left, labels, rows):
    """Whether every label of these clips has others left."""
    return all(left[pair] > count for pair, count in Counter(_pairs(labels, rows)).items())
