"""Metrics: real results to the last digit, answers worked by hand, scikit-learn as oracle, and bad input."""

import csv
import pickle
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import hmean
from sklearn.base import BaseEstimator
from sklearn.covariance import EllipticEnvelope
from sklearn.metrics import make_scorer, roc_auc_score
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.neighbors import LocalOutlierFactor

from skasd.clips import Clips
from skasd.metrics import (
    anomaly_predictions,
    auc_score,
    auc_scorer,
    bootstrap_interval,
    domain_scores,
    kinds_of,
    official_score,
    official_scorer,
    pauc_score,
    pauc_scorer,
)
from skasd.model_selection import NormalOnlyKFold

SHIPPED = Path(__file__).parent / "data" / "dcase2022_dev_scores"
MACHINES = ["ToyCar", "ToyTrain", "bearing", "fan", "gearbox", "slider", "valve"]


def read_run(run):
    """All clips of a run: y_true, y_score, and fields."""
    rows = []
    for path in sorted(run.glob("anomaly_score_*.csv")):
        machine, section = path.stem.split("_")[2], path.stem.split("_")[4]
        for name, score in csv.reader(path.read_text().splitlines()):
            _, _, domain, _, label, *_ = name.split("_")
            rows.append((label == "anomaly", float(score), machine, section, domain))
    y_true, y_score, machine, section, domain = map(np.array, zip(*rows, strict=True))
    return y_true.astype(int), y_score, {"machine": machine, "section": section, "domain": domain}


def read_results(run):
    """The figures of result.csv: {machine: {row name: three floats}}, the totals under the machine None."""
    results, machine = {}, None
    for row in csv.reader((run / "result.csv").read_text().splitlines()):
        if len(row) == 1:
            machine = row[0]
        elif not row:
            machine = None
        elif row[0] != "section":
            results.setdefault(machine, {})[row[0]] = [float(value) for value in row[1:]]
    return results


@pytest.fixture(scope="module", params=["shipped", "run_a", "run_b"])
def run(request):
    if request.param == "shipped":
        folder = SHIPPED / "run_a"
    else:
        folder = request.getfixturevalue("shared") / "dcase2022_dev_scores" / request.param
    return *read_run(folder), read_results(folder)


class TestRealRuns:
    def test_every_section_and_mean_is_that_of_the_authors(self, run):
        y_true, y_score, fields, results = run
        figures = []
        for machine in MACHINES:
            rows = fields["machine"] == machine
            records = domain_scores(
                y_true[rows], y_score[rows], fields["domain"][rows], section=fields["section"][rows]
            )
            assert {name: list(values) for name, *values in records}.items() <= results[machine].items()
            figures.append([record[1:] for record in records])
            assert np.mean(figures[-1], axis=0).tolist() == results[machine]["arithmetic mean"]
            np.testing.assert_array_max_ulp(hmean(figures[-1]), np.array(results[machine]["harmonic mean"]), maxulp=1)
        assert np.shape(figures) == (7, 3, 3)
        assert np.round(np.mean(figures, axis=(0, 1)), 4).tolist() == results[None]["(A)Total Average"]
        assert np.round(hmean(figures, axis=1).mean(axis=0), 4).tolist() == results[None]["(H)Total Average"]

    @pytest.mark.parametrize("year", [2022, 2023, 2024, 2025, 2026])
    def test_official_score_is_one_harmonic_mean_of_63_terms(self, run, year):
        y_true, y_score, fields, results = run
        terms = [results[machine][section] for machine in MACHINES for section in ("00", "01", "02")]
        assert official_score(y_true, y_score, **fields, year=year) == pytest.approx(hmean(np.ravel(terms)), rel=1e-15)


