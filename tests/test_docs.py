"""The pages of the documentation: their code runs and prints what they say, their links lead somewhere."""

import contextlib
import doctest
import importlib
import io
import re
import sys
import textwrap
import types
from pathlib import Path

import matplotlib
import pytest
from matplotlib import pyplot

import skasd
from skasd.evaluation._published import SYSTEMS

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if not {"_build", "gallery"} & set(path.relative_to(DOCS).parts))
README = DOCS.parent / "README.md"
BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
WITH_CODE = [path for path in PAGES if "\n```python\n" in path.read_text(encoding="utf-8")]
LIKE = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def name(page):
    return str(page.relative_to(DOCS.parent))


def run(code, names):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, names)
    return printed.getvalue()


@pytest.mark.parametrize("page", WITH_CODE, ids=name)
def test_code_runs_from_top_to_bottom_and_prints_what_stands_below(page, tmp_path, monkeypatch):
    """A block that prints is followed by a block of text with what it prints; ``...`` stands for anything."""
    monkeypatch.chdir(tmp_path)
    matplotlib.use("Agg")
    text = page.read_text(encoding="utf-8")
    module, printed = types.ModuleType("page_of_the_docs"), ""
    monkeypatch.setitem(sys.modules, module.__name__, module)  # or classes of the page could not be pickled
    for block in BLOCK.finditer(text):
        line, (kind, content) = text.count("\n", 0, block.start()) + 1, (block[2], textwrap.dedent(block[3]))
        if kind == "python":
            assert not printed, f"what the code before line {line} of {page.name} prints does not stand there"
            printed = run(compile("\n" * line + content, page.name, "exec"), vars(module))
        elif kind == "text":
            assert doctest.OutputChecker().check_output(content, printed, LIKE), f"line {line}: got\n{printed}"
            printed = ""
    assert not printed
    pyplot.close("all")


def test_most_pages_have_code():
    assert len(WITH_CODE) >= 10


def slug(heading):
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def anchors(path):
    text = BLOCK.sub("", path.read_text(encoding="utf-8"))
    return {slug(heading) for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}


@pytest.mark.parametrize("page", [README, *PAGES], ids=name)
def test_links_lead_somewhere(page):
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith(("https://", "http://")):
            continue
        file, _, anchor = target.partition("#")
        linked = page.parent / file if file else page
        assert linked.is_file(), f"{page.name} links to {target}"
        assert not anchor or anchor in anchors(linked), f"{page.name} links to {target}; there are {anchors(linked)}"


@pytest.mark.parametrize("page", [README, *PAGES], ids=name)
def test_files_that_a_page_names_are_there(page):
    named = re.findall(r"(?:tests|examples|skasd)/[\w/]+\.py", page.read_text(encoding="utf-8"))
    assert [name for name in named if not (DOCS.parent / name).is_file()] == []


def test_the_reference_has_every_public_name_once():
    text = (DOCS / "api" / "index.rst").read_text(encoding="utf-8")
    for module in skasd._submodules:
        section = re.search(rf"automodule:: skasd\.{module}\n.*?\n(.*?)(?=\n\w|\Z)", text, re.DOTALL)[1]
        listed = re.findall(r"^   (\w+)$", section, re.MULTILINE)
        public = importlib.import_module(f"skasd.{module}").__all__
        assert sorted(listed) == sorted(public), module


def test_published_figures_are_those_of_the_table():
    text = (DOCS / "systems.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `\w+` \| (.*) \|$", text, re.MULTILINE)
    published = {f"{value:.2f}" for system in SYSTEMS for value in (system.total or 0, *system.machines.values())}
    figures = re.findall(r"\d\d\.\d\d", "".join(rows))
    assert len(rows) == 9 and len(figures) == 11
    assert set(figures) <= published
