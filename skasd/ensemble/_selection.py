"""Which of several systems is best for each machine."""

from collections.abc import Mapping
from functools import partial
from numbers import Integral, Real

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.model_selection import cross_val_score

from skasd._html import table_of
from skasd._problems import named_errors
from skasd._sklearn import check_params
from skasd.clips import Clips


class SystemSelection:
    """The system that was chosen for each machine, and what the others reached: what `select_systems` returns.

    Called with the name of a machine, it returns the unfitted system for it, so that `skasd.evaluation.evaluate`
    accepts a selection like a system.

    Parameters
    ----------
    systems : mapping of str to (estimator or callable)
        The candidates.

    scores : dict of str to dict of str to float
        For each machine, what each candidate reached; higher = better.

    Attributes
    ----------
    best : dict of str to str
        For each machine, the name of the best candidate; the first, if several are equally good.

    Raises
    ------
    ValueError
        If a machine has no scores, or one that is not finite or belongs to none of the candidates.

    See Also
    --------
    select_systems : Makes it.

    Examples
    --------
    >>> from skasd.detectors import CosineCenterDetector, MahalanobisDetector
    >>> from skasd.ensemble import SystemSelection
    >>> systems = {"cosine": CosineCenterDetector(), "mahalanobis": MahalanobisDetector()}
    >>> selection = SystemSelection(systems, {"fan": {"cosine": 0.61, "mahalanobis": 0.68}})
    >>> selection
    Best system of each machine
      fan  mahalanobis 0.6800  (cosine 0.6100)
    >>> selection("fan")
    MahalanobisDetector()
    """

    def __init__(self, systems, scores):
        _check_scores(systems, scores)
        self.systems = systems
        self.scores = scores
        self.best = {machine: max(reached, key=reached.get) for machine, reached in scores.items()}

    def __call__(self, machine):
        if machine not in self.best:
            raise ValueError(f"No system was chosen for the machine {machine!r}, only for {', '.join(self.best)}. "
                             "Give select_systems development clips of it.")  # fmt: skip
        return _system_for(self.systems[self.best[machine]], machine)

    def __repr__(self):
        width = max(map(len, self.best), default=0)
        lines = [f"  {machine:<{width}}  {self._describe(machine)}" for machine in self.best]
        return "\n".join(["Best system of each machine", *lines])

    def _repr_html_(self):
        names = list(self.systems)
        rows = [("machine", "best", *names)]
        for machine, reached in self.scores.items():
            scores = [f"{reached[name]:.4f}" if name in reached else "" for name in names]
            rows.append((machine, self.best[machine], *scores))
        return table_of("Best system", "of each machine", rows)

    def _describe(self, machine):
        reached = [f"{name} {score:.4f}" for name, score in sorted(self.scores[machine].items(), key=lambda s: -s[1])]
        return f"{reached[0]}  ({', '.join(reached[1:]) or 'no other'})"


