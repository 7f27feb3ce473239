"""One score from those of several systems."""

import warnings
from numbers import Integral, Real

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.model_selection import PredefinedSplit
from sklearn.utils import Bunch
from sklearn.utils.validation import check_is_fitted

from skasd._problems import named, named_errors
from skasd._reading import detector_rows, read_text
from skasd._sklearn import BaseComposition, Interval, StrOptions, VisualBlock, fit_context, num_samples
from skasd._versions import VersionsMixin
from skasd.clips import Clips
from skasd.detectors import ThresholdMixin, score_held_out
from skasd.ensemble._training_units import training_units

_ROUNDING = 1e-12  # what is less in scores near one, such as cosines, is rounding


class ScoreEnsemble(VersionsMixin, ThresholdMixin, BaseComposition):
    """Score clips with several systems at once.

    Every member learns from the same clips. Their scores, which may be distances, log-likelihoods or log-odds, are
    brought to one scale and combined: in each section, the median of a member's training scores is subtracted, and the
    result is divided by their interquartile range. Training scores, including those for the threshold, come from
    members that have not learned from the clip, from others of its recording, or from a copy of it.

    Parameters
    ----------
    estimators : list of (str, estimator) tuples
        The members and their names: detectors, or pipelines that end in one, with ``score_samples`` (higher = more
        normal). `get_params` and `set_params` reach their parameters as ``name__parameter``, and a whole member as
        ``name``.

    combine : {"mean", "min"}, default="mean"
        ``"mean"`` averages the members; ``"min"`` trusts the one that finds the clip most unusual, which suits members
        that are good at different kinds of fault.

    weights : array-like of shape (n_members,), default=None
        How much each member counts in the mean, not negative. None gives all the same weight.

    cv : int, default=5
        Number of parts into which the training clips are divided for their scores, at least 2, and no more than there
        are recordings: each part is scored by members that learned from the others. Each member is fitted that many
        more times. Clips of one recording (the field ``recording``) are in one part, and so are duplicates.

    contamination : float, default=0.1
        Share of normal clips that may raise an alarm, in (0, 0.5): the false-alarm rate on new clips, on average.
        scikit-learn's parameter of this name is something else: the share of outliers in the training data. Duplicates
        count once.

    n_jobs : int, default=None
        Number of members that are fitted, or score, in parallel; see joblib.

    Attributes
    ----------
    estimators_ : list of estimators
        The fitted members.

    named_estimators_ : Bunch
        The fitted members by name.

    center_ : dict of str to ndarray of shape (n_members,)
        For each section (``""`` if there are none) the median of the members' training scores.

    scale_ : dict of str to ndarray of shape (n_members,)
        For each section the interquartile range of the members' training scores.

    offset_ : float
        Threshold on `score_samples`.

    n_features_in_ : int
        That of the first member, if it has one.

    feature_names_in_ : ndarray of shape (n_features_in_,)
        That of the first member, if it has one.

    See Also
    --------
    select_systems : Chooses one system for each machine instead.

    Notes
    -----
    Median and interquartile range are used because training scores have a long tail: a single odd clip to which a flow
    gives a log-likelihood of -1e6 would dominate mean and standard deviation, and its member would hardly count. For
    the same reason, the few clips of the target domain do not distort them. Ranks among the training scores would be
    robust too, but beyond the last training clip, where anomalies are, they are all equal. Each section has its own
    scale, because the members have a model for each; domains do not, because they are unknown at scoring. The minimum
    of scores standardised by their training clips is proposed in [1]_.

    If members share their first steps, put the ensemble after those steps, so that they run only once:
    ``make_pipeline(LogMelSpectrogram(), StatisticsEmbedder(), ScoreEnsemble([...]))``.

    References
    ----------
    .. [1] J. Zhou and M. Wang, "Scoring backends matter more than pooling: a systematic study of training-free
       anomalous sound detection under domain shift", arXiv:2606.19269, 2026.

    Examples
    --------
    >>> import numpy as np
    >>> from skasd.detectors import GaussianMixtureDetector, NearestNeighborsDetector
    >>> from skasd.ensemble import ScoreEnsemble
    >>> members = [("density", GaussianMixtureDetector(random_state=0)), ("distance", NearestNeighborsDetector())]
    >>> ensemble = ScoreEnsemble(members).set_params(distance__metric="euclidean")
    >>> ensemble.fit(np.random.default_rng(0).normal(size=(200, 2))).predict([[0.0, 0.0], [8.0, 8.0]])
    array([ 1, -1])
    """

    _parameter_constraints: dict = {
        "estimators": [list],
        "combine": [StrOptions({"mean", "min"})],
        "weights": ["array-like", None],
        "cv": [Interval(Integral, 2, None, closed="left")],
        "contamination": [Interval(Real, 0, 0.5, closed="neither")],
        "n_jobs": [Integral, None],
    }

    def __init__(self, estimators, *, combine="mean", weights=None, cv=5, contamination=0.1, n_jobs=None):
        self.estimators = estimators
        self.combine = combine
        self.weights = weights
        self.cv = cv
        self.contamination = contamination
        self.n_jobs = n_jobs

    def get_params(self, deep=True):
        """Parameters of the ensemble and of its members.

        Parameters
        ----------
        deep : bool, default=True
            Whether to give those of nested estimators, as ``name__parameter``.

        Returns
        -------
        params : dict of str to object
        """
        return self._get_params("estimators", deep)

    def set_params(self, **params):
        """Set parameters of the ensemble or of its members; a name alone replaces a member.

        Parameters
        ----------
        **params : dict
            As `get_params` names them.

        Returns
        -------
        self : object
            This estimator.
        """
        return self._set_params("estimators", **params)

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y=None):
        """Fit the members, and learn the scale of their scores.

        Parameters
        ----------
        X : Clips or array-like of shape (n_clips, ...)
            What the members take.

        y : array-like of shape (n_clips,), default=None
            Rows where it is -1 (anomalous) are left out. Without it the field ``label`` says so, if there is one.

        Returns
        -------
        self : ScoreEnsemble

        Raises
        ------
        ValueError
            If names or weights do not fit, if a section has only one normal clip (or recording), if `y` calls clips
            anomalous in words or holds bools, if a member's score is not finite, or if a member gives so many training
            clips of a section the same score that there is no scale.

        Warns
        -----
        UserWarning
            If all labels are 0 or 1, so that both are used for training although 1 may mean anomalous; if there are too
            few recordings for such a low `contamination`.
        """
        self._check_members()
        rows = np.flatnonzero(detector_rows(X, y))
        if len(rows) < num_samples(X):
            X, y = _take(X, rows), None if y is None else np.asarray(y)[rows]
        units = training_units(X, len(rows), self.cv)
        fits = (delayed(_fit_member)(name, member, X, y) for name, member in self.estimators)
        self.estimators_ = Parallel(n_jobs=self.n_jobs)(fits)
        names = [name for name, _ in self.estimators]
        self.named_estimators_ = Bunch(**dict(zip(names, self.estimators_, strict=True)))
        for attribute in ("n_features_in_", "feature_names_in_"):
            if hasattr(self.estimators_[0], attribute):
                setattr(self, attribute, getattr(self.estimators_[0], attribute))
        scores = self._cross_score_members(X, y, units.part)
        self._check_scores(scores, rows)
        scores, sections = scores[units.once], units.section[units.once]
        self._learn_scale(scores, sections)
        merged, number = self._merge(scores, sections), np.unique(sections, return_inverse=True)[1]
        self.offset_ = score_held_out(merged, units.group[units.once], number, self.contamination, "quantile")
        return self

    def score_samples(self, X):
        """Say how normal each clip is: higher = more normal.

        Parameters
        ----------
        X : Clips or array-like of shape (n_clips, ...)
            What the members take.

        Returns
        -------
        scores : ndarray of shape (n_clips,)
            The members' scores on one scale, combined; higher = more normal. 0 is an ordinary training clip.

        Raises
        ------
        ValueError
            If a clip belongs to a section that `fit` has not seen, or if a member's score is not finite.
        """
        check_is_fitted(self)
        jobs = (delayed(_score)(name, member, X) for name, member in self.named_estimators_.items())
        scores = np.column_stack(Parallel(n_jobs=self.n_jobs)(jobs))
        self._check_scores(scores, range(len(scores)))
        return self._merge(scores, read_text(X, "section", len(scores)))

    def _sk_visual_block_(self):
        """The members side by side, in scikit-learn's drawings of pipelines."""
        names, members = zip(*self._pairs(), strict=True)
        return VisualBlock("parallel", members, names=names)

    def _pairs(self):
        """The members with their names; none as long as `estimators` is something else than a list of pairs."""
        pairs = self.estimators if isinstance(self.estimators, list) else []
        return pairs if all(isinstance(pair, tuple) and len(pair) == 2 for pair in pairs) else []

    def _check_members(self):
        names = [name for name, _ in self._pairs()]
        own = super().get_params(deep=False)
        wrong = [name for name in names if not isinstance(name, str) or "__" in name or name in own]
        if not names or wrong or len(set(names)) < len(names):
            raise ValueError(
                "estimators must be (name, estimator) pairs, with names that differ from each other and from the "
                f"parameters {', '.join(own)}, and are without '__'; got the names {names}."
            )
        if self.weights is None:
            return
        if self.combine == "min":
            raise ValueError("weights belong to combine='mean'; a minimum has none. Leave one of the two out.")
        try:
            weights = np.asarray(self.weights)
        except ValueError:  # rows of several lengths
            weights = np.array("")
        weights = weights.astype(float) if weights.dtype.kind in "biuf" else np.array(np.nan)
        if weights.shape != (len(names),) or not (np.isfinite(weights) & (weights >= 0)).all() or not weights.any():
            raise ValueError(f"weights must be {len(names)} numbers, one for each of {', '.join(names)}, none of them "
                             f"negative and not all 0; got {self.weights}.")  # fmt: skip

    def _cross_score_members(self, X, y, part):
        """Scores (n_clips, n_members) by members that have not learned from clips of the same part."""
        jobs = [(column, *rows) for rows in PredefinedSplit(part).split() for column in range(len(self.estimators))]
        parts = Parallel(n_jobs=self.n_jobs)(
            delayed(_fit_and_score)(*self.estimators[column], X, y, train, test) for column, train, test in jobs
        )
        scores = np.empty((len(part), len(self.estimators)))
        for (column, _, test), own in zip(jobs, parts, strict=True):
            scores[test, column] = own
        return scores

    def _check_scores(self, scores, rows):
        """Refuse scores (n_clips, n_members) that are not finite, by the numbers that the clips have in X."""
        wrong = np.argwhere(~np.isfinite(scores))
        if len(wrong):
            row, column = wrong[0]
            raise ValueError(f"The member {self.estimators[column][0]!r} gives clip {rows[row]} the score "
                             f"{scores[row, column]}, and {len(np.unique(wrong[:, 0]))} of {len(scores)} clips have "
                             "scores that are not finite. Leave these clips out, or that member.")  # fmt: skip

    def _learn_scale(self, scores, sections):
        self.center_, self.scale_ = {}, {}
        for section in np.unique(sections).tolist():
            low, middle, high = np.quantile(scores[sections == section], [0.25, 0.5, 0.75], axis=0)
            flat = high - low <= _ROUNDING * np.maximum(1, np.maximum(np.abs(low), np.abs(high)))
            if flat.any():
                name = self.estimators[np.argmax(flat)][0]
                raise ValueError(f"The member {name!r} gives half of the training clips of {named(section)} one and "
                                 "the same score, so that there is nothing to scale its scores by. Leave it out, or "
                                 "give it clips that differ.")  # fmt: skip
            self.center_[section], self.scale_[section] = middle, high - low

    def _merge(self, scores, sections):
        """Members' scores (n_clips, n_members) to those of the ensemble (n_clips,)."""
        unknown = sorted(set(sections.tolist()) - set(self.center_))
        if unknown:
            raise ValueError(f"No scale for {', '.join(map(named, unknown))}: fit has seen "
                             f"{', '.join(map(named, self.center_))}. Fit with normal clips of that section, or leave "
                             "these clips out.")  # fmt: skip
        scaled = np.empty_like(scores)
        with np.errstate(over="ignore"):
            for section in np.unique(sections).tolist():
                rows = sections == section
                scaled[rows] = (scores[rows] - self.center_[section]) / self.scale_[section]
            merged = scaled.min(axis=1) if self.combine == "min" else np.average(scaled, axis=1, weights=self.weights)
        wrong = np.flatnonzero(~np.isfinite(merged))
        if len(wrong):
            raise ValueError(f"Clip {wrong[0]} cannot be scored in float64: the members give it {scores[wrong[0]]}, "
                             "too far from their training scores. Is it in the same units?")  # fmt: skip
        return merged


