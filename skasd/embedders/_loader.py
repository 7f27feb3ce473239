"""Embeddings that another program has stored."""

import string
from pathlib import Path

import numpy as np

from skasd._problems import check_finite, printable, raise_problems
from skasd._reading import validate_data
from skasd._sklearn import StrOptions
from skasd._transformer import ClipTransformer
from skasd.audio.files import open_regular
from skasd.audio.rows import as_paths

_POOLS = {"mean": np.mean, "max": np.max}


class EmbeddingLoader(ClipTransformer):
    """Load existing embeddings, one ``.npy`` file for each clip.

    It goes from paths of clips (the field ``path`` of `Clips`, or a list) to embeddings (the field ``embedding``). A
    file has one vector (n_features,), or one for each window (n_windows, n_features). Given embeddings instead of
    paths, it passes them on.

    Parameters
    ----------
    pattern : str, default="{parent}/{stem}.npy"
        Where the embedding of a clip is: ``{parent}`` is the folder of its file, ``{name}`` the file's name, and
        ``{stem}`` the name without its ending.

    pool : {'mean', 'max'} or None, default=None
        How the windows of a clip become one vector. None keeps them; all clips must then have the same number.

    Attributes
    ----------
    shape_ : tuple of int
        Shape of the embedding of a clip.

    n_features_in_ : int
        Number of features, only where `fit` was given embeddings.

    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, only where `fit` was given a data frame with such names.

    See Also
    --------
    PretrainedEmbedder : Makes embeddings with a network.

    Notes
    -----
    Files are read without unpickling anything. Detectors cannot mask missing windows, so clips with different numbers
    of windows are an error that names the files, unless `pool` reduces each to one vector.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from skasd.embedders import EmbeddingLoader
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for number in range(2):
    ...         np.save(os.path.join(folder, f"clip{number}.npy"), np.full(3, number, dtype=np.float32))
    ...     loader = EmbeddingLoader(pattern=folder + "/{stem}.npy")
    ...     loader.fit_transform(["audio/clip0.wav", "audio/clip1.wav"])
    array([[0., 0., 0.],
           [1., 1., 1.]], dtype=float32)
    """

    _reads = ("path", "embedding")
    _makes = "embedding"

    _parameter_constraints: dict = {"pattern": [str], "pool": [StrOptions(set(_POOLS)), None]}

    def __init__(self, pattern="{parent}/{stem}.npy", *, pool=None):
        self.pattern = pattern
        self.pool = pool

    def _check(self, X, values, *, reset):
        """Paths, or embeddings."""
        paths = as_paths(values)
        if paths is not None:
            return paths
        values = validate_data(self, values, reset=reset, allow_nd=True, dtype=[np.float32, np.float64])
        if values.ndim > 3:
            raise ValueError("Embeddings have the shape (n_clips, n_features) or (n_clips, n_windows, n_features); "
                             f"got {values.shape}.")  # fmt: skip
        return values

    def _fit(self, values, X, y):
        self._check_pattern()
        self.shape_ = self._load(values[:1]).shape[1:]

    def _transform(self, values, X):
        made = self._load(values)
        free = made.ndim == 3  # another number of windows has the same features
        if made.ndim != 1 + len(self.shape_) or made.shape[1 + free :] != self.shape_[free:]:
            raise ValueError(f"The embeddings have the shape {made.shape[1:]} and had {self.shape_} in fit. Store them "
                             "by the same network.")  # fmt: skip
        check_finite(made, "The embedding has", X)
        return made

    def _check_pattern(self):
        try:
            fields = {field for _, field, _, _ in string.Formatter().parse(self.pattern) if field is not None}
            self.pattern.format(*[""] * len(fields), **dict.fromkeys(fields, ""))
        except ValueError:  # a brace alone, or a format for numbers
            fields = set()
        if not fields & {"stem", "name"} or fields - {"parent", "stem", "name"}:
            raise ValueError(f"pattern must have {{stem}} or {{name}}, and may have {{parent}}, such as "
                             f"'emb/{{stem}}.npy'; got {self.pattern!r}.")  # fmt: skip

    def _load(self, values):
        if values.dtype.kind != "U":
            return values if values.ndim == 2 or self.pool is None else _POOLS[self.pool](values, axis=1)
        files = [self._file_of(path) for path in values]
        loaded = [_read(file, self.pool) for file in files]
        raise_problems(loaded, len(loaded))
        odd = next((row for row, one in enumerate(loaded) if one.shape != loaded[0].shape), None)
        if odd is not None:
            raise ValueError(f"{printable(files[0])} has the shape {loaded[0].shape} and {printable(files[odd])} has "
                             f"{loaded[odd].shape}. All clips need as many windows and features: set pool='mean' or "
                             "'max' for one vector per clip, or cut clips to one length.")  # fmt: skip
        return np.stack(loaded)

    def _file_of(self, path):
        path = Path(path)
        return self.pattern.format(parent=path.parent, stem=path.stem, name=path.name)

    def _makes_table(self):
        return len(getattr(self, "shape_", ())) < 2

    def _n_columns(self):
        return self.shape_[-1]


def _read(file, pool):
    """The embedding in a file, or the error that there is."""
    try:
        with open_regular(file) as opened:
            values = np.load(opened, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        told = str(error).startswith(printable(file))
        return ValueError(str(error) if told else f"{printable(file)}: is no .npy file of numbers ({error})")
    is_array = isinstance(values, np.ndarray)
    if not is_array or values.dtype.kind not in "fiu" or values.ndim not in (1, 2) or not values.size:
        shown = f"{values.dtype} of shape {values.shape}" if is_array else type(values).__name__
        return ValueError(f"{printable(file)}: holds {shown}; an embedding is numbers (n_features,) or (n_windows, "
                          "n_features)")  # fmt: skip
    if not np.isfinite(values).all():
        return ValueError(f"{printable(file)}: holds NaN or infinity")
    values = values.astype(np.float32 if values.dtype.itemsize <= 4 else np.float64)
    return values if pool is None or values.ndim == 1 else _POOLS[pool](values, axis=0)
