"""Oversampling of the rare target domain, which several detectors offer."""

import numpy as np
from imblearn.over_sampling import SMOTE
from sklearn.utils import check_random_state

__all__ = ["oversample_target"]


def oversample_target(X, domain, *, ratio, n_neighbors=2, random_state=None):
    """Rows and domains with made-up target rows, until there are `ratio` times as many target as source rows.

    SMOTE draws each new row on the line between a target row and one of its `n_neighbors` nearest target rows. Where
    there are enough target rows, or fewer than two of them to draw between, nothing is added.
    """
    target = domain == "target"
    n_target, n_source = target.sum(), (~target).sum()
    wanted = int(ratio * n_source)
    if n_target < 2 or wanted <= n_target:
        return X, domain
    smote = SMOTE(
        sampling_strategy={1: wanted, 0: n_source},
        k_neighbors=min(n_neighbors, n_target - 1),
        random_state=check_random_state(random_state).randint(np.iinfo(np.int32).max),
    )
    X, made_target = smote.fit_resample(X, target.astype(int))
    return X, np.where(made_target == 1, "target", "source")
