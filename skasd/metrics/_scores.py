"""Metrics on labels and scores, and the checks of their input."""

from numbers import Integral, Real
from typing import NamedTuple

import numpy as np
from scipy.stats import hmean
from sklearn.metrics import roc_auc_score

from skasd._fields import as_field
from skasd._sklearn import Interval, Options, StrOptions, validate_params

_PROTOCOL = StrOptions({"official", "domain-only"})
_MAX_FPR = Interval(Real, 0, 1, closed="right")


class DomainScores(NamedTuple):
    """What one section reaches, each between 0 and 1: a record of `domain_scores`.

    Parameters
    ----------
    section : str
        Name of the section.

    auc_source : float
        AUC with the normal clips of the source domain.

    auc_target : float
        AUC with the normal clips of the target domain.

    pauc : float
        Partial AUC over all clips of the section.

    See Also
    --------
    domain_scores : Makes them.

    Examples
    --------
    >>> from skasd.metrics import DomainScores
    >>> scores = DomainScores("00", auc_source=0.8, auc_target=0.6, pauc=0.55)
    >>> scores.auc_target
    0.6
    """

    section: str
    auc_source: float
    auc_target: float
    pauc: float


def auc_score(y_true, y_score, *, section=None, machine=None):
    """Area under the ROC curve: how often an anomalous clip scores higher than a normal one.

    Parameters
    ----------
    y_true : array-like of shape (n_clips,)
        1 for anomalous, 0 for normal clips.

    y_score : array-like of shape (n_clips,)
        Anomaly scores, higher = more anomalous.

    section : array-like of shape (n_clips,), default=None
        Section of each clip. If given, the result is the harmonic mean of the sections' values.

    machine : array-like of shape (n_clips,), default=None
        Machine of each clip. If given, sections of one name of several machines are several sections.

    Returns
    -------
    auc : float
        Between 0 and 1; 0.5 is chance.

    Raises
    ------
    ValueError
        If there are no clips, if a section lacks normal or anomalous clips, a score is no finite number, lengths
        differ, ``y_true`` has other values than 0 and 1, or the name of a section or machine is missing.

    Examples
    --------
    >>> from skasd.metrics import auc_score
    >>> auc_score([0, 0, 1, 1], [0.1, 0.4, 0.3, 0.9])
    0.75
    """
    return pauc_score(y_true, y_score, section=section, machine=machine, max_fpr=1.0)


@validate_params({"max_fpr": [_MAX_FPR]}, prefer_skip_nested_validation=True)
def pauc_score(y_true, y_score, *, section=None, machine=None, max_fpr=0.1):
    """Area under the part of the ROC curve with few false alarms, standardised so that chance is 0.5.

    Parameters
    ----------
    y_true : array-like of shape (n_clips,)
        1 for anomalous, 0 for normal clips.

    y_score : array-like of shape (n_clips,)
        Anomaly scores, higher = more anomalous.

    section : array-like of shape (n_clips,), default=None
        Section of each clip. If given, the result is the harmonic mean of the sections' values.

    machine : array-like of shape (n_clips,), default=None
        Machine of each clip. If given, sections of one name of several machines are several sections.

    max_fpr : float, default=0.1
        Highest false positive rate that counts, in (0, 1].

    Returns
    -------
    pauc : float
        McClish's standardised partial AUC, as `sklearn.metrics.roc_auc_score` gives it.

    Raises
    ------
    ValueError
        As in `auc_score`.

    Examples
    --------
    >>> from skasd.metrics import pauc_score
    >>> round(pauc_score([0, 0, 1, 1], [0.1, 0.4, 0.3, 0.9], max_fpr=0.5), 4)
    0.6667
    """
    y_true, y_score, fields = check_clips(y_true, y_score, machine=machine, section=section)
    parts = _parts(len(y_true), *fields.values())
    return _harmonic_mean([_roc_auc(y_true[rows], y_score[rows], max_fpr, name) for name, rows in parts])


@validate_params({"protocol": [_PROTOCOL], "max_fpr": [_MAX_FPR]}, prefer_skip_nested_validation=True)
def domain_scores(y_true, y_score, domain, *, section=None, protocol="official", max_fpr=0.1):
    """AUC per domain and partial AUC of each section, as DCASE Task 2 counts them since 2022.

    Parameters
    ----------
    y_true : array-like of shape (n_clips,)
        1 for anomalous, 0 for normal clips.

    y_score : array-like of shape (n_clips,)
        Anomaly scores, higher = more anomalous.

    domain : array-like of shape (n_clips,)
        ``"source"`` or ``"target"`` for each clip.

    section : array-like of shape (n_clips,), default=None
        Section of each clip. Without it all clips are one section, named ``""``.

    protocol : {"official", "domain-only"}, default="official"
        Against which anomalies the normal clips of a domain are ranked: ``"official"`` takes all anomalies of the
        section, as the challenge does, ``"domain-only"`` those of the same domain, as some papers do. Figures of the
        two cannot be compared. The partial AUC is over all clips of the section in both.

    max_fpr : float, default=0.1
        Highest false positive rate that counts for the partial AUC, in (0, 1].

    Returns
    -------
    scores : list of DomainScores
        One record per section, sorted by name.

    Raises
    ------
    ValueError
        If a section lacks normal clips of a domain or anomalous clips, if a domain has another name, and as in
        `auc_score`.

    References
    ----------
    .. [1] K. Dohi et al., "Description and Discussion on DCASE 2022 Challenge Task 2", arXiv:2206.05876, 2022.

    Examples
    --------
    >>> from skasd.metrics import domain_scores
    >>> y_true, y_score = [0, 0, 1, 1], [0.1, 0.4, 0.3, 0.9]
    >>> domain_scores(y_true, y_score, ["source", "target", "source", "target"], max_fpr=1.0)
    [DomainScores(section='', auc_source=1.0, auc_target=0.5, pauc=0.75)]
    """
    if domain is None:
        raise ValueError("domain_scores needs domain, 'source' or 'target' for each clip; got None.")
    y_true, y_score, fields = check_clips(y_true, y_score, section=section, domain=domain)
    domain = fields.pop("domain")
    return _domain_records(y_true, y_score, domain, list(fields.values()), protocol, max_fpr)


