"""Words for what is wrong: which files and clips, and how many of them."""

import os
from contextlib import contextmanager

import numpy as np

from skasd.clips import Clips

_N_SHOWN = 10


def printable(path):
    """A path as text that every terminal and log can take: what cannot be printed is written out."""
    text = os.fsdecode(path) if isinstance(path, bytes) else str(path)
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text) or "''"


def encodable(text):
    """Text that can be written as UTF-8 and drawn: bytes of a file name that are no text are written out."""
    return text.encode("utf-8", "backslashreplace").decode()


def names_of(X, rows):
    """Names of these clips for a message: their paths where they have some, else the numbers of the rows."""
    has_paths = isinstance(X, Clips) and "path" in X
    return [printable(X["path"][row]) if has_paths else f"row {row}" for row in rows]


def named(section):
    """A section for a message; where clips have no sections, they are all of one."""
    return f"section {str(section)!r}" if section else "the one unnamed section"


def first_ten(lines, separator="\n"):
    """The first ten lines, joined, and the number of the others."""
    more = [f"and {len(lines) - _N_SHOWN} more"] if len(lines) > _N_SHOWN else []
    return separator.join([*map(str, lines[:_N_SHOWN]), *more])


@contextmanager
def named_errors(name):
    """Adds to what is raised inside by what it was."""
    try:
        yield
    except Exception as error:
        error.add_note(f"This was raised by {name}.")
        raise


def has_finite_sum(array):
    """Whether the sum of an array is finite: then so are all its numbers, which takes long to see one by one."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.isfinite(array.sum(dtype=np.result_type(array, np.float64)))


def check_finite(array, what, X, advice=""):
    """Refuse numbers that are not finite, by the names of their clips."""
    if has_finite_sum(array):
        return
    bad = np.flatnonzero([not np.isfinite(row).all() for row in array])
    if len(bad):
        names = first_ten(names_of(X, bad), ", ")
        raise ValueError(f"{what} NaN or infinity for {len(bad)} of {len(array)} clips: {names}.{advice}")


def raise_problems(results, n_clips):
    """Raise one error for all clips whose result is a ValueError."""
    problems = [str(result) for result in results if isinstance(result, ValueError)]
    if problems and n_clips == 1:
        raise ValueError(problems[0])
    if problems:
        raise ValueError(f"{len(problems)} of {n_clips} clips cannot be used:\n{first_ten(problems)}")
