"""Texts that several docstrings share, each written once."""

import re
from textwrap import indent

__all__ = ["fill"]


def fill(**texts):
    """Decorate a class or function whose docstring has the names of these texts, in braces on lines of their own.

    Examples
    --------
    >>> from skasd._docstrings import fill
    >>> @fill(text="the text")
    ... class Documented:
    ...     '''A docstring with
    ...     {text}
    ...     '''
    >>> "    the text" in Documented.__doc__
    True
    """

    def filled(owner):
        names = "|".join(texts)
        owner.__doc__ = re.sub(
            rf"^( *)\{{({names})\}}$", lambda found: indent(texts[found[2]], found[1]), owner.__doc__ or "", flags=re.M
        )
        return owner

    return filled
