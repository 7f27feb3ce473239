"""Classes for clips whose attribute is not known."""

from numbers import Integral

import numpy as np
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans
from sklearn.utils import check_random_state

from skasd._problems import check_finite
from skasd._reading import read_text, section_fields, training_rows, validate_data
from skasd._sklearn import Interval
from skasd._transformer import ClipTransformer

_LARGEST = 1e150


class PseudoAttributes(ClipTransformer):
    """Fill in missing attributes by k-means on embeddings that need no training on these clips.

    A network that learns to tell attributes apart, such as the speed of a machine, has nothing to learn if they were
    not noted, as for some machines of the challenge's later years. Clips that sound alike, according to statistics or a
    frozen network, then get the same class. For each machine and section the normal training clips without an attribute
    are clustered by their field ``embedding``, which is removed; in the field ``attribute`` they get ``"pseudo 0"``,
    ``"pseudo 1"`` and so on. Attributes that are known stay as they are, and so do the missing ones of machines and
    sections that had none missing in `fit`.

    Parameters
    ----------
    n_clusters : int, default=8
        Number of classes for each machine and section, at least 1; fewer if there are fewer different clips.

    random_state : int, RandomState instance or None, default=None
        Seed of the first centres. An int gives the same classes on every call.

    Attributes
    ----------
    models_ : dict of tuple of str to KMeans
        For each machine and section, if the clips have these fields, the model that tells the classes apart.

    n_features_in_ : int
        Number of columns of the embedding.

    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, only where `fit` was given a data frame with such names.

    See Also
    --------
    ClassificationEmbedder : Learns to tell the classes apart, with ``targets=(("machine", "section", "attribute"),)``.
    StatisticsEmbedder : Makes embeddings without training; with ``keep=["log_mel"]`` the spectrograms are still there.
    PretrainedEmbedder : Makes them with a frozen network.

    Notes
    -----
    For clips with several windows, the mean over the windows counts. A plain array has no attributes: all its clips are
    clustered, and `transform` gives the number of the class of each.

    Examples
    --------
    >>> from skasd.clips import Clips
    >>> from skasd.embedders import PseudoAttributes
    >>> clips = Clips(embedding=[[0.0], [0.1], [9.0], [9.1], [0.0]], section=["00"] * 5, attribute=[""] * 4 + ["slow"])
    >>> filled = PseudoAttributes(n_clusters=2, random_state=0).fit_transform(clips)["attribute"]
    >>> bool(filled[0] == filled[1] != filled[2] == filled[3]), filled[4]
    (True, np.str_('slow'))
    """

    _reads = _consumes = ("embedding",)
    _makes = "attribute"

    _parameter_constraints: dict = {
        "n_clusters": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(self, n_clusters=8, *, random_state=None):
        self.n_clusters = n_clusters
        self.random_state = random_state

    def _check(self, X, values, *, reset):
        values = validate_data(self, values, dtype=np.float64, allow_nd=True, reset=reset, ensure_all_finite=False)
        check_finite(values, "The field 'embedding' has", X)
        if values.ndim > 3:
            raise ValueError("Embeddings have two dimensions, (n_clips, n_features), or three, with windows; got shape "
                             f"{values.shape}.")  # fmt: skip
        if not np.abs(values).max() < _LARGEST:
            raise ValueError(f"The field 'embedding' has values up to {np.abs(values).max():.3g}; their squares are "
                             f"more than float64 can hold. Scale them below {_LARGEST:g}.")  # fmt: skip
        return values if values.ndim == 2 else values.mean(axis=1)

    def _fit(self, values, X, y):
        rng, normal = check_random_state(self.random_state), training_rows(X, y)
        self.models_ = {
            group: self._cluster(values[rows & normal], rng)
            for group, rows in _missing_by_group(X, len(values)).items()
            if (rows & normal).any()
        }

    def _cluster(self, values, rng):
        n_clusters = min(self.n_clusters, len(np.unique(values, axis=0)))
        return KMeans(n_clusters, n_init=10, random_state=rng).fit(values)

    def _transform(self, values, X):
        number = np.full(len(values), -1)
        for group, rows in _missing_by_group(X, len(values)).items():
            if group in self.models_:
                # the model's own predict takes squares of what may have a large offset, and cancels
                number[rows] = cdist(values[rows], self.models_[group].cluster_centers_).argmin(axis=1)
        return number

    def _hand_on(self, X, made):
        filled = [f"pseudo {number}" if number >= 0 else known
                  for number, known in zip(made, read_text(X, "attribute", len(X)).tolist(), strict=True)]  # fmt: skip
        return super()._hand_on(X, np.array(filled, dtype=str))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags


def _missing_by_group(X, n_clips):
    """For each machine and section the mask of its clips without an attribute."""
    columns = [values.tolist() for values in section_fields(X).values()]
    owners = list(zip(*columns, strict=True)) if columns else [()] * n_clips
    missing, numbers = read_text(X, "attribute", n_clips) == "", {}
    number = np.array([numbers.setdefault(owner, len(numbers)) for owner in owners])
    return {owner: missing & (number == own) for owner, own in sorted(numbers.items())}
