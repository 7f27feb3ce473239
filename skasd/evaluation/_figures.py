"""From scores to figures: what a year's rules count of each section, with intervals.

The intervals of all figures of an evaluation come from one set of resamples, so that those of a machine and of the
whole follow from those of the sections.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.stats import hmean
from sklearn.metrics import precision_recall_fscore_support

from skasd._reading import recording_numbers
from skasd.metrics import BootstrapInterval, official_score, pauc_score
from skasd.metrics._bootstrap import resampling_units
from skasd.metrics._scores import kinds_of

OFFICIAL = "official score"
_DOMAINS = ("source", "target")
_LEVELS = (0.025, 0.975)


class Figure(NamedTuple):
    """One figure of an evaluation.

    Parameters
    ----------
    machine : str
        The machine; ``""`` for all of them.

    section : str
        The section; ``""`` for all of a machine.

    domain : str
        ``"source"`` or ``"target"``; ``""`` for both.

    metric : str
        ``"AUC"``, ``"pAUC"``, ``"precision"``, ``"recall"``, ``"F1"`` or ``"official score"``.

    value : float
        Between 0 and 1.

    low : float, default=np.nan
        Lower end of its 95 % interval; NaN where there is none.

    high : float, default=np.nan
        Upper end of its 95 % interval; NaN where there is none.

    See Also
    --------
    Evaluation : Has all figures in ``figures``.

    Examples
    --------
    >>> from skasd.evaluation import Figure
    >>> figure = Figure("fan", "00", "source", "AUC", 0.81, low=0.74, high=0.87)
    >>> f"{figure.machine} {figure.section}: {figure.value:.0%}"
    'fan 00: 81%'
    """

    machine: str
    section: str
    domain: str
    metric: str
    value: float
    low: float = np.nan
    high: float = np.nan


@dataclass(frozen=True)
class Rules:
    """What a year of the challenge counts, see `skasd.metrics.official_score`.

    Parameters
    ----------
    year : int
        Year of the challenge, 2020 to 2025.

    protocol : {"official", "domain-only"}, default="official"
        For 2022 and later, see `skasd.metrics.domain_scores`.

    max_fpr : float, default=0.1
        Highest false positive rate that counts for the partial AUC, in (0, 1].

    Raises
    ------
    ValueError
        If the rule of that year has no such ``protocol``.

    See Also
    --------
    evaluate : Takes the same parameters.

    Examples
    --------
    >>> from skasd.evaluation import Rules
    >>> rules = Rules(2022, protocol="domain-only")
    >>> rules.has_domains
    True
    """

    year: int
    protocol: str = "official"
    max_fpr: float = 0.1

    def __post_init__(self):
        if self.year < 2022 and self.protocol != "official":
            raise ValueError(f"protocol={self.protocol!r} is a variant of the rules of 2022 to 2025; the rule of "
                             f"{self.year} has no such variant.")  # fmt: skip

    @property
    def has_domains(self):
        """Whether source and target domain count by themselves."""
        return self.year > 2020

    def terms(self, y_true, domain):
        """Domain, metric, rows and highest false positive rate of each figure that counts of a section.

        Parameters
        ----------
        y_true : ndarray of shape (n_clips,)
            1 for anomalous, 0 for normal clips of the section.

        domain : ndarray of shape (n_clips,)
            Domain of each clip.

        Returns
        -------
        terms : list of (str, str, ndarray of bool, float) tuples
        """
        both = np.ones(len(y_true), dtype=bool)
        if not self.has_domains:
            return [("", "AUC", both, 1.0), ("", "pAUC", both, self.max_fpr)]
        parts = [(name, domain == name) for name in _DOMAINS]
        if self.year == 2021:
            metrics = [("AUC", 1.0), ("pAUC", self.max_fpr)]
            return [(name, metric, rows, max_fpr) for name, rows in parts for metric, max_fpr in metrics]
        anomalous = (y_true == 1) & (self.protocol == "official")
        return [(name, "AUC", rows | anomalous, 1.0) for name, rows in parts] + [("", "pAUC", both, self.max_fpr)]

    def score(self, clips):
        """Official score of clips with anomaly scores.

        Parameters
        ----------
        clips : Clips
            With the fields ``label``, ``anomaly_score``, ``machine``, ``section`` and ``domain``.

        Returns
        -------
        score : float
            Between 0 and 1, higher = better.
        """
        y_true = is_anomalous(clips)
        fields = ["machine", "section", *(["domain"] if self.has_domains else [])]
        return official_score(
            y_true,
            clips["anomaly_score"],
            **{name: clips[name] for name in fields},
            year=self.year,
            protocol=self.protocol,
            max_fpr=self.max_fpr,
        )

    def merge(self, machines):
        """Official score of every resample, from each machine's terms.

        Parameters
        ----------
        machines : list of ndarray of shape (n_resamples, n_terms)
            The terms of each machine.

        Returns
        -------
        scores : ndarray of shape (n_resamples,)
        """
        if self.year == 2020:
            return np.mean([terms.mean(axis=1) for terms in machines], axis=0)
        return hmean(np.maximum(np.hstack(machines), np.finfo(float).eps), axis=1)


def is_anomalous(clips):
    """1 for anomalous, 0 for normal clips: the labels that metrics take."""
    return (clips["label"] == -1).astype(int)


def machine_figures(clips, rules, n_resamples, rng):
    """The figures of one machine's scored clips, and its resampled terms (n_resamples, n_terms)."""
    figures, terms = [], []
    machine = str(clips["machine"][0])
    for section in np.unique(clips["section"]).tolist():
        part = clips[clips["section"] == section]
        values, resampled = _section_figures(part, rules, n_resamples, rng)
        figures += [Figure(machine, section, *value) for value in values]
        terms.append(resampled)
    terms = np.hstack(terms)
    total = Figure(machine, "", "", OFFICIAL, *_score_with_ends(clips, rules, [terms]))
    return [*figures, total], terms


