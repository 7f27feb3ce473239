"""evaluate: the same figures as by hand, on folders and on clips, interrupted, failing, in parallel, and in tables."""

import base64
import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import joblib
import numpy as np
import pytest
import soundfile
from sklearn.base import BaseEstimator, OutlierMixin, clone
from sklearn.pipeline import make_pipeline

from skasd.clips import Clips
from skasd.datasets import load_dcase
from skasd.detectors import GaussianMixtureDetector, MahalanobisDetector
from skasd.embedders import StatisticsEmbedder
from skasd.ensemble import select_systems
from skasd.evaluation import Evaluation, _store
from skasd.evaluation import evaluate as evaluate_any
from skasd.evaluation._figures import machine_figures, official_interval
from skasd.features import LogMelSpectrogram
from skasd.metrics import (
    Rules,
    bootstrap_interval,
    domain_scores,
    official_score,
    official_scorer,
    pauc_score,
    pauc_scorer,
    resampled_pauc,
)
from skasd.model_selection import DevelopmentSplit

evaluate = partial(evaluate_any, year=2022)
KINDS = [("train", "source", "normal", 12), ("train", "target", "normal", 3)] + [
    ("test", domain, label, 5) for domain in ("source", "target") for label in ("normal", "anomaly")
]


def write_machine(folder, seed, sections=("00", "01"), unlabelled=False):
    """A machine's folder: hum in noise, of which anomalies have more and the target domain another pitch."""
    rng, time_axis = np.random.default_rng(seed), np.arange(2048) / 16000
    for section in sections:
        for split, domain, label, count in KINDS:
            for number in range(count):
                pitch = 400 if domain == "source" else 440
                hum = (
                    np.sin(2 * np.pi * pitch * time_axis) * (0.4 if label == "anomaly" else 0.3) * rng.uniform(0.8, 1.2)
                )
                name = f"section_{section}_{domain}_{split}_{label}_{number:04d}"
                if unlabelled and split == "test":
                    name = f"section_{section}_{['source', 'target'].index(domain)}{len(label) % 2}{number:02d}"
                path = folder / split / f"{name}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(path, hum + 0.05 * rng.normal(size=2048), 16000)
    return folder


def make_system(detector=None):
    features = LogMelSpectrogram(n_fft=256, hop_length=128, n_mels=6)
    return make_pipeline(features, StatisticsEmbedder(), detector or MahalanobisDetector())


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dev_data")
    for seed, machine in enumerate(["fan", "valve", "slider"]):
        write_machine(folder / machine, seed)
    return folder


@pytest.fixture(scope="module")
def evaluation(data):
    return evaluate(make_system(), data, n_resamples=50, random_state=0, verbose=0)


def make_clips(seed=0, **fields):
    """Clips with embeddings, two sections and both domains, anomalies further out."""
    rng = np.random.default_rng(seed)
    split, section = np.repeat(["train", "test"], 60), np.tile(["00", "01"], 60)
    label = np.where((np.arange(120) >= 60) & (np.arange(120) % 3 == 0), -1, 1)
    embedding = rng.normal(size=(120, 3)) + 1.5 * (label == -1)[:, np.newaxis]
    domain = np.tile(np.repeat(["source", "target"], 4), 15)
    return Clips(embedding=embedding, split=split, section=section, label=label, domain=domain).with_fields(fields)


class Recorder(OutlierMixin, BaseEstimator):
    """Scores by distance from the mean; writes down each fit, and fails where it is told to."""

    def __init__(self, log, fails=(), error=ValueError):
        self.log = log
        self.fails = fails
        self.error = error

    def fit(self, X, y=None):
        machine = X["machine"][0]
        with open(self.log, "a") as log:
            log.write(f"{machine}\n")
        if machine in self.fails:
            raise self.error(f"the {machine} is broken")
        self.mean_ = X["embedding"].mean(axis=0)
        self.offset_ = np.quantile(self.score_samples(X), 0.1)
        return self

    def score_samples(self, X):
        return -np.linalg.norm(X["embedding"] - self.mean_, axis=1)

    def decision_function(self, X):
        return self.score_samples(X) - self.offset_


def broken_for(machine, *, machines, log):
    return Recorder(log, fails=machines) if machine in machines else Recorder(log)


@pytest.fixture
def machines():
    return {"fan": make_clips(0), "pump": make_clips(1), "valve": make_clips(2)}


@pytest.fixture
def log(tmp_path):
    (tmp_path / "log").touch()
    return str(tmp_path / "log")


def fitted(log):
    return Path(log).read_text().split()


