"""The base of all transformers: `Clips` in, `Clips` out; array in, array out."""

from functools import wraps

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from skasd._problems import check_finite
from skasd._reading import check_plain, check_sample_rate, read_field, validate_data
from skasd._sklearn import fit_context
from skasd._versions import VersionsMixin
from skasd.clips import Clips


def _of_arrays_alone(method):
    """A method as scikit-learn has wrapped it for ``set_output``, by which `Clips` would become a data frame."""

    @wraps(method)
    def either(self, X, *args, **kwargs):
        return (method.__wrapped__ if isinstance(X, Clips) else method)(self, X, *args, **kwargs)

    return either


class ClipTransformer(VersionsMixin, TransformerMixin, BaseEstimator):
    """Base of the transformers, which read one field of `Clips` and make another.

    A subclass names the fields that it reads, of which the first that is there counts (`_reads`), the one that it makes
    (`_makes`), and those that it uses up (`_consumes`), of which the parameter `keep`, if there is one, keeps some. It
    gives `_check`, which makes an array of what it was given, `_fit` and `_transform`.
    """

    _reads = ()
    _makes = ""
    _consumes = ()
    _columns = ""  # what tells, once fitted, how many columns there are, where a plain array becomes a table

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        for name in {"transform", "fit_transform"} & set(vars(cls)):
            setattr(cls, name, _of_arrays_alone(vars(cls)[name]))

    def _check(self, X, values, *, reset):
        """The values that were read, as an array that `_fit` and `_transform` can take."""
        raise NotImplementedError

    def _fit(self, values, X, y):
        """Learn from the values; X and y are there for what else is known of the clips."""

    def _transform(self, values, X):
        """What is made of the values; X is there for the names of the clips."""
        raise NotImplementedError

    def _attrs(self, made):
        """What is to be said of all clips, see `Clips.with_attrs`."""
        return {}

    def _makes_table(self):
        """Whether a plain array becomes one of two dimensions, whose columns have names."""
        return bool(self._columns)

    def _column_names(self):
        return [f"{type(self).__name__.lower()}{column}" for column in range(self._n_columns())]

    def _n_columns(self):
        """How many columns, once fitted."""
        return getattr(self, self._columns)

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y=None):
        """Learn what the transformer needs to know of normal clips.

        Parameters
        ----------
        X : Clips or array-like
            Clips with the field that the transformer reads, or the values of this field.

        y : array-like of shape (n_clips,), default=None
            Where the transformer learns from clips, those with -1 (anomalous) are left out; without it, `Clips` are
            asked for their ``label``. Others ignore it.

        Returns
        -------
        self : object
            The fitted transformer.
        """
        self._fit(self._read(X, reset=True), X, y)
        return self

    def transform(self, X):
        """Make a new field of the clips.

        Parameters
        ----------
        X : Clips or array-like
            Clips with the field that the transformer reads, or the values of this field, shaped as in `fit`.

        Returns
        -------
        X_new : Clips or ndarray
            Clips with the new field where `X` is Clips, else its values.
        """
        check_is_fitted(self)
        made = self._transform(self._read(X, reset=False), X)
        return self._hand_on(X, made) if isinstance(X, Clips) else made

    def set_output(self, *, transform=None):
        """Choose what a table is given as, as scikit-learn's ``set_output`` does.

        Whoever makes no table, but spectrograms or windows of three dimensions, gives arrays all the same, so that a
        whole pipeline can be told: it is its last step that counts.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"}, default=None
            What `transform` gives of plain arrays; None leaves it as it is. `Clips` stay `Clips`.

        Returns
        -------
        self : object
            This transformer.
        """
        return super().set_output(transform=transform) if self._makes_table() else self

    @available_if(lambda self: self._makes_table())
    def get_feature_names_out(self, input_features=None):
        """Names of the columns that `transform` makes.

        Parameters
        ----------
        input_features : None
            Ignored.

        Returns
        -------
        names : ndarray of str of shape (n_columns,)
        """
        check_is_fitted(self)
        return np.array(self._column_names(), dtype=object)

    def _read(self, X, *, reset):
        owner = type(self).__name__
        name, values = read_field(X, *self._reads, owner=owner)
        if name == "waveform" and hasattr(self, "sample_rate"):
            check_sample_rate(X, self.sample_rate, owner)
        check_plain(values, owner)
        return self._check(X, values, reset=reset)

    def _hand_on(self, X, made):
        spared = (*getattr(self, "keep", ()), self._makes)
        used_up = [name for name in self._consumes if name in X and name not in spared]
        return X.without(*used_up).with_fields({self._makes: made}).with_attrs(**self._attrs(made))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        tags.input_tags.three_d_array = "log_mel" in self._reads
        tags.input_tags.string = "path" in self._reads
        return tags


for name in ("transform", "fit_transform"):
    setattr(ClipTransformer, name, _of_arrays_alone(getattr(ClipTransformer, name)))


class SpectrogramTransformer(ClipTransformer):
    """Base of the transformers that make embeddings of spectrograms (n_clips, n_mels, n_frames) by rules.

    An array of two dimensions has clips of one frame.
    """

    _reads = _consumes = ("log_mel",)
    _makes = "embedding"

    def _check(self, X, values, *, reset):
        with np.errstate(over="ignore", invalid="ignore"):  # of the sum by which scikit-learn looks for infinite levels
            log_mel = validate_data(self, values, dtype=np.float32, allow_nd=True, reset=reset, ensure_all_finite=False)
        check_finite(log_mel, "The field 'log_mel', in float32, has", X)
        if log_mel.ndim > 3:
            raise ValueError("Spectrograms have three dimensions, (n_clips, n_mels, n_frames); got shape "
                             f"{log_mel.shape}.")  # fmt: skip
        return log_mel if log_mel.ndim == 3 else log_mel[:, :, None]
