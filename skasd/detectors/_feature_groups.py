"""Groups of features modelled each by itself, such as the stages of a network or the bands of a spectrogram."""

import numpy as np


def split_features(X, feature_groups):
    """Name and columns of each group of features; all columns, under an empty name, where there are no groups."""
    if feature_groups is None:
        yield "", X
        return
    if not feature_groups:
        raise ValueError("feature_groups is empty; name at least one group, or set it to None.")
    for name, columns in feature_groups.items():
        try:
            values = X[:, columns]
        except IndexError as error:
            raise ValueError(f"feature_groups[{name!r}] = {columns!r} does not fit embeddings of {X.shape[1]} "
                             "features.") from error  # fmt: skip
        if values.ndim != 2 or not values.shape[1]:
            raise ValueError(f"feature_groups[{name!r}] = {columns!r} selects no list of columns from the "
                             f"{X.shape[1]} features of an embedding.")  # fmt: skip
        chosen = np.arange(X.shape[1])[columns]
        if len(np.unique(chosen)) < len(chosen):
            raise ValueError(f"feature_groups[{name!r}] = {columns!r} names a column twice; name each once.")
        yield name, values
