"""What all detectors share. Think twice before adding anything: a detector's own maths goes into its own file."""

import copy
import warnings
from abc import ABCMeta, abstractmethod
from contextlib import contextmanager
from functools import partial
from numbers import Real

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from skasd._docstrings import fill
from skasd._groups import first_copies, first_in_domain, joined
from skasd._problems import named
from skasd._reading import detector_rows, read_field, read_text, recording_numbers, validate_data
from skasd._sklearn import Interval, StrOptions, fit_context
from skasd._versions import VersionsMixin
from skasd.clips import Clips
from skasd.detectors._held_out import rows_of_windows, score_left_out, take
from skasd.detectors._level import score_held_out
from skasd.detectors._numbers import VALUES_AT_ONCE, RowError, as_numbers, check_finite, listed, numbered
from skasd.detectors._threshold import Threshold, ThresholdMixin

DETECTOR_TEXTS = {
    "threshold": """
contamination : float, default=0.1
    Share of normal clips that may raise an alarm, in (0, 0.5): the false-alarm rate on new clips, on average.
    scikit-learn's parameter of this name is something else: the share of outliers in the training data.

threshold : {'quantile', 'gamma'}, default='quantile'
    How `offset_` is set from the training scores: by their quantile or, if there are too few clips or recordings for
    that, an exponential tail; or by a gamma distribution fitted to them, as in the DCASE baselines.
""",
    "target_ratio": """
target_ratio : float, default=None
    Number of target clips after oversampling by SMOTE, as a fraction of the source clips, in (0, 1]. None leaves
    the clips as they are. The domain is read from the field ``domain`` in `fit`, and never needed to score.
""",
    "feature_groups": """
feature_groups : dict of str to (slice or array-like of int), default=None
    Columns of each group of features. None makes all features one group.
""",
    "n_jobs": """
n_jobs : int, default=None
    Number of threads for the neighbour search. None means as many as a matrix product of numpy has, for Euclidean
    distances and those that are made of them (cosine, correlation, ``'seuclidean'``); for others it means 1 unless in
    a `joblib.parallel_config` context.
""",
    "fitted": """
offset_ : float
    Threshold on `score_samples`.

machine_ : str
    Name of the machine that `fit` has seen; empty if it was not given.

n_features_in_ : int
    Number of features of an embedding.

feature_names_in_ : ndarray of shape (n_features_in_,)
    Names of the features, if `fit` was given a data frame.
""",
}


