"""The programs for the command line do what they say, on small folders in the challenge's layout; the gallery runs."""

import importlib.util
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib import pyplot
from threadpoolctl import threadpool_limits

from skasd.audio import AudioLoader
from skasd.datasets import load_dcase, write_dcase
from skasd.evaluation import read_submission
from skasd.systems import cnn_oe, mobilefacenet_arcface, rank_pooled_gmm

EXAMPLES = Path(__file__).parents[1] / "examples"
GALLERY = sorted(EXAMPLES.glob("*/plot_*.py"))


def run(name, *arguments):
    command = [sys.executable, EXAMPLES / name, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done


def test_quickstart_holds_a_threshold_and_says_where_none_holds(tmp_path):
    done = run("quickstart.py", "--output", tmp_path)
    asked, measured = re.search(r"False alarms: (\S+)% asked for, (\S+)% measured", done.stdout).groups()
    assert float(measured) < 2 * float(asked)
    assert float(re.search(r"propellers found: (\S+)%", done.stdout)[1]) > 95
    cases = re.findall(r"^  (speeds|motor) not heard.*? (?:0\.\d{3}|1\.000) \[", done.stdout, flags=re.MULTILINE)
    assert cases == ["speeds", "motor", "motor", "motor"]
    assert "gives the same scores" in done.stdout
    assert (tmp_path / "quickstart.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "motor.joblib").exists()


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("dcase", EXAMPLES / "dcase.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_prints_tables_writes_files_and_goes_on_where_it_was(example, dev_data, tmp_path, capsys):
    options = [str(dev_data), "--results", str(tmp_path / "results")]
    one = run("dcase.py", *options, "--machines", "fan", "--html", tmp_path / "report.html")
    assert "rank_pooled_gmm" in one.stdout and re.search(r"\| fan +\|", one.stdout) and "valve" not in one.stdout
    assert "<img" in (tmp_path / "report.html").read_text(encoding="utf-8")

    example.main([*options, "--submission", str(tmp_path / "team")])
    both = capsys.readouterr()
    assert "1 of 2 machines are in the results folder already" in both.err
    assert "1/1 machines, valve" in both.err and "fan trained" not in both.err

    example.main([*options, "--submission", str(tmp_path / "again")])
    again = capsys.readouterr()
    assert "2 of 2 machines are in the results folder already" in again.err
    assert again.out.replace("again", "team") == both.out

    names = {
        f"{kind}_{machine}_section_{section}_test.csv"
        for kind in ("anomaly_score", "decision_result")
        for machine in ("fan", "valve")
        for section in ("00", "01")
    }
    for folder in (tmp_path / "team", tmp_path / "again"):
        assert {path.name for path in folder.iterdir()} == names
    official = read_submission(tmp_path / "team", n_resamples=0).official_score.value
    assert f"{100 * official:.2f} [" in both.out


def test_scores_of_the_files_are_those_of_the_system(example, dev_data, tmp_path):
    example.main([str(dev_data), "--machines", "valve", "--submission", str(tmp_path / "team")])
    system = rank_pooled_gmm(random_state=0).fit(load_dcase(dev_data / "valve", split="train"))
    test = load_dcase(dev_data / "valve", split="test")
    test = test[test["section"] == "01"]
    rows = np.loadtxt(tmp_path / "team" / "anomaly_score_valve_section_01_test.csv", delimiter=",", dtype=str)
    assert rows[:, 0].tolist() == [Path(path).name for path in test["path"].tolist()]
    np.testing.assert_allclose(rows[:, 1].astype(float), -system.score_samples(test))


def test_a_folder_for_the_submission_that_is_there_stops_it_at_once(example, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        example.main([str(tmp_path), "--submission", str(tmp_path)])
    assert stopped.value.code == 2
    assert "is not overwritten; give another folder" in capsys.readouterr().err


def make_machine(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


@pytest.mark.parametrize(("options", "message"), [
    (["no data"], "there is no folder .*no data"),
    (["data", "--machines", "pump"], "machines must be .*fan; got .*pump"),
    (["."], "No machine in"),
    ([".", "--additional", "more"], "no folder of a machine"),
    (["data", "--additional", "none"], "no folder .*fan"),
    (["data", "--machines", "pump", "--additional", "more"], "no folder .*pump"),
    (["data", "--additional", "data"], "1 clips of fan are in DATA and in .*--additional"),
])  # fmt: skip
def test_what_is_not_there_or_there_twice_is_one_line(example, tmp_path, monkeypatch, capsys, options, message):
    train = "train/section_00_source_train_normal_0000_a.wav"
    make_machine(tmp_path / "data", f"fan/{train}", f".trash/{train}", "notes/read.me")
    make_machine(tmp_path / "more", "fan/train/section_03_source_train_normal_0000_a.wav")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        example.main([*options, "--year", "2022"])
    text = capsys.readouterr().err if stopped.value.code == 2 else stopped.value.code
    assert re.search(f"error: .*{message}", text) and "Traceback" not in text


def test_hidden_folders_are_no_machines(example, tmp_path):
    for home, section in (("data", "00"), ("more", "03")):
        clip = f"train/section_{section}_source_train_normal_0000_a.wav"
        make_machine(tmp_path / home, f"fan/{clip}", f".trash/{clip}", "notes/read.me")
    assert list(example.with_additional(tmp_path / "data", tmp_path / "more", None)) == ["fan"]


def test_a_machine_that_fails_keeps_the_table_and_not_the_files(example, dev_data, tmp_path, capsys):
    shutil.copytree(dev_data / "fan", tmp_path / "data" / "fan")
    (tmp_path / "data" / "valve" / "train").mkdir(parents=True)
    with pytest.raises(SystemExit, match="valve"):
        example.main([str(tmp_path / "data"), "--submission", str(tmp_path / "team")])
    table = capsys.readouterr().out
    assert "valve failed" in table and re.search(r"\| fan +\| 00 +\|", table)
    assert not (tmp_path / "team").exists()


def test_options_reach_the_systems_that_have_them(example):
    options = {"preset": "small", "device": "cpu", "random_state": 3}
    by_machine = example.make_system("mobilefacenet_arcface", "fan", **options)
    assert repr(by_machine) == repr(mobilefacenet_arcface("fan", **options))
    assert repr(example.make_system("cnn_oe", "fan", **options)) == repr(cnn_oe(**options))
    assert repr(example.make_system("rank_pooled_gmm", "fan", **options)) == repr(rank_pooled_gmm(random_state=3))


@pytest.mark.parametrize(("machines", "asked"), [(["fan", "valve"], ["fan", "valve"]), (None, [None])])
def test_fetches_what_is_asked_for(example, monkeypatch, tmp_path, machines, asked):
    calls = []

    def fetch_dcase(year, machine=None, *, part, data_home):
        calls.append((year, machine, data_home))
        home = data_home / "dcase2022" / part
        return home if machine is None else home / machine

    monkeypatch.setattr(example, "fetch_dcase", fetch_dcase)
    assert example.fetch(2022, machines, tmp_path, "additional") == tmp_path / "dcase2022" / "additional"
    assert calls == [(2022, machine, tmp_path) for machine in asked]


def test_one_step_serves_all_machines(example, dev_data, tmp_path, capsys):
    options = [str(dev_data), "--results", str(tmp_path / "results"), "--shared", "embedder"]
    example.main(options)
    assert "embedder shared by all machines" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="other shared step"):
        example.main(options[:-2])
    with pytest.raises(SystemExit, match="'network' must name a step"):
        example.main([str(dev_data), "--shared", "network"])


def test_additional_clips_train_and_development_sections_are_judged(example, dev_data, tmp_path, capsys):
    more = load_dcase(dev_data / "fan", split="train")
    more = (
        AudioLoader()
        .fit_transform(more[more["section"] == "01"])
        .with_fields(section=["03"] * sum(more["section"] == "01"))
    )
    write_dcase(more.without("path"), tmp_path)
    clips = example.with_additional(dev_data, tmp_path, ["fan"])["fan"]
    assert set(clips[clips["split"] == "train"]["section"]) == {"00", "01", "03"}
    example.main([str(dev_data), "--machines", "fan", "--additional", str(tmp_path)])
    table = capsys.readouterr().out
    assert re.search(r"\| fan +\| 0?1 ", table) and not re.search(r"\| fan +\| 0?3 ", table)


@pytest.mark.parametrize("script", GALLERY, ids=lambda script: script.stem)
def test_gallery_script_runs_and_labels_its_axes(script, monkeypatch):
    monkeypatch.setattr(pyplot, "show", lambda: None)  # without windows there is nothing to show, and it warns
    with threadpool_limits(1):  # on a busy machine, threads of small networks wait for each other ten times as long
        runpy.run_path(str(script), run_name="__main__")
    figures = [pyplot.figure(number) for number in pyplot.get_fignums()]
    assert figures
    for figure in figures:
        figure.draw_without_rendering()
        axes = [axis for ax in figure.axes for axis in (ax.xaxis, ax.yaxis)]
        assert [axis for axis in axes if has_ticks(axis) and not axis.label.get_text()] == []


def has_ticks(axis):
    return any(label.get_visible() and label.get_text() for label in axis.get_ticklabels())


def test_gallery_has_headers_titles_captions_and_links_to_its_own_pages():
    names = {f"/gallery/{script.relative_to(EXAMPLES).with_suffix('')}" for script in GALLERY}
    assert len(names) >= 9
    for folder in (EXAMPLES, *{script.parent for script in GALLERY}):
        assert (folder / "GALLERY_HEADER.rst").exists()
    for script in GALLERY:
        text = script.read_text(encoding="utf-8")
        rule, title, other, blank, caption, after = text.splitlines()[1:7]
        assert rule == other == "=" * len(title), script.name
        assert not blank and caption[-1] in ".?" and after in ("", '"""'), script.name
        assert set(re.findall(r":doc:`([^`]+)`", text)) <= names
