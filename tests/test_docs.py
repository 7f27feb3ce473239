"""README and documentation: their code runs and prints what they say, and their links lead somewhere."""

import contextlib
import doctest
import importlib
import io
import re
import runpy
import sys
import textwrap
import tomllib
import types
from pathlib import Path

import pytest
from matplotlib import pyplot

import skasd

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *DOCS.glob("*.md"), *DOCS.glob("howto/*.md"), *DOCS.glob("development/*.md")]
TEXTS = {str(page.relative_to(ROOT)): page.read_text(encoding="utf-8") for page in PAGES}
BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
WITH_CODE = sorted(page for page, text in TEXTS.items() if "\n```python\n" in text)
LIKE = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def run(code, names):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, names)
    return printed.getvalue()


@pytest.mark.parametrize("page", WITH_CODE)
def test_code_runs_from_top_to_bottom_and_prints_what_follows(page, tmp_path, monkeypatch):
    """A block that prints is followed by a block of text with what it prints; ``...`` stands for anything."""
    monkeypatch.chdir(tmp_path)
    module, printed = types.ModuleType("page_of_the_docs"), ""
    monkeypatch.setitem(sys.modules, module.__name__, module)  # or classes of the page could not be pickled
    for block in BLOCK.finditer(TEXTS[page]):
        line, kind, content = TEXTS[page].count("\n", 0, block.start()) + 1, block[2], textwrap.dedent(block[3])
        if kind == "python":
            assert not printed, f"what the code before line {line} of {page} prints is not there"
            printed = run(compile("\n" * line + content, page, "exec"), vars(module))
        elif kind == "text":
            assert doctest.OutputChecker().check_output(content, printed, LIKE), f"line {line}: got\n{printed}"
            printed = ""
    assert not printed


def test_most_pages_have_code():
    assert len(WITH_CODE) >= 10


def test_the_code_of_the_start_page_draws_two_figures():
    runpy.run_path(str(DOCS / "start.py"))
    assert len(pyplot.get_fignums()) == 2


@pytest.fixture(scope="module")
def scheduler():
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        yield cluster.scheduler_address


@pytest.mark.parametrize("number", [0, 1])
def test_programs_of_the_cluster_guide(number, scheduler, dev_data, tmp_path, capsys):
    programs = re.findall(r"```python\n(.*?)```", TEXTS["docs/howto/cluster.md"], flags=re.DOTALL)
    assert len(programs) == 2
    program, home = tmp_path / "program.py", dev_data.parent
    text = programs[number].replace("tcp://head:8786", scheduler).replace('"/shared', f'"{home.as_posix()}')
    program.write_text(text, encoding="utf-8")
    runpy.run_path(str(program), run_name="__main__")
    if number == 0:
        results = home / "results" / "rank_pooled_gmm"
        assert sorted(path.name for path in results.iterdir()) == ["fan.json", "valve.json"]
        assert "<img" in (home / "rank_pooled_gmm.html").read_text(encoding="utf-8")
    else:
        assert "'embedder__decay': " in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore")  # those of mlflow
def test_code_of_the_logging_guide_with_mlflow(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)
    module = types.ModuleType("page_of_the_docs")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for block in BLOCK.finditer(TEXTS["docs/howto/logging.md"]):
        if block[2] in ("python", "py"):
            run(block[3], vars(module))
    evaluated, trained = mlflow.search_runs(
        experiment_names=["fan"], order_by=["start_time DESC"], output_format="list"
    )
    assert {"train_loss", "valid_loss"} <= trained.data.metrics.keys() and trained.data.params["lr"] == "0.001"
    assert 0 < evaluated.data.metrics["official_score"] < 1 and evaluated.info.status == "FINISHED"


def anchors(page):
    headings = re.findall(r"^#+ (.*)$", BLOCK.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings} | {""}


def is_broken(page, target):
    file, _, anchor = target.partition("#")
    linked = (ROOT / page).parent / file if file else ROOT / page
    return not linked.is_file() or (bool(anchor) and anchor not in anchors(linked))


def test_links_and_files_that_pages_name_lead_somewhere():
    wrong = []
    for page, text in TEXTS.items():
        links = re.findall(r"\]\((?!https?://)([^)]+)\)", BLOCK.sub("", text))
        files = re.findall(r"(?:tests|examples|skasd)/[\w/]+\.py", text)
        wrong += [f"{page}: {target}" for target in links if is_broken(page, target)]
        wrong += [f"{page}: {name}" for name in files if not (ROOT / name).is_file()]
    assert wrong == []


def test_modules_of_the_readme_have_what_it_says():
    rows = re.findall(r"^\| `(skasd\.\w+)` \| (.*) \|$", TEXTS["README.md"], flags=re.MULTILINE)
    assert len(rows) >= 9
    named = [(importlib.import_module(module), name) for module, text in rows for name in re.findall(r"`(\w+)`", text)]
    assert [name for module, name in named if not hasattr(module, name)] == []


def test_the_reference_has_every_public_name_once():
    text = (DOCS / "api" / "index.rst").read_text(encoding="utf-8")
    sections = re.findall(r"automodule:: skasd\.(\w+)\n.*?\n(.*?)(?=\n\w|\Z)", text, re.DOTALL)
    listed = {module: sorted(re.findall(r"^   (\w+)$", section, re.MULTILINE)) for module, section in sections}
    assert listed == {name: sorted(importlib.import_module(f"skasd.{name}").__all__) for name in skasd._submodules}


def numbers_by_system(page):
    rows = re.findall(r"^\| `?(\w+)`?[^|]*\|(.*)\|$", TEXTS[page], flags=re.MULTILINE)
    return {system: [cell.strip() for cell in cells.split("|")] for system, cells in reversed(rows)}


def test_the_readme_has_the_code_of_the_start_page_and_the_numbers_of_the_results():
    assert (DOCS / "start.py").read_text(encoding="utf-8") in TEXTS["README.md"]
    results = numbers_by_system("docs/results.md")
    shown = {name: row for name, row in numbers_by_system("README.md").items() if name in results and name != "system"}
    assert len(shown) == 5
    assert shown == {name: results[name][4:9] for name in shown}


def test_the_readme_has_the_addresses_of_the_metadata():
    metadata = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert [url for url in metadata["project"]["urls"].values() if url not in TEXTS["README.md"]] == []
