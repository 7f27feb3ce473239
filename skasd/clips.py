"""The data that flows through a pipeline: clips, one row each, with all that is known of them.

Conventions
-----------
- Row i of every field belongs to clip i.
- Labels follow scikit-learn's outlier convention: +1 normal, -1 anomalous, 0 unknown.
- Waveforms are (n_clips, n_samples), log-mel spectrograms (n_clips, n_mels, n_frames) in dB, embeddings
  (n_clips, n_features) or (n_clips, n_windows, n_features).
- An estimator that is given `Clips` gives `Clips` back; one that is given a plain array gives a plain array back.
"""

import os
from html import escape

import numpy as np

__all__ = ["Clips", "as_clips"]

_TEXT_FIELDS = frozenset({"path", "machine", "section", "domain", "attribute", "split"})
_DIMENSIONS = {"waveform": (2,), "log_mel": (3,), "embedding": (2, 3), "logits": (2, 3), "label": (1,)}
_AXES = {
    ("waveform", 2): "mono audio: clips, samples",
    ("log_mel", 3): "levels in dB: clips, bands, frames",
    ("embedding", 2): "clips, features",
    ("embedding", 3): "clips, windows, features",
    ("logits", 2): "clips, classes",
    ("logits", 3): "clips, windows, classes",
}
_LABELS = {-1: "anomalous", 0: "unknown", 1: "normal"}
_N_SHOWN = 5
_LEFT = ' style="text-align: left; vertical-align: top; overflow-wrap: anywhere; padding: .15em .8em .15em 0"'


