"""Tables for notebooks, in the colours of the page, light or dark."""

from html import escape

_CELL = ' style="text-align: left; vertical-align: top; overflow-wrap: anywhere; padding: .15em .8em .15em 0"'


def table_of(title, of, rows):
    """A title, of which the first part is bold, and a table of rows, the first of which has the heads."""
    lines = [
        "".join(f"<{tag}{_CELL}>{escape(str(cell))}</{tag}>" for cell in row)
        for tag, row in zip(["th", *["td"] * (len(rows) - 1)], rows, strict=True)
    ]
    table = "".join(f"<tr>{line}</tr>" for line in lines)
    return f"<div><p><b>{escape(title)}</b> {escape(of)}</p><table>{table}</table></div>"
