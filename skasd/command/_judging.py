"""Commands that judge: files that are there, files that come, and sound that does not end."""

import csv
import io
import sys
from pathlib import Path

import click

from skasd.command._models import as_json, check_free, check_other, force, model, read_detector, write_text
from skasd.command._program import Refusal, program, tell
from skasd.command._recordings import files_of, section_from, section_of

_STATUS = {"alarm": 1, "not judged": 2}
_COLUMNS = ("path", "section", "verdict", "score", "threshold", "p_value", "start", "end", "reason")


@program.command()
@model
@click.argument("files", nargs=-1, required=True, type=click.Path())
@section_from
@click.option("--csv", "csv_file", metavar="FILE", type=click.Path(path_type=Path), help="Write a table.")
@click.option("--json", "json_file", metavar="FILE", type=click.Path(path_type=Path), help="Write a list of objects.")
@force
@click.pass_context
def score(ctx, model, files, section_from, csv_file, json_file, force):
    """Judge FILES, or the recordings in folders.

    The exit status is 1 if one of them raises an alarm; else 2 if one cannot be judged; else 0.

    \b
    skasd score pump.skasd today.wav
    skasd score pump.skasd today/ --csv today.csv || echo "look at the pump"
    """
    from skasd._progress import progress_bar
    from skasd.monitoring import judge_recording

    for path in (csv_file, json_file):
        check_free(path, force, model)
    if csv_file and json_file and csv_file.resolve() == json_file.resolve():
        raise Refusal(f"{csv_file}: cannot be both --csv and --json. Give two names.")
    detector, verdicts = read_detector(model), []
    found = files_of(files, section_from)
    with progress_bar(len(found), desc="judged", unit=" files", verbose=sys.stderr.isatty()) as bar:
        for path, section in found:
            verdicts.append(judge_recording(detector, path, section))
            bar.write(str(verdicts[-1]))
            bar.update()
    records = list(map(record_of, verdicts))
    if csv_file:
        write_text(csv_file, force, _as_csv(records))
    if json_file:
        write_text(json_file, force, "[\n" + ",\n".join(map(as_json, records)) + "\n]\n")
    ctx.exit(status_of(verdicts))


@program.command()
@model
@click.argument("folder", type=click.Path(exists=True, file_okay=False))
@section_from
@click.option(
    "--log",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Append a JSON object per file; what is in it is not judged again.",
)
@click.option(
    "--interval",
    type=click.FloatRange(min=0.05),
    default=2.0,
    show_default=True,
    help="Seconds between two looks; a file that did not change meanwhile is complete.",
)
@click.option("--existing", is_flag=True, help="Judge the files that are there at the beginning, too.")
@click.option("--once", is_flag=True, help="Judge what is there, and end: for cron and timers, with --log.")
@click.pass_context
def watch(ctx, model, folder, section_from, log, interval, existing, once):
    """Judge new recordings in FOLDER as they come, until Ctrl-C.

    Files that are still being written are left alone until they stop growing. With --once the exit status is that of
    score.

    \b
    skasd watch pump.skasd inbox/
    skasd watch pump.skasd inbox/ --log verdicts.jsonl --once
    """
    from skasd.command._watching import Log, Watcher
    from skasd.monitoring import judge_recording

    if log is not None:
        check_other(log, model)
    detector, verdicts = read_detector(model), []
    log = Log(log)
    watcher = Watcher(folder, interval, log.seen)
    if not (existing or once):
        watcher.skip_existing()
    for path, state in watcher.complete_files(once):
        verdict = judge_recording(detector, path, section_of(path, section_from, folder))
        verdicts = [*verdicts, verdict] if once else []
        click.echo(str(verdict))
        log.add(record_of(verdict), state)
    ctx.exit(status_of(verdicts))


@program.command()
@model
@click.argument("source", required=False, metavar="[-]")
@click.option("--device", help="Number or name of a microphone; python -m sounddevice lists them.")
@click.option("--file", "file", metavar="FILE", type=click.Path(path_type=Path), help="Listen to a file.")
@click.option("--rate", type=click.IntRange(min=1), help="Sample rate in Hz of a microphone, or of bare samples.")
@click.option(
    "--channels", type=click.IntRange(min=1), default=None, help="The number of channels of these; 1 by default."
)
@click.option("--section", help="Section of the machine, where MODEL knows several.")
@click.option(
    "-k", type=click.IntRange(min=1), default=2, show_default=True, help="Unusual clips that make an alarm..."
)
@click.option("-n", type=click.IntRange(min=1), default=4, show_default=True, help="...among so many.")
@click.option("--json", "as_lines", is_flag=True, help="Say each event as a JSON object.")
@click.pass_context
def listen(ctx, model, source, device, file, rate, channels, section, k, n, as_lines):
    """Listen to a microphone, a file, or what is piped in (-), and say when the machine becomes unusual.

    A pipe brings a WAV file or, with --rate, raw 16-bit samples. The exit status at the end is 1 if there was an alarm.

    \b
    skasd listen pump.skasd --device 2
    skasd listen pump.skasd --file night.flac
    arecord -f S16_LE -r 48000 -t raw | skasd listen pump.skasd - --rate 48000
    """
    from skasd.monitoring import StreamMonitor

    if (source not in (None, "-")) or (source is not None) + (device is not None) + (file is not None) > 1:
        raise Refusal("One of --device, --file and - is listened to. See skasd listen --help.")
    if (file is not None and (rate or channels)) or (source and channels and not rate):
        raise Refusal("A file, and a pipe without --rate, tell their rate and their channels themselves.")
    detector = read_detector(model)
    rate, blocks = _source(source, device, file, rate or (None if source else detector.sample_rate_), channels or 1)
    monitor, kinds = StreamMonitor(detector, sample_rate=rate, section=section, k=k, n=n), set()
    tell(f"listening at {rate} Hz")
    for event in monitor.events(blocks):
        kinds.add(event.kind)
        click.echo(as_json(event._asdict()) if as_lines else str(event))
    ctx.exit(1 if "alarm" in kinds else 0)


def _source(source, device, file, rate, channels):
    """The sample rate and the blocks of what is to be heard."""
    from skasd.audio.blocks import file_blocks, file_rate
    from skasd.monitoring import Microphone, Pipe

    if file is not None:
        return file_rate(file), file_blocks(file)
    if source == "-":
        pipe = Pipe(sys.stdin.buffer, rate, channels)
        return pipe.sample_rate, pipe
    return rate, Microphone(rate, int(device) if device and device.isdecimal() else device, channels)


def record_of(verdict):
    """A verdict as a dict of numbers and texts, with the worst place alone."""
    start, end = verdict.spans[0][:2] if verdict.spans else (None, None)
    path, section, kind, score, threshold, p_value, _, reason = verdict
    return dict(zip(_COLUMNS, (path, section, kind, score, threshold, p_value, start, end, reason), strict=True))


def status_of(verdicts):
    """The exit status: an alarm comes before what could not be judged."""
    return min((_STATUS[verdict.kind] for verdict in verdicts if verdict.kind in _STATUS), default=0)


def _as_csv(records):
    from skasd._problems import encodable

    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS)
    writer.writeheader()
    writer.writerows(records)
    return encodable(text.getvalue())