class TestAucAndPauc:
    # Normals 1..10; anomalies 9.5 (above 9 normals) and 11 (above all).
    y_true, y_score = [0] * 10 + [1, 1], [*range(1, 11), 9.5, 11]

    def test_auc_counts_pairs(self):
        assert auc_score(self.y_true, self.y_score) == pytest.approx((9 + 10) / 20, abs=1e-15)

    def test_pauc_by_hand(self):
        # The ROC goes (0, 0), (0, 1/2), (1/10, 1/2), (1/10, 1): area 0.05 up to 0.1, of at least 0.005, at most 0.1.
        assert pauc_score(self.y_true, self.y_score) == pytest.approx((1 + (0.05 - 0.005) / (0.1 - 0.005)) / 2)
        # Up to 0.15 half a step more: 0.05 + 0.05 * 1, of at least 0.01125, at most 0.15.
        assert pauc_score(self.y_true, self.y_score, max_fpr=0.15) == pytest.approx(
            (1 + (0.1 - 0.01125) / (0.15 - 0.01125)) / 2
        )

    def test_lowest_pauc(self):
        assert pauc_score([0, 0, 1], [2, 3, 1]) == pytest.approx(0.5 * (1 - 0.1 / 1.9))

    @pytest.mark.parametrize("max_fpr", [0.05, 0.1, 0.37, 1.0])
    def test_like_sklearn(self, max_fpr):
        rng = np.random.default_rng(0)
        y_true, y_score = rng.integers(0, 2, 200), rng.normal(size=200).round(1)
        assert pauc_score(y_true, y_score, max_fpr=max_fpr) == roc_auc_score(y_true, y_score, max_fpr=max_fpr)
        assert auc_score(y_true, y_score) == roc_auc_score(y_true, y_score)

    def test_harmonic_mean_over_sections_never_ranks_one_against_another(self):
        y_true, y_score = [0, 0, 1, 0, 0, 1], [1, 3, 2, 101, 102, 103]
        section = ["00"] * 3 + ["01"] * 3
        assert auc_score(y_true, y_score, section=section) == pytest.approx(2 / (1 / 0.5 + 1 / 1))
        shifted = np.add(y_score, [1000, 1000, 1000, 0, 0, 0])
        assert auc_score(y_true, shifted, section=section) == auc_score(y_true, y_score, section=section)

    def test_a_section_with_auc_0_takes_the_mean_to_nearly_0(self):
        assert 0 <= auc_score([0, 1, 0, 1], [2, 1, 1, 2], section=["00", "00", "01", "01"]) < 1e-15

    def test_one_section_named_or_not(self):
        assert auc_score(self.y_true, self.y_score, section=["00"] * 12) == auc_score(self.y_true, self.y_score)


class TestDomainScores:
    # One anomaly in each domain: that of the source beats everything, that of the target nothing of the target.
    y_true = [0, 0, 1, 0, 0, 1]
    y_score = [1, 2, 9, 5, 6, 3]
    domain = ["source"] * 3 + ["target"] * 3

    def test_official_ranks_the_normals_of_a_domain_against_all_anomalies(self):
        (record,) = domain_scores(self.y_true, self.y_score, self.domain, max_fpr=1)
        assert record == ("", 1.0, 0.5, 0.75)

    def test_domain_only_ranks_them_against_those_of_the_domain(self):
        (record,) = domain_scores(self.y_true, self.y_score, self.domain, protocol="domain-only", max_fpr=1)
        assert record == ("", 1.0, 0.0, 0.75)

    def test_order_of_the_clips_does_not_matter(self):
        order = np.random.default_rng(0).permutation(12)
        twice = [np.tile(values, 2) for values in (self.y_true, self.y_score, self.domain)]
        section = np.repeat(["01", "00"], 6)
        shuffled = [values[order] for values in twice]
        assert domain_scores(*shuffled, section=section[order]) == domain_scores(*twice, section=section)

    def test_no_normal_clips_of_a_domain(self):
        with pytest.raises(ValueError, match="Section '01', domain 'target', has 0 normal and 1 anomalous clips"):
            domain_scores([0, 1, 0], [1, 2, 3], ["source"] * 3, section=["01"] * 3)

    def test_no_anomalous_clips_of_a_domain(self):
        clips = [0, 0, 1], [1, 2, 3], ["source", "target", "target"]
        assert domain_scores(*clips)[0].auc_source == 1
        with pytest.raises(ValueError, match="domain 'source', has 1 normal and 0 anomalous clips"):
            domain_scores(*clips, protocol="domain-only")

    def test_unknown_domain(self):
        with pytest.raises(
            ValueError, match=r"domain must be 'source' or 'target' for each clip; got also \['', 'Target'\]"
        ):
            domain_scores([0, 0, 1], [1, 2, 3], ["source", "Target", ""])

    def test_no_domains_or_an_unknown_protocol(self):
        with pytest.raises(ValueError, match="domain_scores needs domain"):
            domain_scores(self.y_true, self.y_score, None)
        with pytest.raises(ValueError, match="'protocol' parameter of domain_scores must be"):
            domain_scores(self.y_true, self.y_score, self.domain, protocol="simple")


