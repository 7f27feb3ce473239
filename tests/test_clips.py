import pickle
from pathlib import Path

import joblib
import numpy as np
import pandas
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold, cross_validate, train_test_split
from sklearn.pipeline import make_pipeline

from skasd._reading import recording_numbers
from skasd.clips import Clips, as_clips
from skasd.detectors import MahalanobisDetector
from skasd.embedders import StatisticsEmbedder
from skasd.metrics import auc_scorer
from skasd.model_selection import NormalOnlyKFold


@pytest.fixture
def clips():
    rng = np.random.default_rng(0)
    return Clips(
        path=[f"{row}.wav" for row in range(40)],
        embedding=rng.normal(size=(40, 3)).astype(np.float32),
        section=np.repeat(["00", "01"], 20),
        domain=np.tile(["source", "target"], 20),
        label=np.tile([1, 1, 1, 1, -1], 8),
    )


def assert_same(left, right):
    assert list(left) == list(right)
    for name in left:
        np.testing.assert_array_equal(left[name], right[name])
        assert left[name].dtype == right[name].dtype


def mean_score(estimator, X, y=None):
    return float(np.mean(estimator.score_samples(X)))


@pytest.mark.parametrize(
    "key", [slice(3, 9), np.array([5, 1, 1]), [2, 0], np.arange(40) % 3 == 0, (np.array([1, 2]), Ellipsis)]
)
def test_rows_of_all_fields_are_taken_together(clips, key):
    taken = clips[key]
    rows = key[0] if isinstance(key, tuple) else key
    for name in clips:
        np.testing.assert_array_equal(taken[name], clips[name][rows])


def test_no_rows_keep_the_fields(clips):
    assert len(clips[[]]) == 0
    assert clips[[]]["embedding"].shape == (0, 3)


def test_join_undoes_split(clips):
    assert_same(clips[:7] + clips[7:], clips)


def test_join_needs_the_same_fields(clips):
    with pytest.raises(ValueError, match=r"one side.*'label'"):
        clips + clips.without("label")


def test_join_needs_rows_of_one_shape(clips):
    with pytest.raises(ValueError, match=r"'embedding'.*\(3,\).*\(2,\)"):
        clips + clips.with_fields(embedding=np.zeros((40, 2), np.float32))


def test_fields_of_unequal_length_are_refused():
    with pytest.raises(ValueError, match=r"'section': 2.*'label': 3"):
        Clips(section=["00", "01"], label=[1, 1, 1])


@pytest.mark.parametrize(
    ("field", "values", "message"),
    [
        ("label", [1, 2], r"'label'.*got 2 in 1 rows"),
        ("label", [1.0, np.nan], r"'label' holds \+1"),
        ("label", ["normal", "anomaly"], r"'label'.*'normal', 'anomaly'"),
        ("label", [False, True], r"'label'.*False, True.*np.where"),
        ("waveform", np.zeros(5), r"'waveform'.* 2 .*\(5,\)"),
        ("log_mel", np.zeros((2, 5)), r"'log_mel'.* 3 .*\(2, 5\)"),
        ("embedding", np.zeros(5), r"'embedding'.* 2 or 3 .*\(5,\)"),
        ("speed", 3.0, r"'speed'.* at least 1 "),
        ("path", "fan.wav", r"'path'.*'fan\.wav'"),
        ("path", Path("fan"), r"'path'.*'fan'"),
        ("waveform", [np.zeros(5), np.zeros(7), np.zeros(6)], r" 5 to 7 samples.*AudioLoader"),
    ],
)
def test_a_field_that_does_not_fit_is_refused(field, values, message):
    with pytest.raises(ValueError, match=message):
        Clips({field: values})


def test_unknown_field_is_named_with_those_that_exist(clips):
    with pytest.raises(KeyError, match=r"'speed'.* path, embedding"):
        clips["speed"]
    with pytest.raises(KeyError, match="'speed'"):
        clips.without("speed")


def test_one_integer_is_no_index(clips):
    with pytest.raises(TypeError, match=r"clips\[3:4\]"):
        clips[3]


def test_clips_are_not_silently_an_array(clips):
    with pytest.raises(TypeError, match=r"clips\['embedding'\].*FieldTransformer"):
        np.asarray(clips)


def test_text_from_objects_and_paths(tmp_path):
    clips = Clips(path=[tmp_path / "a.wav"], note=np.array(["free text"], dtype=object))
    assert clips["path"].dtype.kind == clips["note"].dtype.kind == "U"


