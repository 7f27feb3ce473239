"""A system trained with several seeds: mean and standard deviation, and whether it differs from another one."""

from functools import partial
from importlib.util import find_spec
from numbers import Integral
from pathlib import Path

import numpy as np
from sklearn.base import clone
from sklearn.utils import check_random_state

from skasd._docstrings import documented
from skasd.evaluation._evaluation import Evaluation, format_figure
from skasd.evaluation._figures import OFFICIAL, Figure, machine_figures
from skasd.evaluation._report import frame_of, html_summary, load_pandas, markdown_report, tables_of

_KNOWN = ("path", "section", "domain", "label", "recording")  # what clips are known by
_TERMS = ("AUC", "pAUC")


class _OverSeeds:
    """Figures with mean, standard deviation and interval; those of the parts are in ``_means``, the last of all."""

    shown = "mean ± standard deviation over the seeds, with 95 % intervals over seeds and test clips"
    shared = None
    runs = {}  # those of each seed are in its evaluation

    @property
    def official_score(self):
        """Official score over all machines, a `Figure`.

        Raises ValueError if a machine has failed with a seed or has no labels.
        """
        lacking = self.lacking()
        if lacking:
            raise ValueError(f"There is no official score of {len(self.machines)} machines with every seed: {lacking}. "
                             "Look at figures for those of the others.")  # fmt: skip
        return self._means[-1]

    def to_frame(self):
        """All results as a pandas DataFrame, one row each.

        Returns
        -------
        frame : pandas.DataFrame
            The columns of `Evaluation.to_frame`, without time and memory: ``value`` is the mean over the seeds, ``std``
            the standard deviation.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        return frame_of(load_pandas(f"{type(self).__name__}.to_frame"), self, self._means)

    def tables(self):
        """The tables of the reports as pandas DataFrames, which pandas can write in many formats, such as ``to_latex``.

        Returns
        -------
        tables : dict of str to pandas.DataFrame
            ``"Official score"`` and ``"Sections"``; the cells are text in percent: mean ± standard deviation, and the
            interval.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        return tables_of(self, f"{type(self).__name__}.tables")

    def to_markdown(self):
        """The tables in Markdown.

        Returns
        -------
        text : str

        Raises
        ------
        ImportError
            If pandas or tabulate is not installed.
        """
        return markdown_report(self)

    def __repr__(self):
        lacking = self.lacking()
        score = f"no official score ({lacking})" if lacking else f"official score {format_figure(self.official_score)}"
        return f"{type(self).__name__} of {self.name} on {', '.join(self.machines)}, {self.n_seeds} seeds: {score}"

    def _repr_html_(self):
        return html_summary(self) if find_spec("pandas") else None  # notebooks then show the text