class TestOfficialScore:
    y_true, y_score, domain = TestDomainScores.y_true, TestDomainScores.y_score, TestDomainScores.domain

    def test_2022_by_hand(self):
        # AUC 1 and 0.5; pAUC: 1 of 2 anomalies above all normals, so 0.05 of 0.1 up to a false positive rate of 0.1.
        pauc = (1 + (0.05 - 0.005) / (0.1 - 0.005)) / 2
        assert official_score(self.y_true, self.y_score, domain=self.domain) == pytest.approx(3 / (1 + 2 + 1 / pauc))

    def test_2021_keeps_domains_apart(self):
        y_true, y_score = [0, 0, 1, 1, 0, 0, 1, 1], [1, 3, 2, 4, 1, 2, 3, 4]
        domain = ["source"] * 4 + ["target"] * 4
        # Source: AUC 3/4, pAUC 1 of 2 anomalies above all normals; target: perfect.
        pauc = (1 + (0.05 - 0.005) / (0.1 - 0.005)) / 2
        expected = 4 / (1 / 0.75 + 1 / pauc + 1 + 1)
        assert official_score(y_true, y_score, domain=domain, year=2021) == pytest.approx(expected)

    def test_2020_averages_within_machines_first(self):
        # fan: ids 00 (AUC 1, pAUC 1) and 02 (AUC 0.5, pAUC 0.7368...), pump: id 00 turned round.
        y_true, y_score = [0, 1, 0, 0, 1, 1, 0, 1], [1, 2, 1, 4, 2, 3, 2, 1]
        y_score[5] = 5  # id 02: anomalies 2 and 5 against 1 and 4: AUC 3/4, one of two above all
        section = ["00"] * 2 + ["02"] * 4 + ["00"] * 2
        machine = ["fan"] * 6 + ["pump"] * 2
        pauc, lowest = (1 + (0.05 - 0.005) / (0.1 - 0.005)) / 2, 0.5 * (1 - 0.1 / 1.9)
        expected = ((1 + 1 + 0.75 + pauc) / 4 + (0 + lowest) / 2) / 2
        score = official_score(y_true, y_score, section=section, machine=machine, year=2020)
        assert score == pytest.approx(expected)

    def test_sections_of_two_machines_are_not_pooled(self):
        y_true, y_score, domain = (np.tile(values, 2) for values in (self.y_true, self.y_score, self.domain))
        machine = np.repeat(["fan", "valve"], 6)
        y_score = y_score + 100 * (machine == "valve")
        together = official_score(y_true, y_score, domain=domain, section=["00"] * 12, machine=machine)
        assert together == pytest.approx(official_score(self.y_true, self.y_score, domain=self.domain))
        assert together != pytest.approx(official_score(y_true, y_score, domain=domain, section=["00"] * 12))

    def test_a_term_of_0_counts_as_epsilon(self):
        score = official_score([0, 0, 1], [5, 1, 3], domain=["source", "target", "target"], year=2025)
        eps, pauc = np.finfo(float).eps, 0.5 * (1 - 0.1 / 1.9)
        assert score == pytest.approx(3 / (1 / eps + 1 + 1 / pauc), rel=1e-12)

    @pytest.mark.parametrize(("changes", "message"), [
        ({"year": 2019}, "'year' parameter of official_score must be"),
        ({"year": 2021, "protocol": "domain-only"}, "the rule of 2021 has no such variant"),
        ({"year": 2023, "domain": None}, "official score of 2023 needs domain"),
        ({"year": 2021, "domain": ["source"] * 6}, "domain 'target', has 0 normal and 0 anomalous clips"),
    ])  # fmt: skip
    def test_rules_that_cannot_be(self, changes, message):
        with pytest.raises(ValueError, match=message):
            official_score(self.y_true, self.y_score, **{"domain": self.domain} | changes)