def test_original_is_untouched(clips):
    changed = clips.with_fields(label=np.ones(40)).without("path")
    assert "path" in clips
    assert (clips["label"] == -1).sum() == 8
    assert (changed["label"] == 1).all()


def test_to_frame_has_one_value_a_clip(clips):
    frame = clips.to_frame()
    assert list(frame.columns) == ["path", "section", "domain", "label"]
    assert len(frame) == 40


def test_as_clips_keeps_clips(clips):
    assert as_clips(clips, "embedding") is clips


def test_pickle(clips):
    assert_same(pickle.loads(pickle.dumps(clips)), clips)


def test_train_test_split(clips):
    train, test, train_y, test_y = train_test_split(clips, clips["label"], stratify=clips["label"], random_state=0)
    assert len(train) == 30
    np.testing.assert_array_equal(train["label"], train_y)
    np.testing.assert_array_equal(test["label"], test_y)
    assert not set(train["path"]) & set(test["path"])


def test_cross_validate_with_clips_equals_the_loop_by_hand(clips):
    folds = KFold(4, shuffle=True, random_state=0)
    got = cross_validate(MahalanobisDetector(), clips, cv=folds, scoring=mean_score)["test_score"]
    wanted = [mean_score(MahalanobisDetector().fit(clips[a]), clips[b]) for a, b in folds.split(clips)]
    np.testing.assert_array_equal(got, wanted)


def test_grid_search_in_two_processes_refits_without_anomalies(clips):
    far = clips.with_fields(embedding=clips["embedding"] + 50 * (clips["label"] == -1)[:, np.newaxis])
    search = GridSearchCV(
        make_pipeline(MahalanobisDetector()),
        {"mahalanobisdetector__covariance": ["ledoit_wolf", "oas"]},
        scoring=mean_score,
        cv=KFold(4, shuffle=True, random_state=0),
        n_jobs=2,
    ).fit(far, far["label"])
    alone = clone(search.best_estimator_).fit(far[far["label"] == 1])
    np.testing.assert_array_equal(search.score_samples(far), alone.score_samples(far))


def test_clips_beyond_the_memory_mapping_limit_reach_other_processes():
    big = Clips(embedding=np.random.default_rng(0).normal(size=(2000, 128)), section=np.repeat(["00", "01"], 1000))
    assert big["embedding"].nbytes > 1e6
    kinds = joblib.Parallel(n_jobs=2, max_nbytes="1M")(joblib.delayed(_kind)(big) for _ in range(2))
    assert set(kinds) == {"memmap"}
    got = cross_validate(MahalanobisDetector(), big, cv=3, scoring=mean_score, n_jobs=2)["test_score"]
    wanted = cross_validate(MahalanobisDetector(), big, cv=3, scoring=mean_score)["test_score"]
    np.testing.assert_array_equal(got, wanted)


def _kind(clips):
    return type(clips["embedding"]).__name__


@pytest.mark.parametrize("nothing", [None, np.nan, pandas.NA, pandas.NaT, np.float32("nan")])
@pytest.mark.parametrize("field", ["domain", "attribute", "recording"])
def test_what_is_not_known_is_empty(field, nothing):
    assert Clips({field: ["a", nothing, ""]})[field].tolist() == ["a", "", ""]


@pytest.mark.parametrize("nothing", [None, np.nan, pandas.NA])
@pytest.mark.parametrize("field", ["section", "machine", "path", "split"])
def test_a_name_that_is_missing_is_refused_with_its_rows(field, nothing):
    with pytest.raises(ValueError, match=rf"'{field}'.* 1 .* 3 "):
        Clips({field: ["a", nothing, "b", nothing]})


@pytest.mark.parametrize("value", [1.0, True, b"a", ("a",), ["a", "b"], np.datetime64("2026-01-01"), object(), "a\0"])
@pytest.mark.parametrize("field", ["section", "domain"])
def test_text_that_is_none_is_refused(field, value):
    with pytest.raises(ValueError, match=rf"'{field}'.* 1 \("):
        Clips({field: ["a", value]})


def test_whole_numbers_and_paths_are_text():
    clips = Clips(section=[0, np.int64(7)], path=[Path("a.wav"), b"b.wav"])
    assert clips["section"].tolist() == ["0", "7"]
    assert clips["path"].tolist() == ["a.wav", "b.wav"]


