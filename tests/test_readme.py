"""The code and commands of the README do what it says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=["clips", "arrays", "network"])
def test_python_code_runs(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(block, "README.md", "exec"), names)
    assert "fan.joblib" not in block or (tmp_path / "fan.joblib").stat().st_size > 0


def test_modules_of_the_table_have_what_it_says():
    rows = re.findall(r"^\| `(skasd\.\w+)` \| (.*) \|$", README, flags=re.MULTILINE)
    assert len(rows) >= 9
    for module, text in rows:
        names = re.findall(r"`(\w+)`", text)
        found = __import__(module, fromlist=names)
        assert [name for name in names if not hasattr(found, name)] == []


def test_quickstart_prints_a_table_and_draws(tmp_path):
    command = [sys.executable, ROOT / "examples" / "quickstart.py", "--output", tmp_path]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "gives the same scores" in done.stdout
    rows = re.findall(r"^  (propeller|bearing).*? (0\.\d{3}|1\.000) \[", done.stdout, flags=re.MULTILINE)
    assert len(rows) == 4
    assert (tmp_path / "quickstart.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "motor.joblib").exists()