class TestBadInput:
    def test_one_class(self):
        with pytest.raises(ValueError, match="What was given has 2 normal and 0 anomalous clips"):
            auc_score([0, 0], [1, 2])
        with pytest.raises(ValueError, match="Section 'b' has 0 normal and 1 anomalous clips: an AUC needs both"):
            pauc_score([0, 1, 1], [1, 2, 3], section=["a", "a", "b"])

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_scores_that_are_not_finite(self, value):
        with pytest.raises(ValueError, match="1 of 3 scores are NaN or infinite, the first in row 1"):
            auc_score([0, 0, 1], [1, value, 3])

    def test_several_scores_that_are_no_numbers_among_objects(self):
        with pytest.raises(ValueError, match="2 of 3 scores are NaN or infinite, the first in row 0"):
            auc_score([0, 0, 1], np.array([float("nan"), float("nan"), 3], dtype=object))

    def test_lengths(self):
        with pytest.raises(ValueError, match=r"got shapes \{'y_true': \(2,\), 'y_score': \(3,\)\}"):
            auc_score([0, 1], [1, 2, 3])
        with pytest.raises(ValueError, match=r"'section': \(1,\)"):
            auc_score([0, 1], [1, 2], section=["00"])
        with pytest.raises(ValueError, match=r"'y_score': \(2, 1\)"):
            auc_score([0, 1], [[1], [2]])

    def test_outlier_labels(self):
        with pytest.raises(ValueError, match=r"got \[-1, 1\].*y_true = \(label == -1\)"):
            auc_score([1, -1], [1, 2])

    @pytest.mark.parametrize("max_fpr", [0, 1.1, -0.1])
    def test_max_fpr(self, max_fpr):
        with pytest.raises(ValueError, match="'max_fpr' parameter of pauc_score must be"):
            pauc_score([0, 1], [1, 2], max_fpr=max_fpr)

    @pytest.mark.parametrize(
        "y_true", [[False, True], np.array([0.0, 1.0]), np.array([0, 1], object), (0, 1)], ids=repr
    )
    def test_numbers_of_any_type_are_fine(self, y_true):
        for y_score in ([1, 2], [False, True], np.float16([1, 2]), np.array([1, 2.5], object), np.uint8([1, 2])):
            assert auc_score(y_true, y_score) == 1

    @pytest.mark.parametrize("values", [
        ["0", "1"], ["a", "b"], [None, 1], [0, "1"], [0j, 1j], [[0], [0, 1]], [0, 10**400],
        np.ma.array([0, 1], mask=[False, True]), np.array(["2020", "2021"], "M8"), {0: 1},
    ], ids=str)  # fmt: skip
    @pytest.mark.parametrize("name", ["y_true", "y_score"])
    def test_what_is_no_number(self, name, values):
        with pytest.raises(ValueError, match=rf"{name} must hold one number per clip"):
            auc_score(**{"y_true": [0, 1], "y_score": [0, 1], name: values})

    def test_extreme_scores_are_ranked(self):
        assert auc_score([0, 0, 1, 1], [-1.7e308, 1.0, 1.7e308, 5e-324]) == 0.75
        assert auc_score([1, 0], [5e-324, 0.0]) == 1.0

    @pytest.mark.parametrize("measure", [
        auc_score, pauc_score, partial(domain_scores, domain=[]), partial(official_score, domain=[]),
        partial(official_score, year=2020), partial(official_score, domain=[], year=2021),
        partial(auc_score, section=[], machine=[]), partial(bootstrap_interval, auc_score),
    ])  # fmt: skip
    def test_no_clips(self, measure):
        with pytest.raises(ValueError, match="There are no clips"):
            measure([], [])

    @pytest.mark.parametrize("value", [None, np.nan, 1.5, b"00"], ids=repr)
    @pytest.mark.parametrize("name", ["section", "machine"])
    def test_names_must_be_there(self, name, value):
        with pytest.raises(ValueError, match=rf"'{name}' has .* in the rows 1 \("):
            auc_score([0, 1], [1, 2], **{name: ["00", value]})

    @pytest.mark.parametrize("value", [None, np.nan, "", "Source"], ids=repr)
    def test_domains_must_be_there(self, value):
        with pytest.raises(ValueError, match="domain must be 'source' or 'target'"):
            official_score([0, 0, 1], [1, 2, 3], domain=["source", "target", value])


