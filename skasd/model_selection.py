"""Splits for searches and cross-validation that train on normal clips only.

Conventions
-----------
- Use a splitter wherever scikit-learn takes ``cv=``. Each split is a pair of integer arrays: rows for training and rows
  for validation. Rows may be in neither.
- Labels are +1 normal and -1 anomalous, from ``y`` or else from the field ``label`` of `Clips`.
"""

import numpy as np
from sklearn.model_selection import BaseCrossValidator, StratifiedGroupKFold, StratifiedKFold
from sklearn.utils import check_consistent_length

from skasd._docstrings import documented
from skasd._reading import read_verdicts, section_fields
from skasd.clips import Clips
from skasd.metrics import group_numbers, kinds_of

__all__ = ["DevelopmentSplit", "NormalOnlyKFold"]


class _Splitter(BaseCrossValidator):
    n_splits = 1

    @documented
    def get_n_splits(self, X=None, y=None, groups=None):
        """Number of splits.

        Parameters
        ----------
        X : object, default=None
            Not used, here for scikit-learn's sake.

        {unused}

        Returns
        -------
        n_splits : int
        """
        return self.n_splits


class DevelopmentSplit(_Splitter):
    """The one split of a DCASE development set: train on its training clips, validate on its test clips.

    See Also
    --------
    NormalOnlyKFold : Folds over all clips, for data that come without a split.

    Notes
    -----
    A model chosen on a development set's test clips has seen them: report its score on an evaluation set.

    Examples
    --------
    >>> from skasd.clips import Clips
    >>> from skasd.model_selection import DevelopmentSplit
    >>> clips = Clips(embedding=[[0.0], [0.1], [0.2], [9.0]], split=["train", "train", "test", "test"])
    >>> next(DevelopmentSplit().split(clips))
    (array([0, 1]), array([2, 3]))
    """

    @documented
    def split(self, X, y=None, groups=None):
        """Rows of the training clips and rows of the test clips.

        Parameters
        ----------
        X : Clips
            Clips with the field ``split``: ``"train"``, ``"test"``, or anything else for clips to leave out.

        {unused}

        Yields
        ------
        train, test : ndarray of int of shape (n_train,) and (n_test,)
            Rows for training and rows for validation.

        Raises
        ------
        ValueError
            If ``X`` has no field ``split``, or no clips of one of the two.
        """
        if not isinstance(X, Clips) or "split" not in X:
            got = f"Clips with {', '.join(X)}" if isinstance(X, Clips) else type(X).__name__
            raise ValueError(f"DevelopmentSplit needs Clips with the field 'split'; got {got}. "
                             "Use NormalOnlyKFold for data without a split.")  # fmt: skip
        train, test = (np.flatnonzero(X["split"] == name) for name in ("train", "test"))
        if not train.size or not test.size:
            raise ValueError(f"The field 'split' must call some clips 'train' and some 'test'; got {train.size} and "
                             f"{test.size} of {len(X)} clips. Join the two parts: clips = train + test.")  # fmt: skip
        yield train, test


class NormalOnlyKFold(_Splitter):
    """K folds: train on normal clips, validate on normal and anomalous clips.

    All clips are distributed over the folds by group, so that each fold has its share of the normal and of the
    anomalous clips (for `Clips` with the fields ``section`` and ``domain``: of each section and domain). Clips of one
    recording stay in one fold. A split validates on one fold and trains on the normal clips of all others. Every clip
    is used for validation once.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2.

    shuffle : bool, default=False
        Whether clips are distributed in random order.

    random_state : int, RandomState instance or None, default=None
        Seed of that order, if ``shuffle``. Pass an int for repeatable folds.

    See Also
    --------
    DevelopmentSplit : The split that a data set comes with.
    sklearn.model_selection.StratifiedGroupKFold : Distributes the clips.

    Examples
    --------
    >>> import numpy as np
    >>> from skasd.model_selection import NormalOnlyKFold
    >>> X, y = np.zeros((6, 1)), [1, 1, 1, 1, -1, -1]
    >>> for train, test in NormalOnlyKFold(n_splits=2).split(X, y):
    ...     print(train, test)
    [2 3] [0 1 4]
    [0 1] [2 3 5]
    """

    # Where metadata routing is on, a search hands on groups without being asked to, as it does without routing.
    __metadata_request__split = {"groups": True}

    def __init__(self, n_splits=5, *, shuffle=False, random_state=None):
        self.n_splits = n_splits
        self.shuffle = shuffle
        self.random_state = random_state

    def split(self, X, y=None, groups=None):
        """Rows for training and rows for validation, fold by fold.

        Parameters
        ----------
        X : Clips or array-like of shape (n_clips, ...)
            Clips to split.

        y : array-like of shape (n_clips,), default=None
            +1 for normal, -1 for anomalous clips. By default the field ``label`` of ``X``.

        groups : array-like of shape (n_clips,), default=None
            Which clips belong together, such as those cut from one recording, and so stay in one fold. By default the
            field ``recording`` of ``X`` says so. A clip whose group is not known (``""`` or None) is a group of its
            own, as are all clips if there are no groups.

        Yields
        ------
        train, test : ndarray of int of shape (n_train,) and (n_test,)
            Rows for training, normal clips only, and rows for validation.

        Raises
        ------
        ValueError
            If there are no labels or others than +1 and -1, or if there are too few clips or groups for every fold to
            have normal and anomalous clips of every section.
        """
        normal = read_verdicts(X, y) == 1
        if groups is not None:
            check_consistent_length(normal, groups)
        groups = group_numbers(X, groups, len(normal))
        kinds, names = self._kinds(X, normal, groups)
        splitter, together = StratifiedGroupKFold, groups
        if len(np.unique(groups)) == len(groups):
            splitter, together = StratifiedKFold, None
        folds = splitter(self.n_splits, shuffle=self.shuffle, random_state=self.random_state)
        for train, test in folds.split(np.zeros(len(kinds)), kinds, together):
            absent = [names[kind] for kind in np.setdiff1d(kinds, kinds[test])]
            if absent:
                raise ValueError(f"With these groups or recordings a fold is left without the clips {absent[:5]}. One "
                                 "that has clips of several kinds takes them all to one fold: use fewer than "
                                 f"n_splits={self.n_splits}, or smaller groups.")  # fmt: skip
            yield train[normal[train]], test

    def _kinds(self, X, normal, groups):
        """The kind of each clip and the names of the kinds, after a check that every fold can have clips of each."""
        columns = list(section_fields(X).values())
        sections, names = kinds_of(len(normal), *columns)
        for section, name in enumerate(names):
            part = normal[sections == section]
            if part.all() or not part.any():
                where = f"Section {' '.join(name)!r} has" if name else "There are"
                raise ValueError(f"{where} only {'normal' if part.all() else 'anomalous'} clips; a fold needs both to "
                                 "validate. Leave the section out, or add clips.")  # fmt: skip
        domain = [X["domain"]] if isinstance(X, Clips) and "domain" in X else []
        kinds, names = kinds_of(len(normal), np.where(normal, "normal", "anomalous"), *columns, *domain)
        names = [" ".join(name).strip() for name in names]
        for kind, name in enumerate(names):
            n_groups = len(np.unique(groups[kinds == kind]))
            if n_groups < self.n_splits:
                raise ValueError(f"n_splits={self.n_splits} needs as many clips of every kind, where those of one "
                                 f"group or recording count once; there are {n_groups} of '{name}'. Use fewer splits, "
                                 "or leave a field out.")  # fmt: skip
        return kinds, names
