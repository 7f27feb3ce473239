"""Texts that the docstrings of several classes share, each written once."""

import re
from textwrap import indent

__all__ = ["fill"]


def fill(**texts):
    """Decorator that puts a text in the place of the line ``{its name}`` of a docstring, indented alike."""

    def filled(owner):
        if owner.__doc__ is not None:  # python -OO
            owner.__doc__ = re.sub(r"^( *)\{(\w+)\}$", lambda at: indent(texts[at[2]].strip(), at[1]), owner.__doc__,
                                 flags=re.MULTILINE)  # fmt: skip
        return owner

    return filled