@fill(**DETECTOR_TEXTS)
class BaseDetector(VersionsMixin, ThresholdMixin, BaseEstimator, metaclass=ABCMeta):
    """Base of the detectors: sections, windows, known anomalies and the threshold, once for all of them.

    A subclass defines `_fit`, which makes the model of one section from an ordinary (n, d) array, and `_score`, which
    uses that model to say how normal each row of an (n, d) array is; both arrays are float64. What all sections share
    is made in `_fit_shared`. A subclass has the parameters of all detectors besides its own.

    Duplicate clips (with the same windows, section and domain) count once. The threshold ``offset_`` comes from scores
    by models that have not learned from the clip, nor from any other of its ``recording``: models are fitted again,
    each without a tenth of the recordings, or of the clips if no recordings are known. This happens when the threshold
    is first needed, so a search that only compares scores does not pay for it.

    Parameters
    ----------
    {threshold}

    See Also
    --------
    MahalanobisDetector : One of its subclasses.

    Examples
    --------
    >>> import numpy as np
    >>> from skasd.detectors import BaseDetector
    >>> class CenterDetector(BaseDetector):
    ...     def _fit(self, X, domain, section):
    ...         return X.mean(axis=0)
    ...
    ...     def _score(self, center, X):
    ...         return -np.linalg.norm(X - center, axis=1)
    >>> embedding = np.random.default_rng(0).normal(size=(100, 2))
    >>> CenterDetector().fit(embedding).predict([[0.0, 0.0], [6.0, 0.0]])
    array([ 1, -1])
    """

    _field = "embedding"

    _parameter_constraints: dict = {
        "contamination": [Interval(Real, 0, 0.5, closed="neither")],
        "threshold": [StrOptions({"quantile", "gamma"})],
    }

    def __init__(self, *, contamination=0.1, threshold="quantile"):
        self.contamination = contamination
        self.threshold = threshold

    def _fit_shared(self, X, windows, clips):
        """Make what all sections share, of X, its windows (n_clips, n_windows, d) and the mask of each section."""

    @abstractmethod
    def _fit(self, X, domain, section):
        """Model of one section, from its rows (n, d), the domain of each row (n,) and its name."""

    @abstractmethod
    def _score(self, model, X):
        """How normal each row of X (n, d) is under the model of its section; higher is more normal.

        A model may give several scores for each row, (n, n_scores); the one that is best on average over a clip counts.
        """

    def _fit_rows(self, rows):
        """Model of one section; overridden where rows of one group must not be compared with each other."""
        return self._fit(rows.X, rows.domain, rows.section)

    def _score_training(self, model, rows):
        """Scores of the rows that made the model, by models without their group; overridden where there is a way."""
        return score_left_out(partial(self._score_parts, model, rows), rows)

    def _score_parts(self, model, rows, part):
        """Scores of the rows of each part by a model of the others; overridden where that costs less than a fit."""
        scores = []
        for out in range(part.max() + 1):
            with numbered(np.flatnonzero(part != out)):
                model = self._fit_rows(rows[part != out])
            with numbered(np.flatnonzero(part == out)):
                scores.append(self._score(model, rows.X[part == out]))
        return np.concatenate(scores)[np.argsort(np.argsort(part, kind="stable"))]

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Learn what normal clips look like, one model per section.

        Parameters
        ----------
        X : Clips with the field `embedding`, or array-like
            Embeddings of shape (n_clips, n_features) or (n_clips, n_windows, n_features). All windows are used to fit.

        y : array-like of shape (n_clips,), default=None
            Rows where it is -1 (anomalous) are left out; other whole numbers, and words, are classes of normal clips.
            Without it the field ``label`` says so, if there is one.

        Returns
        -------
        self : object
            The fitted detector.

        Raises
        ------
        ValueError
            If a section has fewer than two normal clips, if clips of several machines are mixed, if only anomalies
            are given, if `y` calls clips anomalous in words or holds bools, or if an embedding is not finite.

        Warns
        -----
        UserWarning
            If all training clips of a section come from one recording, so that its threshold cannot be trusted; if all
            labels are 0 or 1, so that both are used for training although 1 may mean anomalous. When the threshold is
            first needed: if too few recordings are left for a model, or for such a low `contamination`, or if a gamma
            distribution does not fit.
        """
        windows = self._check_windows(X, reset=True)
        self._resolution = np.finfo(windows.dtype).eps
        normal = detector_rows(X, y)
        self.machine_ = self._machine(X)
        groups = self._groups(X, windows, normal)
        self._fit_shared(
            X, windows, {section: np.isin(np.arange(len(windows)), clips) for section, (clips, _) in groups.items()}
        )
        domain, models, scores = read_text(X, "domain", len(windows)), {}, []
        for section, (clips, group) in groups.items():
            rows = self._training_rows(windows, section, clips, domain, group)
            with _naming(section, clips, windows.shape[1]):
                models[section] = self._fit_rows(rows)
            scores.append(self._training_scores(models[section], windows, clips, rows))
        self.models_ = models
        group = [group for _, group in groups.values()]
        self.offset_ = Threshold(partial(_score_at, scores, group, self.contamination, self.threshold))
        return self

    @property
    def offset_(self):
        """Threshold on `score_samples`, computed when it is first needed; you can set another one."""
        check_is_fitted(self)
        return vars(self)["offset_"].value()

    @offset_.setter
    def offset_(self, value):
        if not isinstance(value, Threshold) and not (isinstance(value, Real) and np.isfinite(value)):
            raise ValueError(f"offset_ is a score, a finite number; got {value!r}.")
        vars(self)["offset_"] = value if isinstance(value, Threshold) else Threshold(lambda: value)

    def score_samples(self, X):
        """Say how normal each clip is: higher = more normal.

        Parameters
        ----------
        X : Clips with the field `embedding`, or array-like
            Embeddings of shape (n_clips, n_features) or (n_clips, n_windows, n_features).

        Returns
        -------
        scores : ndarray of shape (n_clips,)
            The mean over the windows of a clip; higher = more normal.

        Raises
        ------
        ValueError
            If a clip belongs to a section that `fit` has not seen; the message names that section and the known ones.
        """
        return self._score_sections(X, _of_clips)

    def _groups(self, X, windows, normal):
        """For each section its training clips, each once, and the number of the group of each."""
        sections, recording = read_text(X, "section", len(windows)), recording_numbers(X, len(windows))
        domain = read_text(X, "domain", len(windows))
        groups = {}
        for section in np.unique(sections[normal]).tolist():
            clips = np.flatnonzero(normal & (sections == section))
            if len(clips) < 2:
                raise ValueError(f"{named(section)} has n_samples=1 normal clip to train on; at least 2 are needed. "
                                 "Add normal clips of that section or leave the section out.")  # fmt: skip
            copy_of = first_copies(take(windows, clips))
            group = joined(recording[clips], copy_of)
            if copy_of.any() and not group.any():
                _warn_of_single_clips(section, f"all {len(clips)} training clips come from one recording, so that none "
                                      "can be scored by a model of other recordings", stacklevel=5)  # fmt: skip
                group = copy_of
            once = first_in_domain(copy_of, domain[clips]) == np.arange(len(clips)) if copy_of.any() else slice(None)
            groups[section] = clips[once], group[once]
        return groups

    def _training_rows(self, windows, section, clips, domain, group):
        """The training rows of a section, in float64; a copy, since the caller's array may change."""
        X = windows[clips].astype(np.float64, copy=False)
        return rows_of_windows(section, X, domain[clips], group)

    def _training_scores(self, model, windows, clips, rows):
        """Function that gives the scores of the training clips, by this detector as it now is."""
        frozen = copy.copy(self)
        vars(frozen).pop("offset_", None)  # of an earlier fit, with its rows
        return partial(frozen._score_left_out, model, clips, rows)

    def _score_left_out(self, model, clips, rows):
        n_windows, n_groups = len(rows.X) // len(clips), len(np.unique(rows.group))
        if n_groups < 2:
            raise ValueError(f"{named(rows.section)}: no threshold can be set, since all training clips are the same, "
                             "and copies count once. Are they silent, or is the network dead?")  # fmt: skip
        try:
            with np.errstate(over="ignore", invalid="ignore"):
                scores = self._score_training(model, rows)
        except RowError as error:
            raise ValueError(_named_clip(rows.section, clips[error.row // n_windows], error)) from error
        except ValueError as error:
            if n_groups == len(clips):
                raise ValueError(f"{named(rows.section)}: no threshold can be set, since without some of the "
                                 f"{len(clips)} training clips there is no model: {error} Add normal clips, or set "
                                 "offset_ yourself.") from error  # fmt: skip
            _warn_of_single_clips(
                rows.section, f"leaving out whole recordings leaves too few clips for a model ({error})", stacklevel=2
            )
            rows = rows._replace(group=np.repeat(np.arange(len(clips)), n_windows))
            return self._score_left_out(model, clips, rows)
        scores = _of_clips(_by_clip(scores, n_windows))
        _check_scores(scores, clips, rows.X.reshape(len(clips), -1))
        return scores

    def _score_sections(self, X, summary):
        """What `summary` makes of the scores (n_clips, n_windows, n_scores) of each section, in the order of X."""
        check_is_fitted(self)
        windows = self._check_windows(X, reset=False)
        self._check_machine(X)
        sections = read_text(X, "section", len(windows))
        unknown = sorted(set(sections.tolist()) - set(self.models_))
        if unknown:
            raise ValueError(f"No model for {', '.join(map(named, unknown))}: fit has seen "
                             f"{', '.join(map(named, self.models_))}. Fit with normal clips of that section, or "
                             "leave these clips out.")  # fmt: skip
        clips = [np.flatnonzero(sections == section) for section in np.unique(sections)]
        parts = [
            self._score_clips(self.models_[sections[own[0]]], windows, own, sections[own[0]], summary) for own in clips
        ]
        return np.concatenate(parts)[np.argsort(np.concatenate(clips))]

    def _score_clips(self, model, windows, clips, section, summary):
        """What `summary` makes of the scores of these clips, in float64, block by block."""
        _, n_windows, n_features = windows.shape
        scores = []
        n_block = max(1, VALUES_AT_ONCE // (n_windows * n_features))
        for block in (clips[start : start + n_block] for start in range(0, len(clips), n_block)):
            X = windows[block].astype(np.float64, copy=False)
            with _naming(section, block, n_windows):
                scored = self._score(model, X.reshape(-1, n_features))
            scores.append(summary(_by_clip(scored, n_windows)))
            _check_scores(scores[-1], block, X)
        return np.concatenate(scores)

    def _check_windows(self, X, *, reset):
        """Embeddings as a finite (n_clips, n_windows, n_features) array."""
        _, values = read_field(X, self._field, owner=type(self).__name__)
        values = as_numbers(values, self._field)
        flat = values.reshape(-1, values.shape[2]) if np.ndim(values) == 3 else values
        try:
            flat = validate_data(self, flat, reset=reset, dtype=[np.float64, np.float32], ensure_all_finite=False)
        except OverflowError as error:
            raise ValueError(f"The {self._field} holds a number beyond float64: {error}.") from error
        windows = flat.reshape(len(values), -1, flat.shape[1])
        check_finite(windows, self._field)
        return windows

    def _machine(self, X):
        machines = np.unique(read_text(X, "machine", len(X))) if isinstance(X, Clips) else [""]
        if len(machines) > 1:
            raise ValueError(f"{type(self).__name__} models one machine; these clips are of {', '.join(machines)}. "
                             "Fit one pipeline a machine: clips[clips['machine'] == ...].")  # fmt: skip
        return str(machines[0])

    def _check_machine(self, X):
        machine = self._machine(X)
        if machine and self.machine_ and machine != self.machine_:
            raise ValueError(f"Fitted on clips of the machine {self.machine_!r}; cannot score clips of {machine!r}.")


class OwnScoresMixin:
    """For detectors whose one model serves all sections, and costs too much to be made again without some clips.

    Their training clips are scored by it, at once, so that no copy of them is kept.
    """

    def _training_rows(self, windows, section, clips, domain, group):
        return rows_of_windows(section, take(windows, clips), domain[clips], group)

    def _training_scores(self, model, windows, clips, rows):
        scores = self._score_clips(model, windows, clips, rows.section, _of_clips)
        return lambda: scores


def _score_at(scores, group, contamination, threshold):
    """The threshold, from functions that give the scores of each section, and the group of each of its clips."""
    section = np.repeat(np.arange(len(group)), list(map(len, group)))
    n_groups = np.cumsum([0, *(own.max() + 1 for own in group)])
    groups = np.concatenate(group) + n_groups[section]
    return score_held_out(np.concatenate([later() for later in scores]), groups, section, contamination, threshold)


@contextmanager
def _naming(section, clips, n_windows):
    """Errors inside name the section and, where they know the row, the clip; numbers may overflow, and are checked."""
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            yield
    except RowError as error:
        raise ValueError(_named_clip(section, clips[error.row // n_windows], error)) from error
    except ValueError as error:
        raise ValueError(f"{named(section)}: {error}") from error


def _named_clip(section, clip, error):
    return f"{named(section)}, clip {clip}: {error}"


def _check_scores(scores, clips, values):
    """Refuse scores that are not finite, by the numbers of their clips."""
    wrong = np.flatnonzero(~np.isfinite(scores.reshape(len(scores), -1)).all(axis=1))
    if len(wrong):
        raise ValueError(f"{listed(clips[wrong])} cannot be scored in float64: the embedding, with values up to "
                         f"{np.abs(values[wrong[0]]).max():.3g}, lies too far from those of training. Is it in the "
                         "same units?")  # fmt: skip


def _warn_of_single_clips(section, why, stacklevel):
    warnings.warn(f"{named(section)}: {why}. For the threshold single clips are left out instead: do not trust it, it "
                  "will be an alarm for too many clips of other recordings. Train with more recordings, or set offset_ "
                  "by clips of others.", stacklevel=stacklevel)  # fmt: skip


def _by_clip(scores, n_windows):
    """Scores (n_rows,) or (n_rows, n_scores) as (n_clips, n_windows, n_scores)."""
    return scores.reshape(len(scores) // n_windows, n_windows, -1)


def _of_clips(scores):
    return scores.mean(axis=1).max(axis=1)
