"""ScoreEnsemble and the choice of systems, with answers worked by hand and laws."""

import pickle

import joblib
import numpy as np
import pytest
from sklearn.base import BaseEstimator, OutlierMixin, clone
from sklearn.ensemble import IsolationForest
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from skasd.clips import Clips
from skasd.detectors import GaussianMixtureDetector, MahalanobisDetector, NearestNeighborsDetector
from skasd.embedders import StatisticsEmbedder
from skasd.ensemble import ScoreEnsemble, SystemSelection, select_systems
from skasd.features import LogMelSpectrogram
from skasd.metrics import auc_score, auc_scorer, pauc_scorer
from skasd.model_selection import DevelopmentSplit


class Column(OutlierMixin, BaseEstimator):
    """Scores a clip by one column of its embedding; remembers what it has learned from."""

    def __init__(self, column=0, factor=1.0):
        self.column = column
        self.factor = factor

    def fit(self, X, y=None):
        self.seen_ = np.asarray(X["embedding"] if isinstance(X, Clips) else X)[:, self.column]
        return self

    def score_samples(self, X):
        embedding = X["embedding"] if isinstance(X, Clips) else np.asarray(X)
        return self.factor * embedding[:, self.column]


class Memory(Column):
    """The distance to the nearest clip that was learned: zero for all of them."""

    def score_samples(self, X):
        return -np.abs(super().score_samples(X)[:, np.newaxis] - self.seen_).min(axis=1)


HAND = np.array(
    [[0.0, 0.0], [1.0, 20.0], [2.0, 40.0], [3.0, 60.0], [4.0, 80.0]]
)  # medians 2, 40; quartiles 1, 3, 20, 60


class Cosine(Column):
    """The cosine distance to the first clip that was learned, with the noise of rounding."""

    def fit(self, X, y=None):
        self.first_ = np.asarray(X)[0]
        return self

    def score_samples(self, X):
        cosine = X @ self.first_ / np.sqrt((X**2).sum(axis=1) * (self.first_**2).sum())
        return cosine - 1 + 2e-16 * (np.arange(len(X)) % 3)


def make_members(*factors):
    return [(f"member{i}", Column(i, factor)) for i, factor in enumerate(factors)]


@pytest.fixture
def clips():
    rng = np.random.default_rng(0)
    section, domain = np.tile(["00", "01"], 60), np.repeat(["source", "target"], [110, 10])
    return Clips(embedding=rng.normal(size=(120, 3)), section=section, domain=domain)


@pytest.mark.parametrize(("combine", "weights", "expected"), [
    ("mean", None, [0.5, 0.0]),  # the first clip scores 1.5 and -0.5, the second 0 and 0
    ("mean", [3, 1], [1.0, 0.0]),
    ("mean", [0, 1], [-0.5, 0.0]),
    ("min", None, [-0.5, 0.0]),
])  # fmt: skip
def test_scores_worked_by_hand(combine, weights, expected):
    ensemble = ScoreEnsemble(make_members(1, 1), combine=combine, weights=weights).fit(HAND)
    np.testing.assert_allclose(ensemble.center_[""], [2, 40])
    np.testing.assert_allclose(ensemble.scale_[""], [2, 40])
    np.testing.assert_allclose(ensemble.score_samples([[5, 20], [2, 40]]), expected)


def test_threshold_is_the_quantile_of_the_training_scores():
    ensemble = ScoreEnsemble(make_members(1, 1), contamination=1 / 3).fit(HAND)  # scores -1, -0.5, 0, 0.5, 1
    assert ensemble.offset_ == pytest.approx(-0.5)
    assert ensemble.predict(HAND).tolist() == [-1, 1, 1, 1, 1]
    np.testing.assert_allclose(ensemble.decision_function(HAND), [-0.5, 0, 0.5, 1, 1.5], atol=1e-12)


@pytest.mark.parametrize("combine", ["mean", "min"])
def test_units_of_a_member_do_not_count(clips, combine):
    plain = ScoreEnsemble(make_members(1, 1, 1), combine=combine).fit(clips)
    scaled = ScoreEnsemble(make_members(1e-6, 1, 1e6), combine=combine).fit(clips)
    np.testing.assert_allclose(plain.score_samples(clips), scaled.score_samples(clips))
    assert plain.offset_ == pytest.approx(scaled.offset_)