@validate_params(
    {"year": [Options(Integral, set(range(2020, 2026)))], "protocol": [_PROTOCOL], "max_fpr": [_MAX_FPR]},
    prefer_skip_nested_validation=True,
)
def official_score(
    y_true, y_score, *, section=None, domain=None, machine=None, year=2022, protocol="official", max_fpr=0.1
):
    """The one number by which DCASE Task 2 compares systems, by the rules of its year.

    ========= =================================================================================================
    year      rule
    ========= =================================================================================================
    2020      arithmetic mean of AUC and partial AUC over a machine's sections (there called ids), then over the
              machines; the challenge itself went on to rank the teams per machine
    2021      harmonic mean of AUC and partial AUC of each domain by itself, over sections and machines
    2022-2025 harmonic mean of the three figures of `domain_scores`, over sections and machines
    ========= =================================================================================================

    Every term of a harmonic mean counts as at least the machine epsilon, as in the organisers' evaluators: one section
    whose ranking is turned round completely takes the score to nearly 0.

    Parameters
    ----------
    y_true : array-like of shape (n_clips,)
        1 for anomalous, 0 for normal clips.

    y_score : array-like of shape (n_clips,)
        Anomaly scores, higher = more anomalous.

    section : array-like of shape (n_clips,), default=None
        Section of each clip; without it a machine is one section, as in 2023 to 2025.

    domain : array-like of shape (n_clips,), default=None
        ``"source"`` or ``"target"`` for each clip. Needed for all years but 2020.

    machine : array-like of shape (n_clips,), default=None
        Machine of each clip, needed where clips of several machines come together.

    year : int, default=2022
        Year of the challenge whose rule is used, 2020 to 2025.

    protocol : {"official", "domain-only"}, default="official"
        For 2022 and later, see `domain_scores`.

    max_fpr : float, default=0.1
        Highest false positive rate that counts for the partial AUC, in (0, 1].

    Returns
    -------
    score : float
        Between 0 and 1.

    Raises
    ------
    ValueError
        If ``domain`` is missing, if ``protocol="domain-only"`` is asked for a year before 2022, and as in
        `domain_scores`.

    References
    ----------
    .. [1] Y. Koizumi et al., "Description and Discussion on DCASE2020 Challenge Task2", arXiv:2006.05822, 2020.
    .. [2] Y. Kawaguchi et al., "Description and Discussion on DCASE 2021 Challenge Task 2", arXiv:2106.04492, 2021.
    .. [3] K. Dohi et al., "Description and Discussion on DCASE 2022 Challenge Task 2", arXiv:2206.05876, 2022.
    .. [4] T. Nishida et al., "Description and Discussion on DCASE 2025 Challenge Task 2", arXiv:2506.10097, 2025.

    Examples
    --------
    >>> from skasd.metrics import official_score
    >>> y_true, y_score = [0, 0, 1, 1], [0.1, 0.4, 0.3, 0.9]
    >>> round(official_score(y_true, y_score, domain=["source", "target", "source", "target"], year=2025), 4)
    0.6885
    """
    if year < 2022 and protocol != "official":
        raise ValueError(
            f"protocol={protocol!r} is a variant of the rules of 2022 to 2025; the rule of {year} has no such "
            "variant. Leave protocol out, or choose a year from 2022 on."
        )
    if year > 2020 and domain is None:
        raise ValueError(f"The official score of {year} needs domain, 'source' or 'target' for each clip.")
    y_true, y_score, fields = check_clips(y_true, y_score, machine=machine, section=section, domain=domain)
    domain, columns = fields.pop("domain", None), list(fields.values())
    if year == 2020:
        machines = _parts(len(y_true), *columns[: machine is not None])
        means = [
            np.mean(_both(y_true[rows], y_score[rows], [column[rows] for column in columns], max_fpr))
            for _, rows in machines
        ]
        return float(np.mean(means))
    if year == 2021:
        return _harmonic_mean(_both(y_true, y_score, [*columns, domain], max_fpr))
    records = _domain_records(y_true, y_score, domain, columns, protocol, max_fpr)
    return _harmonic_mean([value for record in records for value in record[1:]])