def total_interval(clips, rules, terms):
    """The official score of all machines, with its interval."""
    return BootstrapInterval(*_score_with_ends(clips, rules, terms))


def _score_with_ends(clips, rules, terms):
    """Official score and the ends of its interval, moved so that the median of the resamples is the score.

    Resamples add noise to that of the clips, and noise lowers a harmonic mean: with few clips most resamples lie below
    the score, as that one lies below what more clips would give.
    """
    value, resampled = rules.score(clips), rules.merge(terms)
    if not len(resampled):
        return value, np.nan, np.nan
    low, high = np.clip(np.quantile(resampled, _LEVELS) + value - np.median(resampled), 0, 1).tolist()
    return value, low, high


def _section_figures(clips, rules, n_resamples, rng):
    y_true, y_score = is_anomalous(clips), clips["anomaly_score"]
    multiplicity = _resample(clips, n_resamples, rng)
    figures, resampled = [], []
    for domain, metric, rows, max_fpr in rules.terms(y_true, clips["domain"]):
        value = _pauc_of(y_true[rows], y_score[rows], max_fpr, clips, domain)
        resampled.append(resampled_pauc(y_true[rows], y_score[rows], multiplicity[:, rows], max_fpr))
        figures.append((domain, metric, value, *_ends(resampled[-1])))
    if "decision" in clips:
        figures += _decision_figures(y_true, clips, rules)
    return figures, np.column_stack(resampled)


def _pauc_of(y_true, y_score, max_fpr, clips, domain):
    try:
        return pauc_score(y_true, y_score, max_fpr=max_fpr)
    except ValueError as error:
        where = f"{clips['machine'][0]}, section {clips['section'][0]}" + (f", domain {domain}" if domain else "")
        raise ValueError(f"{where}: {error}") from error


def _decision_figures(y_true, clips, rules):
    """Precision, recall and F1, in each domain by itself, as the organisers' evaluators have them."""
    for domain in _DOMAINS if rules.has_domains else ("",):
        rows = (clips["domain"] == domain) | (domain == "")
        values = precision_recall_fscore_support(
            y_true[rows], clips["decision"][rows], average="binary", zero_division=0.0
        )
        for metric, value in zip(("precision", "recall", "F1"), values[:3], strict=True):
            yield domain, metric, float(value)


def _resample(clips, n_resamples, rng):
    """How often each clip is in each resample (n_resamples, n_clips).

    Recordings, or clips where these are not known, are drawn among those with the same labels and domains.
    """
    kinds, _ = kinds_of(len(clips), is_anomalous(clips), clips["domain"])
    unit, stratum = resampling_units(kinds, recording_numbers(clips, len(clips)))
    multiplicity = np.empty((n_resamples, len(stratum)))
    for number in range(stratum.max() + 1):
        units = np.flatnonzero(stratum == number)
        drawn = rng.multinomial(len(units), np.full(len(units), 1 / len(units)), size=n_resamples)
        # How far a kind varies of which there is one cannot be told.
        multiplicity[:, units] = drawn if len(units) > 1 else np.nan
    return multiplicity[:, unit]


def resampled_pauc(y_true, y_score, multiplicity, max_fpr):
    """Standardised partial AUC of many resamples at once.

    The value for each row of ``multiplicity`` (n_resamples, n_clips) is `pauc_score` of clips repeated so many times.
    """
    ranks = np.unique(-y_score, return_inverse=True)[1]
    order = np.argsort(ranks, kind="stable")
    last = np.append(np.diff(ranks[order]) != 0, True)  # of each group of equal scores
    tpr, fpr = (_rates(multiplicity[:, order] * (y_true[order] == label), last) for label in (1, 0))
    left, right = np.minimum(fpr[:, :-1], max_fpr), np.minimum(fpr[:, 1:], max_fpr)
    rise = np.diff(tpr) / np.maximum(np.diff(fpr), np.finfo(float).tiny)
    area = ((right - left) * (tpr[:, :-1] + rise * (right - left) / 2)).sum(axis=1)
    lowest = max_fpr**2 / 2
    return (1 + (area - lowest) / (max_fpr - lowest)) / 2


def _rates(counts, last):
    counts = np.cumsum(counts, axis=1)[:, last]
    return np.hstack([np.zeros((len(counts), 1)), counts / counts[:, -1:]])


def _ends(resampled):
    if not len(resampled):
        return np.nan, np.nan
    return tuple(np.quantile(resampled, _LEVELS).tolist())