@documented
class RepeatedEvaluation(_OverSeeds):
    """How a system did with several seeds: what `evaluate` returns if it is given ``seeds``.

    Parameters
    ----------
    evaluations : dict of int to Evaluation
        The evaluation for each seed, at least two, of the same test clips by the same rules.

    name : str
        Name of the system in tables.

    {resamples}

    Attributes
    ----------
    machines : list of str
        All machines, including those that failed.

    rules : Rules
        The rules of the year.

    n_seeds : int
        Number of seeds.

    shared : str or None
        Name of the step that is shared by all machines with each seed.

    figures : list of Figure
        Mean of each metric over the seeds, its standard deviation ``std`` over the seeds, and its 95 % interval over
        seeds and test clips, for machines that have results with every seed. Precision, recall and F1 have no interval.

    failures : dict of str to Failure
        Why there are no results for a machine with a seed.

    Raises
    ------
    ValueError
        If there are fewer than two evaluations, or they have different clips or rules.

    See Also
    --------
    evaluate : Makes one.
    Evaluation : The result with one seed.

    Notes
    -----
    Clips are drawn as in `evaluate`, the same for all seeds, and for each draw of clips ``n_seeds - 1`` seeds with
    replacement, which makes up for the variance that a bootstrap of few values lacks [1]_. Still, few seeds say little
    about how much training varies: five are better than two.

    The standard deviation is that of a sample, with ``n_seeds - 1`` in the denominator.

    References
    ----------
    .. [1] J. N. K. Rao and C. F. J. Wu, "Resampling inference with complex survey data," Journal of the American
       Statistical Association, vol. 83, no. 401, pp. 231-241, 1988.

    Examples
    --------
    >>> import numpy as np
    >>> from skasd.clips import Clips
    >>> from skasd.detectors import GaussianMixtureDetector, MahalanobisDetector
    >>> from skasd.evaluation import evaluate
    >>> embedding = np.random.default_rng(0).normal(size=(100, 2))
    >>> embedding[90:] += 2.0  # anomalies
    >>> clips = Clips(embedding=embedding, split=np.repeat(["train", "test"], 50), label=np.repeat([1, -1], [90, 10]))
    >>> options = {"year": 2020, "random_state": 0, "verbose": 0}
    >>> mixtures = evaluate(GaussianMixtureDetector(4), clips, seeds=(0, 1, 2), **options)
    >>> sorted(mixtures.evaluations)
    [0, 1, 2]
    >>> difference = mixtures.difference(evaluate(MahalanobisDetector(), clips, **options), random_state=0)
    >>> difference.official_score.value < 0  # one Gaussian is better here
    True
    """

    def __init__(self, evaluations, *, name, n_resamples=1000, random_state=None):
        if len(evaluations) < 2:
            raise ValueError(f"A repeated evaluation needs at least two seeds; got {len(evaluations)}.")
        self.evaluations, self.name = evaluations, name
        first, *_ = every = list(evaluations.values())
        self.rules, self.machines, self.n_seeds = first.rules, first.machines, len(every)
        self.shared = first.shared
        self.failures = {f"{machine} with seed {seed}": failure for seed, evaluation in evaluations.items()
                         for machine, failure in evaluation.failures.items()}  # fmt: skip
        self._means = _figures_over_seeds(every, [], n_resamples, random_state)
        self.figures = [figure for figure in self._means if figure.machine]

    def lacking(self):
        """Say which machines have no official score, and with which seeds.

        Returns
        -------
        reasons : str
            ``""`` if all have one.
        """
        lacking = {seed: evaluation.lacking() for seed, evaluation in self.evaluations.items()}
        return "; ".join(f"{reasons} with seed {seed}" for seed, reasons in lacking.items() if reasons)

    @documented
    def difference(self, other, *, n_resamples=1000, random_state=None):
        """By how much this system is better than another one on the same test clips.

        The evaluations are compared seed by seed, and with the same draws of clips for both systems, so that what both
        have in common does not widen the interval.

        Parameters
        ----------
        other : RepeatedEvaluation or Evaluation
            That of the other system, with the same seeds; or one for all seeds, if that system has no randomness.

        {resamples}

        Returns
        -------
        difference : Difference
            Positive if this system is better.

        Raises
        ------
        ValueError
            If rules, machines, test clips or seeds are not the same.

        TypeError
            If ``other`` is not an evaluation.
        """
        return Difference(self, other, n_resamples=n_resamples, random_state=random_state)


