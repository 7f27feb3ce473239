"""What all detectors share. Think twice before adding anything: a detector's own maths goes into its own file."""

import warnings
from abc import ABCMeta, abstractmethod
from numbers import Real

import numpy as np
from scipy.stats import gamma
from sklearn.base import BaseEstimator, OutlierMixin

from skasd._validation import (
    Interval,
    StrOptions,
    _fit_context,
    check_is_fitted,
    read_field,
    training_rows,
    validate_data,
)
from skasd.clips import Clips


class BaseDetector(OutlierMixin, BaseEstimator, metaclass=ABCMeta):
    """Base of the detectors: sections, windows, known anomalies and the threshold, once for all of them.

    A subclass gives `_fit`, which makes the model of one section from an ordinary (n, d) array, and `_score`, which
    says with that model how normal each row of an (n, d) array is. What the sections share is made in `_fit_shared`.
    It has the parameters ``contamination`` and ``threshold``, as all detectors.

    See Also
    --------
    MahalanobisDetector : One of its subclasses.

    Examples
    --------
    >>> import numpy as np
    >>> from skasd.detectors import BaseDetector
    >>> class CenterDetector(BaseDetector):
    ...     def __init__(self, *, contamination=0.1, threshold="quantile"):
    ...         self.contamination = contamination
    ...         self.threshold = threshold
    ...
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

    def _fit_shared(self, X, windows, clips):
        """Make what all sections share, of X, its windows (n_clips, n_windows, d) and the mask of each section."""

    @abstractmethod
    def _fit(self, X, domain, section):
        """Model of one section, from its rows (n, d), the domain of each row (n,) and its name."""

    @abstractmethod
    def _score(self, model, X):
        """How normal each row of X (n, d) is under the model of its section; higher is more normal.

        A model may give several scores a row, (n, n_scores); the one that is best on average over a clip counts.
        """

    def _score_training(self, model, X, domain, section, clip):
        """Scores of the rows that made the model; overridden where a row must not meet itself.

        `clip` has the number of the clip of each row (n,), which count up from 0.
        """
        return self._score(model, X)

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Learn what normal clips look like, one model a section.

        Parameters
        ----------
        X : Clips with the field `embedding`, or array-like
            Embeddings of shape (n_clips, n_features) or (n_clips, n_windows, n_features). Windows are all used to fit.

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
            If ``threshold="gamma"`` and the distribution does not fit the training scores, so that their quantile is
            taken instead; if labels are 0 and 1 alone, so that clips of both train, and 1 may be meant as anomalous.
        """
        windows = self._check_windows(X, reset=True)
        normal = training_rows(X, y)
        _doubt_zeros_and_ones(X, y)
        self.machine_ = self._machine(X)
        sections, domains = _text(X, "section", len(windows)), _text(X, "domain", len(windows))
        clips = {str(section): normal & (sections == section) for section in np.unique(sections[normal])}
        for section, rows in clips.items():
            if np.count_nonzero(rows) < 2:
                raise ValueError(f"{_named(section)} has n_samples=1 normal clip to train on; at least 2 are needed. "
                                 "Add normal clips of that section or leave the section out.")  # fmt: skip
        self._fit_shared(X, windows, clips)
        self.models_, scores = {}, np.empty(len(windows))
        for section, rows in clips.items():
            flat, domain = _rows(windows, rows), np.repeat(domains[rows], windows.shape[1])
            clip = np.repeat(np.arange(np.count_nonzero(rows)), windows.shape[1])
            try:
                self.models_[section] = self._fit(flat, domain, section)
            except ValueError as error:
                raise ValueError(f"{_named(section)}: {error}") from error
            trained = self._score_training(self.models_[section], flat, domain, section, clip)
            scores[rows] = _of_clips(_by_clip(trained, windows.shape[1]))
        self.offset_ = self._offset(scores[normal])
        return self

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
            If a clip belongs to a section that `fit` has not seen; the message names it and those that are known.
        """
        return self._score_sections(X, _of_clips)

    def decision_function(self, X):
        """Score relative to the threshold: ``score_samples(X) - offset_``; negative = anomalous.

        Parameters
        ----------
        X : Clips with the field `embedding`, or array-like
            Embeddings of shape (n_clips, n_features) or (n_clips, n_windows, n_features).

        Returns
        -------
        scores : ndarray of shape (n_clips,)
            Higher = more normal; below 0 = anomalous.
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X):
        """Call each clip normal (+1) or anomalous (-1).

        Parameters
        ----------
        X : Clips with the field `embedding`, or array-like
            Embeddings of shape (n_clips, n_features) or (n_clips, n_windows, n_features).

        Returns
        -------
        labels : ndarray of shape (n_clips,)
            +1 for normal, -1 for anomalous clips.
        """
        return np.where(self.decision_function(X) >= 0, 1, -1)

    def _score_sections(self, X, summary):
        """What `summary` makes of the scores (n_clips, n_windows, n_scores) of each section, in the order of X."""
        check_is_fitted(self)
        windows = self._check_windows(X, reset=False)
        self._check_machine(X)
        sections = _text(X, "section", len(windows))
        unknown = sorted(set(sections.tolist()) - set(self.models_))
        if unknown:
            raise ValueError(f"No model for {', '.join(map(_named, unknown))}: fit has seen "
                             f"{', '.join(map(_named, self.models_))}. Fit with normal clips of that section, or "
                             "leave these clips out.")  # fmt: skip
        clips = {section: sections == section for section in np.unique(sections).tolist()}
        parts = [self._score(self.models_[section], _rows(windows, rows)) for section, rows in clips.items()]
        parts = [summary(_by_clip(part, windows.shape[1])) for part in parts]
        scores = np.empty((len(windows), *parts[0].shape[1:]))
        for rows, part in zip(clips.values(), parts, strict=True):
            scores[rows] = part
        return scores

    def _check_windows(self, X, *, reset):
        """Embeddings as a finite (n_clips, n_windows, n_features) array."""
        _, values = read_field(X, self._field, owner=type(self).__name__)
        if getattr(values, "ndim", 2) != 3:
            return validate_data(self, values, reset=reset, dtype=[np.float64, np.float32])[:, np.newaxis]
        flat = validate_data(self, _flatten(values), reset=reset, dtype=[np.float64, np.float32])
        return flat.reshape(values.shape)

    def _machine(self, X):
        machines = np.unique(_text(X, "machine", len(X))) if isinstance(X, Clips) else [""]
        if len(machines) > 1:
            raise ValueError(f"{type(self).__name__} models one machine; these clips are of {', '.join(machines)}. "
                             "Fit one pipeline a machine: clips[clips['machine'] == ...].")  # fmt: skip
        return str(machines[0])

    def _check_machine(self, X):
        machine = self._machine(X)
        if machine and self.machine_ and machine != self.machine_:
            raise ValueError(f"Fitted on clips of the machine {self.machine_!r}; cannot score clips of {machine!r}.")

    def _offset(self, scores):
        if self.threshold == "quantile":
            return float(np.quantile(scores, self.contamination))
        if np.ptp(scores) == 0:
            raise ValueError("threshold='gamma' needs training scores that differ; all of them are the same. "
                             "Use threshold='quantile'.")  # fmt: skip
        offset = -float(gamma.ppf(1 - self.contamination, *gamma.fit(-scores)))
        share = np.mean(scores < offset)
        if not _is_plausible(share, self.contamination, len(scores)):
            warnings.warn(f"The gamma distribution does not fit the training scores: {share:.1%} of the clips would be "
                          f"anomalous where contamination={self.contamination} asks for {self.contamination:.1%}. "
                          "offset_ is their quantile instead; set threshold='quantile'.", stacklevel=3)  # fmt: skip
            return float(np.quantile(scores, self.contamination))
        return offset