class TestFigures:
    @pytest.mark.parametrize("max_fpr", [0.1, 0.35, 1.0])
    def test_resampled_pauc_is_that_of_repeated_clips(self, max_fpr):
        rng = np.random.default_rng(0)
        y_true = np.tile([0, 1], 30)
        y_score = np.round(rng.normal(size=60) + y_true, 1)  # with ties
        multiplicity = rng.integers(0, 4, size=(40, 60))
        expected = [pauc_score(y_true.repeat(row), y_score.repeat(row), max_fpr=max_fpr) for row in multiplicity]
        np.testing.assert_allclose(resampled_pauc(y_true, y_score, multiplicity, max_fpr), expected, atol=1e-14)

    @pytest.mark.parametrize(("year", "protocol"), [
        (2020, "official"), (2021, "official"), (2022, "official"), (2022, "domain-only"), (2025, "official"),
    ])  # fmt: skip
    def test_official_score_is_the_mean_of_the_figures(self, year, protocol):
        rules = Rules(year, protocol)
        parts = []
        for machine, seed in [("fan", 0), ("pump", 1)]:
            part = make_clips(seed, machine=[machine] * 120)
            parts.append(part.with_fields(anomaly_score=part["embedding"][:, 0]))
        rng, terms = np.random.RandomState(0), []
        for part in parts:
            figures, resampled = machine_figures(part, rules, 3, rng)
            assert figures[-1].value == pytest.approx(rules.merge([np.array([[f.value for f in figures[:-1]]])])[0])
            terms.append(resampled)
        total = official_interval(parts[0] + parts[1], rules, terms)
        clips = parts[0] + parts[1]
        fields = {name: clips[name] for name in ("machine", "section", "domain")[: 2 if year == 2020 else 3]}
        y_true = clips["label"] == -1
        assert total.value == official_score(
            y_true.astype(int), clips["anomaly_score"], **fields, year=year, protocol=protocol
        )
        assert total.low <= total.high

    def test_figures_are_those_of_the_metrics(self):
        clips = make_clips(machine=["fan"] * 120, anomaly_score=np.random.default_rng(1).normal(size=120))
        figures, _ = machine_figures(clips, Rules(2023), 0, np.random)
        records = domain_scores(
            (clips["label"] == -1).astype(int), clips["anomaly_score"], clips["domain"], section=clips["section"]
        )
        for record in records:
            values = [figure.value for figure in figures if figure.section == record.section]
            assert values == [record.auc_source, record.auc_target, record.pauc]
        assert all(np.isnan(figure.low) and np.isnan(figure.high) for figure in figures)

    @pytest.mark.parametrize("recording", [[""] * 120, np.arange(120) // 6], ids=["clips", "recordings"])
    def test_intervals_are_those_of_the_bootstrap(self, recording):
        clips = make_clips(machine=["fan"] * 120, section=["00"] * 120, recording=recording)
        clips = clips.with_fields(anomaly_score=clips["embedding"][:, 0])
        *_, pauc, figure = machine_figures(clips, Rules(2022), 2000, np.random.RandomState(0))[0]
        y_true = (clips["label"] == -1).astype(int)
        how = {"domain": clips["domain"], "groups": recording, "n_resamples": 500, "random_state": 1}
        expected = bootstrap_interval(official_score, y_true, clips["anomaly_score"], **how)
        np.testing.assert_allclose([figure.value, figure.low, figure.high], expected, atol=0.025)
        expected = bootstrap_interval(
            lambda y, score, domain: pauc_score(y, score), y_true, clips["anomaly_score"], **how
        )
        np.testing.assert_allclose([pauc.value, pauc.low, pauc.high], expected, atol=0.025)

    def test_few_clips_do_not_move_the_interval_off_the_score(self):
        rng = np.random.RandomState(0)
        clips = Clips(
            machine=["fan"] * 36, section=np.repeat(["00", "01", "02"], 12), domain=["source", "target"] * 18,
            label=[1, 1, -1, -1] * 9,
        )  # fmt: skip
        figures = [
            machine_figures(clips.with_fields(anomaly_score=rng.normal(size=36)), Rules(2022), 200, rng)[0][-1]
            for _ in range(150)
        ]
        assert all(figure.low <= figure.value <= figure.high for figure in figures)
        assert np.mean([figure.low <= 0.5 <= figure.high for figure in figures]) > 0.85

    def test_extreme_scores_do_not_overflow(self):
        y_true, y_score = np.array([0, 0, 1, 1]), np.array([-1.7e308, 1.0, 1.7e308, 5e-324])
        assert resampled_pauc(y_true, y_score, np.ones((1, 4)), 1.0) == [0.75]

    def test_what_cannot_vary_has_no_interval(self):
        clips = Clips(
            machine=["fan"] * 4, section=["00"] * 4, domain=["source", "target"] * 2, label=[1, 1, -1, -1],
            anomaly_score=[0.0, 1.0, 2.0, 3.0],
        )  # fmt: skip
        figures, _ = machine_figures(clips, Rules(2022), 20, np.random.RandomState(0))
        assert [figure.value for figure in figures] == [1.0] * 4
        assert np.isnan([figure.low for figure in figures]).all()

    def test_decisions_are_judged_in_each_domain(self):
        clips = Clips(
            machine=["fan"] * 8, section=["00"] * 8, domain=["source"] * 4 + ["target"] * 4,
            label=[1, 1, -1, -1, 1, 1, -1, -1], anomaly_score=np.arange(8), decision=[0, 1, 1, 1, 0, 0, 0, 1],
        )  # fmt: skip
        figures, _ = machine_figures(clips, Rules(2022), 0, np.random)
        values = {(figure.metric, figure.domain): figure.value for figure in figures}
        assert values["precision", "source"] == pytest.approx(2 / 3)
        assert values["recall", "source"] == 1
        assert values["F1", "source"] == pytest.approx(0.8)
        assert (values["precision", "target"], values["recall", "target"]) == (1, 0.5)


class TestEvaluate:
    def test_figures_are_those_by_hand(self, data, evaluation):
        for machine in ("fan", "valve", "slider"):
            clips = load_dcase(data / machine)
            train, test = clips[clips["split"] == "train"], clips[clips["split"] == "test"]
            system = make_system().fit(train)
            (official,) = [f for f in evaluation.figures if f.machine == machine and f.metric == "official score"]
            assert official.value == official_scorer(system, test)
            assert official.low <= official.value <= official.high
            np.testing.assert_array_equal(evaluation.clips[machine]["anomaly_score"], -system.score_samples(test))
            np.testing.assert_array_equal(evaluation.clips[machine]["decision"] == 1, system.predict(test) == -1)
        assert evaluation.machines == ["fan", "slider", "valve"]
        assert evaluation.official_score.low < evaluation.official_score.value < evaluation.official_score.high
        assert evaluation.lacking() == ""

    def test_folder_and_clips_give_the_same(self, data, evaluation):
        clips = {machine: load_dcase(data / machine) for machine in evaluation.machines}
        again = evaluate(make_system(), clips, n_resamples=50, random_state=0, verbose=0)
        assert again.figures == evaluation.figures

    def test_some_machines_in_their_order(self, data, evaluation):
        some = evaluate(make_system(), data, machines=["valve", "fan"], n_resamples=0, verbose=0)
        assert some.machines == ["valve", "fan"]
        values = {figure[:4]: figure.value for figure in evaluation.figures}
        assert all(values[figure[:4]] == figure.value for figure in some.figures)

    def test_a_function_gives_each_machine_its_system(self, machines, log):
        system = partial(broken_for, machines=["pump"], log=log)
        evaluation = evaluate(system, machines, verbose=0)
        assert evaluation.name == "broken_for"
        assert list(evaluation.failures) == ["pump"]

    def test_a_selection_is_such_a_function(self, machines):
        systems = {"gauss": MahalanobisDetector(), "mixture": GaussianMixtureDetector(random_state=0)}
        parts = [clips.with_fields(machine=[machine] * 120) for machine, clips in machines.items()]
        selection = select_systems(systems, sum(parts[1:], parts[0]), scorer=pauc_scorer, cv=DevelopmentSplit())
        evaluation = evaluate(selection, machines, n_resamples=0, verbose=0)
        assert evaluation.name == "SystemSelection" and not evaluation.failures

    def test_the_given_system_stays_unfitted(self, machines):
        system = MahalanobisDetector()
        evaluate(system, machines, n_resamples=0, verbose=0)
        assert not hasattr(system, "models_")

    def test_the_system_is_not_told_what_is_to_be_found(self, machines):
        seen = []

        class Spy(MahalanobisDetector):
            def score_samples(self, X):
                seen.append(set(X))
                return super().score_samples(X)

        evaluate(Spy(), {"fan": make_clips(attribute=["speed_1"] * 120)}, n_resamples=0, verbose=0)
        assert seen and all(fields == {"embedding", "machine", "section", "split"} for fields in seen)

    def test_clips_are_taken_apart_by_machine(self):
        clips = {name: make_clips(seed, machine=[name] * 120) for seed, name in enumerate(("fan", "pump"))}
        one, two = (
            evaluate(MahalanobisDetector(), data, n_resamples=0, verbose=0)
            for data in (clips["pump"] + clips["fan"], clips)
        )
        assert one.figures == two.figures
        nameless = evaluate(MahalanobisDetector(), make_clips(), n_resamples=0, verbose=0)
        assert list(nameless.clips) == ["machine"]

    def test_no_machines_no_system_and_no_folder_are_named(self):
        with pytest.raises(ValueError, match="data holds no clips"):
            evaluate(MahalanobisDetector(), {}, verbose=0)
        with pytest.raises(RuntimeError, match=r"function .* 'fan'; it gave None"):
            evaluate(lambda machine: None, {"fan": make_clips()}, verbose=0)
        with pytest.raises(ValueError, match="results"):
            evaluate(MahalanobisDetector(), {"fan": make_clips()}, results="a\0b", verbose=0)

    def test_a_link_that_leads_nowhere_is_found_before_training(self, tmp_path):
        (tmp_path / "fan.json").symlink_to("nowhere")
        with pytest.raises(ValueError, match=r"fan\.json.*no regular file"):
            evaluate(MahalanobisDetector(), {"fan": make_clips()}, results=tmp_path, verbose=0)

    def test_anomalies_among_training_clips_do_not_train(self):
        clips = make_clips()
        label = np.where((clips["split"] == "train") & (np.arange(120) % 5 == 0), -1, clips["label"])
        left_out = clips.with_fields(label=label)[(clips["split"] == "test") | (label == 1)]
        one, two = (
            evaluate(MahalanobisDetector(), {"fan": part}, n_resamples=0, verbose=0)
            for part in (clips.with_fields(label=label), left_out)
        )
        assert one.figures == two.figures

    def test_data_without_domains_and_sections(self):
        clips = {"motor": make_clips().without("domain", "section")}
        evaluation = evaluate(MahalanobisDetector(), clips, year=2020, verbose=0)
        assert [figure.metric for figure in evaluation.figures[:2]] == ["AUC", "pAUC"]
        with pytest.raises(RuntimeError, match=r"motor: ValueError: .*of motor.*'domain'"):
            evaluate(MahalanobisDetector(), clips, verbose=0)

    def test_evaluation_set_with_and_without_its_labels(self, tmp_path):
        write_machine(tmp_path / "fan", 0, sections=["03", "04"], unlabelled=True)
        evaluation = evaluate(make_system(), tmp_path, verbose=0)
        assert evaluation.figures == [] and len(evaluation.clips["fan"]) == 40
        assert evaluation.lacking() == "fan has no labels"
        with pytest.raises(ValueError, match="no official score of 1 machines: fan has no labels"):
            _ = evaluation.official_score
        assert "Time and memory" in evaluation.to_html()
        truth = tmp_path / "truth" / "ground_truth_data", tmp_path / "truth" / "ground_truth_domain"
        for folder, digit in zip(truth, (1, 0), strict=True):  # the digits of the name tell label and domain
            folder.mkdir(parents=True)
            for section in ("03", "04"):
                rows = [
                    f"{path.name},{path.stem[-4:][digit]}\n"
                    for path in (tmp_path / "fan" / "test").glob(f"*_{section}_*")
                ]
                (folder / f"ground_truth_fan_section_{section}_test.csv").write_text("".join(rows))
        judged = evaluate(make_system(), tmp_path, machines=["fan"], ground_truth=tmp_path / "truth", verbose=0)
        assert judged.official_score.value > 0.3
        np.testing.assert_array_equal(judged.clips["fan"]["anomaly_score"], evaluation.clips["fan"]["anomaly_score"])

    def test_recordings_go_along(self):
        clips = make_clips(recording=np.arange(120) // 6)
        evaluation = evaluate(MahalanobisDetector(), {"fan": clips}, n_resamples=5, verbose=0)
        assert evaluation.clips["fan"]["recording"].tolist() == clips["recording"][60:].tolist()

    def test_the_threshold_is_exact_although_a_score_is_huge(self):
        clips = make_clips()
        embedding = clips["embedding"].copy()
        embedding[60] = 1e9  # the first test clip
        clips = clips.with_fields(embedding=embedding)
        run = evaluate(MahalanobisDetector(), {"fan": clips}, n_resamples=0, verbose=0).runs["fan"]
        offset = MahalanobisDetector().fit(clips[clips["split"] == "train"]).offset_
        assert run.threshold == pytest.approx(-offset, rel=1e-12)

    def test_time_and_memory(self):
        class Hungry(MahalanobisDetector):
            def fit(self, X, y=None):
                self.block = np.ones(most // 8 + 30_000_000)  # 240 MB more than the process has ever had
                time.sleep(0.3)
                return super().fit(X, y)

        most = evaluate(MahalanobisDetector(), {"fan": make_clips()}, n_resamples=0, verbose=0).runs["fan"].peak_memory
        run = evaluate(Hungry(), {"fan": make_clips()}, n_resamples=0, verbose=0).runs["fan"]
        assert run.peak_memory - most > 200e6 and run.fit_seconds > 0.3
        assert run.n_train == 60 and run.score_seconds > 0 and run.peak_gpu_memory == 0

    def test_threads_give_the_same(self, data, evaluation):
        with joblib.parallel_config(backend="threading"):
            again = evaluate(make_system(), data, n_jobs=2, n_resamples=50, random_state=0, verbose=0)
        assert again.figures == evaluation.figures

    def test_a_dask_cluster_gives_the_same(self, data, evaluation, tmp_path):
        distributed = pytest.importorskip("distributed")
        cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
        with cluster, distributed.Client(cluster), joblib.parallel_config(backend="dask"):
            again = evaluate(make_system(), data, results=tmp_path, n_resamples=50, random_state=0, verbose=0)
        assert again.figures == evaluation.figures
        assert sorted(path.name for path in tmp_path.iterdir()) == ["fan.json", "slider.json", "valve.json"]

    def test_progress_in_a_log(self, machines, log, capsys, tmp_path):
        evaluate(Recorder(log, fails=["pump"]), machines, results=tmp_path / "results", n_resamples=0)
        lines = capsys.readouterr().err.splitlines()
        assert re.fullmatch(
            r"evaluate: 1/3 machines, fan trained in 0.\d s, scored in 0.\d s, 00:0\d gone, .* left", lines[0]
        )
        assert lines[1].startswith("evaluate: 2/3 machines, pump failed, ValueError: the pump is broken, ")
        evaluate(Recorder(log, fails=["pump"]), machines, results=tmp_path / "results", n_resamples=0)
        assert capsys.readouterr().err.startswith("2 of 3 machines are in the results folder already.\nevaluate: 1/1")
        evaluate(Recorder(log), machines, n_resamples=0, verbose=0)
        assert capsys.readouterr().err == ""

    @pytest.mark.parametrize(("changes", "error", "message"), [
        ({"machines": ["fan", "pum"]}, ValueError, r"some of fan, pump, valve; got \['fan', 'pum'\]"),
        ({"machines": "fan"}, ValueError, "The 'machines' parameter of evaluate must be an array-like or None"),
        ({"machines": []}, ValueError, "machines must be a list"),
        ({"data": "nowhere"}, FileNotFoundError, "There is no folder 'nowhere'"),
        ({"data": {"": make_clips()}}, ValueError, "Each machine needs a name"),
        ({"data": {7: make_clips()}}, ValueError, "Each machine needs a name"),
        ({"data": {"fan": make_clips()[:0]}}, RuntimeError, "fan has 0 training and 0 test clips"),
        ({"data": make_clips()[:0]}, RuntimeError, "machine has 0 training and 0 test clips"),
        ({"system": MahalanobisDetector}, TypeError, "system must be an estimator instance, or a function"),
        ({"system": "gmm"}, TypeError, "got 'gmm'"),
        ({"year": 2019}, ValueError, "The 'year' parameter of evaluate"),
        ({"year": 2021, "protocol": "domain-only"}, ValueError, "the rule of 2021 has no such variant"),
        ({"data": {"fan": make_clips(machine=["pump"] * 120)}}, RuntimeError, "clips of fan are some of pump"),
        ({"data": {"fan": make_clips().without("split")}}, RuntimeError, "need the fields 'split' and 'label'"),
        ({"data": {"fan": make_clips(split=["test"] * 120)}}, RuntimeError, "fan has 0 training and 120 test clips"),
        ({"data": {"fan": make_clips(label=np.arange(120) % 2)}}, RuntimeError, "30 of 60 test clips of fan have no"),
        ({"data": {"fan": make_clips(domain=["source"] * 120)}}, RuntimeError, "section 00, domain target"),
    ])  # fmt: skip
    def test_bad_input(self, machines, changes, error, message):
        with pytest.raises(error, match=message):
            evaluate(**{"system": MahalanobisDetector(), "data": machines, "verbose": 0} | changes)

    def test_folder_without_machines(self, tmp_path):
        with pytest.raises(ValueError, match=r"No machine in .*none of its folders has a folder 'train'"):
            evaluate(make_system(), tmp_path, verbose=0)


class TestFailures:
    def test_one_failure_does_not_lose_the_others(self, machines, log):
        evaluation = evaluate(Recorder(log, fails=["pump"]), machines, n_resamples=0, verbose=0)
        assert evaluation.failures["pump"].error == "ValueError: the pump is broken"
        assert 'raise self.error(f"the {machine} is broken")' in evaluation.failures["pump"].traceback
        assert list(evaluation.clips) == ["fan", "valve"]
        assert evaluation.machines == ["fan", "valve", "pump"]
        assert repr(evaluation).endswith(": no official score (pump failed)")
        with pytest.raises(ValueError, match="no official score of 3 machines: pump failed"):
            _ = evaluation.official_score
        for report in (evaluation.to_markdown(), evaluation.to_html()):
            assert "pump failed: ValueError: the pump is broken" in report
            assert "none: pump failed" in report

    @pytest.mark.parametrize(("fails", "on_error"), [(["pump"], "raise"), (["fan", "pump", "valve"], "record")])
    def test_raised_in_the_end(self, machines, log, fails, on_error, tmp_path):
        system = Recorder(log, fails=fails)
        with pytest.raises(RuntimeError, match=rf"{len(fails)} of 3 machines failed:(.|\n)*ValueError: the pump is"):
            evaluate(system, machines, on_error=on_error, results=tmp_path / "results", verbose=0)
        assert fitted(log) == ["fan", "pump", "valve"]
        kept = {path.stem for path in (tmp_path / "results").iterdir()}
        assert kept == {"fan", "pump", "valve"} - set(fails)

    def test_bad_file_names_fail_one_machine(self, tmp_path):
        for seed, machine in enumerate(["fan", "valve"]):
            write_machine(tmp_path / machine, seed, sections=["00"])
        (tmp_path / "fan" / "test" / "notes.wav").touch()
        evaluation = evaluate(make_system(), tmp_path, n_resamples=0, verbose=0)
        assert "notes.wav" in evaluation.failures["fan"].error
        assert list(evaluation.clips) == ["valve"]

    def test_scores_must_be_finite(self, machines):
        class Broken(MahalanobisDetector):
            def score_samples(self, X):
                return super().score_samples(X) * np.where(np.arange(len(X)) == 7, np.nan, 1)

        with pytest.raises(RuntimeError, match="1 of 60 clips have a score that is NaN or infinite: 7"):
            evaluate(Broken(), {"fan": make_clips()}, verbose=0)

    def test_thresholds_must_be_finite(self):
        class Broken(MahalanobisDetector):
            def decision_function(self, X):
                return np.full(len(X), np.nan)

        with pytest.raises(RuntimeError, match="The threshold of the system is nan"):
            evaluate(Broken(), {"fan": make_clips()}, verbose=0)

    @pytest.mark.parametrize("clips", [{}, {"fan": make_clips()[:0]}], ids=["no machines", "no clips"])
    def test_an_evaluation_of_nothing(self, clips):
        with pytest.raises(ValueError, match="An evaluation needs machines, each with clips"):
            Evaluation(clips, name="", rules=Rules(2022))


class TestInterrupts:
    @pytest.mark.parametrize("backend", ["sequential", "threading", "loky"])
    @pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
    def test_end_the_program_and_count_for_no_failure(self, machines, log, tmp_path, backend, error):
        results = tmp_path / "results"
        with joblib.parallel_config(backend=backend, n_jobs=1 if backend == "sequential" else 2):
            with pytest.raises(error):
                evaluate(Recorder(log, fails=["pump"], error=error), machines, results=results, verbose=0)
        assert {path.name for path in results.iterdir()} <= {"fan.json", "valve.json"}

    @pytest.mark.skipif(sys.platform == "win32", reason="signals are others")
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_signals(self, machines, tmp_path, number):
        """Ctrl-C, and the end of all processes, in the middle of two trainings; then the same call goes on."""
        process = start_waiting(tmp_path, machines="pump valve", n_jobs=2)
        (process.send_signal if number == signal.SIGINT else partial(os.killpg, process.pid))(number)
        assert process.wait(timeout=60) == -number
        left = {path.name for path in (tmp_path / "results").iterdir()}
        assert left >= {"fan.json"} and (left == {"fan.json"} or number == signal.SIGTERM)
        (tmp_path / "go").touch()
        evaluation = evaluate(Waiter(str(tmp_path)), machines, results=tmp_path / "results", random_state=0, verbose=0)
        assert evaluation.figures == evaluate(Waiter(str(tmp_path)), machines, random_state=0, verbose=0).figures
        assert sorted(path.name for path in (tmp_path / "results").iterdir()) == ["fan.json", "pump.json", "valve.json"]

    @pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system kills otherwise")
    def test_a_worker_that_is_killed_loses_no_more_than_its_work(self, machines, tmp_path):
        evaluation = evaluate(Killed(str(tmp_path)), machines, n_jobs=2, results=tmp_path, n_resamples=0, verbose=0)
        assert list(evaluation.clips) == ["fan", "valve"]
        assert re.search(r"worker process was killed.*Not finished were pump:", evaluation.failures["pump"].error)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["fan.json", "valve.json"]


class TestResume:
    def test_finished_machines_are_not_repeated(self, machines, log, tmp_path):
        once = evaluate(Recorder(log), machines, results=tmp_path / "results", random_state=0, verbose=0)
        twice = evaluate(Recorder(log), machines, results=tmp_path / "results", random_state=0, verbose=0)
        assert fitted(log) == ["fan", "pump", "valve"]
        assert twice.figures == once.figures
        assert twice.runs["pump"].fit_seconds == once.runs["pump"].fit_seconds

    def test_an_interrupted_evaluation_goes_on(self, machines, log, tmp_path, monkeypatch):
        monkeypatch.setenv("STOP", "pump")
        results = tmp_path / "results"
        with pytest.raises(KeyboardInterrupt):
            evaluate(Stoppable(log), machines, results=results, verbose=0)
        assert [path.name for path in results.iterdir()] == ["fan.json"]
        monkeypatch.setenv("STOP", "")
        resumed = evaluate(Stoppable(log), machines, results=results, random_state=0, verbose=0)
        assert fitted(log) == ["fan", "pump", "valve"]
        whole = evaluate(Stoppable(log), machines, random_state=0, verbose=0)
        assert resumed.figures == whole.figures

    def test_other_rules_need_no_new_scores(self, machines, log, tmp_path):
        for year in (2020, 2021, 2022):
            evaluation = evaluate(Recorder(log), machines, year=year, results=tmp_path / "results", verbose=0)
            assert evaluation.rules.year == year
        evaluate(Recorder(log), machines, machines=["pump"], results=tmp_path / "results", verbose=0)
        assert len(fitted(log)) == 3

    def test_another_system_is_refused(self, machines, tmp_path):
        evaluate(make_pipeline(MahalanobisDetector()), machines, results=tmp_path, verbose=0)
        before = (tmp_path / "fan.json").read_bytes()
        for system in (MahalanobisDetector(), make_pipeline(MahalanobisDetector(covariance="oas"))):
            with pytest.raises(ValueError, match=r"fan.json' holds the result of another evaluation: other system\."):
                evaluate(system, machines, results=tmp_path, verbose=0)
        assert (tmp_path / "fan.json").read_bytes() == before

    @pytest.mark.parametrize(("split", "what"), [("train", "training data"), ("test", "test data")])
    def test_other_clips_are_refused(self, machines, tmp_path, split, what):
        evaluate(MahalanobisDetector(), machines, results=tmp_path, verbose=0)
        changed = machines["pump"]["embedding"].copy()
        changed[np.argmax(machines["pump"]["split"] == split), 0] += 1e-9
        machines["pump"] = machines["pump"].with_fields(embedding=changed)
        with pytest.raises(ValueError, match=rf"pump.json' holds the result of another evaluation: other {what}\."):
            evaluate(MahalanobisDetector(), machines, results=tmp_path, verbose=0)

    def test_other_files_are_refused(self, tmp_path):
        write_machine(tmp_path / "data" / "fan", 0, sections=["00"])
        run = partial(evaluate, make_system(), results=tmp_path / "results", n_resamples=0, verbose=0)
        run(tmp_path / "data")
        before = (tmp_path / "results" / "fan.json").stat().st_mtime_ns
        (tmp_path / "data").rename(tmp_path / "moved")
        run(tmp_path / "moved")
        assert (tmp_path / "results" / "fan.json").stat().st_mtime_ns == before
        path = sorted((tmp_path / "moved" / "fan" / "train").iterdir())[0]
        samples, _ = soundfile.read(path, dtype="int16")
        time.sleep(0.02)
        soundfile.write(path, samples[::-1], 16000)
        with pytest.raises(ValueError, match=r"other training data\. It is neither used nor overwritten"):
            run(tmp_path / "moved")

    def test_labels_are_no_part_of_the_scores(self, machines, log, tmp_path):
        evaluate(Recorder(log), machines, results=tmp_path / "results", verbose=0)
        flipped = machines["fan"].with_fields(
            label=np.where(machines["fan"]["split"] == "test", -machines["fan"]["label"], 1)
        )
        evaluation = evaluate(Recorder(log), {"fan": flipped}, results=tmp_path / "results", n_resamples=0, verbose=0)
        assert len(fitted(log)) == 3
        assert evaluation.official_score.value < 0.5

    @pytest.mark.parametrize("change", [
        "", "null", "[]", "5", '"text"', "{}", '{"anomaly_score": [1', '{"fingerprints": {}, "anomaly_score": []}',
        b"\xff\xfe\x00", "[" * 100_000, {"anomaly_score": [0.0] * 59}, {"anomaly_score": []}, {"anomaly_score": 1.0},
        {"anomaly_score": None}, {"anomaly_score": ["1"] * 60}, {"anomaly_score": [float("nan")] * 60},
        {"anomaly_score": [[0.0]] * 60}, {"anomaly_score": [10**400] * 60}, {"threshold": None},
        {"threshold": float("inf")}, {"threshold": "0.5"}, {"threshold": 10**400}, {"n_train": True}, {"n_train": 1.5},
        {"fingerprints": None}, {"fingerprints": []}, {"more": 1},
    ], ids=lambda change: str(change)[:40])  # fmt: skip
    def test_files_that_are_no_results_are_named(self, machines, log, tmp_path, change):
        machines, results = {"fan": machines["fan"]}, tmp_path / "results"
        evaluate(Recorder(log), machines, results=results, n_resamples=0, verbose=0)
        path = results / "fan.json"
        if isinstance(change, dict):
            change = json.dumps(json.loads(path.read_text()) | change)
        path.write_bytes(change if isinstance(change, bytes) else change.encode())
        with pytest.raises(ValueError, match=r"fan.json' is no result of an evaluation"):
            evaluate(Recorder(log), machines, results=results, verbose=0)
        assert fitted(log) == ["fan"]

    @pytest.mark.parametrize(("change", "message"), [
        ({"threshold": 10**400}, "threshold must be a finite float"),
        ({"peak_memory": 10**400}, "peak_memory must be a finite int"),
        ({"fit_seconds": float("nan")}, "fit_seconds must be a finite float"),
        ({"anomaly_score": [10**400] * 60}, "anomaly_score must be a list of finite numbers"),
    ])  # fmt: skip
    def test_what_is_wrong_with_a_result_is_named(self, machines, log, tmp_path, change, message):
        machines, results = {"fan": machines["fan"]}, tmp_path / "results"
        evaluate(Recorder(log), machines, results=results, n_resamples=0, verbose=0)
        path = results / "fan.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | change))
        with pytest.raises(ValueError, match=f"fan.json' is no result .*{message}"):
            evaluate(Recorder(log), machines, results=results, verbose=0)

    def test_one_digit_that_has_changed_is_damage(self, machines, log, tmp_path):
        machines, results = {"fan": machines["fan"]}, tmp_path / "results"
        evaluate(Recorder(log), machines, results=results, n_resamples=0, verbose=0)
        text = (results / "fan.json").read_text()
        place = text.index(".", text.index('"anomaly_score"')) + 1
        (results / "fan.json").write_text(f"{text[:place]}{(int(text[place]) + 1) % 10}{text[place + 1 :]}")
        with pytest.raises(ValueError, match=r"fan.json' is no result .*damaged"):
            evaluate(Recorder(log), machines, results=results, verbose=0)

    def test_a_results_folder_without_a_name_is_not_the_current_folder(self, machines, log, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(ValueError, match="results must name a folder; got ''"):
            evaluate(Recorder(log), machines, results="", verbose=0)
        assert fitted(log) == [] and [path.name for path in tmp_path.iterdir()] == ["log"]

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
    def test_a_pipe_is_no_result(self, machines, tmp_path):
        os.mkfifo(tmp_path / "fan.json")
        with pytest.raises(ValueError, match=r"fan.json' is no result of an evaluation.*no regular file"):
            evaluate(MahalanobisDetector(), machines, results=tmp_path, verbose=0)

    def test_fingerprints_are_the_same_in_another_process(self, data, tmp_path):
        code = (
            "import sys; sys.path.insert(0, sys.argv[1]); from test_evaluation import *;"
            "evaluate(make_system(), sys.argv[2], machines=['fan'], results=sys.argv[3], n_resamples=0, verbose=0)"
        )
        arguments = [sys.executable, "-c", code, str(Path(__file__).parent), str(data), str(tmp_path)]
        subprocess.run(arguments, check=True, env=os.environ | {"PYTHONHASHSEED": "7"})
        before = json.loads((tmp_path / "fan.json").read_text())
        again = evaluate(make_system(), data, machines=["fan"], results=tmp_path, n_resamples=0, verbose=0)
        np.testing.assert_array_equal(again.clips["fan"]["anomaly_score"], before["anomaly_score"])

    def test_a_system_that_cannot_be_pickled(self, machines, tmp_path):
        class Local(MahalanobisDetector):
            pass

        evaluate(Local(), machines, n_resamples=0, verbose=0)
        with pytest.raises(RuntimeError, match="TypeError: results= needs a system that can be pickled"):
            evaluate(Local(), machines, results=tmp_path, n_resamples=0, verbose=0)


NAMES = [
    "pump/2", "..", ".", "/etc", "C:\\x", "CON", "con", "com1", "a\0b", "x" * 500, "y" * 64, "y" * 65, "Fan", "fan",
    "FAN", "a b", "a_b", "a/b", " ", "é", "e\u0301", "\udcff", "fan.json", ".fan", "*", "~", "$HOME", "\n",
]  # fmt: skip


class TestStorage:
    def test_any_name_becomes_the_name_of_one_file(self, tmp_path):
        clips = make_clips()
        data = dict.fromkeys(NAMES, clips[clips["section"] == "00"])
        run = partial(
            evaluate, MahalanobisDetector(), year=2020, results=tmp_path / "results", n_resamples=0, verbose=0
        )
        once, twice = run(data), run(data)
        assert list(once.clips) == list(twice.clips) == NAMES
        assert [run.fit_seconds for run in twice.runs.values()] == [run.fit_seconds for run in once.runs.values()]
        assert [path.name for path in tmp_path.iterdir()] == ["results"]
        names = [path.name for path in (tmp_path / "results").iterdir()]
        assert len({name.casefold() for name in names}) == len(NAMES)
        assert all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_+-]{0,70}\.json", name) for name in names)
        assert not {"con.json", "com1.json"} & set(names) and "fan.json" in names

    def test_a_folder_that_cannot_be_written_is_found_out_before_training(self, machines, log, tmp_path, monkeypatch):
        (tmp_path / "file").write_text("mine")
        for results in (tmp_path / "file", tmp_path / "file" / "results"):
            with pytest.raises(OSError, match=r"The results folder cannot be made, or not be written to .*file"):
                evaluate(Recorder(log), machines, results=results, verbose=0)
        monkeypatch.setattr(Path, "write_bytes", full_disk)
        with pytest.raises(OSError, match=r"No space left.*results'") as caught:
            evaluate(Recorder(log), machines, results=tmp_path / "results", verbose=0)
        assert caught.value.errno == errno.ENOSPC
        assert fitted(log) == [] and list((tmp_path / "results").iterdir()) == []
        assert (tmp_path / "file").read_text() == "mine"

    def test_finished_results_need_no_folder_that_can_be_written(self, machines, log, tmp_path, monkeypatch):
        evaluate(Recorder(log), machines, results=tmp_path / "results", n_resamples=0, verbose=0)
        monkeypatch.setattr(_store, "draft_folder", full_disk)
        evaluate(Recorder(log), machines, results=tmp_path / "results", n_resamples=0, verbose=0)
        assert len(fitted(log)) == 3

    def test_a_disk_that_fills_up_loses_nothing(self, machines, log, tmp_path, monkeypatch):
        monkeypatch.setattr(_store, "move_new", full_disk)
        with pytest.warns(UserWarning, match=r"3 machines could not be written .*results'.*fan: OSError.*No space"):
            evaluation = evaluate(
                Recorder(log), machines, results=tmp_path / "results", n_resamples=0, random_state=0, verbose=0
            )
        assert list((tmp_path / "results").iterdir()) == [] and not evaluation.failures
        again = evaluate(Recorder(log), machines, n_resamples=0, verbose=0)
        np.testing.assert_equal([tuple(f) for f in evaluation.figures], [tuple(f) for f in again.figures])

    def test_what_could_not_be_written_is_tried_again(self, machines, log, tmp_path, monkeypatch):
        calls, move = [], _store.move_new

        def fail_once(draft, target):
            calls.append(target.name)
            if len(calls) == 1:
                full_disk()
            move(draft, target)

        monkeypatch.setattr(_store, "move_new", fail_once)
        evaluate(Recorder(log), machines, results=tmp_path / "results", n_resamples=0, verbose=0)
        assert calls == ["fan.json", "fan.json", "pump.json", "valve.json"]
        assert sorted(path.name for path in (tmp_path / "results").iterdir()) == sorted(set(calls))

    def test_a_result_that_has_come_meanwhile_is_not_overwritten(self, machines, tmp_path):
        log = os.devnull
        with pytest.warns(UserWarning, match=r"1 machines could not be written .*pump: ValueError.*pump.json"):
            evaluation = evaluate(
                lambda machine: Recorder(log) if machine != "pump" else WritesItself(log, str(tmp_path)), machines,
                results=tmp_path, n_resamples=0, verbose=0,
            )  # fmt: skip
        assert list(evaluation.clips) == ["fan", "pump", "valve"]
        assert (tmp_path / "pump.json").read_text() == "theirs"

    def test_processes_with_the_same_system_share_a_folder_and_those_with_another_are_refused(self, machines, tmp_path):
        process = start_waiting(tmp_path, machines="pump")
        with pytest.raises(ValueError, match=r"Another process is evaluating .*results': other system\."):
            evaluate(MahalanobisDetector(), machines, machines=["pump"], results=tmp_path / "results", verbose=0)
        (tmp_path / "go").touch()
        evaluation = evaluate(Waiter(str(tmp_path)), machines, results=tmp_path / "results", random_state=0, verbose=0)
        assert process.wait(timeout=60) == 0
        assert evaluation.figures == evaluate(Waiter(str(tmp_path)), machines, random_state=0, verbose=0).figures
        assert sorted(path.name for path in (tmp_path / "results").iterdir()) == ["fan.json", "pump.json", "valve.json"]


def full_disk(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def start_waiting(folder, machines, n_jobs=1):
    """Another process that evaluates a `Waiter`, when it has come to these machines."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from test_evaluation import *;"
        "data = {name: make_clips(seed) for seed, name in enumerate(['fan', 'pump', 'valve'])};"
        "evaluate(Waiter(sys.argv[2]), data, results=sys.argv[2] + '/results', n_jobs=int(sys.argv[3]), verbose=0)"
    )
    arguments = [sys.executable, "-c", code, str(Path(__file__).parent), str(folder), str(n_jobs)]
    process = subprocess.Popen(arguments, env=os.environ | {"WAIT": machines}, start_new_session=True)
    started = [folder / f"started {machine}" for machine in machines.split()[:n_jobs]]
    while process.poll() is None and not all(path.exists() for path in started):
        time.sleep(0.02)
    return process


class Waiter(MahalanobisDetector):
    """Says that it is there and waits for the file 'go', where the environment says so."""

    def __init__(self, folder="."):
        super().__init__()
        self.folder = folder

    def fit(self, X, y=None):
        machine = X["machine"][0]
        if machine in os.environ.get("WAIT", "").split():
            Path(self.folder, f"started {machine}").touch()
            while not Path(self.folder, "go").exists():
                time.sleep(0.02)
        return super().fit(X, y)


class Killed(Waiter):
    """Ends the process in which it learns from the pump, when the others are done."""

    def fit(self, X, y=None):
        if X["machine"][0] == "pump":
            while not all(Path(self.folder, f"{machine}.json").exists() for machine in ("fan", "valve")):
                time.sleep(0.02)
            os.kill(os.getpid(), signal.SIGKILL)
        return super().fit(X, y)


class WritesItself(Recorder):
    """Puts a file where the pump's result belongs."""

    def __init__(self, log, folder):
        super().__init__(log)
        self.folder = folder

    def fit(self, X, y=None):
        Path(self.folder, "pump.json").write_text("theirs")
        return super().fit(X, y)


class Stoppable(Recorder):
    """Is interrupted where the environment says so, before it has done anything."""

    def fit(self, X, y=None):
        if X["machine"][0] == os.environ["STOP"]:
            raise KeyboardInterrupt
        return super().fit(X, y)


class TestReports:
    def test_frame(self, evaluation):
        frame = evaluation.to_frame()
        total = frame[(frame["metric"] == "official score") & (frame["machine"] == "")]
        assert total["value"].item() == evaluation.official_score.value
        aucs = frame[(frame["machine"] == "fan") & (frame["section"] == "01") & (frame["metric"] == "AUC")]
        assert aucs["domain"].tolist() == ["source", "target"]
        assert (frame["error"] == "").all()
        assert (frame[frame["metric"] == "training clips"]["value"] == 30).all()

    def test_failure_in_the_frame(self, machines, log):
        frame = evaluate(Recorder(log, fails=["pump"]), machines, n_resamples=0, verbose=0).to_frame()
        assert frame[frame["machine"] == "pump"]["error"].tolist() == ["ValueError: the pump is broken"]
        assert "" not in frame["machine"].tolist()

    def test_tables(self, evaluation):
        official, sections, costs = evaluation.tables().values()
        total = evaluation.official_score
        assert official["all machines"].tolist() == [
            f"{100 * total.value:.2f} [{100 * total.low:.1f}, {100 * total.high:.1f}]"
        ]
        assert list(official) == ["system", "all machines", "fan", "slider", "valve"]
        assert list(sections)[:5] == ["machine", "section", "AUC source", "AUC target", "pAUC"] and len(sections) == 6
        assert costs["training clips"].tolist() == ["30"] * 3

    def test_markdown(self, evaluation):
        lines = evaluation.to_markdown().splitlines()
        assert (
            lines[0]
            == "# LogMelSpectrogram + StatisticsEmbedder + MahalanobisDetector: rules of DCASE 2022 to 2026 Task 2"
        )
        assert [line for line in lines if line.startswith("##")] == [f"## {title}" for title in evaluation.tables()]
        rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("|")]
        cells = [row for frame in evaluation.tables().values() for row in frame.to_numpy().tolist()]
        assert all(row in rows for row in cells)

    def test_any_name_can_be_in_a_report(self, tmp_path):
        names = ["a|b", "<b>", "$x_{", "new\nline", "\udcff", "é"]
        clips = make_clips()
        evaluation = evaluate(
            MahalanobisDetector(), {name: clips.with_fields(section=[name] * 120) for name in names},
            name="two\nlines\udcff", n_resamples=0, verbose=0,
        )  # fmt: skip
        for report in (evaluation.to_markdown(), evaluation.to_html(), evaluation._repr_html_()):
            (tmp_path / "report").write_text(report, encoding="utf-8")
        lines = evaluation.to_markdown().splitlines()
        assert {line.replace("\\|", "").count("|") for line in lines if line.startswith("|")} == {9, 12}

    def test_html_stands_alone(self, evaluation):
        from matplotlib import pyplot

        before = pyplot.get_fignums()
        page = evaluation.to_html()
        assert pyplot.get_fignums() == before
        pictures = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
        assert len(pictures) == 3
        assert all(base64.b64decode(picture).startswith(b"\x89PNG") for picture in pictures)
        assert page.count("<table ") == page.count("</table>") == 3
        assert "http" not in page.replace("https://", "")
        for machine in evaluation.machines:
            assert f"<h2>{machine}</h2>" in page

    def test_names_are_escaped_in_html(self):
        data = {"fan": make_clips(section=["00"] * 120)}
        page = evaluate(MahalanobisDetector(), data, name="<script>", n_resamples=0, verbose=0).to_html()
        assert "<script>" not in page and "&lt;script&gt;" in page


def test_clone_is_what_is_fitted(machines, log):
    system = Recorder(log)
    evaluate(system, machines, n_resamples=0, verbose=0)
    assert vars(system) == vars(clone(system))


NAMES_OF_YEARS = [
    (2020, "fan/test/normal_id_00_00000000.wav"),
    (2021, "fan/source_test/section_00_source_test_normal_0000_a_1.wav"),
    (2022, "fan/test/section_00_source_test_normal_0000_a_1.wav"),
    (2024, "dcase2024/development/fan/test/section_00_source_test_normal_0000_a_1.wav"),
    (2026, "fan/test/section_00_source_test_normal_0000_.wav"),
]


class TestYear:
    @pytest.mark.parametrize(("year", "name"), NAMES_OF_YEARS)
    def test_names_and_folders_tell_it(self, year, name):
        clips = make_clips()
        paths = [f"/home/{name.replace('0000', f'{row:04d}', 1)}" for row in range(len(clips))]
        told = evaluate_any(MahalanobisDetector(), {"fan": clips.with_fields(path=paths)}, n_resamples=0, verbose=0)
        assert told.rules == Rules(year)
        asked = evaluate_any(MahalanobisDetector(), {"fan": clips}, year=year, n_resamples=0, verbose=0)
        assert told.official_score == asked.official_score

    def test_a_folder_tells_it(self, data):
        assert evaluate_any(make_system(), data, machines=["fan"], n_resamples=0, verbose=0).rules.year == 2022

    def test_it_is_asked_for(self, tmp_path):
        clips = make_clips()
        paths = [f"{tmp_path}/fan/test/{row} {label}.wav" for row, label in enumerate(clips["label"])]
        mixed = [name for _, name in NAMES_OF_YEARS[:3]] * (len(clips) // 3)
        for given in (clips, clips.with_fields(path=paths), clips.with_fields(path=mixed)):
            with pytest.raises(ValueError, match=r"do not tell of which year.* Set year=2022"):
                evaluate_any(MahalanobisDetector(), {"fan": given}, verbose=0)