def test_one_odd_clip_does_not_silence_its_member(clips):
    odd = clips["embedding"].copy()
    odd[0, 0] = -1e9
    before, after = (
        ScoreEnsemble(make_members(1, 1)).fit(clips.with_fields(embedding=values))
        for values in (clips["embedding"], odd)
    )
    np.testing.assert_allclose(after.scale_["00"], before.scale_["00"], rtol=0.1)


def test_each_section_has_its_own_scale(clips):
    second = clips["section"] == "01"
    values = clips["embedding"].copy()
    values[second, 0] = 1000 + 50 * values[second, 0]
    plain = ScoreEnsemble(make_members(1, 1)).fit(clips)
    moved = ScoreEnsemble(make_members(1, 1)).fit(clips.with_fields(embedding=values))
    assert set(moved.center_) == {"00", "01"}
    np.testing.assert_allclose(
        plain.score_samples(clips), moved.score_samples(clips.with_fields(embedding=values)), atol=1e-9
    )


def test_training_scores_come_from_members_that_have_not_learned_from_the_clip():
    X = np.arange(20.0)[:, np.newaxis] ** 2
    ensemble = ScoreEnsemble([("memory", Memory())], cv=20).fit(X)
    gaps = np.diff(X[:, 0])
    nearest = np.minimum(np.append(gaps, np.inf), np.insert(gaps, 0, np.inf))  # leave one out
    assert ensemble.center_[""] == -np.median(nearest)


@pytest.fixture
def seen():
    return []


@pytest.fixture
def spy(seen):
    """A member that keeps what it scores, which in fit are the parts."""

    class Spy(Column):
        def score_samples(self, X):
            seen.append(X)
            return super().score_samples(X)

    return ("spy", Spy())


def test_clips_of_one_recording_are_in_one_part(clips, spy, seen):
    recording = np.array([*np.repeat(list("abcdefgh"), 5), *[""] * 80])
    ScoreEnsemble([spy], cv=5).fit(clips.with_fields(recording=recording))
    assert sum(map(len, seen)) == 120 and min(map(len, seen)) > 10
    for name in "abcdefgh":
        assert [np.count_nonzero(part["recording"] == name) for part in seen if name in part["recording"]] == [5]


@pytest.mark.parametrize("field", ["embedding", "waveform", "path"])
def test_copies_are_in_one_part(spy, seen, field):
    values = [f"{row}.wav" for row in range(20)] if field == "path" else np.random.default_rng(0).normal(size=(20, 9))
    embedding = np.random.default_rng(1).normal(size=(20, 2))
    clips = Clips({"embedding": embedding, field: values}, number=np.arange(20))
    if field != "embedding":
        clips = clips.with_fields(other=embedding)
    ScoreEnsemble([spy], cv=4).fit(clips + clips + clips[:5])
    assert sum(map(len, seen)) == 45
    for number in range(20):
        assert sum(number in part["number"] for part in seen) == 1


def test_copies_change_neither_scale_nor_threshold(clips):
    single = ScoreEnsemble(make_members(1, 1)).fit(clips)
    often = ScoreEnsemble(make_members(1, 1)).fit(clips + clips[:40] + clips[:40] + clips[:40])
    assert often.offset_ == single.offset_
    for section in ("00", "01"):
        np.testing.assert_array_equal(often.scale_[section], single.scale_[section])


def test_there_are_no_more_parts_than_recordings(clips):
    few = clips.with_fields(recording=np.resize(list("abc"), 120))
    five, three = (ScoreEnsemble(make_members(1), cv=cv).fit(few) for cv in (5, 3))
    assert five.offset_ == three.offset_


@pytest.mark.parametrize(("recording", "message"), [
    (["one"] * 120, "section '00' are of one recording"),
    (np.where(np.arange(120) % 2, "one", np.arange(120).astype(str)), "section '01' are of one recording"),
])  # fmt: skip
def test_one_recording_is_an_error(clips, recording, message):
    with pytest.raises(ValueError, match=message):
        ScoreEnsemble(make_members(1)).fit(clips.with_fields(recording=recording))


