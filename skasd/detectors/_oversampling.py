"""Oversampling of the rare target domain, which several detectors offer."""

from numbers import Integral

import numpy as np
from sklearn.neighbors import NearestNeighbors
from sklearn.utils import check_random_state


def as_seed(random_state):
    """A number from which the same is drawn again later."""
    if isinstance(random_state, Integral):
        return random_state
    return check_random_state(random_state).randint(np.iinfo(np.int32).max)


def oversample_target(X, domain, *, ratio, n_neighbors=2, random_state=None):
    """Rows and domains with made-up target rows, until there are `ratio` times as many target as source rows.

    SMOTE draws each new row on the line between a target row and one of its `n_neighbors` nearest target rows. Where
    the ratio is None, or there are enough target rows, or fewer than two of them to draw between, nothing is added. The
    numbers (n, 2) of the two rows of X that each row comes from are the last result; a row of X itself comes from
    itself twice.
    """
    own = np.repeat(np.arange(len(X))[:, np.newaxis], 2, axis=1)
    target = np.flatnonzero(domain == "target")
    n_made = int((ratio or 0) * (len(X) - len(target))) - len(target)
    if len(target) < 2 or n_made <= 0:
        return X, domain, own
    random = check_random_state(check_random_state(random_state).randint(np.iinfo(np.int32).max))
    rows = X[target] - X[target].mean(axis=0)  # distances are exact near zero
    near = NearestNeighbors(n_neighbors=min(n_neighbors, len(target) - 1)).fit(rows).kneighbors(return_distance=False)
    first, second = np.divmod(random.randint(near.size, size=n_made), near.shape[1])
    parents = target[np.column_stack([first, near[first, second]])]
    start, end = X[parents[:, 0]], X[parents[:, 1]]
    made = start + random.uniform(size=(n_made, 1)) * (end - start)
    return np.concatenate([X, made]), np.append(domain, np.full(n_made, "target")), np.concatenate([own, parents])
