"""The official scores of the years of DCASE Task 2."""

from dataclasses import dataclass
from numbers import Integral
from typing import NamedTuple

import numpy as np
from scipy.stats import hmean

from skasd._docstrings import documented
from skasd._sklearn import Options, StrOptions, check_params
from skasd.metrics._scores import MAX_FPR, check_clips, parts_of, roc_auc

YEAR = Options(Integral, set(range(2020, 2027)))
PROTOCOL = StrOptions({"official", "domain-only"})


@documented
@dataclass(frozen=True)
class Rules:
    """The rules of a year of the challenge, see `official_score`.

    Parameters
    ----------
    year : int
        Year of the challenge, 2020 to 2026.

    {rule}

    Raises
    ------
    ValueError
        If the rules of that year have no such ``protocol``.

    See Also
    --------
    skasd.evaluation.evaluate : Takes the same parameters.

    Examples
    --------
    >>> from skasd.metrics import Rules
    >>> rules = Rules(2022, protocol="domain-only")
    >>> rules.has_domains
    True
    """

    year: int
    protocol: str = "official"
    max_fpr: float = 0.1

    def __post_init__(self):
        if self.year < 2022 and self.protocol != "official":
            raise ValueError(f"protocol={self.protocol!r} is a variant of the rules of 2022 to 2026; the rule of "
                             f"{self.year} has no such variant. Leave protocol out, or choose a year from 2022 on."
                             )  # fmt: skip

    @property
    def years(self):
        """The years that have this rule, in words."""
        return str(self.year) if self.year < 2022 else "2022 to 2026"

    @property
    def has_domains(self):
        """Whether source and target domain count separately."""
        return self.year > 2020

    def terms(self, y_true, domain):
        """The terms of a section that count.

        Parameters
        ----------
        y_true : ndarray of shape (n_clips,)
            1 for anomalous, 0 for normal clips of the section.

        domain : ndarray of shape (n_clips,)
            Domain of each clip.

        Returns
        -------
        terms : list of (str, str, ndarray of bool, float) tuples
            Domain, metric, rows and highest false positive rate of each.
        """
        both = np.ones(len(y_true), dtype=bool)
        if not self.has_domains:
            return [("", "AUC", both, 1.0), ("", "pAUC", both, self.max_fpr)]
        parts = [(name, domain == name) for name in ("source", "target")]
        if self.year == 2021:
            metrics = [("AUC", 1.0), ("pAUC", self.max_fpr)]
            return [(name, metric, rows, max_fpr) for name, rows in parts for metric, max_fpr in metrics]
        anomalous = (y_true == 1) & (self.protocol == "official")
        aucs = [(name, "AUC", rows | anomalous, 1.0) for name, rows in parts]
        return [*aucs, ("", "pAUC", both, self.max_fpr)]

    def merge(self, machines):
        """Official scores from the terms of all sections of each machine.

        Parameters
        ----------
        machines : list of array-like of shape (n_scores, n_terms)
            The values of each machine's terms, such as those of many resamples.

        Returns
        -------
        scores : ndarray of shape (n_scores,)
        """
        if self.year == 2020:
            return np.mean([np.mean(terms, axis=1) for terms in machines], axis=0)
        return hmean(np.maximum(np.hstack(machines), np.finfo(float).eps), axis=1)

    def _values(self, y_true, y_score, domain, section):
        terms = self.terms(y_true, domain)
        return [roc_auc(y_true[rows], y_score[rows], max_fpr, section, name) for name, _, rows, max_fpr in terms]


class DomainScores(NamedTuple):
    """The results of one section, each between 0 and 1: a record of `domain_scores`.

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


@check_params(protocol=[PROTOCOL], max_fpr=[MAX_FPR])
@documented
def domain_scores(y_true, y_score, domain, *, section=None, protocol="official", max_fpr=0.1):
    """AUC per domain and partial AUC of each section, as in DCASE Task 2 since 2022.

    Parameters
    ----------
    {truth}

    domain : array-like of shape (n_clips,)
        ``"source"`` or ``"target"`` for each clip.

    section : array-like of shape (n_clips,), default=None
        Section of each clip. Without it all clips are one section, named ``""``.

    protocol : {"official", "domain-only"}, default="official"
        Against which anomalies the normal clips of a domain are ranked: ``"official"`` takes all anomalies of the
        section, as the challenge does, ``"domain-only"`` only those of the same domain, as some papers do. Results of
        the two cannot be compared. The partial AUC is over all clips of the section in both.

    {max_fpr}

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
    domain, rules = fields.pop("domain"), Rules(2022, protocol, max_fpr)
    parts = [(" ".join(kind), rows) for kind, rows in parts_of(len(y_true), *fields.values())]
    return [DomainScores(name, *rules._values(y_true[rows], y_score[rows], domain[rows], name)) for name, rows in parts]


@check_params(year=[YEAR], protocol=[PROTOCOL], max_fpr=[MAX_FPR])
@documented
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
    2022-2026 harmonic mean of the three figures of `domain_scores`, over sections and machines
    ========= =================================================================================================

    Every term of a harmonic mean counts as at least the machine epsilon, as in the organisers' evaluators: one section
    whose ranking is completely reversed takes the score to nearly 0.

    Parameters
    ----------
    {truth}

    section : array-like of shape (n_clips,), default=None
        Section of each clip; without it a machine is one section, as in 2023 to 2026.

    domain : array-like of shape (n_clips,), default=None
        ``"source"`` or ``"target"`` for each clip. Needed for all years but 2020.

    machine : array-like of shape (n_clips,), default=None
        Machine of each clip, needed if there are clips of several machines.

    year : int, default=2022
        Year of the challenge whose rules are used, 2020 to 2026.

    {rule}

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
    rules = Rules(year, protocol, max_fpr)
    if rules.has_domains and domain is None:
        raise ValueError(f"The official score of {year} needs domain, 'source' or 'target' for each clip.")
    y_true, y_score, fields = check_clips(y_true, y_score, machine=machine, section=section, domain=domain)
    domain = fields.pop("domain", np.full(len(y_true), ""))
    terms = {}
    for kind, rows in parts_of(len(y_true), *fields.values()):
        values = rules._values(y_true[rows], y_score[rows], domain[rows], " ".join(kind))
        terms.setdefault(kind[: machine is not None], []).extend(values)
    return float(rules.merge([[values] for values in terms.values()])[0])
