"""The data that flows through a pipeline: clips, one row each, with everything that is known about them.

Conventions
-----------
- Row i of every field belongs to clip i.
- Labels follow scikit-learn's outlier convention: +1 normal, -1 anomalous, 0 unknown.
- Waveforms are (n_clips, n_samples), those of two microphones (n_clips, 2, n_samples) with the near one first, log-mel
  spectrograms (n_clips, n_mels, n_frames) in dB, embeddings (n_clips, n_features) or (n_clips, n_windows, n_features).
- Estimators that are given `Clips` return `Clips`; given a plain array, they return a plain array.
"""

from types import MappingProxyType

import numpy as np

from skasd._fields import as_attrs, as_field, contents
from skasd._folders import audio_files, labels_of, sections_of
from skasd._html import table_of

__all__ = ["Clips", "as_clips"]


class Clips:
    """A mapping from field names to arrays of equal length, one row per clip.

    Everything that is known about a clip (its audio, its section, its label) travels in one object, so that a
    scikit-learn `Pipeline`, whose ``score_samples(X)`` takes nothing but ``X``, still knows which section each clip
    belongs to. Clips can be sliced, joined and pickled, and work wherever scikit-learn slices an ``X``.

    Parameters
    ----------
    fields : mapping of str to array-like, default=()
        The fields. Text (``path``, ``machine``, ``section``, ``domain``, ``attribute``, ``recording``, ``split``)
        becomes an array of str, and whole numbers are converted to text. Missing values (None, NaN or pandas' NA) in
        ``domain``, ``attribute`` or ``recording`` become ``""``, which means unknown. ``recording`` names the recording
        that a clip was cut from: clips of one recording are never on both sides of a split. ``label`` holds +1
        (normal), -1 (anomalous) or 0 (unknown). ``path`` may be one folder, as in `from_folder`. Further fields may
        have any name. An array is not copied.

    **more : array-like
        Further fields, by keyword.

    Attributes
    ----------
    shape : tuple of int
        ``(n_clips,)``.

    attrs : mapping of str to object
        What holds for all clips; see `with_attrs`.

    Raises
    ------
    ValueError
        If the fields have unequal lengths, if one is a scalar or a single text, if a field of the package has the wrong
        number of dimensions, if waveforms have different lengths, if a label is not -1, 0 or +1, if a text field holds
        anything but text, or if ``section``, ``path``, ``machine`` or ``split`` lack a value.

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
        attrs = fields.attrs if isinstance(fields, Clips) else {}
        self._fields = {name: as_field(name, values) for name, values in dict(fields, **more).items()}
        self._attrs = as_attrs(attrs, self._fields)
        lengths = {name: len(values) for name, values in self._fields.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(
                f"All fields of Clips must have the same number of rows, one per clip; got {lengths}. "
                "Drop or repeat rows until they agree."
            )

    @classmethod
    def from_folder(cls, folder, *, section=None, label=None):
        """The audio files of a folder and of its subfolders, sorted by their paths.

        Audio files are recognised by their suffix, such as ``.wav`` or ``.FLAC``. Other files are left out with a
        warning; hidden files, whose names begin with a dot, without one. Links to folders are followed.

        Parameters
        ----------
        folder : str, bytes or path-like
            The folder.

        section : "parent", str or callable, default=None
            The field ``section``: "parent" is the name of the folder that a file is in; a regular expression is
            searched for in the path within `folder` (with ``/`` between names), and its first group counts, or the
            whole match; a function is given the path. None makes no such field.

        label : mapping of str to int or callable, default=None
            The field ``label``, by the names of subfolders at any depth: ``{"healthy": 1, "faulty": -1}``; files in
            none of these are 0, unknown. A function is given the path. None makes no such field.

        Returns
        -------
        clips : Clips
            With the field ``path``, and the others that were asked for.

        Raises
        ------
        ValueError
            If there is no such folder, if it contains no audio file or cannot be read, or if the section or label of a
            file cannot be determined.

        Warns
        -----
        UserWarning
            If files are left out.

        Examples
        --------
        >>> import os, tempfile
        >>> from skasd.clips import Clips
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("healthy", "faulty"):
        ...         os.mkdir(os.path.join(folder, name))
        ...         open(os.path.join(folder, name, "pump 1.wav"), "w").close()
        ...     Clips.from_folder(folder, section="pump [0-9]", label={"healthy": 1, "faulty": -1}).without("path")
        Clips of 2
          section  (2,) <U6
          label    (2,) int64
        """
        paths = audio_files(folder)
        fields = {"path": paths}
        if section is not None:
            fields["section"] = sections_of(paths, folder, section)
        if label is not None:
            fields["label"] = labels_of(paths, folder, label)
        return cls(fields)

    @classmethod
    def _of(cls, fields, attrs):
        """Clips of fields that have been checked before."""
        clips = cls.__new__(cls)
        clips._fields, clips._attrs = fields, dict(attrs)
        return clips

    @property
    def attrs(self):
        """What holds for all clips, see `with_attrs`; it cannot be changed in place."""
        return MappingProxyType(self._attrs)

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
        rows = key if isinstance(key, slice) else self._rows(np.asarray(key))
        return Clips._of({name: values[rows] for name, values in self._fields.items()}, self._attrs)

    def _rows(self, key):
        """Numbers of rows, or a mask of them, that fit these clips."""
        if key.size == 0:
            key = key.astype(np.intp)
        if key.dtype.kind not in "biu" or key.ndim != 1:
            raise IndexError(f"Clips are indexed by a field name, a slice, an integer array or a mask with one axis; "
                             f"got {key.dtype} of shape {key.shape}.")  # fmt: skip
        if key.dtype.kind == "b" and len(key) != len(self):
            raise IndexError(f"A mask must have one value per clip, {len(self)}; got {len(key)}.")
        if key.dtype.kind != "b" and key.size and not -len(self) <= key.min() <= key.max() < len(self):
            raise IndexError(f"There are {len(self)} clips; got the row numbers {key.min()} to {key.max()}.")
        return key

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
        for name in sorted(set(self._attrs) | set(other.attrs)):
            left, right = self._attrs.get(name), other.attrs.get(name)
            if left != right:
                raise ValueError(f"The clips have {name} {left!r} on one side and {right!r} on the other. Bring them "
                                 f"to one {name}, or say it by with_attrs({name}=...).")  # fmt: skip
        return Clips._of(
            {name: np.concatenate([values, other[name]]) for name, values in self._fields.items()}, self._attrs
        )

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
        rows += [(name, values.shape, values.dtype, contents(name, values)) for name, values in self._fields.items()]
        return table_of("Clips", f"of {len(self)}", rows)

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
        new = Clips(fields, **more)
        if self._fields and new._fields and len(new) != len(self):
            Clips(self._fields | new._fields)  # says which lengths there are
        return Clips._of(self._fields | new._fields, self._attrs | new._attrs)

    def with_attrs(self, **attrs):
        """These clips with attributes that hold for all of them.

        Parameters
        ----------
        **attrs : object
            ``sample_rate`` is that of the field ``waveform``, in Hz; every step that takes waveforms checks it.
            ``classes`` are the names of the columns of the field ``logits``, and ``target`` is the field whose values
            they are. They are removed together with their field. Further attributes may have any name. None removes an
            attribute.

        Returns
        -------
        clips : Clips
            New clips; these stay as they are.

        Raises
        ------
        ValueError
            If ``sample_rate`` is not a whole number of Hz.

        Examples
        --------
        >>> import numpy as np
        >>> from skasd.clips import Clips
        >>> clips = Clips(waveform=np.zeros((3, 16000))).with_attrs(sample_rate=16000)
        >>> dict(clips[:2].attrs)
        {'sample_rate': 16000}
        """
        return Clips._of(self._fields, as_attrs(self._attrs | attrs, self._fields))

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
        fields = {name: values for name, values in self._fields.items() if name not in names}
        return Clips._of(fields, as_attrs(self._attrs, fields))

    def to_frame(self):
        """The fields with one value per clip as a pandas DataFrame, without waveforms, spectrograms and vectors.

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


def as_clips(X, field):
    """Clips made from the input of an estimator.

    Parameters
    ----------
    X : Clips or array-like
        Clips are returned as they are; anything else becomes the one field of new clips.

    field : str
        Name of the field that a plain array becomes.

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
