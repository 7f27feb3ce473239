"""Tables and plots of `compare_systems.py`."""

import numpy as np
import pandas
from matplotlib.figure import Figure

from skasd.evaluation._published import MACHINES, SOURCES, SYSTEMS

BEGIN, END = "<!-- begin of what the command writes -->", "<!-- end of what the command writes -->"
OFFICIAL, WITHIN = "official score", "AUC within a domain"
CHANCE, CONTROL = "random scores", "control"
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "0.45"  # told apart by all eyes
TASKS = ("propeller", "bearing")
PUBLISHED = [
    ("autoencoder_baseline", "autoencoder baseline", "S1"),
    ("mobilenet_v2_baseline", "MobileNetV2 baseline", "S1"),
    ("mobilefacenet_arcface", "MobileFaceNet, scorer per machine", "S1"),
    ("masked_autoregressive_flow", "masked autoregressive flow", "S1"),
    ("cnn_global", "CNN-GLOBAL", "S2"),
    ("cnn_local", "CNN-LOCAL", "S2"),
    ("cnn_oe", "CNN-OE", "S2"),
    ("narita_ensemble", "the best of the three CNNs for each machine", "S2"),
    ("rank_pooled_gmm", "rank-pooled log-mel, GMM per section, SMOTE", "R"),
]


def write_report(frame, path, command):
    """Put the tables between the marks of the Markdown file `path`, and plots into ``images`` beside it."""
    blocks, images = [f"```sh\n{command}\n```"], path.parent / "images"
    images.mkdir(parents=True, exist_ok=True)
    for data, title, parts in [("synthetic", "Synthetic machines", SYNTHETIC), ("motors", "Real motors", MOTORS)]:
        rows = frame[frame["data"] == data]
        if not len(rows):
            continue
        blocks.append(f"## {title}")
        for part in parts:
            made = part(rows)
            if isinstance(made, str):
                blocks.append(made)
                continue
            name = f"{part.__name__}.png"
            made.savefig(images / name, dpi=110)
            blocks.append(f"![{part.__doc__.splitlines()[0]}](images/{name})")
    blocks.append(published())
    before = path.read_text(encoding="utf-8") if path.exists() else f"{BEGIN}\n{END}\n"
    path.write_text(put_between(before, "\n\n".join(blocks)), encoding="utf-8")


