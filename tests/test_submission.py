"""Submission files: a real run's figures to the last digit, written files read back, and every fault said clearly."""

import csv
import errno
import io
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from skasd.clips import Clips
from skasd.detectors import MahalanobisDetector
from skasd.evaluation import Evaluation, Failure, _submission, evaluate, read_submission, write_submission
from skasd.metrics import Rules

SHIPPED = Path(__file__).parent / "data" / "dcase2022_dev_scores" / "run_a"


def read_results(run):
    """The figures of result.csv: {(machine, row name): three floats}."""
    results, machine = {}, None
    for row in csv.reader((run / "result.csv").read_text().splitlines()):
        if len(row) == 1:
            machine = row[0]
        elif row and row[0] != "section":
            results[machine, row[0]] = [float(value) for value in row[1:]]
    return results


@pytest.fixture(scope="module")
def real_run():
    return read_submission(SHIPPED, n_resamples=50, random_state=0)


class TestRealRun:
    def test_every_section_is_the_same_to_the_last_digit(self, real_run):
        results = read_results(SHIPPED)
        found = {}
        for figure in real_run.figures:
            if figure.section:
                found.setdefault((figure.machine, figure.section), []).append(figure.value)
        assert len(found) == 21
        for (machine, section), values in found.items():
            assert values == results[machine, section]

    def test_official_score_is_the_mean_of_result_csv(self, real_run):
        values = np.array([row for (_, name), row in read_results(SHIPPED).items() if name.isdigit()])
        assert values.shape == (21, 3)
        assert real_run.official_score.value == pytest.approx(1 / np.mean(1 / values), abs=1e-12)
        assert real_run.official_score.low < real_run.official_score.value < real_run.official_score.high
        assert real_run.name == "run_a" and not real_run.runs

    def test_some_machines(self, real_run):
        part = read_submission(SHIPPED, machines=["valve", "fan"], n_resamples=0)
        assert set(part.machines) == {"valve", "fan"}
        values = {figure[:4]: figure.value for figure in real_run.figures}
        assert all(figure.value == values[figure[:4]] for figure in part.figures)

    def test_other_rules(self, real_run):
        other = read_submission(SHIPPED, protocol="domain-only", n_resamples=0)
        assert other.official_score.value != real_run.official_score.value

    def test_reports(self, real_run):
        official, sections = real_run.tables().values()
        assert list(official) == ["system", "all machines", *real_run.machines]
        assert sections["AUC source"][0].startswith("80.50 [")


def make_names(section, unlabelled=False):
    kinds = [(domain, label) for domain in ("source", "target") for label in ("normal", "anomaly")]
    if unlabelled:
        return [f"section_{section}_{4 * number + kind:04d}.wav" for kind in range(4) for number in range(3)]
    return [f"section_{section}_{d}_test_{label}_{number:04d}.wav" for d, label in kinds for number in range(3)]


def write_scores(folder, machine="fan", section="00", names=None, kind="anomaly_score", values=None, suffix="_test"):
    folder.mkdir(exist_ok=True)
    names = make_names(section) if names is None else names
    values = range(len(names)) if values is None else values
    path = folder / f"{kind}_{machine}_section_{section}{suffix}.csv"
    path.write_text("".join(f"{name},{value}\n" for name, value in zip(names, values, strict=True)))
    return path


def write_truth(folder, machine="fan", section="00"):
    """Flags of an evaluator for unlabelled names: clips 4i+1 and 4i+3 anomalous, 4i+2 and 4i+3 of the target domain."""
    for kind, flags in (("data", "0101"), ("domain", "0011")):
        path = folder / f"ground_truth_{kind}"
        path.mkdir(parents=True, exist_ok=True)
        rows = [f"{name},{flags[int(name[-8:-4]) % 4]}\n" for name in make_names(section, unlabelled=True)]
        (path / f"ground_truth_{machine}_section_{section}_test.csv").write_text("".join(rows))
    return folder


