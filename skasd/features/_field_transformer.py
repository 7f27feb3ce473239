"""Any scikit-learn transformer on one field of clips."""

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, clone

from skasd._problems import first_ten, names_of
from skasd._samples import check_plain
from skasd._validation import HasMethods, _fit_context, check_is_fitted, read_field, training_rows, validate_data
from skasd._versions import VersionsMixin
from skasd.clips import hand_on


class FieldTransformer(VersionsMixin, TransformerMixin, BaseEstimator):
    """Any scikit-learn transformer, applied to one field of `Clips`: a scaler, a PCA, a normaliser.

    It is fitted on normal clips only. Windows are rows to it like any others. A plain array is transformed as it is.
    The transformer computes in float64; of float32 the result is float32.

    Parameters
    ----------
    transformer : transformer
        What is applied; a clone of it is fitted. The last axis of the field is its features.

    field : str, default="embedding"
        The field that it works on and replaces.

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

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y=None):
        """Fit the transformer to the rows of the normal clips.

        Parameters
        ----------
        X : Clips or array-like of shape (n_clips, n_features) or (n_clips, n_windows, n_features)
            Clips with the field, or its values.

        y : array-like of shape (n_clips,) or None, default=None
            Clips with -1 are left out. Without it, `Clips` are asked for their ``label``. A `transformer` that learns
            from targets gets the others.

        Returns
        -------
        self : FieldTransformer
        """
        rows, n_windows = self._read(X, reset=True)
        normal = training_rows(X, y)
        targets = None if y is None else np.repeat(np.asarray(y).ravel()[normal], n_windows or 1)
        with np.errstate(over="ignore", invalid="ignore"):
            rows = rows[np.repeat(normal, n_windows or 1)].astype(np.float64, copy=False)
            self.transformer_ = clone(self.transformer).fit(rows, targets)
        return self

    def transform(self, X):
        """Apply the transformer to all rows.

        Parameters
        ----------
        X : Clips or array-like of shape (n_clips, n_features) or (n_clips, n_windows, n_features)
            Clips with the field, or its values.

        Returns
        -------
        X_new : Clips or ndarray of shape (n_clips, n_features_new) or (n_clips, n_windows, n_features_new)
            Clips with the field replaced where `X` is Clips, else its values.

        Raises
        ------
        ValueError
            If the transformer makes numbers that are not finite.
        """
        check_is_fitted(self)
        rows, n_windows = self._read(X, reset=False)
        with np.errstate(over="ignore", invalid="ignore"):
            made = np.asarray(self.transformer_.transform(rows.astype(np.float64, copy=False)))
            if made.dtype.kind == rows.dtype.kind == "f":
                made = made.astype(np.promote_types(rows.dtype, np.float32), copy=False)
        self._check_finite(X, made, n_windows or 1)
        if n_windows:
            made = made.reshape(-1, n_windows, made.shape[1])
        return hand_on(X, self.field, made, consumed=())

    def _check_finite(self, X, made, n_windows):
        bad = np.zeros(len(made), dtype=bool)
        if made.dtype.kind == "f":
            bad = ~np.isfinite(made).all(axis=tuple(range(1, made.ndim)))
        clips = np.unique(np.flatnonzero(bad) // n_windows)
        if clips.size:
            raise ValueError(f"{self.transformer_} makes numbers that are not finite of {clips.size} clips: "
                             f"{first_ten(names_of(X, clips), ', ')}. Are their values too large?")  # fmt: skip

    def _read(self, X, reset):
        _, values = read_field(X, self.field, owner="FieldTransformer")
        check_plain(values, "FieldTransformer")
        if self.field == "log_mel":
            raise ValueError("FieldTransformer works on rows of features, and field='log_mel' has bands and frames. "
                             "Put a FrameStacker or a StatisticsEmbedder before it.")  # fmt: skip
        n_windows = None
        if isinstance(values, np.ndarray) and values.ndim == 3:
            n_windows = values.shape[1]
            values = values.reshape(-1, values.shape[2])
        with np.errstate(over="ignore", invalid="ignore"):  # of the sum by which scikit-learn looks for infinite values
            return validate_data(self, values, dtype="numeric", reset=reset), n_windows