def _fit_member(name, member, X, y):
    with named_errors(f"the member {name!r}"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(y|label) holds 0 and 1 only")  # the ensemble has said so, once
        return clone(member).fit(X, y)


def _score(name, member, X):
    with named_errors(f"the member {name!r}"):
        scores = np.asarray(member.score_samples(X), dtype=float)
    if scores.shape != (num_samples(X),):
        raise ValueError(f"The member {name!r} must give one score per clip, shape ({num_samples(X)},); its "
                         f"score_samples gives shape {scores.shape}.")  # fmt: skip
    return scores


def _fit_and_score(name, member, X, y, train, test):
    """Scores of some clips by a member that has learned from the others, whose own threshold nobody reads."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*training clips come from one recording")
            fitted = _fit_member(name, member, _take(X, train), None if y is None else np.asarray(y)[train])
        return _score(name, fitted, _take(X, test))
    except ValueError as error:
        n_clips = len(train) + len(test)
        raise ValueError(f"The member {name!r} fails where it learns from {len(train)} of the {n_clips} training clips "
                         f"and scores the other {len(test)}, as cv deals them out: {error} (There, clips are counted "
                         "among these.) Add normal clips or recordings, raise cv, or leave that member out."
                         ) from error  # fmt: skip


def _take(X, rows):
    if isinstance(X, Clips):
        return X[rows]
    return X.iloc[rows] if hasattr(X, "iloc") else np.asarray(X)[rows]