@documented
class Difference(_OverSeeds):
    """By how much one system is better than another one: what `RepeatedEvaluation.difference` returns.

    Parameters
    ----------
    one : RepeatedEvaluation
        That of the system that is better if values are positive.

    other : RepeatedEvaluation or Evaluation
        That of the other system, with the same seeds; or one for all seeds.

    {resamples}

    Attributes
    ----------
    name : str
        The names of both systems.

    machines : list of str
        All machines.

    rules : Rules
        The rules of the year.

    n_seeds : int
        Number of seeds.

    figures : list of Figure
        Mean difference over the seeds of each AUC, partial AUC and official score, between -1 and 1, the standard
        deviation ``std`` of the differences over the seeds, and the 95 % interval over seeds and test clips. If an
        interval excludes 0, the systems differ.

    failures : dict of str to Failure
        Why there are no results for a machine with a seed.

    Raises
    ------
    ValueError
        If rules, machines, test clips or seeds are not the same.

    TypeError
        If ``other`` is not an evaluation.

    See Also
    --------
    RepeatedEvaluation : Has the same for one system, and says how clips and seeds are drawn.

    Notes
    -----
    Of many numbers, some differ by chance: with 95 % intervals, one in twenty if the systems are equally good. Choose
    the number that decides, such as the official score, before you look.

    Examples
    --------
    >>> import numpy as np
    >>> from skasd.clips import Clips
    >>> from skasd.detectors import GaussianMixtureDetector, MahalanobisDetector
    >>> from skasd.evaluation import evaluate
    >>> embedding = np.random.default_rng(0).normal(size=(100, 2))
    >>> embedding[90:] += 2.0  # anomalies
    >>> clips = Clips(embedding=embedding, split=np.repeat(["train", "test"], 50), label=np.repeat([1, -1], [90, 10]))
    >>> options = {"year": 2020, "random_state": 0, "verbose": 0}
    >>> mixtures = evaluate(GaussianMixtureDetector(4), clips, seeds=(0, 1, 2), **options)
    >>> difference = mixtures.difference(evaluate(MahalanobisDetector(), clips, **options), random_state=0)
    >>> [figure.metric for figure in difference.figures], difference.figures[0].value < 0
    (['AUC', 'pAUC', 'precision', 'recall', 'F1', 'official score'], True)
    """

    def __init__(self, one, other, *, n_resamples=1000, random_state=None):
        every, others = list(one.evaluations.values()), _partners(one, other)
        self.name = f"{one.name} less {other.name}"
        self.machines, self.rules, self.n_seeds = one.machines, one.rules, one.n_seeds
        self.failures = other.failures | one.failures
        self._lacking = list(dict.fromkeys(part.lacking() for part in (one, other)))
        self._means = _figures_over_seeds(every, others, n_resamples, random_state)
        self.figures = [figure for figure in self._means if figure.machine]

    def lacking(self):
        """Say which machines have no official score, and with which seeds.

        Returns
        -------
        reasons : str
            ``""`` if all have one.
        """
        return "; ".join(filter(None, self._lacking))


def evaluate_seeds(evaluate, *, system, seeds, results, random_state, n_resamples, name, **options):
    """The evaluation with each seed, all with the same draws of clips, brought together."""
    if isinstance(random_state, np.random.RandomState):
        random_state = random_state.randint(2**31 - 1)
    resampling = {"n_resamples": n_resamples, "random_state": random_state, "name": name}
    evaluations = {}
    for seed in _distinct(seeds):
        folder = None if results is None else Path(results) / f"seed_{seed}"
        evaluations[seed] = evaluate(_seeded(system, seed), results=folder, **resampling, **options)
    return RepeatedEvaluation(evaluations, **resampling)


def _distinct(seeds):
    seeds = list(seeds)
    whole = all(isinstance(seed, Integral) and not isinstance(seed, bool) and 0 <= seed < 2**32 for seed in seeds)
    if not whole or len(set(seeds)) < max(2, len(seeds)):
        raise ValueError("seeds must be at least two different whole numbers from 0 to 2**32 - 1, such as (0, 1, 2); "
                         f"got {seeds!r}.")  # fmt: skip
    return [int(seed) for seed in seeds]


def _seeded(system, seed):
    """A clone in which each ``random_state`` is the seed; of a function, one whose systems are such clones."""
    if not hasattr(system, "fit"):
        return partial(_make_seeded, system, seed)
    if not _random_states(system):
        raise ValueError(f"seeds need a system that has randomness; no part of {system!r} has a parameter "
                         "random_state. Evaluate it without seeds: each training gives the same.")  # fmt: skip
    return clone(system).set_params(**dict.fromkeys(_random_states(system), seed))


def _make_seeded(make, seed, machine):
    """The system for a machine with its seed; one without randomness may be among the others."""
    system = make(machine)
    return _seeded(system, seed) if hasattr(system, "get_params") and _random_states(system) else system


def _random_states(system):
    return [name for name in system.get_params() if name.split("__")[-1] == "random_state"]


def _partners(one, other):
    """The other system's evaluation for each seed."""
    if isinstance(other, Evaluation):
        return [other] * one.n_seeds
    if not isinstance(other, RepeatedEvaluation):
        raise TypeError(f"other must be what evaluate returns; got {type(other).__name__}.")
    if set(other.evaluations) != set(one.evaluations):
        raise ValueError(f"Systems are compared seed by seed; {one.name} has the seeds {list(one.evaluations)}, "
                         f"{other.name} has {list(other.evaluations)}. Evaluate both with the same seeds.")  # fmt: skip
    return [other.evaluations[seed] for seed in one.evaluations]


