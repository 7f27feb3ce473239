"""A system with several seeds: what it gives for each, their mean and standard deviation, and differences in pairs."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, OutlierMixin, TransformerMixin
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skasd.clips import Clips
from skasd.detectors import MahalanobisDetector
from skasd.evaluation import Evaluation, RepeatedEvaluation, evaluate
from skasd.metrics import Rules

OPTIONS = {"year": 2022, "random_state": 0, "verbose": 0, "n_resamples": 100}


def make_clips(machine, seed):
    """Two sections, both domains; anomalies score higher by the first column of their embeddings."""
    rng = np.random.default_rng(seed)
    label = np.where(np.arange(160) % 2, 1, -1)
    label[:40] = 1
    return Clips(
        embedding=rng.normal(size=(160, 2)) + (label == -1)[:, np.newaxis], label=label, machine=[machine] * 160,
        split=np.repeat(["train", "test"], [40, 120]), section=np.tile(["00", "00", "01", "01"], 40),
        domain=np.repeat(["source", "target"], 4).tolist() * 20,
    )  # fmt: skip


class Noisy(OutlierMixin, BaseEstimator):
    """The first column, and noise that its seed makes."""

    def __init__(self, noise=1.0, random_state=None, fails=()):
        self.noise = noise
        self.random_state = random_state
        self.fails = fails

    def fit(self, X, y=None):
        if (X["machine"][0], self.random_state) in self.fails:
            raise ValueError("broken")
        self.offset_ = -1.0
        return self

    def score_samples(self, X):
        rng = np.random.RandomState(self.random_state)
        return -X["embedding"][:, 0] - self.noise * rng.normal(size=len(X))

    def decision_function(self, X):
        return self.score_samples(X) - self.offset_


@pytest.fixture(scope="module")
def machines():
    return {"fan": make_clips("fan", 0), "pump": make_clips("pump", 1)}


@pytest.fixture(scope="module")
def noisy(machines):
    return evaluate(Noisy(), machines, seeds=(3, 5, 8), **OPTIONS)


def test_each_seed_is_an_evaluation_of_its_own_and_figures_are_their_means(machines, noisy):
    for seed, evaluation in noisy.evaluations.items():
        alone = evaluate(Noisy(random_state=seed), machines, **OPTIONS)
        assert [figure[:5] for figure in alone.figures] == [figure[:5] for figure in evaluation.figures]
    values = np.array([[figure.value for figure in each.figures] for each in noisy.evaluations.values()])
    np.testing.assert_allclose([figure.value for figure in noisy.figures], values.mean(axis=0))
    np.testing.assert_allclose([figure.std for figure in noisy.figures], values.std(axis=0, ddof=1))
    totals = [each.official_score.value for each in noisy.evaluations.values()]
    assert noisy.official_score.value == pytest.approx(np.mean(totals)) and repr(noisy).endswith("]")
    assert noisy.official_score.low < noisy.official_score.value < noisy.official_score.high


def test_seeds_reach_every_part_and_the_systems_of_a_function(machines):
    class Seen(Noisy):
        def fit(self, X, y=None):
            assert self.random_state == 4 or self.random_state == 6
            return super().fit(X, y)

    pipeline = make_pipeline(FunctionTransformer(), Seen(random_state=1))
    assert pipeline[-1].random_state == 1
    evaluate(pipeline, machines, seeds=[4, 6], on_error="raise", **OPTIONS)
    assert pipeline[-1].random_state == 1
    by_name = {"fan": Seen(), "pump": MahalanobisDetector()}.__getitem__
    assert evaluate(by_name, machines, seeds=[4, 6], on_error="raise", **OPTIONS).lacking() == ""


def test_without_randomness_the_interval_is_that_of_the_clips(machines):
    same = evaluate(Noisy(noise=0.0), machines, seeds=(0, 1), **OPTIONS | {"n_resamples": 2000})
    expected = evaluate(Noisy(noise=0.0), machines, **OPTIONS | {"n_resamples": 2000, "random_state": 1}).official_score
    assert same.official_score.std == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(same.official_score[4:7], expected, atol=0.015)


def scored(score):
    """An evaluation of one section whose clips have these scores; every second is anomalous."""
    label = np.where(np.arange(len(score)) % 2, -1, 1)
    fields = {"machine": ["fan"] * len(score), "section": [""] * len(score), "domain": [""] * len(score)}
    clips = Clips(fields, label=label, anomaly_score=score)
    return Evaluation({"fan": clips}, name="scored", rules=Rules(2020), n_resamples=0)


def test_the_part_of_the_seeds_has_the_variance_of_a_mean():
    """Scores without any error of clips: AUC 1 with half of the seeds, 0 with the others."""
    perfect = np.where(np.arange(40) % 2, 1.0, 0.0)
    evaluations = {seed: scored(perfect if seed % 2 else -perfect) for seed in range(10)}
    figure = RepeatedEvaluation(evaluations, name="x", n_resamples=4000, random_state=0).figures[0]
    assert figure.value == 0.5
    standard_error = figure.std / np.sqrt(10)
    assert (figure.high - figure.low) / (2 * 1.96) == pytest.approx(standard_error, rel=0.15)


def test_differences_are_in_pairs():
    """A system that is slightly better on the very same clips is told apart, though the intervals overlap widely."""
    rng = np.random.default_rng(0)
    label, common = np.arange(200) % 2, rng.normal(size=200)
    ours = {seed: scored(0.8 * label + common + 0.02 * rng.normal(size=200)) for seed in range(4)}
    other = {seed: scored(0.7 * label + common + 0.02 * rng.normal(size=200)) for seed in range(4)}
    ours, other = (RepeatedEvaluation(each, name=name, random_state=0) for each, name in ((ours, "a"), (other, "b")))
    assert other.official_score.high > ours.official_score.low
    difference = ours.difference(other, random_state=0)
    assert difference.official_score.value == pytest.approx(ours.official_score.value - other.official_score.value)
    assert 0 < difference.official_score.low < difference.official_score.high < 0.1
    turned = other.difference(ours, random_state=0).official_score
    np.testing.assert_allclose([-turned.value, -turned.high, -turned.low], difference.official_score[4:7], atol=1e-12)
    none = ours.difference(ours, random_state=0).official_score
    assert none[4:] == (0, 0, 0, 0)
    single = ours.difference(other.evaluations[0], random_state=0, n_resamples=0)
    values = [each.figures[0].value - other.evaluations[0].figures[0].value for each in ours.evaluations.values()]
    assert single.figures[0].value == pytest.approx(np.mean(values))
    assert single.figures[0].std == pytest.approx(np.std(values, ddof=1))


def test_tables(noisy, machines):
    frame = noisy.to_frame()
    assert frame["value"].tolist()[-1] == noisy.official_score.value and (frame["std"] >= 0).all()
    official, sections = noisy.tables().values()
    total = noisy.official_score
    text = f"{100 * total.value:.2f} ± {100 * total.std:.2f} [{100 * total.low:.1f}, {100 * total.high:.1f}]"
    assert official["all machines"].tolist() == [text] and len(sections) == 4
    assert text in noisy.to_markdown() and "over seeds and test clips" in noisy.to_markdown()
    assert "±" in sections.to_latex(index=False, escape=True) and "±" in noisy._repr_html_()
    difference = noisy.difference(evaluate(Noisy(noise=0.0), machines, **OPTIONS))
    assert (difference.to_frame()["value"] < 0)[frame["metric"] == "AUC"].all()
    assert "Noisy less Noisy" in difference.to_markdown() and len(difference.tables()["Sections"]) == 4


def test_results_are_kept_by_seed_and_not_repeated(machines, tmp_path):
    first = evaluate(Noisy(), machines, seeds=(0, 1), results=tmp_path, **OPTIONS)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.json")) == [
        "seed_0/fan.json", "seed_0/pump.json", "seed_1/fan.json", "seed_1/pump.json",
    ]  # fmt: skip
    again = evaluate(Noisy(), machines, seeds=(0, 1), results=tmp_path, **OPTIONS)
    assert repr(again.figures) == repr(first.figures)
    for seed in (0, 1):
        assert again.evaluations[seed].runs["fan"].fit_seconds == first.evaluations[seed].runs["fan"].fit_seconds


def test_machines_that_fail_with_a_seed(machines):
    partly = evaluate(Noisy(fails=[("pump", 1)]), machines, seeds=(0, 1), **OPTIONS)
    assert {figure.machine for figure in partly.figures} == {"fan"}
    assert partly.lacking() == "pump failed with seed 1" in repr(partly)
    assert list(partly.failures) == ["pump with seed 1"] and "broken" in partly.to_markdown()
    with pytest.raises(ValueError, match="pump failed with seed 1"):
        _ = partly.official_score
    whole = evaluate(Noisy(), machines, seeds=(0, 1), **OPTIONS)
    assert whole.difference(partly, random_state=0).lacking() == "pump failed with seed 1"


@pytest.mark.parametrize("seeds", [(), (1,), (1, 1), (0.5, 1), (-1, 1), (True, 2), "12", ("0", "1")])
def test_seeds_are_different_numbers(seeds, machines):
    with pytest.raises((ValueError, TypeError), match="seeds"):
        evaluate(Noisy(), machines, seeds=seeds, **OPTIONS)


def test_seeds_of_what_knows_no_randomness(machines):
    with pytest.raises(ValueError, match="random_state"):
        evaluate(MahalanobisDetector(), machines, seeds=(0, 1), **OPTIONS)


def test_only_like_is_compared(noisy, machines):
    for other, message in [
        (evaluate(Noisy(), machines, seeds=(3, 5, 9), **OPTIONS), r"\[3, 5, 9\]"),
        (evaluate(Noisy(), {"fan": machines["fan"]}, **OPTIONS), "machines"),
        (evaluate(Noisy(), machines, **OPTIONS | {"year": 2020}), "rules"),
        (evaluate(Noisy(), machines | {"fan": machines["fan"][:-2]}, **OPTIONS), "fan differ in their number"),
        (evaluate(Noisy(), machines | {"fan": machines["fan"][::-1]}, **OPTIONS), "fan differ in"),
    ]:
        with pytest.raises(ValueError, match=message):
            noisy.difference(other)
    with pytest.raises(TypeError, match="other must be"):
        noisy.difference(0.5)


def test_a_shared_step_gets_its_seed(machines):
    class Step(TransformerMixin, BaseEstimator):
        def __init__(self, random_state=None):
            self.random_state = random_state

        def fit(self, X, y=None):
            assert self.random_state in (4, 6) and len(np.unique(X["machine"])) == 2
            return self

        def transform(self, X):
            return X

        def __sklearn_is_fitted__(self):
            return True

    both = evaluate(make_pipeline(Step(), Noisy()), machines, seeds=[4, 6], shared="step", on_error="raise", **OPTIONS)
    assert both.shared == both.evaluations[4].shared == "step" and "step shared by all machines" in both.to_markdown()