class Clips:
    """A mapping from field names to arrays of equal length, one row a clip.

    What is known of a clip (its audio, its section, its label) travels in one object, so that a scikit-learn `Pipeline`
    whose ``score_samples(X)`` takes nothing but ``X`` still knows to which section each clip belongs. It can be
    sliced, joined and pickled, and goes wherever scikit-learn slices an ``X``.

    Parameters
    ----------
    fields : mapping of str to array-like, default=()
        The fields. Text (``path``, ``machine``, ``section``, ``domain``, ``attribute``, ``split``) becomes an array of
        str. ``label`` holds +1 (normal), -1 (anomalous) or 0 (unknown). Further fields may have any name. An array is
        not copied.

    **more : array-like
        Further fields, by keyword.

    Attributes
    ----------
    shape : tuple of int
        ``(n_clips,)``.

    Raises
    ------
    ValueError
        If the fields have unequal lengths, if one is a scalar or a single text, if a field of the package has the wrong
        number of dimensions, if waveforms have several lengths, or if a label is none of the numbers -1, 0, +1.

    See Also
    --------
    skasd.datasets.load_dcase : Makes clips of a folder of recordings.
    skasd.datasets.make_machine_sounds : Makes clips of synthetic machines.
    skasd.audio.AudioLoader : Reads the files whose paths clips hold.

    Examples
    --------
    >>> import numpy as np
    >>> from skasd.clips import Clips
    >>> clips = Clips(waveform=np.zeros((3, 16000), np.float32), section=["00", "00", "01"], label=[1, 1, -1])
    >>> clips
    Clips of 3
      waveform  (3, 16000) float32
      section   (3,) <U2
      label     (3,) int64
    >>> clips["section"]
    array(['00', '00', '01'], dtype='<U2')
    >>> len(clips[clips["label"] == 1])
    2
    """

    def __init__(self, fields=(), /, **more):
        self._fields = {name: _as_field(name, values) for name, values in dict(fields, **more).items()}
        lengths = {name: len(values) for name, values in self._fields.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(
                f"All fields of Clips must have the same number of rows, one a clip; got {lengths}. "
                "Drop or repeat rows until they agree."
            )

    @property
    def shape(self):
        """``(n_clips,)``, from which scikit-learn knows how many clips there are."""
        return (len(self),)

    def __len__(self):
        return len(next(iter(self._fields.values()), ()))

    def __iter__(self):
        return iter(self._fields)

    def __contains__(self, name):
        return name in self._fields

    def keys(self):
        """Names of the fields.

        Returns
        -------
        names : dict_keys of str
        """
        return self._fields.keys()

    def __getitem__(self, key):
        if isinstance(key, str):
            return self._field(key)
        if isinstance(key, tuple) and len(key) == 2 and key[1] is Ellipsis:  # how sklearn indexes rows
            key = key[0]
        if isinstance(key, (int, np.integer)):
            raise TypeError(f"Clips are indexed by a field name, a slice, an integer array or a mask; got the integer "
                            f"{key}. Write clips[{key}:{key + 1}] for one clip.")  # fmt: skip
        rows = key if isinstance(key, slice) else np.asarray(key)
        if isinstance(rows, np.ndarray) and rows.size == 0:
            rows = rows.astype(np.intp)
        return Clips({name: values[rows] for name, values in self._fields.items()})

    def _field(self, name):
        if name not in self._fields:
            raise KeyError(f"no field {name!r}; these clips have {', '.join(self._fields) or 'no fields'}")
        return self._fields[name]

    def __add__(self, other):
        if not isinstance(other, Clips):
            return NotImplemented
        if set(self) != set(other):
            raise ValueError(
                f"Clips can be joined when they have the same fields; only one side has "
                f"{sorted(set(self) ^ set(other))}. Remove these with without(...) or add them with with_fields(...)."
            )
        rows = {name: (values.shape[1:], other[name].shape[1:]) for name, values in self._fields.items()}
        for name, (left, right) in rows.items():
            if left != right:
                raise ValueError(f"The field {name!r} has rows of shape {left} on one side and {right} on the other.")
        return Clips({name: np.concatenate([values, other[name]]) for name, values in self._fields.items()})

    def __array__(self, dtype=None, copy=None):
        raise TypeError(
            "Clips are not one array. Pass a field, such as clips['embedding'], to what works on plain arrays. In a "
            "pipeline, wrap a transformer of another library in skasd.features.FieldTransformer."
        )

    def __repr__(self):
        width = max(map(len, self._fields), default=0)
        rows = [f"  {name:<{width}}  {values.shape} {values.dtype}" for name, values in self._fields.items()]
        return "\n".join([f"Clips of {len(self)}", *rows])

    def _repr_html_(self):
        rows = [("field", "shape", "dtype", "what it holds")]
        rows += [(name, values.shape, values.dtype, _contents(name, values)) for name, values in self._fields.items()]
        lines = [
            "".join(f"<{tag}{_LEFT}>{escape(str(cell))}</{tag}>" for cell in row)
            for tag, row in zip(["th", *["td"] * len(self._fields)], rows, strict=True)
        ]
        table = "".join(f"<tr>{line}</tr>" for line in lines)
        return f"<div><p><b>Clips</b> of {len(self)}</p><table>{table}</table></div>"

    def with_fields(self, fields=(), /, **more):
        """These clips with fields added or replaced.

        Parameters
        ----------
        fields : mapping of str to array-like, default=()
            Fields to set.

        **more : array-like
            Further fields, by keyword.

        Returns
        -------
        clips : Clips
            New clips; these stay as they are.

        Examples
        --------
        >>> from skasd.clips import Clips
        >>> Clips(section=["00", "01"]).with_fields(domain=["source", "target"])["domain"]
        array(['source', 'target'], dtype='<U6')
        """
        return Clips(self._fields | dict(fields, **more))

    def without(self, *names):
        """These clips without some of their fields.

        Parameters
        ----------
        *names : str
            Fields to leave out.

        Returns
        -------
        clips : Clips
            New clips; these stay as they are.

        Raises
        ------
        KeyError
            If there is no such field.

        Examples
        --------
        >>> from skasd.clips import Clips
        >>> list(Clips(section=["00"], label=[1]).without("label"))
        ['section']
        """
        for name in names:
            self._field(name)
        return Clips({name: values for name, values in self._fields.items() if name not in names})

    def to_frame(self):
        """The fields with one value a clip as a pandas DataFrame; waveforms, spectrograms and vectors stay behind.

        Returns
        -------
        frame : pandas.DataFrame of shape (n_clips, n_fields)

        Raises
        ------
        ImportError
            If pandas is not installed.

        Examples
        --------
        >>> from skasd.clips import Clips
        >>> Clips(section=["00", "01"], label=[1, -1]).to_frame()
          section  label
        0      00      1
        1      01     -1
        """
        try:
            import pandas
        except ImportError as error:
            raise ImportError("Clips.to_frame needs pandas: pip install pandas") from error
        return pandas.DataFrame({name: values for name, values in self._fields.items() if values.ndim == 1})


def check_lengths(rows):
    """Refuse waveforms of several lengths, which cannot be the rows of one array, and say what to do."""
    lengths = {len(row) for row in rows if hasattr(row, "__len__")}
    if len(lengths) > 1:
        raise ValueError(
            f"The waveforms have several lengths, {min(lengths)} to {max(lengths)} samples. Cut them to one length, or "
            "give the paths of the files, as Clips(path=[...]), to an AudioLoader with duration=... (seconds)."
        )


def _as_field(name, values):
    if isinstance(values, (str, os.PathLike)):
        raise ValueError(f"The field {name!r} needs one value a clip, got the single value {str(values)!r}; put it "
                         "into a list.")  # fmt: skip
    if name in _TEXT_FIELDS:
        values = np.asarray([str(value) for value in values], dtype=str)
    if name == "waveform" and isinstance(values, (list, tuple)):
        check_lengths(values)
    values = np.asarray(values)
    if values.dtype == object and all(isinstance(value, str) for value in values.flat):
        values = values.astype(str)
    if values.ndim not in _DIMENSIONS.get(name, range(1, 65)):
        wanted = " or ".join(map(str, _DIMENSIONS.get(name, ["at least 1"])))
        raise ValueError(f"The field {name!r} must have {wanted} dimensions, the first one the clips; "
                         f"got shape {values.shape}.")  # fmt: skip
    if name == "label":
        unknown = values if values.dtype == bool else values[~np.isin(values, (-1, 0, 1))]
        if unknown.size:
            raise ValueError(f"The field 'label' holds +1 (normal), -1 (anomalous) or 0 (unknown); got "
                             f"{np.unique(unknown)[:5].tolist()}. With a mask that is True where clips are anomalous, "
                             "write np.where(mask, -1, 1).")  # fmt: skip
        values = values.astype(np.int64, copy=False)
    return values


def _contents(name, values):
    """What a field holds, in words; large arrays are not looked into, for they may be gigabytes."""
    if values.ndim > 1 or not len(values):
        return _AXES.get((name, values.ndim), "")
    if values.dtype.kind == "f":
        known = values[~np.isnan(values)]
        missing = f", {len(values) - len(known)} NaN" if len(known) < len(values) else ""
        return f"{known.min():.6g} to {known.max():.6g}{missing}" if len(known) else "NaN"
    if values.dtype.kind not in "biuU":
        return ""
    unique, counts = np.unique(values, return_counts=True)
    if len(unique) == len(values) > _N_SHOWN:
        return f"all different, first {values[0]}"
    names = [_LABELS[value] if name == "label" else str(value) or "none" for value in unique[:_N_SHOWN].tolist()]
    shown = [f"{value} ({count})" for value, count in zip(names, counts, strict=False)]
    return ", ".join(shown) + (f", … {len(unique)} in all" if len(unique) > _N_SHOWN else "")


def as_clips(X, field):
    """Clips from what an estimator was given.

    Parameters
    ----------
    X : Clips or array-like
        Clips are returned as they are; anything else becomes the one field of new clips.

    field : str
        Name of the field that a plain array stands for.

    Returns
    -------
    clips : Clips

    Examples
    --------
    >>> from skasd.clips import as_clips
    >>> as_clips([[1.0, 2.0], [3.0, 4.0]], "embedding")
    Clips of 2
      embedding  (2, 2) float64
    """
    return X if isinstance(X, Clips) else Clips({field: X})


def hand_on(X, made, array, *, consumed, keep=()):
    """What a transformer returns for ``X``: the bare array, or the clips with ``made`` in the place of ``consumed``.

    Parameters
    ----------
    X : Clips or array-like
        What the transformer was given.

    made : str
        Name of the field that it made.

    array : ndarray of shape (n_clips, ...)
        The values of that field.

    consumed : sequence of str
        Fields that it used up. Those that the clips do not have are passed over.

    keep : sequence of str, default=()
        Consumed fields that stay all the same, for a later step.

    Returns
    -------
    result : Clips or ndarray
        Clips where ``X`` is Clips, else ``array``.

    Examples
    --------
    >>> import numpy as np
    >>> from skasd.clips import Clips, hand_on
    >>> clips = Clips(waveform=np.zeros((2, 8)), section=["00", "01"])
    >>> list(hand_on(clips, "log_mel", np.zeros((2, 4, 3)), consumed=("waveform",)))
    ['section', 'log_mel']
    """
    if not isinstance(X, Clips):
        return array
    dropped = [name for name in consumed if name in X and name not in keep and name != made]
    return X.without(*dropped).with_fields({made: array})
