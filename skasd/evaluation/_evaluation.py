"""The result of an evaluation."""

from importlib.util import find_spec

import numpy as np
from sklearn.utils import check_random_state

from skasd._docstrings import documented
from skasd.clips import Clips
from skasd.evaluation._figures import OFFICIAL, Figure, machine_figures, official_interval
from skasd.evaluation._report import frame_of, html_report, html_summary, load_pandas, markdown_report, tables_of


@documented
class Evaluation:
    """How a system did on each machine: what `evaluate` and `read_submission` return.

    Parameters
    ----------
    clips : dict of str to Clips
        For each machine its test clips, with ``section``, ``domain``, ``label``, ``anomaly_score`` (higher = more
        anomalous), ``decision`` (1 = alarm) if decisions are known, and ``path`` if there is one.

    name : str
        Name of the system in tables.

    rules : Rules
        The rules of the year.

    runs : dict of str to MachineRun, default=None
        For each machine that was trained here, threshold, times and memory.

    failures : dict of str to Failure, default=None
        Why there are no results for a machine.

    shared : str, default=None
        Name of the step that is the same for all machines, see `evaluate`.

    {resamples}

    Attributes
    ----------
    machines : list of str
        All machines, including those that failed.

    figures : list of Figure
        Value and 95 % interval of each metric, by machine, section and domain, and of each machine's official score;
        precision, recall and F1 if there are decisions.

    Raises
    ------
    ValueError
        If there are no machines, if one has no clips, or if a metric cannot be computed.

    See Also
    --------
    evaluate : Makes one.
    read_submission : Makes one from files.

    Examples
    --------
    >>> import numpy as np
    >>> from skasd.clips import Clips
    >>> from skasd.detectors import MahalanobisDetector
    >>> from skasd.evaluation import evaluate
    >>> embedding = np.random.default_rng(0).normal(size=(100, 2))
    >>> embedding[90:] += 4.0  # anomalies
    >>> clips = Clips(embedding=embedding, split=np.repeat(["train", "test"], 50), label=np.repeat([1, -1], [90, 10]))
    >>> evaluation = evaluate(MahalanobisDetector(), {"fan": clips}, year=2020, n_resamples=0, verbose=0)
    >>> evaluation.figures[0]
    Figure(machine='fan', section='', domain='', metric='AUC', value=1.0, low=nan, high=nan, std=nan)
    >>> evaluation.clips["fan"]["decision"].sum()
    np.int64(13)
    """

    shown = "with 95 % intervals over test clips"

    def __init__(
        self, clips, *, name, rules, runs=None, failures=None, shared=None, n_resamples=1000, random_state=None
    ):
        self.clips = clips
        self.name = name
        self.rules = rules
        self.runs = runs or {}
        self.failures = failures or {}
        self.shared = shared
        self.machines = [*clips, *self.failures]
        empty = [machine for machine, part in clips.items() if not len(part)]
        if empty or not self.machines:
            raise ValueError(f"An evaluation needs machines, each with clips; {', '.join(empty) or 'all'} have none.")
        self.figures, self._terms = [], []
        rng = check_random_state(random_state)
        for part in self.judged().values():
            figures, terms = machine_figures(part, rules, n_resamples, rng)
            self.figures += figures
            self._terms.append(terms)

    @property
    def official_score(self):
        """Official score over all machines, a `BootstrapInterval`.

        Raises ValueError if a machine has failed or has no labels: the score of the others would be something else.
        """
        lacking = self.lacking()
        if lacking:
            raise ValueError(f"There is no official score of {len(self.machines)} machines: {lacking}. Look at figures "
                             "for those of the others, or evaluate these machines alone.")  # fmt: skip
        fields = ("machine", "section", "domain", "label", "anomaly_score")
        first, *others = (Clips({name: part[name] for name in fields}) for part in self.clips.values())
        return official_interval(sum(others, first), self.rules, self._terms)

    def judged(self):
        """The clips of the machines whose labels are known.

        Returns
        -------
        clips : dict of str to Clips
        """
        return {machine: part for machine, part in self.clips.items() if (part["label"] != 0).all()}

    def lacking(self):
        """Say which machines have no official score.

        Returns
        -------
        reasons : str
            ``""`` if all have one.
        """
        lacking = [machine for machine in self.machines if machine not in self.judged()]
        return ", ".join(f"{machine} {'has no labels' if machine in self.clips else 'failed'}" for machine in lacking)

    def to_frame(self):
        """All results as a pandas DataFrame, one row each.

        Returns
        -------
        frame : pandas.DataFrame
            With the columns ``system``, ``machine`` (empty for all machines), ``section``, ``domain``, ``metric``,
            ``value``, ``low``, ``high``, ``std`` (empty, since it needs several seeds) and ``error``, which says why a
            machine that failed has no results. Besides metrics between 0 and 1 there are ``training clips``, ``test
            clips``, ``fit seconds``, ``score seconds``, ``clips scored per second``, ``peak memory MiB`` and ``peak GPU
            memory MiB``.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        pandas = load_pandas("Evaluation.to_frame")
        costs = [(machine, *cost) for machine, run in self.runs.items() for cost in run.costs().items()]
        figures = [*self.figures, *(Figure(machine, "", "", metric, value) for machine, metric, value in costs)]
        if not self.lacking():
            figures.append(Figure("", "", "", OFFICIAL, *self.official_score))
        return frame_of(pandas, self, figures)

    def tables(self):
        """The tables of the reports as pandas DataFrames, which pandas can write in many formats, such as ``to_latex``.

        Returns
        -------
        tables : dict of str to pandas.DataFrame
            ``"Official score"``, ``"Sections"`` and ``"Time and memory"``, if there is something to show; the cells are
            text, in percent with intervals. For numbers see `to_frame`.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        return tables_of(self, "Evaluation.tables")

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

    def to_html(self):
        """A page with the tables, and for each section the scores and the ROC curve.

        Returns
        -------
        page : str
            A whole HTML page, pictures included; ``Path("report.html").write_text(page, encoding="utf-8")`` saves it.

        Raises
        ------
        ImportError
            If pandas or matplotlib is not installed.
        """
        return html_report(self)

    def __repr__(self):
        lacking = self.lacking()
        score = f"no official score ({lacking})" if lacking else f"official score {format_figure(self.official_score)}"
        shared = f", {self.shared} shared by all" if self.shared else ""
        return f"Evaluation of {self.name} on {', '.join(self.machines)}{shared}: {score}"

    def _repr_html_(self):
        return html_summary(self) if find_spec("pandas") else None  # notebooks then show the text


def format_figure(figure):
    """A figure with what is known of how far it varies, as text."""
    std = "" if np.isnan(getattr(figure, "std", np.nan)) else f" ± {figure.std:.4f}"
    interval = "" if np.isnan(figure.low) else f" [{figure.low:.4f}, {figure.high:.4f}]"
    return f"{figure.value:.4f}{std}{interval}"
