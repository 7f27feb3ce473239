"""Errors that say in which system they came up."""

from contextlib import contextmanager


@contextmanager
def named_errors(name):
    """Adds to what is raised inside in which system it was."""
    try:
        yield
    except Exception as error:
        error.add_note(f"This was raised by {name}.")
        raise
