"""Texts that the docstrings of several classes share, each written once."""

import re
from textwrap import indent

__all__ = ["fill"]

_LINE = re.compile(r"^( *)\{(\w+)\}$", re.MULTILINE)


def fill(**texts):
    """Decorator that puts a text in the place of the line ``{its name}`` of the docstring, indented alike."""

    def filled(documented):
        doc = documented.__doc__
        if doc is not None:  # python -OO
            documented.__doc__ = _LINE.sub(lambda at: indent(texts[at[2]].strip(), at[1]), doc)
        return documented

    return filled
