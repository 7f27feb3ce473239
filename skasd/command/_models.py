"""Files with detectors, and other files that are written: nothing is overwritten unless it was asked for."""

import json
import os
from contextlib import contextmanager
from pathlib import Path

import click

from skasd.command._program import Refusal, tell

force = click.option("--force", is_flag=True, help="Overwrite files that exist.")
model = click.argument("model", metavar="MODEL.skasd", type=click.Path(path_type=Path))


def read_detector(path):
    """A detector from a file, which runs no code of it."""
    from skasd.monitoring import RecordingDetector, load_detector

    if not path.is_file():
        raise Refusal(f"{path}: no such file. skasd train makes one.")
    detector = load_detector(path)
    if not isinstance(detector, RecordingDetector):
        raise Refusal(f"{path}: holds a {type(detector).__name__}, and no RecordingDetector.")
    return detector


def check_free(path, force, *read):
    """Refuse a path that exists, or in a folder that does not, before work is done for it.

    Recordings, and the files in `read`, are refused even by force.
    """
    if path is None:
        return
    if not path.parent.is_dir():
        raise Refusal(f"{path}: there is no folder {path.parent}. Make it first.")
    if not os.access(path.parent, os.W_OK):
        raise Refusal(f"{path}: nothing can be written to the folder {path.parent}. Give another, or permission.")
    if path.is_dir():
        raise Refusal(f"{path}: is a folder, and a file is to be written.")
    if os.path.lexists(path) and not force:
        raise Refusal(f"{path}: exists, and is not overwritten. Give --force, or another name.")
    check_other(path, *read)


def check_other(path, *read):
    """Refuse to write to a recording, or to one of the files in `read`."""
    from skasd._folders import is_recording

    if path.exists() and (is_recording(os.fspath(path)) or any(map(path.samefile, filter(Path.exists, read)))):
        raise Refusal(f"{path}: is a recording, or the model, and is not written to, even by --force. Give another "
                      "name.")  # fmt: skip


@contextmanager
def written(path, force):
    """A path to write to, whose file is then put at `path`, whole or not at all."""
    from skasd._drafts import draft_folder, move_new

    check_free(path, force)
    with draft_folder(path.parent) as folder:
        draft = folder / path.name
        yield draft
        if force:
            os.replace(draft, path)
        else:
            move_new(draft, path)
    tell(f"written: {path}")


def write_text(path, force, text):
    """Write a text to a file."""
    with written(path, force) as draft:
        draft.write_text(text, encoding="utf-8", newline="")


def as_json(record):
    """One line of JSON; what cannot be written as UTF-8 is written out."""
    from skasd._problems import encodable

    return encodable(json.dumps(record, ensure_ascii=False, allow_nan=False))