def test_a_series_with_gaps_keeps_its_text():
    frame = pandas.DataFrame({"section": ["00", "01"], "domain": ["source", None]})
    clips = Clips(section=frame["section"], domain=frame["domain"])
    assert clips["section"].tolist() == ["00", "01"]
    assert clips["domain"].tolist() == ["source", ""]


def test_masked_values_are_refused():
    with pytest.raises(ValueError, match="'embedding' has masked"):
        Clips(embedding=np.ma.masked_array([[1.0], [2.0]], mask=[[True], [False]]))


@pytest.mark.parametrize(
    "key", [np.array([True]), [40], [-41], [0.5], np.zeros((2, 2), int), np.array(["a"]), np.ones(41, bool)]
)
def test_rows_that_are_not_there_are_refused(clips, key):
    with pytest.raises(IndexError, match=r"[Cc]lips|clip,"):
        clips[key]


def test_attributes_go_wherever_their_field_goes(clips):
    heard = clips.with_fields(waveform=np.zeros((40, 8))).with_attrs(sample_rate=8000, place="hall")
    kept = [heard[3:5], heard[[]], heard + heard, heard.with_fields(label=np.ones(40)), Clips(heard, split=["a"] * 40)]
    for same in (*kept, pickle.loads(pickle.dumps(heard)), clone(heard, safe=False)):
        assert dict(same.attrs) == {"sample_rate": 8000, "place": "hall"}
    assert dict(heard.without("waveform").attrs) == {"place": "hall"}
    assert dict(heard.with_attrs(place=None).attrs) == {"sample_rate": 8000}


def test_waveforms_of_two_sample_rates_do_not_join():
    clips = Clips(waveform=np.zeros((2, 8)))
    with pytest.raises(ValueError, match=r"sample_rate 8000 .* 16000"):
        clips.with_attrs(sample_rate=8000) + clips.with_attrs(sample_rate=16000)


@pytest.mark.parametrize("rate", [0, -1, 16000.5, True, "16000"])
def test_a_sample_rate_is_a_whole_number(rate):
    with pytest.raises(ValueError, match="sample_rate"):
        Clips(waveform=np.zeros((2, 8))).with_attrs(sample_rate=rate)


def test_clips_of_one_recording_share_its_number():
    numbers = recording_numbers(Clips(recording=["b", "a", "", "b", None]), 5)
    assert numbers[0] == numbers[3]
    assert len(set(numbers.tolist())) == 4
    np.testing.assert_array_equal(recording_numbers(np.zeros((3, 2)), 3), [0, 1, 2])


def test_missing_numbers_of_pandas_are_unknown():
    pandas = pytest.importorskip("pandas")
    recording = pandas.array([1, pandas.NA, 1], dtype="Int64")
    assert Clips(recording=recording)["recording"].tolist() == ["1", "", "1"]


@pytest.mark.parametrize("values", [{"a": 1}, {"a", "b"}, {"a": 1}.keys()], ids=["dict", "set", "keys"])
def test_what_has_no_order_is_no_field(values):
    with pytest.raises(ValueError, match="'section'"):
        Clips(section=values)


def test_a_pipeline_with_memory_makes_the_features_of_the_same_clips_once(tmp_path, clips, monkeypatch):
    calls, transform = [], StatisticsEmbedder._transform
    monkeypatch.setattr(StatisticsEmbedder, "_transform", lambda *args: calls.append(1) or transform(*args))
    steps = StatisticsEmbedder(statistics=["mean", "max"]), MahalanobisDetector()

    def fitted(clips, memory):
        return make_pipeline(*map(clone, steps), memory=memory).fit(clips)

    clips = clips.without("embedding").with_fields(log_mel=np.random.default_rng(0).normal(size=(40, 4, 9)))
    other = clips.with_fields(log_mel=clips["log_mel"] + np.arange(4)[:, np.newaxis])
    for given, n_calls in ((clips, 1), (pickle.loads(pickle.dumps(clips)), 1), (other, 2), (clips.with_attrs(a=1), 3)):
        cached = fitted(given, str(tmp_path))
        assert len(calls) == n_calls
        with monkeypatch.context() as without_counting:
            without_counting.setattr(StatisticsEmbedder, "_transform", transform)
            expected = fitted(given, None).score_samples(given)
            np.testing.assert_array_equal(cached.score_samples(given), expected)


