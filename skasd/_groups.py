"""Which clips belong together and are never on both sides of a split: copies, and clips of one recording."""

from hashlib import blake2b

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


def first_copies(values):
    """For each row of an array (n, ...) the number of the first row that is the same."""
    first = np.arange(len(values))
    _, key, counts = np.unique(values.reshape(len(values), -1)[:, 0], return_inverse=True, return_counts=True)
    seen = {}
    for row in np.flatnonzero(counts[key] > 1):  # rows that differ in their first value differ
        same = blake2b((values[row] + 0.0).tobytes(), digest_size=16).digest()  # -0.0 is 0.0
        first[row] = seen.setdefault(same, row)
    return first


def first_in_domain(copy_of, domain):
    """For each row the number of the first that is the same, and of the same domain."""
    return first_copies(np.column_stack([copy_of, np.unique(domain, return_inverse=True)[1]]))


def joined(recording, copy):
    """Number of the group of each clip: clips of one recording belong together, so do copies, and all in a chain."""
    n_clips = len(recording)
    recording = np.unique(recording, return_inverse=True)[1]
    links = coo_array((np.ones(n_clips), (recording, n_clips + copy)), shape=(2 * n_clips, 2 * n_clips))
    return connected_components(links, directed=False)[1][recording]


def deal_out(group, n_parts, *strata):
    """Number of the part of each clip: groups are dealt out in turn, stratum by stratum, so that all get their share.

    The last of the strata, such as domain and section, counts first. There are no more parts than groups.
    """
    _, first, number = np.unique(group, return_index=True, return_inverse=True)
    part = np.empty(len(first), dtype=int)
    part[np.lexsort([stratum[first] for stratum in strata])] = np.arange(len(first)) % n_parts
    return part[number]
