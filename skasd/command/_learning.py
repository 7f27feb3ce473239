"""Commands that look at recordings, learn from them, and say what was learned."""

from pathlib import Path

import click

from skasd.command._models import check_free, force, model, read_detector, written
from skasd.command._program import Refusal, program, tell
from skasd.command._recordings import clips_of, files_of, jobs, section_from

output = click.option(
    "-o", "--output", metavar="FILE", type=click.Path(path_type=Path), required=True, help="File to write."
)
folder = click.argument("folder", type=click.Path(exists=True, file_okay=False))


class _Summary(click.ParamType):
    name = "worst|mean|N"

    def convert(self, value, param, ctx):
        if isinstance(value, int) or value in ("worst", "mean"):
            return value
        if value.isdecimal() and int(value) > 0:
            return int(value)
        self.fail(f"{value!r} is neither worst, mean nor a number of clips.", param, ctx)


@program.command()
@click.argument("recordings", nargs=-1, required=True, type=click.Path())
@click.option("--reference", type=click.Path(exists=True), help="Healthy recordings, made alike, to compare with.")
@jobs
@click.pass_context
def check(ctx, recordings, reference, jobs):
    """Find recordings that are useless: silent, clipped, cut off, from a telephone, in the wind.

    RECORDINGS are files and folders. The exit status is 2 if one of them is useless.

    \b
    skasd check healthy/
    skasd check today/ --reference healthy/
    """
    from skasd._problems import printable
    from skasd.audio import check_recordings

    paths = [path for path, _ in files_of(recordings, None)]
    found = check_recordings(paths, reference, n_jobs=jobs)
    for row in found.itertuples():
        how = row.sure if row.usable else "useless"
        click.echo(f"{how:<8}  {printable(row.file)}: {row.finding}: {row.detail}. {row.advice}")
    n_useless = found[~found["usable"]]["file"].nunique()
    tell(f"{len(paths)} recordings, {found['file'].nunique()} with findings, {n_useless} useless")
    ctx.exit(2 if n_useless else 0)


@program.command()
@folder
@output
@section_from
@click.option("--false-alarm-rate", default=0.05, show_default=True, help="Share of healthy recordings that may alarm.")
@click.option("--clip-duration", default=0.5, show_default=True, help="Length of a clip in seconds.")
@click.option("--hop-duration", default=0.25, show_default=True, help="Seconds from one clip to the next.")
@click.option("--sample-rate", type=click.IntRange(min=1), help="In Hz; the lowest of the files by default.")
@click.option(
    "--summary", type=_Summary(), default="worst", show_default=True, help="Which clips a recording's score is of."
)
@jobs
@force
def train(
    folder, output, section_from, false_alarm_rate, clip_duration, hop_duration, sample_rate, summary, jobs, force
):
    """Learn from the healthy recordings in FOLDER and its subfolders.

    Useless recordings are named and left out.

    \b
    skasd train healthy/ -o pump.skasd
    skasd train healthy/ -o pumps.skasd --section-from parent
    skasd train healthy/ -o pumps.skasd --section-from "pump [0-9]+" --false-alarm-rate 0.02
    """
    from skasd.monitoring import RecordingDetector, save_detector

    check_free(output, force)
    detector = RecordingDetector(
        clip_duration=clip_duration,
        hop_duration=hop_duration,
        sample_rate=sample_rate or "native",
        summary=summary,
        false_alarm_rate=false_alarm_rate,
        n_jobs=jobs,
    )
    detector.fit(_usable(clips_of(folder, section_from), clip_duration))
    with written(output, force) as draft:
        save_detector(detector, draft)
    _describe(detector)


@program.command()
@model
@folder
@click.option(
    "-o", "--output", metavar="FILE", type=click.Path(path_type=Path), help="File to write; MODEL by default."
)
@section_from
@force
def update(model, folder, output, section_from, force):
    """Learn further healthy recordings, such as those of another season, without the old files.

    To overwrite MODEL itself, give --force.

    \b
    skasd update pump.skasd autumn/ -o pump-2.skasd
    skasd update pump.skasd autumn/ --force
    """
    from skasd.monitoring import save_detector

    output = output or model
    check_free(output, force)
    detector = read_detector(model)
    detector.update(_usable(clips_of(folder, section_from), detector.clip_duration))
    with written(output, force) as draft:
        save_detector(detector, draft)
    _describe(detector)


@program.command()
@model
def info(model):
    """Say what MODEL has learned, and when.

    \b
    skasd info pump.skasd
    """
    _describe(read_detector(model))


@program.command()
@model
@output
@force
def export(model, output, force):
    """Write MODEL as an ONNX graph, which ONNX Runtime runs without skasd.

    \b
    skasd export pump.skasd -o pump.onnx
    """
    from skasd.monitoring import export_onnx

    check_free(output, force, model)
    detector = read_detector(model)
    with written(output, force) as draft:
        export_onnx(detector, draft)


@program.command()
@model
@folder
@output
@section_from
@force
def report(model, folder, output, section_from, force):
    """Write a page about the recordings in FOLDER, for somebody who was not there.

    \b
    skasd report pump.skasd today/ -o report.html
    """
    from skasd.monitoring import write_report

    check_free(output, force, model)
    with written(output, force) as draft:
        write_report(read_detector(model), clips_of(folder, section_from), draft)


def _usable(clips, min_duration):
    """The recordings that are not useless; the others are told, one by one."""
    from skasd._problems import printable
    from skasd._progress import progress_bar
    from skasd.monitoring import what_spoils

    kept = []
    with progress_bar(len(clips), desc="read", unit=" files") as bar:
        for path in clips["path"].tolist():
            wrong = what_spoils(path, min_duration)
            if wrong:
                tell(f"left out: {printable(path)}: {wrong}")
            kept.append(not wrong)
            bar.update()
    if not any(kept):
        raise Refusal(f"None of {len(clips)} recordings can be used.")
    return clips[kept]


def _describe(detector):
    last = detector.log_[-1]
    click.echo(f"{last['n_recordings']} healthy recordings, heard at {detector.sample_rate_} Hz in clips of "
               f"{detector.clip_duration:g} s")  # fmt: skip
    for name, offset in detector.offsets_.items():
        n_own = (detector.calibration_["section"] == name).sum()
        of = f"section {name}, " if name else ""
        click.echo(f"{of}threshold {offset:.4g}, from {n_own} recordings that differ, for "
                   f"{detector.false_alarm_rate:.1%} false alarms")  # fmt: skip
    for entry in detector.log_:
        click.echo(f"{entry['time']}  {entry['action']}: {entry['n_new']} new recordings, {entry['seconds']:.0f} s")