def _is_plausible(share, wanted, n_clips):
    """Whether a share of clips is near the wanted one, as far as the number of clips can tell."""
    chance = 3 * np.sqrt(wanted * (1 - wanted) / n_clips)  # three standard deviations
    return abs(share - wanted) <= max(chance, 0.9 * wanted)


def _doubt_zeros_and_ones(X, y):
    """Warn where labels look like those of a classifier, in which 1 often means what -1 says here."""
    labels = X["label"] if y is None and isinstance(X, Clips) and "label" in X else y
    if labels is None or not np.array_equal(np.unique(np.asarray(labels)), [0, 1]):
        return
    name, taken = ("label", "unknown and normal clips") if y is None else ("y", "two classes of normal clips")
    warnings.warn(f"{name} holds 0 and 1 only: taken as {taken}, which all train. If 1 means anomalous, give "
                  f"np.where({name} == 1, -1, 1).", stacklevel=4)  # fmt: skip


def _text(X, field, n_clips):
    if isinstance(X, Clips) and field in X:
        return X[field]
    return np.full(n_clips, "")


def _named(section):
    return f"section {str(section)!r}" if section else "the one unnamed section"


def _rows(windows, rows):
    """The windows of these clips as one (n, d) array, copied only where some clips are left out."""
    return _flatten(windows if rows.all() else windows[rows])


def _by_clip(scores, n_windows):
    """Scores (n_rows,) or (n_rows, n_scores) as (n_clips, n_windows, n_scores)."""
    return scores.reshape(len(scores) // n_windows, n_windows, -1)


def _of_clips(scores):
    return scores.mean(axis=1).max(axis=1)


def _flatten(windows):
    return windows.reshape(-1, windows.shape[-1])