@check_params(
    systems=[Mapping], clips=[Clips], scorer=[callable], cv=["cv_object"], labels=[str, None], n_jobs=[Integral, None]
)
def select_systems(systems, clips, *, scorer, cv, labels="label", n_jobs=None):
    """Choose one of several systems for each machine, on labelled development clips, or without labels.

    The choice has seen the labels of these clips, so what the chosen systems reach on them says nothing about other
    clips. With ``labels=None`` and a scorer that makes its own anomalies, such as `skasd.metrics.PseudoAnomalyScorer`,
    all clips are taken to be normal and no label is used.

    Parameters
    ----------
    systems : mapping of str to (estimator or callable)
        The candidates by name: unfitted estimators, or functions that return one for the name of a machine.

    clips : Clips
        Development clips, with the field ``machine``, that of the labels, and what systems, scorer and splitter need.

    scorer : callable
        Called as ``scorer(estimator, X, y)``, higher = better, such as `skasd.metrics.official_scorer`.

    cv : int, splitter or iterable
        Which clips are used for training and which for scoring, such as `skasd.model_selection.DevelopmentSplit()`. If
        there are several splits, the mean counts.

    labels : str or None, default="label"
        Field with the labels. None: all clips are normal, and the field ``label`` is hidden from systems and scorer.

    n_jobs : int, default=None
        Number of systems and machines that are tried in parallel; see joblib.

    Returns
    -------
    selection : SystemSelection
        With the chosen name of each machine in ``best`` and what every candidate reached in ``scores``.

    Raises
    ------
    ValueError
        If there are no systems or no clips, if a field is missing, or if the scorer gives something that is not finite.
        An error of a system is passed on: no candidate is dropped silently.

    See Also
    --------
    ScoreEnsemble : Combines systems instead, and needs no labels.

    Notes
    -----
    Put a system without training among the candidates, such as `skasd.systems.statistics_ensemble`: a network pays if a
    machine has several sections or attributes that sound different, and rarely otherwise.

    Examples
    --------
    >>> import numpy as np
    >>> from skasd.clips import Clips
    >>> from skasd.detectors import CosineCenterDetector, MahalanobisDetector
    >>> from skasd.ensemble import select_systems
    >>> from skasd.metrics import auc_scorer
    >>> from skasd.model_selection import DevelopmentSplit
    >>> embedding = np.random.default_rng(0).normal([9.0, 0.0], size=(40, 2))
    >>> embedding[30:] *= 2  # anomalies are far out, in the same direction
    >>> clips = Clips(embedding=embedding, label=np.repeat([1, -1], [30, 10]), machine=["fan"] * 40,
    ...               split=np.repeat(["train", "test"], 20))
    >>> systems = {"cosine": CosineCenterDetector(), "mahalanobis": MahalanobisDetector()}
    >>> select_systems(systems, clips, scorer=auc_scorer, cv=DevelopmentSplit()).best
    {'fan': 'mahalanobis'}
    """
    needed = ["machine"] if labels is None else ["machine", labels]
    if not systems or not len(clips) or not set(needed) <= set(clips):
        raise ValueError("select_systems needs at least one system, and clips with the fields "
                         f"{' and '.join(map(repr, needed))}; got {len(systems)} systems and {len(clips)} clips with "
                         f"{', '.join(clips)}.")  # fmt: skip
    if labels is None and "label" in clips:
        clips = clips.without("label")
    candidates = [(machine, name) for machine in np.unique(clips["machine"]).tolist() for name in systems]
    reached = Parallel(n_jobs=n_jobs)(
        delayed(_try_system)(
            _system_for(systems[name], machine),
            clips[clips["machine"] == machine],
            labels,
            scorer,
            cv,
            f"{name} on {machine}",
        )
        for machine, name in candidates
    )
    scores = {}
    for (machine, name), score in zip(candidates, reached, strict=True):
        scores.setdefault(machine, {})[name] = score
    return SystemSelection(dict(systems), scores)


def _check_scores(systems, scores):
    """Refuse scores of which none is the best."""
    for machine, reached in scores.items():
        wrong = {name: score for name, score in reached.items() if name not in systems or not np.isfinite(score)}
        if wrong or not reached:
            raise ValueError(f"Each machine needs finite scores of {', '.join(systems) or 'systems'}; the machine "
                             f"{machine!r} has {wrong or 'none'}.")  # fmt: skip


def _try_system(system, clips, labels, scorer, cv, name):
    y = None if labels is None else clips[labels]
    with named_errors(name):
        scores = cross_val_score(system, clips, y, scoring=partial(_score, scorer), cv=cv, error_score="raise")
        return float(scores.mean())


def _score(scorer, system, X, y=None):
    score = scorer(system, X, y)
    if not isinstance(score, (Real, np.ndarray)) or np.ndim(score) or not np.isfinite(score):
        raise ValueError(f"The scorer gave {score!r}; a choice needs finite numbers, higher = better.")
    return float(score)


def _system_for(system, machine):
    return clone(system) if hasattr(system, "fit") else system(machine)