def _figures_over_seeds(evaluations, others, n_resamples, random_state):
    """Mean, standard deviation and interval of all figures, or of their differences from those of the others."""
    for evaluation in [*evaluations, *others]:
        _check_same(evaluations[0], evaluation)
    state = check_random_state(random_state).randint(2**31 - 1)
    drawn = {id(each): _drawn(each, n_resamples, state) for each in [*evaluations, *others]}  # by one, of all seeds
    every = [drawn[id(evaluation)] for evaluation in evaluations]
    if others:
        pairs = zip(every, (drawn[id(other)] for other in others), strict=True)
        every = [{key: one[key] - other[key] for key in one if key in other} for one, other in pairs]
    n_seeds, lowest = len(every), -1.0 if others else 0.0
    weights = np.random.RandomState(state).multinomial(n_seeds - 1, np.full(n_seeds, 1 / n_seeds), size=n_resamples)
    common = [key for key in every[0] if all(key in figures for figures in every)]
    return [Figure(*key, *_over_seeds(np.array([each[key] for each in every]), weights, lowest)) for key in common]


def _over_seeds(figures, weights, lowest):
    """Mean, ends of the interval and standard deviation, of values and their resamples (n_seeds, 1 + n_resamples)."""
    values, resampled = figures[:, 0], figures[:, 1:]
    low = high = np.nan
    if resampled.size:
        # Resamples are moved seed by seed so that their median is the value, as those of one evaluation are.
        moved = resampled + (values - np.median(resampled, axis=1))[:, np.newaxis]
        means = (weights * moved.T).sum(axis=1) / (len(values) - 1)
        low, high = np.clip(np.quantile(means, [0.025, 0.975]), lowest, 1.0).tolist()
    return float(values.mean()), low, high, float(values.std(ddof=1))


def _drawn(evaluation, n_resamples, state):
    """The value of each figure with its resamples (1 + n_resamples,); NaN for figures that have none.

    The draws of clips follow from their labels, domains and recordings, so that those of the same clips are the same.
    """
    resampled, terms = {}, []
    for machine, clips in evaluation.judged().items():
        rng = np.random.RandomState([state, sorted(evaluation.machines).index(machine)])
        figures, drawn = machine_figures(clips, evaluation.rules, n_resamples, rng)
        counted = [figure[:4] for figure in figures if figure.metric in _TERMS]
        resampled |= dict(zip(counted, drawn.T, strict=True))
        resampled[(machine, "", "", OFFICIAL)] = evaluation.rules.merge([drawn])
        terms.append(drawn)
    values = {figure[:4]: figure.value for figure in evaluation.figures}
    if not evaluation.lacking():
        resampled[("", "", "", OFFICIAL)] = evaluation.rules.merge(terms)
        values[("", "", "", OFFICIAL)] = evaluation.official_score.value
    none = np.full(n_resamples, np.nan)
    return {key: np.r_[value, resampled.get(key, none)] for key, value in values.items()}


def _check_same(one, other):
    """Make sure that both evaluations count the same clips by the same rules."""
    if other.rules != one.rules or set(other.machines) != set(one.machines):
        raise ValueError(f"Evaluations that are compared need the same rules and machines; got {one.rules} on "
                         f"{', '.join(one.machines)}, and {other.rules} on {', '.join(other.machines)}.")  # fmt: skip
    for machine in one.clips.keys() & other.clips.keys():
        differing = _differing(one.clips[machine], other.clips[machine])
        if differing:
            raise ValueError(f"Evaluations that are compared need the same test clips in the same order; those of "
                             f"{machine} differ in {differing}.")  # fmt: skip


def _differing(clips, others):
    """The first field in which two evaluations' clips differ, or ``""``."""
    if len(clips) != len(others):
        return f"their number, {len(clips)} and {len(others)}"
    names = [name for name in _KNOWN if name in clips and name in others]
    return next((name for name in names if _values(clips, name) != _values(others, name)), "")


def _values(clips, name):
    values = clips[name].tolist()
    return [Path(path).name for path in values] if name == "path" else values  # whatever folder they were read from
