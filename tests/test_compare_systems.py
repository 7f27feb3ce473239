"""The command that compares the systems, on small sets: what it keeps, what it takes over, and what it writes."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pandas
import pytest

from skasd.clips import Clips
from skasd.datasets import make_machine_sounds

BENCHMARKS = Path(__file__).parent / "benchmarks"


@pytest.fixture(scope="module")
def modules():
    sys.path.insert(0, str(BENCHMARKS))
    yield importlib.import_module("compare_systems"), importlib.import_module("systems_report")
    sys.path.remove(str(BENCHMARKS))


@pytest.fixture
def compare(modules, monkeypatch):
    few = {"n_sections": 2, "n_train_source": 6, "n_train_target": 2, "n_test": 2}
    monkeypatch.setattr(modules[0], "SYNTHETIC", few)
    monkeypatch.setattr(modules[0], "in_fresh_process", lambda call, *arguments: call(*arguments))
    return modules[0]


def test_it_goes_on_where_it_was_and_the_ensemble_does_not_train_again(compare, tmp_path, capfd):
    report = tmp_path / "docs" / "results.md"
    report.parent.mkdir()
    report.write_text(f"before\n{BEGIN}\nstale\n{END}\nafter\n")
    arguments = [str(tmp_path / "runs"), "--data", "synthetic", "--machines", "bearing", "--seeds", "3", "4",
                 "--epochs", "1", "--device", "cpu", "--report", str(report)]  # fmt: skip
    names = ["random scores", "cnn_local"]  # the control comes by itself
    compare.main([*arguments, "--systems", *names])
    capfd.readouterr()
    compare.main([*arguments, "--systems", *names, "narita_ensemble"])
    log = capfd.readouterr().err
    assert log.count("1 of 1 machines are in the results folder already") == 8 and "trained in" not in log
    runs = tmp_path / "runs" / "results" / "small_1_epochs" / "synthetic" / "seed_3"
    assert (runs / "narita_ensemble" / "bearing.json").read_text() == (runs / "cnn_local" / "bearing.json").read_text()

    text = report.read_text()
    assert text.startswith(f"before\n{BEGIN}\n\n```sh\npython tests/benchmarks/compare_systems.py")
    assert text.endswith(f"{END}\nafter\n") and "stale" not in text
    figures = pandas.read_csv(tmp_path / "runs" / "figures_small_1_epochs.csv")
    scores = figures[(figures["metric"] == "official score") & figures["machine"].isna()]
    for name, part in scores.groupby("system"):
        assert f"| {name} | {100 * part['value'].mean():.1f} ± {100 * part['value'].std():.1f} |" in text
    pictures = {f"results_{name}.png" for name in ("synthetic", "machines", "time")}
    assert {path.name for path in (report.parent / "images").iterdir()} == pictures
    assert all(f"](images/{name})" in text for name in pictures)


BEGIN, END = "<!-- begin of what the command writes -->", "<!-- end of what the command writes -->"


@pytest.mark.parametrize("text", ["", BEGIN, f"{END} {BEGIN}"])
def test_a_report_without_marks_is_left_alone(modules, text):
    with pytest.raises(ValueError, match="needs the lines"):
        modules[1].put_between(text, "tables")


def test_spread(modules):
    assert modules[1].spread([0.5, 0.7]) == "60.0 ± 14.1"
    assert modules[1].spread([0.5]) == "50.0"
    assert modules[1].spread([0.5, np.nan]) == modules[1].spread([]) == ""


def test_on_the_bearing_task_embedders_learn_motors_and_outlier_exposure_is_not_possible(compare):
    options = {"preset": "small", "device": "cpu", "weights": None, "random_state": 0, "epochs": 7}
    system = compare.make_motor_system("cnn_global", "bearing, M1 held out", **options)
    assert system["embedder"].targets == ("motor", "attribute") and system["embedder"].max_epochs == 7
    assert compare.make_motor_system("cnn_global", "propeller", **options)["embedder"].targets[0] == "section"
    with pytest.raises(ValueError, match="this task has one section"):
        compare.make_motor_system("cnn_oe", "bearing, M1 held out", **options)


def test_no_clip_of_the_motors_is_read_from_its_recording_or_known_by_its_level(compare):
    for clips in compare.motors().values():
        assert "path" not in clips
        level = np.sqrt(np.mean(np.square(clips["waveform"]), axis=1))
        np.testing.assert_allclose(level, level[0], rtol=1e-3)


# The command that explains them


@pytest.fixture(scope="module")
def explain(modules):
    return importlib.import_module("explain_systems")


@pytest.fixture(scope="module")
def clips():
    return make_machine_sounds(
        "fan", n_sections=2, n_train_source=6, n_train_target=2, n_test=2, duration=3.0, random_state=0
    )


def test_the_squares_of_the_errors_are_the_scores_of_the_model(explain, clips):
    train = clips[clips["split"] == "train"]
    for name, factor in (("one Gaussian of frames", 0.5), ("autoencoder_baseline", 1 / 320)):
        build, errors = explain.MODELS[name]
        system = build("fan", 0).set_params(**{"detector__max_epochs": 1} if "autoencoder" in name else {}).fit(train)
        made = explain.of_errors(lambda task, seed, of=system: of, errors, explain.ENDS["squares of frames"], "fan", 0)
        rest = system.score_samples(clips) - factor * made.fit(train).score_samples(clips)
        for section in ("00", "01"):
            np.testing.assert_allclose(np.ptp(rest[clips["section"] == section]), 0, atol=1e-3)


def test_stages_averaged_over_bands_are_those_that_the_system_scores(explain, clips):
    system = explain.published("cnn_global", "fan", 0, **explain.NOT_TRAINED)
    means = explain.stage_means(system, clips)
    wanted = system[:-1].transform(clips)["embedding"]
    np.testing.assert_allclose(
        np.concatenate([one.mean(axis=2) for one in means], axis=1), wanted, rtol=1e-4, atol=1e-5
    )


def test_what_a_fault_does_to_clips_is_that_worked_by_hand(explain):
    clips = Clips(
        embedding=[[-1.0], [1.0], [1.0], [3.0], [9.0]],
        score=[0.0, 2.0, 1.0, 3.0, 0.0],
        label=[1, 1, -1, -1, -1],
        fault=["healthy", "healthy", "leak", "leak", "stroke"],
    )
    figures = {figure: value for _, figure, value in explain.about_fault("fan", clips, "leak", np.array([[2.0]]))}
    # variances 4 and 4, means 0 and 2 whose squared distance is 8, of which 4 / 2 + 4 / 2 are chance
    assert figures == {"AUC within a domain": 0.75, "squared shift of the mean": 1.0, "variance": 1.0}
