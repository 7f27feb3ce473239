"""The programs of the how-to on clusters, run as they stand there, on a local cluster of two workers."""

import re
import runpy
from pathlib import Path

import pytest

from skasd.datasets import make_machine_sounds, write_dcase

GUIDE = Path(__file__).parents[1] / "docs" / "howto" / "cluster.md"


@pytest.fixture(scope="module")
def scheduler():
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        yield cluster.scheduler_address


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shared")
    for machine in ("fan", "valve"):
        clips = make_machine_sounds(
            machine, n_sections=2, n_train_source=6, n_train_target=2, n_test=3, duration=1.0, random_state=0
        )
        write_dcase(clips, folder / "dev_data")
    return folder


@pytest.mark.parametrize("number", [0, 1])
def test_programs_of_the_cluster_guide(number, scheduler, shared, tmp_path, capsys):
    programs = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(programs) == 2
    program = tmp_path / "program.py"
    text = programs[number].replace("tcp://head:8786", scheduler).replace('"/shared', f'"{shared.as_posix()}')
    program.write_text(text, encoding="utf-8")
    runpy.run_path(str(program), run_name="__main__")
    if number == 0:
        results = shared / "results" / "rank_pooled_gmm"
        assert sorted(path.name for path in results.iterdir()) == ["fan.json", "valve.json"]
        assert "<img" in (shared / "rank_pooled_gmm.html").read_text(encoding="utf-8")
    else:
        assert "'embedder__decay': " in capsys.readouterr().out
