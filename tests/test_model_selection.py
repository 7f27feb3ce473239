"""Splitters: who trains and who validates, by law, in searches, and for bad input."""

import numpy as np
import pytest
import sklearn
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_validate
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skasd.clips import Clips
from skasd.metrics import auc_scorer, official_scorer, pauc_scorer
from skasd.model_selection import DevelopmentSplit, NormalOnlyKFold


def as_array(X):
    return X["embedding"] if isinstance(X, Clips) else X


def detector():
    return make_pipeline(FunctionTransformer(as_array), LocalOutlierFactor(novelty=True))


@pytest.fixture
def clips():
    """Two sections, two domains, 30 normal and 10 anomalous clips of each, cut from recordings of five clips."""
    rng = np.random.default_rng(0)
    kinds = np.array([(s, d, label) for s in ("00", "01") for d in ("source", "target") for label in (1, -1)])
    section, domain, label = np.repeat(kinds, [30, 10] * 4, axis=0).T
    label = label.astype(int)
    return Clips(
        embedding=rng.normal(size=(160, 2)) + 5 * (label == -1)[:, None],
        section=section,
        domain=domain,
        label=label,
        recording=np.arange(160) // 5,
    )


class TestDevelopmentSplit:
    def test_train_clips_train_test_clips_test_nothing_else(self):
        clips = Clips(label=[1, 1, -1, 1, 0], split=["test", "train", "test", "train", "extra"])
        ((train, test),) = DevelopmentSplit().split(clips, clips["label"])
        assert train.tolist() == [1, 3] and test.tolist() == [0, 2]

    def test_one_split(self, clips):
        assert DevelopmentSplit().get_n_splits(clips) == DevelopmentSplit().get_n_splits() == 1

    def test_search(self, clips):
        order = np.random.default_rng(0).permutation(len(clips))
        split = np.where((clips["label"] == 1) & (np.arange(len(clips)) % 2 == 0), "train", "test")
        clips = clips.with_fields(split=split)[order]
        search = GridSearchCV(
            detector(), {"localoutlierfactor__n_neighbors": [2, 20]}, scoring=pauc_scorer, cv=DevelopmentSplit()
        )
        search.fit(clips, clips["label"])
        train, test = (clips[clips["split"] == name] for name in ("train", "test"))
        by_hand = detector().set_params(**search.best_params_).fit(train)
        assert search.n_splits_ == 1
        assert search.best_score_ == pauc_scorer(by_hand, test)

    @pytest.mark.parametrize(("X", "message"), [
        (np.zeros((3, 1)), r"'split'.*ndarray.*NormalOnlyKFold"),
        (Clips(embedding=[[0.0]], section=["00"]), r"'split'.*Clips with embedding, section"),
        (Clips(split=["train"] * 2), "'split'.*2 and 0 of 2 clips"),
        (Clips(split=["test"] * 2), "'split'.*0 and 2 of 2 clips"),
    ], ids=lambda value: type(value).__name__)  # fmt: skip
    def test_bad_input(self, X, message):
        with pytest.raises(ValueError, match=message):
            next(DevelopmentSplit().split(X))


CONFIGURATIONS = [
    pytest.param(shuffle, grouped, id=f"shuffle={shuffle}-grouped={grouped}")
    for shuffle in (False, True)
    for grouped in (False, True)
]


