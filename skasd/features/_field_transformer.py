"""Any scikit-learn transformer on one field of clips."""

import numpy as np
from sklearn.base import clone
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from skasd._problems import check_finite
from skasd._reading import training_rows, validate_data
from skasd._sklearn import HasMethods
from skasd._transformer import ClipTransformer


class FieldTransformer(ClipTransformer):
    """Any scikit-learn transformer, applied to one field of `Clips`: a scaler, a PCA, a normaliser.

    It replaces the rows of arrays (n_clips, n_features) or (n_clips, n_windows, n_features). It is fitted on normal
    clips only; windows count as rows. It computes in float64; the result for float32 input is float32. Numbers that are
    not finite are an error that names the clips.

    Parameters
    ----------
    transformer : transformer
        The transformer to apply; a clone of it is fitted. The last axis of the field holds the features.

    field : str, default="embedding"
        The field to work on and replace.

    Attributes
    ----------
    transformer_ : transformer
        The fitted transformer.

    n_features_in_ : int
        Number of features of a row.

    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, only where `fit` was given a data frame with such names.

    See Also
    --------
    FrameStacker : Makes windows of a spectrogram.
    skasd.embedders.StatisticsEmbedder : Makes one vector of a spectrogram.

    Examples
    --------
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skasd.clips import Clips
    >>> from skasd.features import FieldTransformer
    >>> clips = Clips(embedding=[[1.0], [3.0], [9.0]], label=[1, 1, -1])
    >>> FieldTransformer(StandardScaler()).fit_transform(clips)["embedding"]
    array([[-1.],
           [ 1.],
           [ 7.]])
    """

    _parameter_constraints: dict = {"transformer": [HasMethods(["fit", "transform"])], "field": [str]}

    def __init__(self, transformer, *, field="embedding"):
        self.transformer = transformer
        self.field = field

    @property
    def _reads(self):
        return (self.field,)

    @property
    def _makes(self):
        return self.field

    def _check(self, X, values, *, reset):
        if self.field == "log_mel":
            raise ValueError("FieldTransformer works on rows of features, and field='log_mel' has bands and frames. "
                             "Put a FrameStacker or a StatisticsEmbedder before it.")  # fmt: skip
        shape = values.shape if isinstance(values, np.ndarray) else ()
        rows = values.reshape(-1, shape[2]) if len(shape) == 3 else values
        with np.errstate(over="ignore", invalid="ignore"):  # of the sum by which scikit-learn looks for infinite values
            rows = validate_data(self, rows, dtype="numeric", reset=reset)
        return rows.reshape(shape) if len(shape) == 3 else rows

    def _fit(self, values, X, y):
        normal = training_rows(X, y)
        n_windows = values.shape[1] if values.ndim == 3 else 1
        targets = None if y is None else np.repeat(np.asarray(y).ravel()[normal], n_windows)
        with np.errstate(over="ignore", invalid="ignore"):
            rows = values[normal].astype(np.float64, copy=False).reshape(-1, values.shape[-1])
            self.transformer_ = clone(self.transformer).fit(rows, targets)
        self._has_windows = values.ndim == 3

    def _transform(self, values, X):
        with np.errstate(over="ignore", invalid="ignore"):
            rows = values.astype(np.float64, copy=False).reshape(-1, values.shape[-1])
            made = np.asarray(self.transformer_.transform(rows))
            if made.dtype.kind == values.dtype.kind == "f":
                made = made.astype(np.promote_types(values.dtype, np.float32), copy=False)
        made = made.reshape(*values.shape[:-1], made.shape[-1])
        if made.dtype.kind in "fc":
            check_finite(made, f"{self.transformer_} makes", X, " Are their values too large?")
        return made

    def _makes_table(self):
        return not getattr(self, "_has_windows", False) and hasattr(self.transformer, "get_feature_names_out")

    @available_if(lambda self: self._makes_table())
    def get_feature_names_out(self, input_features=None):
        """Names of the columns, as the transformer gives them.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Names of the columns of the input.

        Returns
        -------
        names : ndarray of str of shape (n_features_new,)
        """
        check_is_fitted(self)
        return self.transformer_.get_feature_names_out(input_features)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags
