"""The package as a whole: what importing it costs, and which room imports from which."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import skasd

PACKAGE = Path(skasd.__file__).parent
ROOMS = [
    ("_docstrings", "_folders", "_html", "_labels"),
    ("_fields",),
    ("clips",),
    ("_groups", "_sklearn", "_progress", "_problems", "_drafts", "_versions"),
    ("_reading",),
    ("_transformer",),
    ("audio",),
    ("datasets",),
    ("features", "augmentation"),
    ("networks", "losses"),
    ("training",),
    ("embedders",),
    ("detectors",),
    ("ensemble",),
    ("metrics", "model_selection"),
    ("systems",),
    ("monitoring",),
    ("plotting",),
    ("evaluation",),
    ("command",),
    ("__main__",),
]
ORDER = {room: place for place, rooms in enumerate(ROOMS) for room in rooms}
TREES = {path.relative_to(PACKAGE): ast.parse(path.read_text(encoding="utf-8")) for path in PACKAGE.rglob("*.py")}
IMPORTS = {
    path: [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    for path, tree in TREES.items()
}


def modules_in(node):
    if isinstance(node, ast.ImportFrom) and node.module != "skasd":
        return [node.module]
    return ["skasd." * isinstance(node, ast.ImportFrom) + alias.name for alias in node.names]


def test_nothing_imports_from_a_room_to_its_right():
    wrong = []
    for path, nodes in IMPORTS.items():
        room = path.parts[0].removesuffix(".py")
        for name in (name for node in nodes for name in modules_in(node) if name.startswith("skasd.")):
            if room == "__init__" or ORDER[name.split(".")[1]] > ORDER[room]:
                wrong.append(f"{path} imports {name}")
    assert wrong == []


def test_nothing_imports_what_another_room_keeps_private():
    wrong = []
    for path, nodes in IMPORTS.items():
        for node in (node for node in nodes if isinstance(node, ast.ImportFrom) and node.module.startswith("skasd.")):
            _, room, *inside = node.module.split(".")
            if room != path.parts[0] and any(name.startswith("_") for name in [*inside, *(n.name for n in node.names)]):
                wrong.append(f"{path} imports {node.module}")
    assert wrong == []


def test_only_one_module_imports_private_names_of_sklearn():
    private = {
        path.name
        for path, nodes in IMPORTS.items()
        for node in nodes
        if isinstance(node, ast.ImportFrom) and node.module.startswith("sklearn")
        if any(part.startswith("_") for part in [*node.module.split("."), *(alias.name for alias in node.names)])
    }
    assert private == {"_sklearn.py"}


def test_importing_the_package_is_light():
    code = "import sys, skasd; print(*{'torch', 'matplotlib', 'librosa', 'pandas', 'sklearn'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_public_names_are_there_and_unknown_ones_are_refused():
    assert set(skasd.__all__) <= set(dir(skasd))
    assert all(getattr(skasd, name) is not None for name in skasd.__all__)
    with pytest.raises(AttributeError, match="'detector'"):
        skasd.detector  # noqa: B018