@pytest.mark.parametrize(("shuffle", "grouped"), CONFIGURATIONS)
class TestNormalOnlyKFoldLaws:
    @pytest.fixture
    def folds(self, clips, shuffle, grouped):
        splitter = NormalOnlyKFold(2, shuffle=shuffle, random_state=0 if shuffle else None)
        return list(splitter.split(clips, groups=clips["recording"] if grouped else None))

    def test_only_normal_clips_train(self, clips, folds):
        assert all((clips["label"][train] == 1).all() for train, _ in folds)

    def test_every_clip_validates_once(self, clips, folds):
        assert sorted(np.concatenate([test for _, test in folds])) == list(range(len(clips)))

    def test_normal_clips_train_or_validate(self, clips, folds):
        normal = set(np.flatnonzero(clips["label"] == 1))
        for train, test in folds:
            assert not set(train) & set(test)
            assert set(train) | (set(test) & normal) == normal

    def test_each_fold_has_its_share_of_each_kind(self, clips, folds):
        for _, test in folds:
            part = clips[test]
            kinds, counts = np.unique(
                [part["section"], part["domain"], part["label"].astype(str)], axis=1, return_counts=True
            )
            assert kinds.shape == (3, 8)
            assert sorted(set(counts)) == [5, 15]

    def test_groups_stay_together(self, clips, folds, shuffle, grouped):
        for train, test in folds:
            assert not set(clips["recording"][train]) & set(clips["recording"][test])


