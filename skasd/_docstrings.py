"""Texts that the docstrings of several classes share, each written once."""

import re
from textwrap import indent

__all__ = ["fill"]


def fill(**texts):
    """Class decorator that puts a text in the place of the line ``{its name}`` of the docstring, indented alike."""

    def filled(cls):
        if cls.__doc__ is not None:  # python -OO
            cls.__doc__ = re.sub(r"^( *)\{(\w+)\}$", lambda at: indent(texts[at[2]].strip(), at[1]), cls.__doc__,
                                 flags=re.MULTILINE)  # fmt: skip
        return cls

    return filled