@pytest.fixture
def folder(tmp_path):
    for section in ("00", "01"):
        write_scores(tmp_path / "team", section=section)
    return tmp_path / "team"


@pytest.fixture
def blind(tmp_path):
    """Scores of an evaluation set, whose names tell nothing, and its ground truth."""
    for machine in ("fan", "pump"):
        write_scores(tmp_path / "team", machine, "03", names=make_names("03", unlabelled=True))
        write_truth(tmp_path / "truth", machine, "03")
    return tmp_path / "team", tmp_path / "truth"


class TestRead:
    def test_figures_worked_by_hand(self, folder):
        # scores 0..11 in the order source normal, source anomaly, target normal, target anomaly
        figures = {(f.section, f.metric, f.domain): f.value for f in read_submission(folder, n_resamples=0).figures}
        assert figures["00", "AUC", "source"] == 1.0
        assert figures["00", "AUC", "target"] == 0.5  # above the source anomalies, below those of the target
        assert figures["", "official score", ""] == pytest.approx(3 / (1 + 2 + 1 / figures["00", "pAUC", ""]))

    def test_order_of_rows_and_suffix_of_files_do_not_matter(self, folder, tmp_path):
        names = make_names("00")
        shuffled = np.random.default_rng(0).permutation(12)
        write_scores(tmp_path / "b", section="00", names=[names[i] for i in shuffled], values=shuffled, suffix="")
        write_scores(tmp_path / "b", section="01", suffix="")
        one, two = (read_submission(path, n_resamples=0) for path in (folder, tmp_path / "b"))
        assert one.figures == two.figures

    def test_ground_truth_of_an_evaluator(self, blind):
        team, truth = blind
        evaluation = read_submission(team, ground_truth=truth, n_resamples=0)
        assert evaluation.machines == ["fan", "pump"]
        clips = evaluation.clips["fan"]
        number = np.array([int(name[-8:-4]) for name in clips["path"]])
        np.testing.assert_array_equal(clips["label"], np.where(number % 2, -1, 1))
        np.testing.assert_array_equal(clips["domain"], np.where(number % 4 > 1, "target", "source"))

    def test_ground_truth_of_a_list(self, blind, tmp_path):
        team, truth = blind
        path = tmp_path / "eval_data_list_2025.csv"
        rows = []
        for machine in ("fan", "pump"):
            rows.append(f"{machine},\n")
            for name in make_names("03", unlabelled=True):
                kind = int(name[-8:-4]) % 4
                domain, label = ["source", "target"][kind // 2], ["normal", "anomaly"][kind % 2]
                rows.append(f"{name},section_03_{domain}_test_{label}_{name[-8:]}\n")
        path.write_text("".join(rows))
        one, two = (read_submission(team, ground_truth=source, n_resamples=0) for source in (truth, path))
        assert one.figures == two.figures

    def test_decisions_are_read(self, folder):
        for section in ("00", "01"):
            write_scores(folder, section=section, kind="decision_result", values=[0, 0, 0, 1, 1, 1] * 2)
        evaluation = read_submission(folder, n_resamples=0)
        assert {f.value for f in evaluation.figures if f.metric in ("precision", "recall", "F1")} == {1.0}

    def test_years_before(self, tmp_path):
        labels = ["normal", "anomaly"] * 3
        for machine, section in (("fan", "00"), ("pump", "02")):
            names = [f"{label}_id_{section}_{number:08d}.wav" for number, label in enumerate(labels)]
            write_scores(tmp_path / "a", names=names).rename(
                tmp_path / "a" / f"anomaly_score_{machine}_id_{section}.csv"
            )
        evaluation = read_submission(tmp_path / "a", year=2020, n_resamples=0)
        assert evaluation.figures[0].value == pytest.approx(6 / 9)  # each anomaly beats the normal clips before it
        for domain, names in (("source", make_names("00")[:6]), ("target", make_names("00")[6:])):
            write_scores(tmp_path / "b", names=names, suffix=f"_{domain}_test")
        assert len(read_submission(tmp_path / "b", year=2021, n_resamples=0).clips["fan"]) == 12


class TestFaults:
    @pytest.mark.parametrize(("rows", "message"), [
        ("", "is empty"),
        ("\n\n", "It is empty"),
        ("{0},loud\n", r"1 are wrong:\nrow 1 .*loud': the score must be a finite number"),
        ("{0},nan\n{1},inf\n", r"2 are wrong:(.|\n)*row 2 .*inf': the score must be a finite number"),
        ("{0},1_0\n{1},\uff11\n", r"2 are wrong:\nrow 1 .*1_0': the score must be a finite number"),
        ("{0},1\n{0},2\n", "row 2 .*the clip is there twice"),
        ("{0}\n", "row 1 .*not enough values"),
        ("{0},1,2\n", "row 1 .*too many values"),
        ("{0}\t1\n", "row 1 "),
        ('"' + "x" * 200_000, ""),
        ("clip.wav,1\n", "'clip.wav' is not a file name of DCASE Task 2"),
        ("section_07_source_test_normal_0000.wav,1\n", "the clip is of section 07, the file of section 00"),
    ])  # fmt: skip
    def test_rows(self, folder, rows, message):
        path = folder / "anomaly_score_fan_section_00_test.csv"
        path.write_text(rows.format(*make_names("00")), encoding="utf-8")
        with pytest.raises(ValueError, match=rf"{path.name}(.|\n)*{message}"):
            read_submission(folder)

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
    def test_files_that_are_none(self, folder):
        path = folder / "decision_result_fan_section_00_test.csv"
        os.mkfifo(path)
        with pytest.raises(ValueError, match=rf"{path.name}.*named pipe"):
            read_submission(folder)

    def test_clips_in_the_file_of_the_other_domain(self, tmp_path):
        write_scores(tmp_path / "team", suffix="_source_test")
        with pytest.raises(ValueError, match="the clip is of domain target, the file of domain source"):
            read_submission(tmp_path / "team", year=2021)

    def test_ground_truth_without_domains(self, blind):
        team, truth = blind
        shutil.rmtree(truth / "ground_truth_domain")
        with pytest.raises(ValueError, match=r"Of 12 of 12 clips of fan nothing tells the domain"):
            read_submission(team, ground_truth=truth)
        assert read_submission(team, ground_truth=truth, year=2020, n_resamples=0).machines == ["fan", "pump"]

    @pytest.mark.parametrize("value", ["2", "0.5", "-1", "True"])
    def test_decisions_must_be_0_or_1(self, folder, value):
        for section in ("00", "01"):
            write_scores(folder, section=section, kind="decision_result", values=[0] * 11 + [value])
        with pytest.raises(ValueError, match=r"decision_result_fan(.|\n)*row 12 .*the decision must be 0 .* or 1"):
            read_submission(folder)

    def test_decisions_of_other_clips(self, folder):
        write_scores(folder, section="00", kind="decision_result", values=[0] * 12)
        with pytest.raises(
            ValueError, match=r"of fan in .* not of the same clips: 0 have no score, 12 have no decision"
        ):
            read_submission(folder)
        write_scores(folder, section="01", kind="decision_result", names=make_names("01")[:-1], values=[0] * 11)
        with pytest.raises(ValueError, match=r"1 have no decision: section_01_target_test_anomaly_0002.wav"):
            read_submission(folder)
        write_scores(folder, section="02", kind="decision_result", values=[0] * 12)
        with pytest.raises(ValueError, match="12 have no score, 1 have no decision"):
            read_submission(folder)

    def test_decisions_of_some_machines(self, folder):
        for section in ("00", "01"):
            write_scores(folder, "pump", section)
            write_scores(folder, "fan", section, kind="decision_result", values=[0] * 12)
        with pytest.raises(ValueError, match=r"scores and decisions of pump .* 24 have no decision"):
            read_submission(folder)

    def test_clips_in_two_files(self, folder):
        write_scores(folder, section="00", suffix="")
        with pytest.raises(ValueError, match=r"section_00_test.csv' are in another file too: section_00_source_test"):
            read_submission(folder)

    def test_missing_section(self, folder):
        write_scores(folder, "pump", "00")
        with pytest.raises(ValueError, match=r"Other machines have sections of .* section 01 of pump"):
            read_submission(folder)

    def test_missing_machines(self, folder, tmp_path):
        with pytest.raises(ValueError, match=r"no anomaly_score_.* of pump. Machines with files: fan\."):
            read_submission(folder, machines=["fan", "pump"])
        (tmp_path / "empty").mkdir()
        for nothing in ("empty", "nowhere"):
            with pytest.raises(ValueError, match=r"of any machine\. Machines with files: none\."):
                read_submission(tmp_path / nothing)

    def test_machine_of_the_ground_truth_is_missing(self, blind):
        team, truth = blind
        os.remove(team / "anomaly_score_pump_section_03_test.csv")
        with pytest.raises(ValueError, match=r"of pump\. Machines with files: fan"):
            read_submission(team, ground_truth=truth)
        assert read_submission(team, ground_truth=truth, machines=["fan"], n_resamples=0).machines == ["fan"]

    def test_section_of_the_ground_truth_is_missing(self, blind):
        team, truth = blind
        write_truth(truth, "fan", "04")
        with pytest.raises(ValueError, match=r"12 of 24 clips of fan .* have no score: section_04_0000.wav, .* 2 more"):
            read_submission(team, ground_truth=truth)

    def test_clips_are_missing_or_too_much(self, blind):
        team, truth = blind
        names = make_names("03", unlabelled=True)
        write_scores(team, "pump", "03", names=names[1:])
        with pytest.raises(ValueError, match=r"1 of 12 clips of pump .* have no score: section_03_0000.wav\."):
            read_submission(team, ground_truth=truth)
        write_scores(team, "pump", "03", names=[*names, "section_03_0099.wav"])
        with pytest.raises(ValueError, match=r"1 scores of pump are of clips .* does not name: section_03_0099.wav\."):
            read_submission(team, ground_truth=truth)

    def test_names_that_tell_no_label(self, blind):
        with pytest.raises(ValueError, match=r"12 of 12 clips of fan do not tell .* Give ground_truth"):
            read_submission(blind[0])

    def test_folder_that_is_no_ground_truth(self, blind, tmp_path):
        with pytest.raises(ValueError, match=r"There is no ground_truth_<machine>_section_NN_test\.csv"):
            read_submission(blind[0], ground_truth=tmp_path)


def make_clips(names, seed=0):
    """Training clips without, and test clips with these names."""
    section = [name[8:10] for name in names]
    rng, n_train = np.random.default_rng(seed), 40
    sections = sorted(set(section))
    return Clips(
        path=[f"train/{index}.wav" for index in range(n_train)] + [f"/data/test/{name}" for name in names],
        embedding=rng.normal(size=(n_train + len(names), 2)),
        section=[sections[index % len(sections)] for index in range(n_train)] + section,
        domain=["source"] * n_train + ["target" if "target" in name else "source" for name in names],
        split=["train"] * n_train + ["test"] * len(names),
        label=[1] * n_train + [-1 if "anomaly" in name else 1 for name in names],
    )


def with_nan(clips, field):
    return clips.with_fields({field: np.where(np.arange(24) == 7, np.nan, clips[field])})


class TestWrite:
    @pytest.fixture
    def evaluation(self):
        names = make_names("00") + make_names("01")
        data = {"fan": make_clips(names), "ToyCar": make_clips(names, seed=1)}
        return evaluate(MahalanobisDetector(contamination=0.3), data, year=2022, n_resamples=0, verbose=0)

    def test_files_are_as_the_evaluator_wants_them(self, evaluation, tmp_path):
        paths = write_submission(evaluation, tmp_path / "new" / "team")
        assert sorted(path.name for path in (tmp_path / "new" / "team").iterdir()) == sorted(
            f"{kind}_{machine}_section_{section}_test.csv"
            for kind in ("anomaly_score", "decision_result")
            for machine in ("fan", "ToyCar")
            for section in ("00", "01")
        )  # fmt: skip
        assert len(paths) == 8 and all(path.exists() for path in paths)
        clips = evaluation.clips["fan"]
        rows = zip(make_names("01"), clips["anomaly_score"][12:], clips["decision"][12:], strict=True)
        expected = [(f"{name},{score!r}\n", f"{name},{decision}\n") for name, score, decision in
                    ((name, float(score), int(decision)) for name, score, decision in rows)]  # fmt: skip
        for kind, lines in zip(("anomaly_score", "decision_result"), zip(*expected, strict=True), strict=True):
            content = (tmp_path / "new" / "team" / f"{kind}_fan_section_01_test.csv").read_bytes()
            assert content == "".join(lines).encode()
        assert {line[-2] for _, line in expected} == {"0", "1"}
        assert [path.name for path in (tmp_path / "new").iterdir()] == ["team"]

    def test_written_and_read_back(self, evaluation, tmp_path):
        write_submission(evaluation, tmp_path / "team")
        again = read_submission(tmp_path / "team", n_resamples=0)
        assert set(again.figures) == set(evaluation.figures)
        write_submission(again, tmp_path / "copy")
        for path in (tmp_path / "team").iterdir():
            assert (tmp_path / "copy" / path.name).read_bytes() == path.read_bytes()

    def test_nothing_is_overwritten(self, evaluation, tmp_path):
        with pytest.raises(FileExistsError, match="exists, and is not overwritten"):
            write_submission(evaluation, tmp_path)
        assert list(tmp_path.iterdir()) == []

    def test_names_of_other_years(self, tmp_path):
        clips = {"fan": make_clips(make_names("00"))}
        for year, expected in [
            (2020, ["anomaly_score_fan_id_00.csv", "decision_result_fan_id_00.csv"]),
            (2021, [f"{kind}_fan_section_00_{domain}_test.csv" for kind in ("anomaly_score", "decision_result")
                    for domain in ("source", "target")]),
        ]:  # fmt: skip
            evaluation = evaluate(MahalanobisDetector(), clips, year=year, n_resamples=0, verbose=0)
            write_submission(evaluation, tmp_path / str(year))
            assert sorted(path.name for path in (tmp_path / str(year)).iterdir()) == expected
        again = read_submission(tmp_path / "2021", year=2021, n_resamples=0)
        assert evaluation.official_score == again.official_score or np.isnan(again.official_score.low)
        assert evaluation.official_score.value == again.official_score.value

    def test_clips_without_labels(self, tmp_path):
        clips = make_clips(make_names("03", unlabelled=True))
        clips = clips.with_fields(label=np.where(clips["split"] == "test", 0, 1))
        write_submission(evaluate(MahalanobisDetector(), {"fan": clips}, year=2022, verbose=0), tmp_path / "team")
        names = [row.split(",")[0] for row in
                 (tmp_path / "team" / "anomaly_score_fan_section_03_test.csv").read_text().splitlines()]  # fmt: skip
        assert names == make_names("03", unlabelled=True)

    @pytest.mark.parametrize(("change", "message"), [
        (lambda clips: clips.without("path"), "The clips of fan lack 'path': a submission needs"),
        (lambda clips: clips.without("decision"), "The clips of fan lack 'decision'"),
        (lambda clips: clips.with_fields(path=["x/a.wav", "y/a.wav"] * 12),
         "Several clips of fan have one file name: a.wav"),
        (lambda clips: clips.with_fields(path=["", *clips["path"][1:]]), "fan are empty or no Unicode text"),
        (lambda clips: clips.with_fields(path=["section_00_\udcff.wav", *clips["path"][1:]]), "no Unicode text"),
        (lambda clips: clips.with_fields(domain=[""] * 24), "2021 are by domain, and clips of fan have none"),
        (lambda clips: with_nan(clips, "anomaly_score"), rf"1 clips of fan .*: {make_names('00')[7]}"),
        (lambda clips: with_nan(clips, "decision"), rf"1 clips of fan .*: {make_names('00')[7]}"),
    ])  # fmt: skip
    def test_what_is_missing(self, evaluation, tmp_path, change, message):
        clips = {"fan": change(evaluation.clips["fan"].with_fields(label=[0] * 24))}
        with pytest.raises(ValueError, match=message):
            write_submission(Evaluation(clips, name="", rules=Rules(2021)), tmp_path / "team")
        assert not (tmp_path / "team").exists()

    @pytest.mark.parametrize(("machine", "section"), [
        ("a/b", "00"), ("..", "0/0"), ("a:b", "00"), ("x" * 300, "00"), ("fan", "0"), ("fan", "00_section_01"),
        ("fan", ""), ("a\nb", "00"), ("fan", "motor"),
    ])  # fmt: skip
    @pytest.mark.parametrize("year", [2020, 2022])
    def test_names_from_which_no_file_name_can_be_made(self, tmp_path, machine, section, year):
        clips = make_clips(make_names("00")).with_fields(section=[section] * 52)
        evaluation = evaluate(MahalanobisDetector(), {machine: clips}, year=year, n_resamples=0, verbose=0)
        with pytest.raises(ValueError, match=r"Machine '.* cannot .*file"):
            write_submission(evaluation, tmp_path / "team")
        assert list(tmp_path.iterdir()) == []

    def test_names_that_hold_those_of_others(self, tmp_path):
        names = ["fan", "fan_section_00", "fan_section_00_test", "fan_id_00", "ventilator é", "a b"]
        data = {name: make_clips(make_names("00"), seed) for seed, name in enumerate(names)}
        evaluation = evaluate(MahalanobisDetector(), data, n_resamples=0, verbose=0)
        assert len(write_submission(evaluation, tmp_path / "team")) == 2 * len(names)
        again = read_submission(tmp_path / "team", n_resamples=0)
        assert set(again.figures) == set(evaluation.figures)

    def test_names_that_differ_by_capitals(self, tmp_path):
        data = {name: make_clips(make_names("00")) for name in ("fan", "Fan")}
        evaluation = evaluate(MahalanobisDetector(), data, n_resamples=0, verbose=0)
        with pytest.raises(ValueError, match="are one file where capitals do not count"):
            write_submission(evaluation, tmp_path / "team")

    def test_a_full_disk_leaves_nothing(self, evaluation, tmp_path, monkeypatch):
        class FullDisk(io.StringIO):
            def write(self, text):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(Path, "open", lambda *_, **__: FullDisk())
        with pytest.raises(OSError, match=rf"No space left on device: '{tmp_path}'"):
            write_submission(evaluation, tmp_path / "team")
        assert os.listdir(tmp_path) == []

    def test_two_at_once_do_not_mix(self, evaluation, tmp_path, monkeypatch):
        """Another process has written the same folder while this one was writing."""
        move = _submission.move_new

        def late(draft, target):
            target.mkdir()
            (target / "theirs").touch()
            move(draft, target)

        monkeypatch.setattr(_submission, "move_new", late)
        with pytest.raises(FileExistsError, match="team' exists"):
            write_submission(evaluation, tmp_path / "team")
        assert os.listdir(tmp_path) == ["team"] and os.listdir(tmp_path / "team") == ["theirs"]

    def test_a_machine_that_failed(self, evaluation, tmp_path):
        failures = {"pump": Failure("ValueError: broken", "")}
        broken = Evaluation(evaluation.clips, name="", rules=Rules(2022), failures=failures, n_resamples=0)
        with pytest.raises(ValueError, match="A submission needs all machines; pump failed"):
            write_submission(broken, tmp_path / "team")
