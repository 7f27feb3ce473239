"""From scores to results: the metrics of each section by the rules of a year, with intervals.

The intervals of all figures of an evaluation come from one set of resamples, so that those of a machine and of the
whole follow from those of the sections.
"""

from typing import NamedTuple

import numpy as np
from sklearn.metrics import precision_recall_fscore_support

from skasd import metrics
from skasd._reading import recording_numbers

OFFICIAL = "official score"


class Figure(NamedTuple):
    """One result of an evaluation: a metric with its interval.

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
        Between 0 and 1; between -1 and 1 if it is a difference.

    low : float, default=np.nan
        Lower end of its 95 % interval; NaN if there is none.

    high : float, default=np.nan
        Upper end of its 95 % interval; NaN if there is none.

    std : float, default=np.nan
        Standard deviation over the seeds, if ``value`` is the mean over several; else NaN.

    See Also
    --------
    Evaluation : Has all of them in ``figures``.

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
    std: float = np.nan


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
    total = Figure(machine, "", "", OFFICIAL, *official_interval(clips, rules, [terms]))
    return [*figures, total], terms


def official_interval(clips, rules, terms):
    """Official score of the clips of some machines, with the interval that their resampled terms give."""
    fields = {name: clips[name] for name in ("machine", "section", "domain") if name != "domain" or rules.has_domains}
    value = metrics.official_score(is_anomalous(clips), clips["anomaly_score"], **fields, **vars(rules))
    return metrics.interval_of(value, rules.merge(terms))


def _section_figures(clips, rules, n_resamples, rng):
    y_true, y_score = is_anomalous(clips), clips["anomaly_score"]
    counts = _resample(clips, n_resamples, rng)
    figures, resampled = [], []
    for domain, metric, rows, max_fpr in rules.terms(y_true, clips["domain"]):
        value = _pauc_of(y_true[rows], y_score[rows], max_fpr, clips, domain)
        resampled.append(metrics.resampled_pauc(y_true[rows], y_score[rows], counts[:, rows], max_fpr))
        figures.append((domain, metric, *metrics.interval_of(value, resampled[-1])))
    if "decision" in clips:
        figures += _decision_figures(y_true, clips, rules)
    return figures, np.column_stack(resampled)


def _resample(clips, n_resamples, rng):
    """How often each clip is in each resample; clips or recordings are drawn among their like in label and domain."""
    kinds, _ = metrics.kinds_of(len(clips), is_anomalous(clips), clips["domain"])
    return metrics.draw_counts(*metrics.resampling_units(kinds, recording_numbers(clips, len(clips))), n_resamples, rng)


def _pauc_of(y_true, y_score, max_fpr, clips, domain):
    try:
        return metrics.pauc_score(y_true, y_score, max_fpr=max_fpr)
    except ValueError as error:
        where = f"{clips['machine'][0]}, section {clips['section'][0]}" + (f", domain {domain}" if domain else "")
        raise ValueError(f"{where}: {error}") from error


def _decision_figures(y_true, clips, rules):
    """Precision, recall and F1, in each domain by itself, as the organisers' evaluators have them."""
    for domain in ("source", "target") if rules.has_domains else ("",):
        rows = (clips["domain"] == domain) | (domain == "")
        decision = clips["decision"][rows]
        values = precision_recall_fscore_support(y_true[rows], decision, average="binary", zero_division=0.0)[:3]
        for metric, value in zip(("precision", "recall", "F1"), values, strict=True):
            yield domain, metric, float(value)