def draw_clips(kind, rng, n_clips):
    """Clips of one distribution: by themselves, of windows that are alike, of recordings that are alike, or copied."""
    if kind == "windows":
        return Clips(embedding=rng.normal(size=(n_clips, 1, 3)) + 0.05 * rng.normal(size=(n_clips, 6, 3)))
    if kind == "recordings":
        recording = np.repeat(np.arange(n_clips // 4), 4)
        return Clips(embedding=rng.normal(size=(n_clips // 4, 3))[recording] + 0.05 * rng.normal(size=(n_clips, 3)),
                     recording=recording)  # fmt: skip
    clips = Clips(embedding=rng.normal(size=(n_clips, 3)))
    return clips + clips if kind == "copies" else clips


@pytest.mark.parametrize("combine", ["mean", "min"])
@pytest.mark.parametrize("kind", ["single", "windows", "recordings", "copies"])
def test_alarm_rate_on_fresh_clips_is_what_was_asked_for(kind, combine):
    members = [("gauss", MahalanobisDetector()), ("near", NearestNeighborsDetector(metric="euclidean"))]
    rates = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        ensemble = ScoreEnsemble(members, combine=combine).fit(draw_clips(kind, rng, 160))
        rates.append(np.mean(ensemble.predict(draw_clips(kind, rng, 500).without(*NOT_NEEDED[kind])) == -1))
    assert 0.05 < np.mean(rates) < 0.2


NOT_NEEDED = {"single": (), "windows": (), "recordings": ("recording",), "copies": ()}


def test_every_part_has_every_section_and_domain(clips, spy, seen):
    ScoreEnsemble([spy], cv=5).fit(clips)
    assert len(seen) == 5
    assert sum(map(len, seen)) == len(clips)
    for part in seen:
        kinds, counts = np.unique(np.char.add(part["section"], part["domain"]), return_counts=True)
        assert dict(zip(kinds.tolist(), counts.tolist(), strict=True)) == {
            "00source": 11, "01source": 11, "00target": 1, "01target": 1
        }  # fmt: skip


@pytest.mark.parametrize("cv", [2, 5])
def test_anomalies_never_train(clips, cv):
    members = [("gauss", MahalanobisDetector()), ("column", Column())]
    label = np.ones(len(clips), dtype=int)
    label[::7] = -1
    alone = ScoreEnsemble(members, cv=cv).fit(clips[label == 1])
    by_field = ScoreEnsemble(members, cv=cv).fit(clips.with_fields(label=label))
    by_y = ScoreEnsemble(members, cv=cv).fit(clips, label)
    for ensemble in (by_field, by_y):
        np.testing.assert_array_equal(ensemble.score_samples(clips), alone.score_samples(clips))
        assert ensemble.offset_ == alone.offset_
        assert -1 not in ensemble.named_estimators_["column"].seen_


def test_labels_and_domains_are_not_needed_to_score(clips):
    ensemble = ScoreEnsemble([("gauss", MahalanobisDetector()), ("column", Column())]).fit(clips)
    np.testing.assert_array_equal(ensemble.score_samples(clips.without("domain")), ensemble.score_samples(clips))


def test_members_find_each_a_fault_of_their_own():
    rng = np.random.default_rng(0)
    X = np.r_[rng.normal(size=(400, 2)), rng.normal([5, 0], 1, (50, 2)), rng.normal([0, 5], 1, (50, 2))]
    y = np.repeat([0, 1], [400, 100])
    members = [("x", make_pipeline(Column(0, -1.0))), ("y", make_pipeline(Column(1, -1.0)))]
    single = [auc_score(y, -member.fit(X[:200]).score_samples(X)) for _, member in members]
    both = auc_score(y, -ScoreEnsemble(members, combine="min").fit(X[:200]).score_samples(X))
    assert max(single) < 0.8 < 0.98 < both


def test_parallel_scores_are_the_same(clips):
    members = [("gauss", MahalanobisDetector()), ("mixture", GaussianMixtureDetector(n_components=2, random_state=0))]
    one, two = (ScoreEnsemble(members, n_jobs=n_jobs).fit(clips) for n_jobs in (None, 2))
    np.testing.assert_array_equal(one.score_samples(clips), two.score_samples(clips))


def test_saved_ensemble_scores_the_same(clips, tmp_path):
    ensemble = ScoreEnsemble([("gauss", MahalanobisDetector()), ("forest", make_members(1)[0][1])]).fit(clips)
    joblib.dump(ensemble, tmp_path / "ensemble.joblib")
    loaded = joblib.load(tmp_path / "ensemble.joblib")
    np.testing.assert_array_equal(loaded.score_samples(clips), ensemble.score_samples(clips))


def test_parameters_reach_into_pipelines(clips):
    members = [("gauss", make_pipeline(MahalanobisDetector())), ("column", Column())]
    ensemble = ScoreEnsemble(members, weights=[1, 2])
    assert ensemble.get_params()["gauss__mahalanobisdetector__covariance"] == "ledoit_wolf"
    changed = clone(ensemble).set_params(gauss__mahalanobisdetector__covariance="oas", column__factor=3.0, weights=None)
    assert changed.estimators[0][1][0].covariance == "oas"
    assert changed.estimators[1][1].factor == 3.0
    assert members[1][1].factor == 1.0
    assert clone(ensemble).set_params(column=IsolationForest()).estimators[1][1].__class__ is IsolationForest
    with pytest.raises(ValueError, match="'gaus'"):
        ensemble.set_params(gaus__covariance="oas")


def test_a_search_tunes_a_member(clips):
    label = np.where(np.arange(len(clips)) % 6 == 5, -1, 1)
    embedding = clips["embedding"] - 4.0 * (label == -1)[:, np.newaxis] * [0, 1, 0]
    labelled = clips.with_fields(
        label=label, split=np.tile(["train", "test"], 60), embedding=embedding, section=["0"] * 120
    )
    search = GridSearchCV(
        ScoreEnsemble([("column", Column())]), {"column__column": [0, 1, 2]}, scoring=auc_scorer, cv=DevelopmentSplit()
    )  # fmt: skip
    assert search.fit(labelled, label).best_params_ == {"column__column": 1}


def test_behind_features_in_a_pipeline():
    waveform = np.random.default_rng(0).normal(size=(30, 2000)).astype(np.float32) * 0.1
    system = make_pipeline(
        LogMelSpectrogram(n_fft=256, hop_length=128, n_mels=8),
        StatisticsEmbedder(),
        ScoreEnsemble([("gauss", MahalanobisDetector()), ("near", NearestNeighborsDetector())]),
    )
    tone = np.sin(np.arange(2000) / 3).astype(np.float32)[np.newaxis]
    assert system.fit(waveform).predict(tone).tolist() == [-1]


@pytest.mark.parametrize(("parameters", "message"), [
    ({"estimators": []}, r"estimators .*\[\]"),
    ({"estimators": [("a", Column()), ("a", Column())]}, r"\['a', 'a'\]"),
    ({"estimators": [("a__b", Column())]}, r"\['a__b'\]"),
    ({"estimators": [("weights", Column())]}, r"weights.*\['weights'\]"),
    ({"weights": [1.0]}, "weights .* a, b"),
    ({"weights": [-1.0, 2.0]}, r"weights .*\[-1\.0, 2\.0\]"),
    ({"weights": [0, 0]}, r"weights .*\[0, 0\]"),
    ({"weights": [1, 1], "combine": "min"}, "weights .*combine='mean'"),
    ({"weights": ["1_0", "2"]}, r"weights .*\['1_0', '2'\]"),
    ({"weights": ["one", "two"]}, r"weights .*\['one', 'two'\]"),
    ({"cv": 1}, "'cv' parameter of ScoreEnsemble"),
    ({"cv": None}, "'cv' parameter of ScoreEnsemble"),  # own training clips: neighbours would find themselves
    ({"combine": "max"}, "'combine' parameter of ScoreEnsemble"),
])  # fmt: skip
def test_bad_parameters(parameters, message):
    ensemble = ScoreEnsemble([("a", Column(0)), ("b", Column(1))]).set_params(**parameters)
    with pytest.raises(ValueError, match=message):
        ensemble.fit(HAND)


@pytest.mark.parametrize(("member", "X"), [
    (Column(1), np.c_[HAND[:, 0], np.zeros(5)]),
    (Cosine(), np.outer(np.linspace(1, 3, 40), [1, 2, 3])),  # all point the same way: distances are 0 or 1e-16
])  # fmt: skip
def test_member_without_spread_is_named(member, X):
    with pytest.raises(ValueError, match=r"'flat' gives half of(.|\n)*the one unnamed section"):
        ScoreEnsemble([("column", Column()), ("flat", member)]).fit(X)


@pytest.mark.parametrize(("made", "message"), [
    (lambda scores: np.where(scores == scores.max(), np.nan, scores), "'broken' gives clip 7 the score nan"),
    (lambda scores: np.where(scores == scores.max(), -np.inf, scores), "'broken' gives clip 7 the score -inf"),
    (lambda scores: scores[:-1], r"'broken' must give one score per clip, shape \(8,\).*shape \(7,\)"),
])  # fmt: skip
def test_scores_that_are_none_name_member_and_clip(made, message):
    class Broken(Column):
        def score_samples(self, X):
            scores = super().score_samples(X)
            return made(scores) if scores.max() > 6.5 and len(scores) > 3 else scores

    ensemble = ScoreEnsemble([("fine", Column(1)), ("broken", Broken())]).fit(HAND)
    with pytest.raises(ValueError, match=message):
        ensemble.score_samples(np.arange(16.0).reshape(8, 2) / 2)


def test_scores_that_are_none_in_fit_name_member_and_clip(clips):
    class Broken(Column):
        def score_samples(self, X):
            return np.where(X["embedding"][:, 0] == clips["embedding"][33, 0], np.nan, super().score_samples(X))

    with pytest.raises(ValueError, match="'broken' gives clip 33 the score nan"):
        ScoreEnsemble([("broken", Broken())]).fit(clips)


def test_scores_that_overflow_name_the_clip():
    ensemble = ScoreEnsemble(make_members(1, 1)).fit(HAND / 1e9)
    with pytest.raises(ValueError, match="Clip 1 cannot be scored"):
        ensemble.score_samples([[0.0, 0.0], [1e308, 0.0]])


def test_unknown_section_is_named(clips):
    ensemble = ScoreEnsemble(make_members(1)).fit(clips)
    with pytest.raises(ValueError, match=r"section '07'.*section '00', section '01'"):
        ensemble.score_samples(clips[:1].with_fields(section=["07"]))


def test_failing_member_is_named(clips):
    with pytest.raises(ValueError, match=r"(.|\n)*the member 'narrow'"):
        ScoreEnsemble([("narrow", MahalanobisDetector(covariance="sample"))]).fit(clips[:6])


@pytest.mark.parametrize(("member", "n_clips", "cv", "counts"), [
    (MahalanobisDetector(), 3, 2, "from 1 of the 3 training clips"),
    (MahalanobisDetector(), 3, 5, "from 2 of the 3 training clips"),
    (NearestNeighborsDetector(n_neighbors=5), 6, 2, "from 3 of the 6 training clips"),
])  # fmt: skip
def test_member_that_parts_are_too_small_for_is_named_with_the_counts_of_the_user(member, n_clips, cv, counts):
    X = np.random.default_rng(0).normal(size=(n_clips + 2, 2))
    y = [-1, *[1] * n_clips, -1]
    with pytest.raises(ValueError, match=f"'hungry' .*{counts}.*raise cv"):
        ScoreEnsemble([("column", Column()), ("hungry", member)], cv=cv).fit(X, y)


def test_scores_that_are_none_in_fit_name_the_row_of_the_user():
    class Broken(Column):
        def score_samples(self, X):
            return np.where(X[:, 0] == 5, np.nan, super().score_samples(X))

    with pytest.raises(ValueError, match="'broken' gives clip 5 the score nan"):
        ScoreEnsemble([("broken", Broken())]).fit(np.arange(20.0)[:, np.newaxis], [-1, -1, *[1] * 18])


def test_two_recordings_are_no_reason_to_warn_of_one(clips):
    two = clips.with_fields(recording=np.repeat(["a", "b"], 60)).without("domain")
    members = [("gauss", MahalanobisDetector()), ("near", NearestNeighborsDetector())]
    assert np.isfinite(ScoreEnsemble(members).fit(two).offset_)  # warnings are errors


@pytest.fixture
def development(clips):
    """Two machines: the fault of the fan is in column 0, that of the valve in column 1."""
    label = np.where(np.arange(len(clips)) % 3 == 2, -1, 1)
    parts = []
    for column, machine in enumerate(["fan", "valve"]):
        shift = 3.0 * (label == -1)[:, np.newaxis] * np.eye(3)[column]
        parts.append(
            clips.with_fields(
                embedding=clips["embedding"] - shift, label=label, machine=[machine] * len(clips),
                split=np.tile(["train", "test", "test", "train"], 30),
            )
        )  # fmt: skip
    return parts[0] + parts[1]


class TestSelectSystems:
    systems = {"first": Column(0), "second": Column(1), "third": lambda machine: Column(2)}

    def test_best_of_each_machine(self, development):
        selection = select_systems(self.systems, development, scorer=pauc_scorer, cv=DevelopmentSplit())
        assert selection.best == {"fan": "first", "valve": "second"}
        assert selection("valve").get_params() == {"column": 1, "factor": 1.0}
        assert list(selection.scores["fan"]) == ["first", "second", "third"]
        fan = development[development["machine"] == "fan"]
        test = fan[fan["split"] == "test"]
        assert selection.scores["fan"]["third"] == pauc_scorer(Column(2), test)
        lines = repr(selection).splitlines()
        assert lines[1].startswith("  fan    first 0.") and "second 0." in lines[1] and "third 0." in lines[1]

    def test_it_is_the_users_scorer_that_chooses(self, development):
        selection = select_systems(
            self.systems, development, scorer=lambda system, X, y: system.column, cv=DevelopmentSplit()
        )
        assert selection.best == {"fan": "third", "valve": "third"}
        assert selection.scores["fan"] == {"first": 0.0, "second": 1.0, "third": 2.0}

    def test_first_of_equals(self, development):
        selection = select_systems(self.systems, development, scorer=lambda *_: 1.0, cv=DevelopmentSplit())
        assert set(selection.best.values()) == {"first"}

    def test_given_systems_are_not_fitted(self, development):
        system = Column()
        selection = select_systems({"only": system}, development, scorer=auc_scorer, cv=DevelopmentSplit())
        assert not hasattr(system, "seen_") and not hasattr(selection("fan"), "seen_")
        assert "(no other)" in repr(selection)

    def test_no_candidate_drops_out_unseen(self, development):
        systems = {"fine": Column(), "narrow": MahalanobisDetector(feature_groups={"all": [7]})}
        with pytest.raises(ValueError, match=r"groups(.|\n)*narrow on fan"):
            select_systems(systems, development, scorer=auc_scorer, cv=DevelopmentSplit())

    @pytest.mark.parametrize("score", [np.nan, np.inf, None, "0.5", [0.5, 0.6], np.array([0.5])])
    def test_scores_must_be_finite(self, development, score):
        with pytest.raises(ValueError, match=r"scorer gave .*(nan|inf|None|'0.5'|0.5)(.|\n)*first on fan"):
            select_systems(self.systems, development, scorer=lambda *_: score, cv=DevelopmentSplit())

    @pytest.mark.parametrize("scores", [{"fan": {}}, {"fan": {"one": np.nan}}, {"fan": {"two": 1.0}}])
    def test_a_selection_of_nothing(self, scores):
        with pytest.raises(ValueError, match="'fan' has"):
            SystemSelection({"one": Column()}, scores)

    def test_machine_that_was_not_among_the_clips(self, development):
        selection = select_systems({"one": Column()}, development, scorer=auc_scorer, cv=DevelopmentSplit())
        with pytest.raises(ValueError, match=r"'pump'.* fan, valve"):
            selection("pump")
        assert pickle.loads(pickle.dumps(selection)).best == selection.best

    @pytest.mark.parametrize("systems, n_clips, without", [({}, 240, ()), (systems, 240, ("label",)), (systems, 0, ())])
    def test_what_is_missing_is_said(self, development, systems, n_clips, without):
        clips = development[:n_clips].without(*without)
        with pytest.raises(ValueError, match=rf"'machine' and 'label'; got {len(systems)} systems and {n_clips} clips"):
            select_systems(systems, clips, scorer=auc_scorer, cv=DevelopmentSplit())

    def test_a_scorer_must_be_given(self, development):
        with pytest.raises(TypeError, match="scorer"):
            select_systems(self.systems, development, cv=DevelopmentSplit())