class TestNames:
    """Machine 'a b' with section 'c' and machine 'a' with section 'b c' are two, whatever joins their names."""

    y_true, y_score, domain = [0, 0, 1, 1] * 2, [1, 2, 3, 4, 30, 40, 10, 20], ["source", "target"] * 4
    machine, section = ["a b"] * 4 + ["a"] * 4, ["c"] * 4 + ["b c"] * 4

    @pytest.mark.parametrize("separator", ["", " ", "_", "/", "\0", "', '", "\x1f", "é"])
    def test_places_are_told_apart(self, separator):
        fields = {
            name: np.char.replace(np.array(values), " ", separator)
            for name, values in {"machine": self.machine, "section": self.section}.items()
        }
        assert auc_score(self.y_true, self.y_score) == 0.5
        assert auc_score(self.y_true, self.y_score, **fields) < 1e-15
        clips = Clips(embedding=np.array([self.y_score], float).T, label=np.where(self.y_true, -1, 1), **fields)
        clips = clips.with_fields(domain=self.domain)
        assert auc_scorer(Loudness(), clips) < 1e-15 and pauc_scorer(Loudness(), clips) > 0.6
        plain = {"machine": np.repeat(["x", "y"], 4), "section": np.repeat(["0", "1"], 4)}
        for year in (2020, 2021, 2022):
            how = {"domain": self.domain, "year": year}
            expected = official_score(self.y_true, self.y_score, **plain, **how)
            assert official_score(self.y_true, self.y_score, **fields, **how) == pytest.approx(expected, abs=1e-15)
        assert len(kinds_of(8, *fields.values())[1]) == 2

    def test_sections_of_several_machines_without_sections(self):
        clips = Clips(embedding=np.array([self.y_score], float).T, label=np.where(self.y_true, -1, 1))
        assert auc_scorer(Loudness(), clips.with_fields(machine=self.machine)) < 1e-15

    def test_folds_have_clips_of_each(self):
        label, machine, section = np.tile([1, 1, -1, -1], 2), np.repeat(["a b", "a"], 4), np.repeat(["c", "b c"], 4)
        clips = Clips(embedding=np.zeros((8, 1)), label=label, machine=machine, section=section)
        for _, test in NormalOnlyKFold(2).split(clips):
            assert sorted(zip(machine[test], label[test], strict=True)) == [
                ("a", -1),
                ("a", 1),
                ("a b", -1),
                ("a b", 1),
            ]


def mean_difference(y_true, y_score):
    return y_score[y_true == 1].mean() - y_score[y_true == 0].mean()


