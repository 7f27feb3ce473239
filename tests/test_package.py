"""The package as a whole: what importing it costs, and which room imports from which."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import skasd

PACKAGE = Path(skasd.__file__).parent
ROOMS = [
    ("clips",),
    ("_validation", "_progress"),
    ("datasets", "_audio_files"),
    ("audio",),
    ("features", "augmentation"),
    ("networks", "losses"),
    ("_training",),
    ("embedders",),
    ("detectors",),
    ("ensemble",),
    ("metrics", "model_selection"),
    ("systems",),
    ("plotting",),
    ("evaluation",),
]
ORDER = {room: place for place, rooms in enumerate(ROOMS) for room in rooms}
MODULES = sorted(PACKAGE.rglob("*.py"))


def imported_rooms(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [node.module] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [f"skasd.{alias.name}" for alias in node.names] if getattr(node, "module", "") == "skasd" else []
        yield from (name.split(".")[1] for name in names if name and name.startswith("skasd."))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_imports_from_a_room_to_its_right(path):
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if room == "__init__":
        assert list(imported_rooms(path)) == []
    else:
        assert [name for name in imported_rooms(path) if ORDER[name] > ORDER[room]] == []


def test_only_one_module_imports_private_names_of_sklearn():
    private = [
        path.name
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sklearn")
        if any(part.startswith("_") for part in [*node.module.split("."), *(alias.name for alias in node.names)])
    ]
    assert set(private) == {"_validation.py"}


def test_importing_the_package_is_light():
    code = "import sys, skasd; print(*{'torch', 'matplotlib', 'librosa', 'pandas', 'sklearn'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("name", skasd.__all__)
def test_every_public_name_is_there(name):
    assert getattr(skasd, name) is not None
    assert name in dir(skasd)


def test_unknown_names_are_refused():
    with pytest.raises(AttributeError, match="'detector'"):
        skasd.detector  # noqa: B018