def put_between(text, made):
    """The text with what is made in the place of what stood between the marks."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"The report needs the lines {BEGIN} and {END}, between which the tables are put.")
    return f"{before}{BEGIN}\n\n{made}\n\n{END}{after}"


def totals(rows):
    """Table of the figures of each system over all machines."""
    scores = official(rows)
    order = by_score(rows)
    auc = {name: per_seed(rows, "AUC", name) for name in ("source", "target")}
    pauc, within = per_seed(rows, "pAUC"), per_seed(rows, WITHIN)
    alarms = {name: per_seed(rows, "false alarms", name) for name in ("source", "target")}
    header = ["system", "official score", "AUC source", "AUC target", "pAUC", "AUC within a domain",
              "better than the control",
              "false alarms source", "false alarms target"]  # fmt: skip
    body = [
        [system, *(spread(part.loc[system]) for part in (scores, auc["source"], auc["target"], pauc, within)),
         wins(rows, system), *(f"{100 * part.loc[system].mean():.0f}" for part in alarms.values())]
        for system in order
    ]  # fmt: skip
    return table("All machines", header, body, TOTALS)


def seeds(rows):
    """Table of the official score of each seed, with its interval."""
    whole = rows[(rows["machine"] == "") & (rows["metric"] == OFFICIAL)].set_index(["system", "seed"])
    drawn = sorted(set(rows["seed"]))
    body = [
        [system, *("{value:.1f} [{low:.1f}, {high:.1f}]".format(**(100 * whole.loc[(system, seed), ["value", "low",
                                                                                                     "high"]]))
                   for seed in drawn)]
        for system in by_score(rows)
    ]  # fmt: skip
    return table("By seed", ["system", *(f"seed {seed}" for seed in drawn)], body, "Official score in percent with its "
                 "95 % interval over test clips.")  # fmt: skip


def machines(rows):
    """Table of the official score of each machine."""
    return machine_table("By machine", rows, OFFICIAL, "Official score")


def machines_within(rows):
    """Table of the AUC within a domain of each machine."""
    return machine_table(
        "By machine, within a domain", rows, WITHIN, "AUC within a domain, mean of sections and domains,"
    )


def machine_table(title, rows, metric, name):
    scores = by_machine(rows, metric)
    body = [[system, *map(spread, scores.loc[system].unstack("seed").to_numpy())] for system in by_score(rows)]
    names = scores.loc[body[0][0]].unstack("seed").index.tolist()
    return table(title, ["system", *names], body, f"{name} in percent: mean ± standard deviation over the seeds.")


def costs(rows):
    """Table of time and memory."""
    body = []
    for system, (seconds, rate) in speeds(rows).iterrows():
        own = rows[rows["system"] == system].set_index("metric")["value"]
        gpu = own["peak GPU memory MiB"].max()
        body.append([system, f"{seconds:.2g}" if seconds < 10 else f"{seconds:.0f}", f"{rate:.0f}",
                     f"{own['peak memory MiB'].max():.0f}", f"{gpu:.0f}" if gpu else ""])  # fmt: skip
    return table("Time and memory", ["system", "training [s]", "clips scored a second", "peak memory [MiB]",
                 "peak GPU memory [MiB]"], body, "Training: of one machine, features included. Median of machines "
                 "and seeds. Memory: the most that the process had, one process a system and seed.")  # fmt: skip


def motors(rows):
    """Table of the figures on the motors."""
    body = []
    for system in by_score(rows[rows["machine"] == "propeller"]):
        own = rows[rows["system"] == system]
        cells = [spread(task_figures(own, task, metric)) for task in TASKS for metric in ("AUC", "pAUC")]
        seconds = own.loc[own["metric"] == "fit seconds", "value"].mean()
        body.append([system, *cells, f"{seconds:.1f}"])
    header = [f"{task} {metric}" for task in TASKS for metric in ("AUC", "pAUC")]
    failed = rows[rows["source"].str.startswith("failed") & rows["machine"].str.startswith("bearing")]
    reasons = "; ".join(f"{system}: {source.split(': ', 2)[-1]}" for system, source in
                        failed.groupby("system", sort=False)["source"].first().items())  # fmt: skip
    note = (
        "In percent: mean ± standard deviation over the seeds. Propeller: mean of motors M1 and M2. Bearing: mean of "
    )
    note += "M1, M2 and M3 held out. Training: of one task."
    note += f" Not possible: {reasons}." if reasons else ""
    return table("Both tasks", ["system", *header, "training [s]"], body, note)


def results_synthetic(rows):
    """Official score, and AUC by domain, of each system on the synthetic machines."""
    scores, order = official(rows), by_score(rows)[::-1]
    figure, (left, right) = panels(len(order))
    draw_dots(left, order, {"official score": scores})
    left.axvline(100 * scores.loc[CONTROL].mean(), color=GREEN, linestyle="--", label="the control's mean")
    finish(left, "official score [%]: mean, and each seed")
    for name, colour, marker, metric, domain in [
        ("AUC source", BLUE, "o", "AUC", "source"),
        ("AUC target", ORANGE, "^", "AUC", "target"),
        ("pAUC", GREY, "s", "pAUC", ""),
    ]:
        means = 100 * per_seed(rows, metric, domain).loc[order].mean(axis=1)
        right.plot(means, range(len(order)), marker, color=colour, label=name, markersize=7)
    finish(right, "mean over machines, sections and seeds [%]")
    return figure


def results_machines(rows):
    """Official score of each system on each synthetic machine."""
    order = by_score(rows)
    scores = 100 * by_machine(rows).groupby(["system", "machine"], sort=False).mean().unstack("machine").loc[order]
    figure = Figure(figsize=(9, 1.4 + 0.42 * len(order)), layout="constrained")
    axes = figure.add_subplot()
    reach = np.nanmax(np.abs(scores.to_numpy() - 50))
    image = axes.imshow(scores, cmap="PuOr", vmin=50 - reach, vmax=50 + reach, aspect="auto")
    for (row, column), value in np.ndenumerate(scores.to_numpy()):
        axes.text(column, row, f"{value:.0f}", ha="center", va="center",
                  color="white" if abs(value - 50) > 0.7 * reach else "black")  # fmt: skip
    axes.set_xticks(range(scores.shape[1]), scores.columns)
    axes.set_yticks(range(len(order)), order)
    figure.colorbar(image, label="official score [%], mean of the seeds; 50 is chance")
    return figure


def results_time(rows):
    """Time of training, and speed of scoring, of each system on the synthetic machines."""
    speed = speeds(rows)[::-1]
    order = speed.index.tolist()
    figure, (left, right) = panels(len(order))
    for axes, values, label in [
        (left, speed["training"], "training of one machine [s]"),
        (right, speed["scoring"], "clips scored a second"),
    ]:
        axes.plot(values, range(len(order)), "o", color=BLUE)
        axes.set(xscale="log", xlabel=label, xlim=(10 ** np.floor(np.log10(values.min())), 2 * values.max()))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.grid(color="0.9")
        axes.set_axisbelow(True)
        for row, value in enumerate(values):
            text = f"{value:.2g}" if value < 10 else f"{value:.0f}"
            axes.annotate(text, (value, row), (7, 0), textcoords="offset points", va="center")
    left.set_yticks(range(len(order)), order)
    return figure


def results_motors(rows):
    """AUC of each system on the two tasks of the motors."""
    order = by_score(rows[rows["machine"] == "propeller"])[::-1]
    figure, axes = panels(len(order))
    for ax, task in zip(axes, TASKS, strict=True):
        figures = {name: task_table(rows, task, name) for name in ("AUC", "pAUC")}
        draw_dots(ax, order, figures)
        for row in np.flatnonzero(figures["AUC"].loc[order].isna().any(axis=1)):
            ax.annotate("not possible", (50, row), (6, 0), textcoords="offset points", va="center", color=GREY)
        finish(ax, f"{task}: AUC and pAUC [%], mean and each seed")
    return figure


def published():
    """Table of what the reports say of their systems."""
    body = []
    for ours, name, source in PUBLISHED:
        theirs = next(one for one in SYSTEMS if (one.name, one.source) == (name, source))
        total = "" if theirs.total is None else f"{theirs.total:.2f}"
        values = (theirs.machines.get(machine) for machine in MACHINES)
        cells = ["" if value is None else f"{value:.2f}" for value in values]
        body.append([ours, f"{theirs.subset} [{source}]", total, *cells])
    sources = "; ".join(f"[{key}] {SOURCES[key]}" for key in dict.fromkeys(source for *_, source in PUBLISHED))
    return "## Published figures, not measured here\n\n" + table(
        "Recordings of DCASE 2022", ["system", "set", "all machines", *MACHINES], body, "Official score in percent, of "
        "full-size systems on other recordings: nothing above compares with it. Sources: " + sources + ".")  # fmt: skip


TOTALS = """In percent: mean ± standard deviation over the seeds. *AUC source* and *AUC target* set the normal clips
of a domain against all anomalies, as the challenge does; *AUC within a domain* sets them against those of the same
domain, so that a score gains nothing from the shift of the domain. *Better than the control*: pairs of machine and
seed with a higher official score than the control's. *False alarms*: share of the normal test clips; the thresholds
aim at 10."""
SYNTHETIC = [totals, results_synthetic, seeds, machines, results_machines, machines_within, costs, results_time]
MOTORS = [motors, results_motors]


def official(rows):
    """Official score over all machines, systems by seeds."""
    whole = rows[(rows["machine"] == "") & (rows["metric"] == OFFICIAL)]
    return whole.set_index(["system", "seed"])["value"].unstack("seed").reindex(systems(rows))


def by_machine(rows, metric=OFFICIAL):
    """A figure of each system, machine and seed, the mean over its sections and domains."""
    part = rows[(rows["machine"] != "") & (rows["metric"] == metric)]
    return part.groupby(["system", "machine", "seed"], sort=False)["value"].mean()


def per_seed(rows, metric, domain=""):
    """Mean of a figure over machines and sections, systems by seeds."""
    part = rows[(rows["metric"] == metric) & (rows["domain"] == domain)]
    return part.groupby(["system", "seed"])["value"].mean().unstack("seed").reindex(systems(rows))


def task_table(rows, task, metric):
    """Mean of a figure over the parts of a task, systems by seeds."""
    return per_seed(rows[rows["machine"].str.startswith(task)], metric).reindex(systems(rows))


def task_figures(own, task, metric):
    return own[own["machine"].str.startswith(task) & (own["metric"] == metric)].groupby("seed")["value"].mean()


def systems(rows):
    return list(dict.fromkeys(rows["system"]))


def by_score(rows):
    """The systems from the best mean official score to the worst."""
    scores = rows[rows["metric"] == OFFICIAL]
    whole = scores[scores["machine"] == ""]
    means = (whole if len(whole) else scores).groupby("system", sort=False)["value"].mean()
    return means.sort_values(ascending=False, kind="stable").index.tolist()


def speeds(rows):
    """Median seconds of training, and clips scored a second, of all systems but random scores, which take no time."""
    cost = rows[rows["machine"] != ""].pivot_table("value", ["system", "machine", "seed"], "metric", sort=False)
    cost = pandas.DataFrame({"training": cost["fit seconds"], "scoring": cost["test clips"] / cost["score seconds"]})
    return cost.groupby("system").median().loc[[system for system in by_score(rows) if system != CHANCE]]


def wins(rows, system):
    """On how many machines and seeds the system is better than the control."""
    scores = by_machine(rows)
    own, other = scores.loc[system], scores.loc[CONTROL]
    return "" if system == CONTROL else f"{int((own > other).sum())} of {len(own)}"


def spread(values):
    """Mean and standard deviation in percent."""
    values = 100 * np.asarray(values, dtype=float)
    if not len(values) or np.isnan(values).any():
        return ""
    return f"{values.mean():.1f} ± {values.std(ddof=1):.1f}" if len(values) > 1 else f"{values[0]:.1f}"


def table(title, header, body, note):
    lines = [f"### {title}", "", "| " + " | ".join(header) + " |", "|---" + "|---:" * (len(header) - 1) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in body), "", note])


def panels(n_rows):
    """Two panels that share their rows."""
    figure = Figure(figsize=(11, 1.3 + 0.36 * n_rows), layout="constrained")
    return figure, figure.subplots(1, 2, sharey=True)


def draw_dots(axes, order, figures):
    """For each system and figure a dot for each seed, and the mean."""
    styles = zip(figures.items(), [(BLUE, "o"), (ORANGE, "^")], strict=False)
    for (name, values), (colour, marker) in styles:
        values = 100 * values.reindex(order)
        for column in values:
            axes.plot(values[column], range(len(order)), marker, color=colour, fillstyle="none", markersize=5)
        axes.plot(values.mean(axis=1, skipna=False), range(len(order)), marker, color=colour, markersize=9, label=name)
    axes.set_yticks(range(len(order)), order)


def finish(axes, label):
    axes.axvline(50, color="0.2", linestyle=":", label="chance")
    axes.grid(axis="y", color="0.9")
    axes.set_axisbelow(True)
    axes.set_xlabel(label)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4, fontsize="small", frameon=False)