class TestBootstrapInterval:
    def test_covers_the_true_value_as_often_as_it_says(self):
        rng = np.random.default_rng(0)
        y_true, covered, n_trials = np.repeat([0, 1], 40), 0, 200
        for _ in range(n_trials):
            interval = bootstrap_interval(
                mean_difference, y_true, rng.normal(y_true, 1), n_resamples=200, confidence_level=0.9, random_state=0
            )
            covered += interval.low <= 1 <= interval.high
        assert 0.83 <= covered / n_trials <= 0.96  # 0.9, three standard errors of 200 trials to either side

    def test_windows_of_a_recording_are_not_independent(self):
        rng = np.random.default_rng(1)
        recording = np.repeat(np.arange(40), 10)
        y_true, n_trials, covered = np.repeat([0, 1], 200), 100, {"clips": 0, "groups": 0}
        for _ in range(n_trials):
            y_score = rng.normal(size=40)[recording] + 0.1 * rng.normal(size=400) + y_true
            for name, groups in (("clips", None), ("groups", recording)):
                interval = bootstrap_interval(
                    mean_difference, y_true, y_score, groups=groups, n_resamples=200, random_state=0
                )
                covered[name] += interval.low <= 1 <= interval.high
        assert covered["clips"] < 60 and covered["groups"] >= 85

    def test_every_resample_keeps_the_numbers_of_each_kind(self):
        domain = np.array(["source", "target"] * 6)
        section, y_true = np.repeat(["00", "01"], 6), np.tile([0, 0, 1, 1], 3)
        kinds = np.char.add(np.char.add(section, domain), y_true.astype(str))
        y_true, section, domain, kinds = (np.repeat(values, 2) for values in (y_true, section, domain, kinds))
        expected, seen = np.unique(kinds, return_counts=True)[1].tolist(), []

        def metric(y_true, y_score, *, section, domain):
            drawn = np.char.add(np.char.add(section, domain), y_true.astype(str))
            assert np.unique(drawn, return_counts=True)[1].tolist() == expected
            assert (kinds[y_score.astype(int)] == drawn).all()  # rows stay together
            seen.append(len(set(y_score)))
            return y_score.mean()

        bootstrap_interval(metric, y_true, np.arange(24), section=section, domain=domain, n_resamples=50)
        assert len(seen) == 51 and seen[0] == 24 and max(seen[1:]) < 24

    def test_groups_are_drawn_whole(self):
        groups, y_true = np.repeat(["a", "b", "c", "d", "e"], [1, 2, 3, 4, 5]), np.repeat([0, 1], [6, 9])

        def metric(y_true, y_score):
            names, counts = np.unique(groups[y_score.astype(int)], return_counts=True)
            assert all(count % "_abcde".index(name) == 0 for name, count in zip(names, counts, strict=True))
            return 0.0

        assert bootstrap_interval(metric, y_true, np.arange(15), groups=groups, n_resamples=50) == (0, 0, 0)

    def test_repeatable_and_named(self):
        rng = np.random.default_rng(0)
        y_true = np.repeat([0, 1], 30)
        y_score = rng.normal(y_true)
        first, second, other = (
            bootstrap_interval(pauc_score, y_true, y_score, n_resamples=100, random_state=seed) for seed in (0, 0, 1)
        )
        assert first == second and first != other
        assert first.low < first.value == pauc_score(y_true, y_score) < first.high

    def test_official_score(self):
        y_true, y_score, fields = read_run(SHIPPED / "run_a")
        rows = fields["machine"] == "fan"
        fields = {name: values[rows] for name, values in fields.items()}
        interval = bootstrap_interval(official_score, y_true[rows], y_score[rows], **fields, n_resamples=30)
        assert 0.5 < interval.low < interval.value == official_score(y_true[rows], y_score[rows], **fields)
        assert interval.value < interval.high < 0.7

    def test_a_single_clip_of_a_kind(self):
        with pytest.raises(ValueError, match="only one clip or group of the kind 'anomalous'"):
            bootstrap_interval(auc_score, [0, 0, 1], [1, 2, 3])

    def test_recordings_by_hand(self):
        """Healthy are A and B, with scores 0 and 2, faulty C and D, with 1 and 3.

        Both healthy draws are B and both faulty ones C, for an AUC of 0, in one of 16 resamples of recordings; of
        resamples of clips in one of 4096.
        """
        y_true, y_score = np.repeat([0, 1], 6), np.repeat([0, 2, 1, 3], 3)
        clips = bootstrap_interval(auc_score, y_true, y_score, random_state=0)
        unknown = bootstrap_interval(auc_score, y_true, y_score, groups=["", None, np.nan] * 4, random_state=0)
        recordings = bootstrap_interval(auc_score, y_true, y_score, groups=list("AAABBBCCCDDD"), random_state=0)
        assert recordings == (0.75, 0.0, 1.0)
        assert clips == unknown and clips.low > 0.3

    def test_a_group_of_two_kinds_is_drawn_among_its_like(self):
        """In A, B and C a fault begins, D and E are healthy."""
        y_true, groups = np.array([0, 1] * 3 + [0] * 4), np.array(list("AABBCCDDEE"))

        def metric(y_true, y_score):
            drawn = groups[y_score.astype(int)]
            assert np.isin(drawn, list("ABC")).sum() == 6 and y_true.sum() == 3
            assert all((drawn == name).sum() % 2 == 0 for name in "ABCDE")
            return 0.0

        assert bootstrap_interval(metric, y_true, np.arange(10), groups=groups, n_resamples=50) == (0, 0, 0)
        with pytest.raises(ValueError, match="only one clip or group of the kind 'anomalous with normal'"):
            bootstrap_interval(auc_score, [0, 0, 1, 1], [1, 2, 3, 4], groups=[6, 7, 7, 8])

    @pytest.mark.parametrize("value", [np.nan, np.inf, None, "0.5", np.zeros(2)], ids=repr)
    def test_a_metric_that_gives_no_number(self, value):
        with pytest.raises(ValueError, match="metric must give one finite number"):
            bootstrap_interval(lambda *_: value, [0, 0, 1, 1], [1, 2, 3, 4])

    @pytest.mark.parametrize(
        "options", [{"n_resamples": 0}, {"confidence_level": 95}, {"confidence_level": 1.0}], ids=str
    )
    def test_options(self, options):
        with pytest.raises(ValueError, match=rf"'{next(iter(options))}' parameter of bootstrap_interval"):
            bootstrap_interval(auc_score, [0, 0, 1, 1], [1, 2, 3, 4], **options)

    @pytest.mark.parametrize(("fields", "message"), [
        ({"groups": [1.5, 2, 3, 4]}, r"groups must name recordings.* in the rows 0 \(1\.5\)"),
        ({"groups": [1, 2]}, r"groups must have one value per clip, shape \(4,\); got shape \(2,\)"),
        ({"section": ["00", "01", "01", "01"]}, "Section '00' has 1 normal"),
    ])  # fmt: skip
    def test_groups_and_sections_that_cannot_be(self, fields, message):
        with pytest.raises(ValueError, match=message):
            bootstrap_interval(auc_score, [0, 0, 1, 1], [1, 2, 3, 4], **fields)


