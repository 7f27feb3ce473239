"""Recordings that arguments name, with their sections."""

import os

import click

section_from = click.option(
    "--section-from",
    metavar="parent|REGEX",
    help="Section of a file: the name of its folder, or what a regular expression finds in its path.",
)
jobs = click.option("-j", "--jobs", type=int, default=None, help="Files that are read at a time; -1 for all cores.")


def clips_of(folder, section_from):
    """The audio files of a folder as `Clips`."""
    from skasd.clips import Clips

    return Clips.from_folder(folder, section=section_from)


def files_of(arguments, section_from):
    """Pairs of a path and a section, of files and folders; what is not there comes too, for somebody to say so."""
    found = []
    for argument in arguments:
        if os.path.isdir(argument):
            clips = clips_of(argument, section_from)
            paths = clips["path"].tolist()
            found += zip(paths, clips["section"].tolist() if section_from else [""] * len(paths), strict=True)
        else:
            found.append((os.fsdecode(argument), section_of(argument, section_from)))
    return found


def section_of(path, section_from, folder=os.curdir):
    """The section of one file, by the same rule: by its path from this folder on."""
    if not section_from:
        return ""
    from skasd._folders import sections_of

    return sections_of([os.fsdecode(path)], folder, section_from)[0]
