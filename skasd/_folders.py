"""The audio files of a folder and its subfolders, and what their places say of them."""

import os
import re
import warnings

import numpy as np

_SUFFIXES = frozenset(
    ".wav .wave .bwf .flac .ogg .oga .opus .mp3 .mp2 .aiff .aif .aifc .au .snd .caf .w64 .rf64 .nist .sph .voc .paf "
    ".pvf .sds .avr .sd2 .ircam .svx .8svx .wve .xi".split()
)
_TO_CONVERT = frozenset(".m4a .aac .wma .amr .3gp .3gpp .mp4 .mov .mka .mkv .webm .ra .ape .wv .ac3 .dts".split())
_N_SHOWN = 10


def audio_files(folder):
    """Paths of the audio files in a folder and its subfolders, sorted; what else is there is a warning."""
    folder = os.fsdecode(folder)
    paths = _files(folder)
    found = [path for path in paths if _suffix(path) in _SUFFIXES]
    others = [path for path in paths if _suffix(path) not in _SUFFIXES]
    if others:
        convert = any(_suffix(path) in _TO_CONVERT for path in others)
        advice = " Convert recordings of such formats to WAV or FLAC, to have them heard." if convert else ""
        more = f"\nand {len(others) - _N_SHOWN} more" if len(others) > _N_SHOWN else ""
        shown = "\n".join(map(_shown, others[:_N_SHOWN]))
        warnings.warn(f"{len(others)} files are left out, whose names are not those of audio files that can be read:\n"
                      f"{shown}{more}.{advice}", stacklevel=5)  # fmt: skip
    if not found:
        raise ValueError(f"{_shown(folder)}: holds no audio file, nor do its subfolders ({len(others)} other files). "
                         "WAV, FLAC, OGG, MP3, AIFF and others are read.")  # fmt: skip
    return found


def possible_recordings(folder):
    """Paths of all files that are recordings by their names, sorted, also where nobody here can read them."""
    return list(filter(is_recording, _files(os.fsdecode(folder))))


def is_recording(path):
    """Whether a file is a recording by its name, also where nobody here can read it."""
    return _suffix(path) in _SUFFIXES | _TO_CONVERT


def sections_of(paths, folder, rule):
    """The section of each file: the name of the folder that it is in, or what a pattern finds in its path."""
    if callable(rule):
        return [rule(path) for path in paths]
    if rule == "parent":
        return [os.path.basename(os.path.dirname(os.path.abspath(path))) for path in paths]
    try:
        pattern = re.compile(rule)
    except (re.error, TypeError) as error:
        raise ValueError(f"section must be 'parent', a regular expression or a function of the path; got {rule!r} "
                         f"({error}).") from error  # fmt: skip
    found = [pattern.search(_within(path, folder)) for path in paths]
    missing = [path for path, match in zip(paths, found, strict=True) if not match]
    if missing:
        raise ValueError(f"section={rule!r} finds nothing in the names of {len(missing)} of {len(paths)} files, such "
                         f"as {_shown(missing[0])}.")  # fmt: skip
    return [match[1] if pattern.groups else match[0] for match in found]


def labels_of(paths, folder, rule):
    """The label of each file, by the name of one of the folders around it; 0 where none says anything."""
    if callable(rule):
        return np.array([rule(path) for path in paths])
    labels = []
    for path in paths:
        folders = _within(path, folder).split("/")[:-1]
        said = {rule[name] for name in folders if name in rule}
        if len(said) > 1:
            raise ValueError(f"{_shown(path)}: the folders around it say several labels, {sorted(said)}. Give label= a "
                             "function of the path.")  # fmt: skip
        labels.append(said.pop() if said else 0)
    if not any(labels):
        raise ValueError(f"label={rule!r} names no folder in {_shown(folder)} that holds an audio file.")
    return np.array(labels)


def _files(folder):
    if not os.path.isdir(folder):
        what = "a file; give its path in a list" if os.path.exists(folder) else "not there"
        raise ValueError(f"{_shown(folder)}: a folder is wanted, and this is {what}.")
    return sorted(_walk(folder))


def _walk(folder):
    """Files of a folder, without hidden ones; links to folders are followed after others, each folder once."""
    seen = {os.path.realpath(folder)}
    for place, folders, files in os.walk(folder, followlinks=True, onerror=_refuse):
        inside = [os.path.join(place, name) for name in sorted(folders) if not name.startswith(".")]
        folders.clear()
        for path in sorted(inside, key=os.path.islink):
            if os.path.realpath(path) not in seen:
                seen.add(os.path.realpath(path))
                folders.append(os.path.basename(path))
        yield from (os.path.join(place, name) for name in files if not name.startswith("."))


def _refuse(error):
    if isinstance(error, FileNotFoundError):  # it has gone meanwhile
        return
    raise ValueError(f"{_shown(os.fsdecode(error.filename))}: cannot be looked into ({error.strerror}).") from error


def _suffix(path):
    return os.path.splitext(path)[1].lower()


def _within(path, folder):
    return os.path.relpath(path, os.fsdecode(folder)).replace(os.sep, "/")


def _shown(path):
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in os.fsdecode(path))
