"""The tables and plots of an evaluation, in Markdown and HTML."""

import base64
from html import escape
from io import BytesIO
from typing import NamedTuple

import numpy as np

from skasd import plotting
from skasd._problems import encodable
from skasd.evaluation._figures import OFFICIAL, is_anomalous
from skasd.evaluation._published import N_CLIPS, SOURCES

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 92em; margin: 2em auto; padding: 0 1em; color: #222; }
table { font-size: 13px; border-collapse: collapse; display: block; overflow-x: auto; }
th, td { padding: .25em .6em; border-bottom: 1px solid #ddd; text-align: right; white-space: nowrap; }
td { font-variant-numeric: tabular-nums; }
.label { text-align: left; }
tr.ours { background: #e8f1f8; font-weight: 600; }
p.note { color: #555; }
img { max-width: 100%; }
"""
_SUMMARY_STYLE = """
.skasd-evaluation h2 { font-size: 1.1em; }
.skasd-evaluation table { display: block; overflow-x: auto; border-collapse: collapse; }
.skasd-evaluation th, .skasd-evaluation td { padding: .2em .6em; text-align: right; white-space: nowrap;
  font-variant-numeric: tabular-nums; }
.skasd-evaluation th.label, .skasd-evaluation td.label { text-align: left; }
"""


class Table(NamedTuple):
    """A table with a title and a note; its first columns are labels, its first row may be what all is about."""

    title: str
    header: list
    rows: list
    note: str = ""
    n_labels: int = 2
    first_is_ours: bool = False

    def markdown(self):
        """The table as Markdown."""
        cells = [[" ".join(str(cell).splitlines()).replace("|", "\\|") for cell in row]
                 for row in [self.header, *self.rows]]  # fmt: skip
        if self.first_is_ours:
            cells[1] = [f"**{cell}**" if cell else "" for cell in cells[1]]
        lines = ["| " + " | ".join(row) + " |" for row in cells]
        rule = "|" + "|".join([" --- "] * self.n_labels + [" ---: "] * (len(self.header) - self.n_labels)) + "|"
        return "\n".join([f"## {self.title}", "", lines[0], rule, *lines[1:], *(["", self.note] if self.note else [])])

    def html(self):
        """The table as HTML."""
        head, body = self._html_row(self.header, "th"), [self._html_row(row, "td") for row in self.rows]
        if self.first_is_ours:
            body[0] = body[0].replace("<tr>", "<tr class=ours>", 1)
        note = f"<p class=note>{escape(self.note)}</p>" if self.note else ""
        return "\n".join([f"<h2>{escape(self.title)}</h2>", "<table>", head, *body, "</table>", note])

    def _html_row(self, row, tag):
        labels = (f"<{tag} class=label>{escape(str(cell))}</{tag}>" for cell in row[: self.n_labels])
        # An interval goes below its figure, or the table of seven machines would not fit a screen.
        values = (escape(str(cell)).replace(" [", "<br>[") for cell in row[self.n_labels :])
        cells = [*labels, *(f"<{tag}>{value}</{tag}>" for value in values)]
        return f"<tr>{''.join(cells)}</tr>"


def markdown_report(evaluation, published):
    """The tables as Markdown."""
    parts = [f"# {_title(evaluation)}", *_failed(evaluation)]
    return encodable("\n\n".join([*parts, *(table.markdown() for table in _tables(evaluation, published))]) + "\n")


def html_report(evaluation, published):
    """The tables and plots as one HTML page."""
    title = escape(_title(evaluation))
    parts = [f"<h1>{title}</h1>", *(f"<p><strong>{escape(line)}</strong></p>" for line in _failed(evaluation))]
    parts += [table.html() for table in _tables(evaluation, published)]
    for machine, clips in evaluation.judged().items():
        run = evaluation.runs.get(machine)
        picture = _draw(clips, run.threshold if run else None, evaluation.rules.max_fpr)
        parts.append(f'<h2>{escape(machine)}</h2>\n<img alt="Scores and ROC curves of {escape(machine)}" '
                     f'src="data:image/png;base64,{picture}">')  # fmt: skip
    head = f'<meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
    body = encodable("\n".join(parts))
    return f"<!DOCTYPE html>\n<html lang=en><head>{encodable(head)}</head>\n<body>\n{body}\n</body></html>\n"


def html_summary(evaluation):
    """The tables for a notebook: no pictures, and the colours are those of the page, light or dark."""
    parts = [f"<p><b>{escape(_title(evaluation))}</b></p>", *(f"<p>{escape(line)}</p>" for line in _failed(evaluation))]
    parts += [table.html() for table in _tables(evaluation, published=False)]
    body = encodable("\n".join(parts))
    return f"<div class=skasd-evaluation><style>{_SUMMARY_STYLE}</style>\n{body}\n</div>"


def _title(evaluation):
    return f"{' '.join(evaluation.name.splitlines())}: rules of DCASE {evaluation.rules.year} Task 2"


def _failed(evaluation):
    return [f"{machine} failed: {failure.error}" for machine, failure in evaluation.failures.items()]


def _tables(evaluation, published):
    tables = []
    if evaluation.figures:
        tables = [_official(evaluation, published), _sections(evaluation)]
    return [*tables, _costs(evaluation)] if evaluation.runs else tables


def _official(evaluation, published):
    machines, figures = evaluation.machines, {f.machine: f for f in evaluation.figures if f.metric == OFFICIAL}
    lacking = evaluation.lacking()
    total = f"none: {lacking}" if lacking else _percent(evaluation.official_score)
    rows = [[evaluation.name, "measured here", total, *(_percent(figures.get(machine)) for machine in machines)]]
    note = "In percent, with 95 % intervals over test clips."
    others = evaluation.published() if published else []
    for system in others:
        origin = f"published [{system.source}], {system.subset} set"
        values = [system.total, *(system.machines.get(machine) for machine in machines)]
        rows.append([system.name, origin, *("" if value is None else f"{value:.2f}" for value in values)])
    if others:
        note += f" {_caveat(evaluation)} Sources: "
        note += "; ".join(f"[{key}] {SOURCES[key]}" for key in dict.fromkeys(system.source for system in others)) + "."
    return Table(
        "Official score", ["system", "figures", "all machines", *machines], rows, note, first_is_ours=bool(others)
    )


def _caveat(evaluation):
    """What the published figures are, and whether this run can be of the same recordings."""
    sizes = [np.unique(clips["section"], return_counts=True)[1] for clips in evaluation.clips.values()]
    text = (
        f"The published figures are of the sets of DCASE {evaluation.rules.year} and were not measured here; those of "
        "all machines are of all seven. "
    )
    if (np.concatenate(sizes) == N_CLIPS).all():
        return text + "They compare with this run only if it is of these recordings, not of others with the same names."
    return text + (
        "THIS RUN IS OF OTHER RECORDINGS and does not compare with them: its sections do not all have "
        f"{N_CLIPS} test clips, as theirs."
    )


def _sections(evaluation):
    figures = [figure for figure in evaluation.figures if figure.metric != OFFICIAL]
    columns = list(dict.fromkeys((figure.metric, figure.domain) for figure in figures))
    cells = {(figure.machine, figure.section, figure.metric, figure.domain): figure for figure in figures}
    rows = [
        [machine, section, *(_percent(cells.get((machine, section, *column))) for column in columns)]
        for machine, section in dict.fromkeys((figure.machine, figure.section) for figure in figures)
    ]
    header = ["machine", "section", *(f"{metric} {domain}".strip() for metric, domain in columns)]
    return Table("Sections", header, rows, "In percent, with 95 % intervals over test clips.")


def _costs(evaluation):
    rows = [
        [machine, run.n_train, len(run.anomaly_score), f"{run.fit_seconds:.1f}", f"{run.score_seconds:.1f}",
         f"{len(run.anomaly_score) / max(run.score_seconds, 1e-9):.1f}", f"{run.peak_memory / 2**20:.0f}",
         f"{run.peak_gpu_memory / 2**20:.0f}" if run.peak_gpu_memory else ""]
        for machine, run in evaluation.runs.items()
    ]  # fmt: skip
    header = ["machine", "training clips", "test clips", "training [s]", "scoring [s]", "clips scored a second",
              "peak memory [MiB]", "peak GPU memory [MiB]"]  # fmt: skip
    return Table("Time and memory", header, rows, "Memory is the most that the process had.", n_labels=1)


def _percent(figure):
    if figure is None:
        return ""
    interval = "" if np.isnan(figure.low) else f" [{100 * figure.low:.1f}, {100 * figure.high:.1f}]"
    return f"{100 * figure.value:.2f}{interval}"


def _draw(clips, threshold, max_fpr):
    """Histogram and ROC curve of each section, as a PNG in base64."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("Evaluation.to_html needs matplotlib: pip install skasd[plot]") from error
    sections = np.unique(clips["section"]).tolist()
    figure = Figure(figsize=(4.6 * len(sections), 8.2), layout="constrained")
    for column, section in enumerate(sections):
        part = clips[clips["section"] == section]
        upper, lower = (figure.add_subplot(2, len(sections), row * len(sections) + column + 1) for row in (0, 1))
        # Displays of scores have them higher for more normal clips, as detectors do.
        scores, offset = -part["anomaly_score"], None if threshold is None else -threshold
        name = f"section {section}" if section else None
        plotting.ScoreHistogramDisplay.from_predictions(part["label"], scores, threshold=offset, name=name, ax=upper)
        plotting.PartialROCDisplay.from_predictions(is_anomalous(part), -scores, max_fpr=max_fpr, ax=lower)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=80)
    return base64.b64encode(buffer.getvalue()).decode()