def _domain_records(y_true, y_score, domain, columns, protocol, max_fpr):
    records = []
    for name, rows in _parts(len(y_true), *columns):
        aucs = []
        for part in ("source", "target"):
            anomalous = (y_true[rows] == 1) & (protocol == "official")
            chosen = rows[(domain[rows] == part) | anomalous]
            aucs.append(_roc_auc(y_true[chosen], y_score[chosen], 1.0, name, part))
        records.append(DomainScores(name, *aucs, _roc_auc(y_true[rows], y_score[rows], max_fpr, name)))
    return records


def check_clips(y_true, y_score, **fields):
    """Checked arrays of labels and scores, and of those fields that are given, as text."""
    y_true, y_score = _as_numbers("y_true", y_true), _as_numbers("y_score", y_score).astype(float)
    fields = {name: as_field(name, values) for name, values in fields.items() if values is not None}
    shapes = {name: values.shape for name, values in {"y_true": y_true, "y_score": y_score, **fields}.items()}
    if y_true.ndim != 1 or len(set(shapes.values())) > 1:
        raise ValueError(f"One value per clip is wanted, in one-dimensional arrays of one length; got shapes {shapes}.")
    if not len(y_true):
        raise ValueError("There are no clips: y_true and y_score are empty, and nothing can be measured. Look at how "
                         "the clips were chosen.")  # fmt: skip
    if not np.isin(y_true, (0, 1)).all():
        raise ValueError(
            f"y_true must hold 1 (anomalous) and 0 (normal); got {np.unique(y_true)[:5].tolist()}. From labels with -1 "
            "for anomalous and +1 for normal clips, make it by y_true = (label == -1).astype(int)."
        )
    wrong = np.flatnonzero(~np.isfinite(y_score))
    if wrong.size:
        raise ValueError(f"y_score must be finite; {wrong.size} of {len(y_score)} scores are NaN or infinite, the "
                         f"first in row {wrong[0]}. Find out why these clips have no score.")  # fmt: skip
    unknown = np.setdiff1d(fields.get("domain", []), ["source", "target"]).tolist()
    if unknown:
        raise ValueError(f"domain must be 'source' or 'target' for each clip; got also {unknown[:5]}. "
                         "Leave out clips whose domain is unknown.")  # fmt: skip
    return y_true.astype(int), y_score, fields


def _as_numbers(name, values):
    """Numbers and bools as an array; text that reads like numbers, None and rows of several lengths are refused."""
    try:
        array = np.asarray(values)
        if array.dtype == object and all(isinstance(value, Real) for value in array.flat):
            array = array.astype(float)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{name} must hold one number per clip, in an array; got {type(values).__name__}: {error}.") \
            from error  # fmt: skip
    if array.dtype.kind not in "biuf" or np.ma.is_masked(values):
        found = "masked values" if np.ma.is_masked(values) else f"values of dtype {array.dtype}"
        raise ValueError(f"{name} must hold one number per clip; got {found}.")
    return array


def kinds_of(n_clips, *columns):
    """The number of each clip's combination of values (n_clips,), and these combinations in order, as tuples.

    Combinations are never told by joined names: 'a b' with 'c' is another one than 'a' with 'b c'.
    """
    if not columns:
        return np.zeros(n_clips, dtype=int), [()]
    codes = np.column_stack([np.unique(column, return_inverse=True)[1] for column in columns])
    _, first, numbers = np.unique(codes, axis=0, return_index=True, return_inverse=True)
    return numbers.reshape(-1), [tuple(column[row].item() for column in columns) for row in first]


def _parts(n_clips, *columns):
    """The name, for messages, and the rows of each combination of values."""
    numbers, kinds = kinds_of(n_clips, *columns)
    return [(" ".join(kind), np.flatnonzero(numbers == number)) for number, kind in enumerate(kinds)]


def _both(y_true, y_score, columns, max_fpr):
    return [
        _roc_auc(y_true[rows], y_score[rows], fpr, name)
        for name, rows in _parts(len(y_true), *columns)
        for fpr in (1.0, max_fpr)
    ]


def _roc_auc(y_true, y_score, max_fpr, section, domain=None):
    n_anomalous = int(y_true.sum())
    n_normal = len(y_true) - n_anomalous
    if not n_normal or not n_anomalous:
        where = (f"Section {section!r}" if section else "What was given") + (f", domain {domain!r}," if domain else "")
        raise ValueError(
            f"{where} has {n_normal} normal and {n_anomalous} anomalous clips: an AUC needs both. "
            "Add clips of the missing kind, or leave this section out."
        )
    ranks = np.unique(y_score, return_inverse=True)[1]  # differences of scores may overflow
    return float(roc_auc_score(y_true, ranks, max_fpr=max_fpr))


def _harmonic_mean(values):
    if len(values) == 1:  # 1 / (1 / x) may differ from x in the last digit
        return values[0]
    return float(hmean(np.maximum(values, np.finfo(float).eps)))
