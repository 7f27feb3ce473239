"""The pictures of the start page, drawn by the code that stands below them.

Each is drawn once for light and once for dark pages.
"""

import re
from pathlib import Path

import matplotlib

STYLES = {"light": "default", "dark": "dark_background"}
SHAPE = {
    "figure.figsize": (4.8, 3.6),
    "figure.constrained_layout.use": True,
    "svg.hashsalt": "skasd",
}


def draw(app):
    matplotlib.use("Agg")
    from matplotlib import pyplot

    source = Path(app.srcdir, "index.md").read_text(encoding="utf-8")
    code = compile(
        re.search(r"```python\n(.*?)```", source, re.DOTALL)[1], "index.md", "exec"
    )
    folder = Path(app.srcdir, "_generated")
    folder.mkdir(exist_ok=True)
    for name, style in STYLES.items():
        with pyplot.style.context([style, SHAPE]):
            exec(code, {})
            for number in pyplot.get_fignums():
                path = folder / f"start_{number}_{name}.svg"
                pyplot.figure(number).savefig(
                    path, transparent=True, metadata={"Date": None}
                )
            pyplot.close("all")


def setup(app):
    app.connect("builder-inited", draw)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