def test_a_search_finds_the_same_over_pipelines_with_memory_and_as_the_last_step(tmp_path, clips):
    clips = clips.without("embedding").with_fields(log_mel=np.random.default_rng(0).normal(size=(40, 4, 9)))
    y, grid = clips["label"], {"covariance": ["oas", "ledoit_wolf"]}

    def search(estimator, prefix="", **more):
        grid_of = {prefix + name: values for name, values in grid.items()} | more
        return GridSearchCV(estimator, grid_of, scoring=auc_scorer, cv=NormalOnlyKFold(2))

    def pipelines(memory, **more):
        steps = StatisticsEmbedder(statistics=["mean"]), MahalanobisDetector()
        return search(make_pipeline(*steps, memory=memory), "mahalanobisdetector__", **more).fit(clips, y)

    statistics = {"statisticsembedder__statistics": [["mean"], ["max", "diff"]]}
    plain = pipelines(None, **statistics)
    for _ in range(2):  # first without, then with what is known
        cached = pipelines(str(tmp_path), **statistics)
        np.testing.assert_array_equal(cached.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"])
        np.testing.assert_array_equal(cached.score_samples(clips), plain.score_samples(clips))
    whole = make_pipeline(StatisticsEmbedder(statistics=["mean"]), search(MahalanobisDetector())).fit(clips, y)
    expected = pipelines(None)
    results = (one.cv_results_["mean_test_score"] for one in (whole[-1], expected))
    np.testing.assert_array_equal(*results)
    np.testing.assert_array_equal(whole.score_samples(clips), expected.score_samples(clips))


def test_what_clips_hold_decides_their_hash(clips):
    same = pickle.loads(pickle.dumps(clips))
    assert joblib.hash(same) == joblib.hash(clips) == joblib.hash(clips[:])
    for other in (clips[:-1], clips.with_fields(section=["00"] * 40), clips.without("label"), clips.with_attrs(a=1)):
        assert joblib.hash(other) != joblib.hash(clips)


@pytest.fixture
def folder(tmp_path):
    for name in ("b 1/x.WAV", "b 1/deep/y.flac", "a/z.mp3", ".hidden/no.wav", "a/.no.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def test_folders_are_read_with_their_subfolders(folder):
    (folder / "again").symlink_to(folder / "b 1")
    (folder / "b 1" / "loop").symlink_to(folder)
    clips = Clips.from_folder(folder)
    names = [Path(path).name for path in clips["path"]]
    assert names == ["z.mp3", "y.flac", "x.WAV"]
    assert "b 1" in clips["path"][1]
    assert_same(Clips(path=str(folder)), clips)
    assert_same(Clips({"path": folder}), clips)


def test_places_of_files_say_section_and_label(folder):
    clips = Clips.from_folder(folder, section="parent", label={"b 1": -1})
    assert dict(zip(clips["section"].tolist(), clips["label"].tolist(), strict=True)) == {"a": 0, "b 1": -1, "deep": -1}
    assert Clips.from_folder(folder, section="^([ab])")["section"].tolist() == ["a", "b", "b"]
    assert Clips.from_folder(folder, section=lambda path: path[-3:])["section"].tolist() == ["mp3", "lac", "WAV"]


@pytest.mark.parametrize(
    ("how", "match"),
    [
        ({"section": "pump"}, "3 of 3 files.*z.mp3"),
        ({"section": "("}, "regular expression"),
        ({"label": {"good": 1}}, "good"),
        ({"label": {"b 1": 1, "deep": -1}}, "y.flac.*several labels"),
    ],
)
def test_places_that_say_nothing_are_refused(folder, how, match):
    with pytest.raises(ValueError, match=match):
        Clips.from_folder(folder, **how)


def test_what_is_no_audio_is_left_out_with_a_warning(folder):
    (folder / "notes.txt").write_text("no audio")
    (folder / "phone.m4a").write_bytes(b"")
    with pytest.warns(UserWarning, match=r"2 files[\s\S]*notes\.txt[\s\S]*Convert"):
        assert len(Clips.from_folder(folder)) == 3


def test_folders_without_audio_and_what_is_no_folder_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no audio file"):
        Clips(path=tmp_path)
    with pytest.raises(ValueError, match=r"gone.*not there"):
        Clips.from_folder(tmp_path / "gone")
    (tmp_path / "one.wav").write_bytes(b"")
    with pytest.raises(ValueError, match=r"one\.wav.*a file"):
        Clips.from_folder(tmp_path / "one.wav")
    with pytest.raises(ValueError, match="put it into a list"):
        Clips(path=str(tmp_path / "one.wav"))