class Loudness(BaseEstimator):
    """Higher = quieter = more normal."""

    def __init__(self, power=1):
        self.power = power

    def fit(self, X, y=None):
        return self

    def score_samples(self, X):
        values = X["embedding"] if isinstance(X, Clips) else X
        return -(np.abs(values) ** self.power).sum(axis=1)


@pytest.fixture
def clips():
    """Two sections of 12 clips, half of them anomalous and on the whole louder; section 01 has louder normals."""
    rng = np.random.default_rng(0)
    label, section = np.tile([1, -1], 12), np.repeat(["00", "01"], 12)
    return Clips(
        embedding=rng.normal(size=(24, 1)) + 1.0 * (label == -1)[:, None] + 5 * (section == "01")[:, None] + 5,
        label=label,
        section=section,
        domain=np.tile(["source", "source", "target", "target"], 6),
    )


SCORERS = [auc_scorer, pauc_scorer, official_scorer]


class TestScorers:
    def test_direction_by_hand(self):
        X, y = np.array([[1.0], [2.0], [1.5], [3.0]]), [1, 1, -1, -1]
        assert auc_scorer(Loudness(), X, y) == 0.75
        assert pauc_scorer(Loudness(), X, y) == pauc_score([0, 0, 1, 1], X[:, 0])

    def test_anomaly_predictions_flip_the_sign(self):
        y_true, y_score = anomaly_predictions(Loudness(), np.array([[1.0], [3.0]]), [1, -1])
        assert y_true.tolist() == [0, 1] and y_score.tolist() == [1.0, 3.0]

    def test_harmonic_mean_where_clips_know_sections(self, clips):
        loud, y_true = clips["embedding"][:, 0], clips["label"] == -1
        parts = [clips["section"] == name for name in ("00", "01")]
        for scorer, max_fpr in ((auc_scorer, None), (pauc_scorer, 0.1), (partial(pauc_scorer, max_fpr=0.3), 0.3)):
            expected = hmean([roc_auc_score(y_true[rows], loud[rows], max_fpr=max_fpr) for rows in parts])
            assert scorer(Loudness(), clips, clips["label"]) == pytest.approx(expected, rel=1e-15)
            assert scorer(Loudness(), clips) == scorer(Loudness(), clips, clips["label"])
        assert auc_scorer(Loudness(), clips["embedding"], clips["label"]) == roc_auc_score(y_true, loud)

    def test_machines_are_kept_apart(self, clips):
        machine = clips.with_fields(machine=clips["section"], section=["00"] * 24)
        assert auc_scorer(Loudness(), machine) == auc_scorer(Loudness(), clips)
        assert official_scorer(Loudness(), machine) == official_scorer(Loudness(), clips)

    def test_official(self, clips):
        y_true, y_score = (clips["label"] == -1).astype(int), clips["embedding"][:, 0]
        for year in (2020, 2021, 2025):
            expected = official_score(
                y_true, y_score, section=clips["section"], domain=clips["domain"], year=year, max_fpr=0.2
            )
            assert partial(official_scorer, year=year, max_fpr=0.2)(Loudness(), clips) == expected

    @pytest.mark.parametrize("scorer", SCORERS)
    def test_pickle(self, scorer, clips):
        assert pickle.loads(pickle.dumps(scorer))(Loudness(), clips) == scorer(Loudness(), clips)

    @pytest.mark.parametrize("scorer", [*SCORERS, partial(pauc_scorer, max_fpr=0.2)])
    def test_grid_search_in_two_processes(self, scorer, clips):
        folds = NormalOnlyKFold(3, shuffle=True, random_state=0)
        search = GridSearchCV(Loudness(), {"power": [1, -1]}, scoring=scorer, cv=folds, n_jobs=2, error_score="raise")
        search.fit(clips, clips["label"])
        assert search.best_params_ == {"power": 1}
        assert search.score(clips, clips["label"]) == scorer(Loudness(), clips)

    def test_several_at_once(self, clips):
        result = cross_validate(
            Loudness(), clips, clips["label"], scoring={"auc": auc_scorer, "pauc": pauc_scorer},
            cv=NormalOnlyKFold(2), error_score="raise",
        )  # fmt: skip
        assert result["test_auc"].shape == result["test_pauc"].shape == (2,)
        assert (result["test_auc"] > 0.5).all()

    def test_plain_arrays_and_a_detector_of_sklearn(self):
        rng = np.random.default_rng(0)
        X, y = np.r_[rng.normal(0, 1, (90, 2)), rng.normal(4, 1, (30, 2))], np.repeat([1, -1], [90, 30])
        scores = cross_validate(
            LocalOutlierFactor(novelty=True), X, y, scoring=auc_scorer, cv=NormalOnlyKFold(3), error_score="raise"
        )["test_score"]
        assert (scores > 0.95).all()

    def test_make_scorer_measures_the_other_end(self):
        """The partial AUC of make_scorer is that of the normals: a trap that the module's Notes name."""
        rng = np.random.default_rng(0)
        train = rng.normal(size=(200, 2))
        X = np.r_[rng.normal(size=(200, 2)), rng.normal(0, 6, (100, 2))]
        y = np.repeat([1, -1], [200, 100])
        detector = EllipticEnvelope(random_state=0).fit(train)
        trap = make_scorer(roc_auc_score, max_fpr=0.1, response_method="decision_function")
        truth = roc_auc_score(y == -1, -detector.score_samples(X), max_fpr=0.1)
        assert pauc_scorer(detector, X, y) == truth
        assert trap(detector, X, y) == roc_auc_score(y == 1, detector.decision_function(X), max_fpr=0.1)
        assert abs(trap(detector, X, y) - truth) > 0.05

    @pytest.mark.parametrize(("y", "message"), [
        ([1, 0], "0 means unknown: leave such clips out"),
        ([0, 1], r"got \[0, 1\].*np.where\(y == 1, -1, 1\)"),
        ([1, -1, 1], r"shape \(2,\); got shape \(3,\)"),
        (None, "Labels are needed to score"),
        ([None, None], "^y has no value"),
        ([1, None], "^y has no value"),
        (["1", "0"], "^y must hold"),
        (["a", 1], "^y must hold"),
    ])  # fmt: skip
    @pytest.mark.parametrize("scorer", [auc_scorer, pauc_scorer, anomaly_predictions])
    def test_labels_that_are_none(self, scorer, y, message):
        for X in (np.ones((2, 1)), Clips(embedding=np.ones((2, 1)))):
            with pytest.raises(ValueError, match=message):
                scorer(Loudness(), X, y)

    @pytest.mark.parametrize("scorer", [*SCORERS, anomaly_predictions])
    def test_no_clips(self, scorer, clips):
        with pytest.raises(ValueError, match="There are no clips to score"):
            scorer(Loudness(), clips[:0])

    def test_section_with_one_class(self, clips):
        some = clips[(clips["section"] == "00") | (clips["label"] == 1)]
        with pytest.raises(ValueError, match="Section '01' has 6 normal and 0 anomalous clips"):
            pauc_scorer(Loudness(), some)

    def test_official_needs_fields(self, clips):
        with pytest.raises(ValueError, match=r"\['domain'\] are missing, got Clips with embedding, label, section"):
            official_scorer(Loudness(), clips.without("domain"))
        with pytest.raises(ValueError, match=r"\['section', 'domain'\] are missing, got ndarray"):
            official_scorer(Loudness(), np.ones((2, 1)), [1, -1])

    def test_2020_needs_no_domain(self, clips):
        assert 0 < partial(official_scorer, year=2020)(Loudness(), clips.without("domain")) < 1

    def test_official_takes_labels_of_its_own_and_the_protocol(self, clips):
        bare = clips.without("label")
        given = partial(official_scorer, year=2023, protocol="domain-only")(Loudness(), bare, clips["label"])
        y_true, y_score = anomaly_predictions(Loudness(), clips)
        fields = {"section": clips["section"], "domain": clips["domain"]}
        assert given == official_score(y_true, y_score, **fields, year=2023, protocol="domain-only")
        assert given != official_score(y_true, y_score, **fields, year=2023)


@pytest.mark.parametrize("dtype", [np.int64, np.uint64, object])
def test_scores_that_float64_cannot_tell_apart_are_refused(dtype):
    scores = np.array([2**53, 2**53 + 1], dtype=dtype)
    with pytest.raises(ValueError, match="y_score holds different numbers that are the same in float64"):
        auc_score([0, 1], scores)
    assert auc_score([0, 1], scores - 2**53) == 1