class TestNormalOnlyKFold:
    def test_unequal_groups_still_give_every_fold_every_kind(self):
        rng = np.random.default_rng(0)
        for _ in range(20):
            sizes = rng.integers(1, 30, 14)
            groups, y = np.repeat(np.arange(14), sizes), np.repeat([1] * 9 + [-1] * 5, sizes)
            for train, test in NormalOnlyKFold(5).split(np.zeros((len(y), 1)), y, groups):
                assert set(y[test]) == {1, -1} and set(y[train]) == {1}
                assert not set(groups[train]) & set(groups[test])

    def test_groups_may_have_normal_and_anomalous_clips(self):
        """One motor is left out at a time; each has run both healthy and damaged."""
        motor, y = np.repeat(["M1", "M2", "M3"], 4), np.tile([1, 1, -1, -1], 3)
        folds = list(NormalOnlyKFold(3).split(np.zeros((12, 1)), y, motor))
        assert sorted(motor[test][0] for _, test in folds) == ["M1", "M2", "M3"]
        for train, test in folds:
            assert len(set(motor[test])) == 1 and len(test) == 4 and len(train) == 4

    def test_plain_arrays_deal_like_sklearn(self):
        y = np.random.default_rng(0).permutation(np.repeat([1, -1], [25, 15]))
        ours = NormalOnlyKFold(5).split(np.zeros((40, 1)), y)
        for (train, test), (their_train, their_test) in zip(ours, StratifiedKFold(5).split(y, y), strict=True):
            assert test.tolist() == their_test.tolist()
            assert train.tolist() == their_train[y[their_train] == 1].tolist()

    def test_y_comes_before_the_label_of_clips(self, clips):
        swapped = list(NormalOnlyKFold(2).split(clips, -clips["label"]))
        assert all((clips["label"][train] == -1).all() for train, _ in swapped)

    def test_repeatable(self, clips):
        def folds(seed):
            return [test.tolist() for _, test in NormalOnlyKFold(2, shuffle=True, random_state=seed).split(clips)]

        assert folds(0) == folds(0) != folds(1)

    def test_repr_and_number(self):
        assert NormalOnlyKFold(3).get_n_splits() == 3
        assert repr(NormalOnlyKFold(3)) == "NormalOnlyKFold(n_splits=3, random_state=None, shuffle=False)"
        assert repr(DevelopmentSplit()) == "DevelopmentSplit()"

    @pytest.mark.parametrize("routing", [False, True])
    def test_search_hands_on_groups(self, clips, routing):
        X, y, seen = clips["embedding"], clips["label"], []

        class Spy(NormalOnlyKFold):
            def split(self, X, y=None, groups=None):
                seen.append(groups)
                return super().split(X, y, groups)

        search = GridSearchCV(detector(), {"localoutlierfactor__n_neighbors": [5]}, scoring=auc_scorer, cv=Spy(2))
        with sklearn.config_context(enable_metadata_routing=routing):
            search.fit(X, y, groups=clips["recording"])
        assert seen[0] is clips["recording"] and search.best_score_ > 0.9

    def test_cross_validation_of_clips_in_two_processes(self, clips):
        clips = clips.without("recording")
        scores = cross_validate(
            detector(), clips, clips["label"], scoring={"auc": auc_scorer, "official": official_scorer},
            cv=NormalOnlyKFold(5), n_jobs=2, error_score="raise",
        )  # fmt: skip
        assert (scores["test_auc"] > 0.9).all() and (scores["test_official"] > 0.8).all()

    @pytest.mark.parametrize(("splitter", "y", "groups", "message"), [
        (NormalOnlyKFold(2), None, None, "[Ll]abels"),
        (NormalOnlyKFold(2), [0, 0, 1, 1], None, r"\[0, 1\]"),
        (NormalOnlyKFold(2), [1, 1, 1, 1], None, "only normal clips"),
        (NormalOnlyKFold(3), [1, 1, 1, -1], None, r"n_splits=3 .* 1 of 'anomalous'\."),
        (NormalOnlyKFold(2), [1, 1, -1, -1], [0.5, 1, 2, 3], "groups"),
        (NormalOnlyKFold(2), [1, 1, -1, -1], [[0], [1], [2], [3]], "groups"),
        (NormalOnlyKFold(2), [1, 1, -1, -1], [True, False, True, False], "groups"),
        (NormalOnlyKFold(2), [1, 1, -1, -1], [0, 1], "inconsistent numbers of samples"),
        (NormalOnlyKFold(2, random_state=0), [1, 1, -1, -1], None, "random_state"),
    ])  # fmt: skip
    def test_bad_input(self, splitter, y, groups, message):
        with pytest.raises(ValueError, match=message):
            next(splitter.split(np.zeros((4, 1)), y, groups))

    def test_a_section_of_anomalies(self, clips):
        rows = (clips["section"] == "00") | (clips["label"] == -1)
        with pytest.raises(ValueError, match=r"'01'.* only anomalous clips"):
            next(NormalOnlyKFold(2).split(clips[rows]))

    def test_too_few_groups_of_a_kind(self, clips):
        with pytest.raises(ValueError, match=r"n_splits=3 .* 2 of 'anomalous 00 source'"):
            next(NormalOnlyKFold(3).split(clips, groups=clips["recording"]))

    def test_groups_that_leave_a_fold_without_a_kind(self):
        """Three kinds in groups A and B, B and C, C and A: in two folds two of the groups come together."""
        section, label = ["00"] * 4 + ["01"] * 4, [1, 1, -1, -1] * 2
        clips = Clips(embedding=np.zeros((8, 1)), section=section, label=label)
        for split in (
            lambda: NormalOnlyKFold(2).split(clips, groups=list("ABBCCAAB")),
            lambda: NormalOnlyKFold(2).split(clips.with_fields(recording=list("ABBCCAAB"))),
        ):
            with pytest.raises(ValueError, match=r"without the clips .*'anomalous 00'"):
                list(split())

    def test_clips_of_no_known_recording_are_by_themselves(self, clips):
        unknown = clips.with_fields(recording=[""] * 160)
        plain = clips.without("recording")
        for (train, test), (other_train, other_test) in zip(
            NormalOnlyKFold(2).split(unknown), NormalOnlyKFold(2).split(plain), strict=True
        ):
            assert train.tolist() == other_train.tolist() and test.tolist() == other_test.tolist()

    def test_names_that_hold_a_space_are_not_confused(self):
        """Joined by spaces, the two sections of two domains would be one kind."""
        section, domain = np.repeat([["a", "a b"], ["b c", "c"]], 4, axis=1)
        clips = Clips(embedding=np.zeros((8, 1)), section=section, domain=domain, label=[1, 1, -1, -1] * 2)
        for _, test in NormalOnlyKFold(2).split(clips):
            assert sorted(zip(clips["section"][test].tolist(), clips["label"][test].tolist(), strict=True)) == [
                ("a", -1), ("a", 1), ("a b", -1), ("a b", 1)
            ]  # fmt: skip
