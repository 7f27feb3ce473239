"""The tables and plots of an evaluation, in Markdown and HTML."""

import base64
from html import escape
from io import BytesIO

import numpy as np

from skasd import plotting
from skasd._problems import encodable
from skasd.evaluation._figures import OFFICIAL, Figure, is_anomalous

_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 92em; margin: 2em auto; padding: 0 1em; }
th, td { border-bottom: 1px solid color-mix(in srgb, currentColor 20%, transparent); }
p.note { opacity: .8; }
img { max-width: 100%; }
"""
_TABLE_STYLE = """
.skasd-evaluation h2 { font-size: 1.1em; }
.skasd-evaluation table { display: block; overflow-x: auto; border-collapse: collapse; }
.skasd-evaluation th, .skasd-evaluation td { padding: .2em .6em; text-align: right;
  font-variant-numeric: tabular-nums; }
.skasd-evaluation th:first-child, .skasd-evaluation td:first-child { text-align: left; }
"""
_MEMORY = "Memory is the most that the process had until then."


def load_pandas(owner):
    """The module pandas, for what says that it needs it."""
    try:
        import pandas
    except ImportError as error:
        raise ImportError(f"{owner} needs pandas: pip install skasd[report]") from error
    return pandas


def frame_of(pandas, evaluation, figures):
    """Figures and failures as a data frame of numbers, one row each."""
    rows = [(evaluation.name, *figure, "") for figure in figures]
    rows += [(evaluation.name, *Figure(machine, "", "", OFFICIAL, np.nan), failure.error)
             for machine, failure in evaluation.failures.items()]  # fmt: skip
    return pandas.DataFrame(rows, columns=["system", *Figure._fields, "error"])


def tables_of(evaluation, owner):
    """Data frames of text, {title: frame}."""
    make = load_pandas(owner).DataFrame
    costs = [{"machine": machine} | {name: f"{value:.1f}".removesuffix(".0") for name, value in run.costs().items()}
             for machine, run in evaluation.runs.items()]  # fmt: skip
    official, sections = (_official(evaluation), _sections(evaluation)) if evaluation.figures else ([], [])
    tables = {"Official score": official, "Sections": sections, "Time and memory": costs}
    return {title: make(rows) for title, rows in tables.items() if rows}


def markdown_report(evaluation):
    """The tables as Markdown."""
    parts = [f"# {_title(evaluation)}", *_failed(evaluation)]
    for title, frame in tables_of(evaluation, "Evaluation.to_markdown").items():
        frame = frame.rename(columns=_in_one_cell).map(_in_one_cell)
        table = frame.to_markdown(index=False, disable_numparse=True)
        parts += [f"## {title}", table, _note(title, evaluation)]
    return encodable("\n\n".join(parts)) + "\n"


def html_report(evaluation):
    """The tables and plots as one HTML page."""
    parts = [html_summary(evaluation, "Evaluation.to_html")]
    for machine, clips in evaluation.judged().items():
        run = evaluation.runs.get(machine)
        picture = _draw(clips, run.threshold if run else None, evaluation.rules.max_fpr)
        parts.append(f'<h2>{escape(machine)}</h2>\n<img alt="Scores and ROC curves of {escape(machine)}" '
                     f'src="data:image/png;base64,{picture}">')  # fmt: skip
    head = f'<meta charset="utf-8"><title>{escape(_title(evaluation))}</title><style>{_STYLE}</style>'
    body = "\n".join(parts)
    return encodable(f"<!DOCTYPE html>\n<html lang=en><head>{head}</head>\n<body>\n{body}\n</body></html>\n")


def html_summary(evaluation, owner="Evaluation._repr_html_"):
    """The tables for a notebook: no pictures, and the colours are those of the page, light or dark."""
    parts = [f"<h1>{escape(_title(evaluation))}</h1>", *(f"<p>{escape(line)}</p>" for line in _failed(evaluation))]
    with load_pandas(owner).option_context("display.max_colwidth", None):
        for title, frame in tables_of(evaluation, owner).items():
            table = frame.to_html(index=False, border=0)
            parts += [f"<h2>{title}</h2>", table, f"<p class=note>{_note(title, evaluation)}</p>"]
    body = "\n".join(parts)
    return encodable(f"<div class=skasd-evaluation><style>{_TABLE_STYLE}</style>\n{body}\n</div>")


def _note(title, evaluation):
    return _MEMORY if title == "Time and memory" else f"In percent, {evaluation.shown}."


def _in_one_cell(text):
    return " ".join(text.splitlines()).replace("|", "\\|")


def _title(evaluation):
    shared = f", {evaluation.shared} shared by all machines" if evaluation.shared else ""
    return f"{' '.join(evaluation.name.splitlines())}{shared}: rules of DCASE {evaluation.rules.years} Task 2"


def _failed(evaluation):
    return [f"{machine} failed: {failure.error}" for machine, failure in evaluation.failures.items()]


def _official(evaluation):
    figures = {figure.machine: figure for figure in evaluation.figures if figure.metric == OFFICIAL}
    lacking = evaluation.lacking()
    total = f"none: {lacking}" if lacking else _percent(evaluation.official_score)
    machines = {machine: _percent(figures.get(machine)) for machine in evaluation.machines}
    return [{"system": evaluation.name, "all machines": total} | machines]


def _sections(evaluation):
    rows = {}
    for figure in evaluation.figures:
        if figure.metric != OFFICIAL:
            labels = {"machine": figure.machine, "section": figure.section}
            row = rows.setdefault((figure.machine, figure.section), labels)
            row[f"{figure.metric} {figure.domain}".strip()] = _percent(figure)
    columns = dict.fromkeys(name for row in rows.values() for name in row)
    return [dict.fromkeys(columns, "") | row for row in rows.values()]


def _percent(figure):
    if figure is None:
        return ""
    interval = "" if np.isnan(figure.low) else f" [{100 * figure.low:.1f}, {100 * figure.high:.1f}]"
    std = "" if np.isnan(getattr(figure, "std", np.nan)) else f" ± {100 * figure.std:.2f}"
    return f"{100 * figure.value:.2f}{std}{interval}"


def _draw(clips, threshold, max_fpr):
    """Histogram and ROC curve of each section, as a PNG in base64."""
    try:
        from matplotlib import figure
    except ImportError as error:
        raise ImportError("Evaluation.to_html needs matplotlib: pip install skasd[plot]") from error
    sections = np.unique(clips["section"]).tolist()
    drawing = figure.Figure(figsize=(4.6 * len(sections), 8.2), layout="constrained")
    for section, (upper, lower) in zip(sections, drawing.subplots(2, len(sections), squeeze=False).T, strict=True):
        part = clips[clips["section"] == section]
        # Displays of scores have them higher for more normal clips, as detectors do.
        scores, offset = -part["anomaly_score"], None if threshold is None else -threshold
        name = f"section {section}" if section else None
        plotting.ScoreHistogramDisplay.from_predictions(part["label"], scores, threshold=offset, name=name, ax=upper)
        plotting.PartialROCDisplay.from_predictions(is_anomalous(part), -scores, max_fpr=max_fpr, ax=lower)
    buffer = BytesIO()
    drawing.savefig(buffer, format="png", dpi=80)
    return base64.b64encode(buffer.getvalue()).decode()
