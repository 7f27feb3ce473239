"""Recordings of any length to scores, thresholds, p-values and places."""

import io
import os
import pickle
import shutil
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
import soundfile
from recordings import make_recording
from scipy.stats import false_discovery_control
from sklearn.base import BaseEstimator, OutlierMixin, clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline

from skasd.audio import LevelNormalizer, load_audio
from skasd.audio.blocks import BlockReader
from skasd.clips import Clips
from skasd.datasets import load_motors
from skasd.detectors import MahalanobisDetector, NearestNeighborsDetector
from skasd.embedders import StatisticsEmbedder
from skasd.features import FrameStacker, LogMelSpectrogram
from skasd.metrics import auc_score, auc_scorer
from skasd.model_selection import NormalOnlyKFold
from skasd.monitoring import (
    RecordingDetector,
    StreamMonitor,
    export_onnx,
    judge_recording,
    statistics_pipeline,
    write_report,
)

RATE = 8000


def sound(rng, seconds, knocks=()):
    """Noise with a tone, each recording with a level and a pitch of its own, and knocks at these seconds."""
    time = np.arange(round(seconds * RATE)) / RATE
    made = 0.1 * rng.standard_normal(len(time)) + 0.1 * np.sin(2 * np.pi * rng.normal(500, 5) * time)
    for knock in knocks:
        made += 0.8 * np.exp(-np.abs(time - knock) / 0.01) * np.sin(2 * np.pi * 3000 * time)
    return (rng.lognormal(0, 0.1) * made).astype(np.float32)


def sounds(seed, n, knocks=()):
    rng = np.random.default_rng(seed)
    return [sound(rng, rng.uniform(2, 5), knocks) for _ in range(n)]


@pytest.fixture(scope="module")
def detector():
    return RecordingDetector(sample_rate=RATE).fit(sounds(0, 30))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two pumps in folders with blanks in their names, in stereo."""
    folder = tmp_path_factory.mktemp("my recordings")
    for number, samples in enumerate(sounds(1, 20)):
        (folder / f"pump {number % 2}").mkdir(exist_ok=True)
        soundfile.write(folder / f"pump {number % 2}" / f"day {number}.wav", np.stack([samples] * 2, axis=1), RATE)
    return folder


def test_recordings_of_any_length_are_told_apart(detector):
    healthy, faulty = sounds(2, 20), sounds(3, 20, knocks=[1.2])
    scores = np.r_[detector.score_samples(healthy), detector.score_samples(faulty)]
    assert auc_score(np.repeat([0, 1], 20), -scores) == 1
    assert np.mean(detector.predict(healthy) == -1) <= 0.15
    assert np.all(detector.predict(faulty) == -1)
    np.testing.assert_array_equal(detector.decision_function(healthy), scores[:20] - detector.offsets_[""])


def test_the_stated_share_of_healthy_recordings_alarms():
    def share(seed):
        detector = RecordingDetector(sample_rate=RATE, false_alarm_rate=0.1).fit(sounds(seed, 30))
        return np.mean(detector.predict(sounds(seed + 50, 40)) == -1)

    assert 0.05 <= np.mean([share(seed) for seed in range(100, 103)]) <= 0.2


SUMMARIES = {"worst": np.min, "mean": np.mean, 3: lambda scores: np.sort(scores)[:3].mean()}


@pytest.mark.parametrize("summary", SUMMARIES)
def test_a_recording_scores_by_a_summary_of_its_clips(summary):
    detector = RecordingDetector(sample_rate=RATE, summary=summary).fit(sounds(0, 20))
    one = sounds(4, 1)[0]
    assert detector.score_samples([one])[0] == pytest.approx(SUMMARIES[summary](detector.score_clips(one)["score"]))


def test_p_values_are_ranks_among_recordings_that_were_held_out(detector):
    some = sounds(5, 8, knocks=[1.2]) + sounds(6, 8)
    usual, scores = detector.calibration_["score"], detector.score_samples(some)
    expected = [(1 + np.sum(usual <= score)) / 31 for score in scores]
    np.testing.assert_allclose(detector.p_values(some), expected)
    np.testing.assert_array_equal(detector.alarms(some, fdr=0.2), false_discovery_control(expected) <= 0.2)


def test_held_out_scores_come_from_models_of_other_recordings():
    recordings = sounds(0, 20)
    detector = RecordingDetector(sample_rate=RATE, cv=20, summary="mean").fit(recordings)
    others = RecordingDetector(sample_rate=RATE, false_alarm_rate=0.2).fit(recordings[1:])
    usual = detector.calibration_
    assert usual["score"][usual["recording"] == "0"] == pytest.approx(others.score_clips(recordings[0])["score"].mean())


def test_copies_count_once_among_alarms(detector):
    some = sounds(5, 1, knocks=[1.2]) + sounds(6, 11)
    for fdr in (0.1, 0.3, 0.4, 0.6):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            once, many = detector.alarms(some, fdr=fdr), detector.alarms(some + some[:1] * 9, fdr=fdr)
        assert many.tolist() == once.tolist() + [once[0]] * 9


def test_too_few_recordings_for_a_rate_say_how_many_are_needed():
    with pytest.warns(UserWarning, match=r"needs 19 healthy recordings.*12"):
        RecordingDetector(sample_rate=RATE).fit(sounds(0, 12))


def test_alarms_say_how_many_recordings_are_needed(detector):
    with pytest.warns(UserWarning, match="99 healthy recordings"):
        assert not detector.alarms(sounds(3, 1, knocks=[1.0]) + sounds(2, 9)).any()


def test_the_place_of_a_knock_is_found_in_time_and_frequency(detector):
    span = detector.locate(sounds(7, 1, knocks=[1.6])[0])[0]
    assert span.start <= 1.6 <= span.end
    assert span.end - span.start <= 1.5
    assert span.p_value == pytest.approx(1 / 31)
    (band, *_) = span.bands
    assert band.low < 3000 < band.high
    assert band.difference > 3
    assert "kHz" in str(span)


def test_spans_come_worst_first_and_an_ordinary_recording_has_its_worst_clip(detector):
    knocks = np.concatenate([sounds(8, 1, [1.0])[0], sounds(9, 1)[0], 1.2 * sounds(9, 1, [1.0])[0]])
    spans = detector.locate(knocks)
    assert len(spans) >= 2
    assert [span.score for span in spans] == sorted(span.score for span in spans)
    one = sounds(2, 1)[0]
    assert min(span.score for span in detector.locate(one)) == detector.score_samples([one])[0]


def test_sections_have_a_model_and_a_threshold_each(folder):
    clips = Clips.from_folder(folder, section="parent")
    detector = RecordingDetector(false_alarm_rate=0.2).fit(clips)
    assert set(detector.offsets_) == {"pump 0", "pump 1"}
    one = RecordingDetector(false_alarm_rate=0.2).fit(clips[clips["section"] == "pump 1"])
    own = clips[clips["section"] == "pump 1"]
    np.testing.assert_allclose(detector.score_samples(own), one.score_samples(own))
    with pytest.raises(ValueError, match="'pump 2'"):
        detector.predict(clips.with_fields(section=["pump 2"] * len(clips)))


def test_a_folder_paths_and_their_waveforms_score_the_same(folder):
    paths = Clips(path=folder)["path"]
    detector = RecordingDetector().fit(folder)
    assert detector.sample_rate_ == RATE
    scores = detector.score_samples(paths[:3])
    np.testing.assert_array_equal(detector.score_samples(list(paths))[:3], scores)
    np.testing.assert_array_equal(detector.score_samples(folder)[:3], scores)
    waveforms = [load_audio(path, sample_rate=None) for path in paths[:3]]
    np.testing.assert_array_equal(detector.score_samples(waveforms), scores)


def test_blocks_change_no_bit(folder, monkeypatch):
    path = Clips(path=folder)["path"][0]
    detector = RecordingDetector().fit(folder)
    whole = detector.score_clips(path)["score"]
    monkeypatch.setattr("skasd.audio._decoding._BLOCK_SIZE", 2 * 777)
    np.testing.assert_array_equal(detector.score_clips(path)["score"], whole)


@pytest.mark.parametrize("rate", [RATE, 11025])
@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg"])
def test_blocks_are_the_file(rate, suffix, tmp_path, monkeypatch):
    path = tmp_path / f"a b.{suffix}"
    soundfile.write(path, np.stack([sound(np.random.default_rng(0), 3)] * 2, axis=1) / 2, RATE)
    monkeypatch.setattr("skasd.audio._decoding._BLOCK_SIZE", 4096)
    found, expected = np.concatenate(list(BlockReader(path, rate))), load_audio(path, sample_rate=rate)
    assert abs(len(found) - len(expected)) <= 1
    np.testing.assert_allclose(found[: len(expected)], expected[: len(found)], atol=1e-4)


def test_native_is_the_lowest_rate_and_says_what_is_not_heard(tmp_path):
    for number, samples in enumerate(sounds(1, 20)):
        soundfile.write(tmp_path / f"{number}.wav", samples, RATE if number else 2 * RATE)
    with pytest.warns(UserWarning, match=r"4000 Hz is heard[\s\S]*0\.wav: 16000 Hz"):
        detector = RecordingDetector().fit(tmp_path)
    assert detector.sample_rate_ == RATE
    soundfile.write(tmp_path / "low.wav", sounds(1, 1)[0], 4000)
    with pytest.warns(UserWarning, match=r"low\.wav: 4000 Hz"):
        detector.predict([tmp_path / "low.wav"])


def test_waveforms_must_tell_their_rate(detector):
    with pytest.raises(ValueError, match="sample_rate"):
        RecordingDetector().fit(sounds(0, 20))
    with pytest.raises(ValueError, match="16000 Hz"):
        detector.predict(Clips(waveform=np.ones((2, 32000), np.float32)).with_attrs(sample_rate=16000))


def test_what_cannot_be_judged_is_0(detector, tmp_path):
    soundfile.write(tmp_path / "short.wav", sounds(0, 1)[0][:800], RATE)
    (tmp_path / "broken.wav").write_bytes(b"no audio")
    soundfile.write(tmp_path / "good.wav", sounds(0, 1)[0], RATE)
    paths = [tmp_path / f"{name}.wav" for name in ("short", "good", "broken", "gone")]
    soundfile.write(tmp_path / "silent.wav", np.zeros(3 * RATE), RATE)
    with pytest.warns(
        UserWarning, match=r"4 of 5 recordings[\s\S]*short\.wav: too short[\s\S]*gone\.wav: no such file"
    ):
        verdicts = detector.predict([*paths, tmp_path / "silent.wav"])
    assert verdicts.tolist() == [0, *detector.predict(paths[1:2]), 0, 0, 0]
    with pytest.raises(ValueError, match=r"broken\.wav[\s\S]*gone\.wav"):
        detector.score_samples(paths)
    with pytest.raises(ValueError, match=r"short\.wav: 800 samples"):
        detector.score_samples(paths[:2])


def test_files_that_cannot_be_heard_as_those_of_training_are_0(tmp_path):
    for number, samples in enumerate(sounds(0, 21)):
        soundfile.write(tmp_path / f"{number}.wav", np.stack([samples] * 2, axis=1), RATE)
    paths = [tmp_path / f"{number}.wav" for number in range(20)]
    detector = RecordingDetector(channel=1).fit(paths)
    soundfile.write(tmp_path / "mono.wav", sounds(3, 1)[0], RATE)
    soundfile.write(tmp_path / "header.wav", np.stack([sounds(4, 1)[0]] * 2, axis=1), 5)
    told = r"2 of 3 recordings[\s\S]*mono\.wav: there is no channel 1[\s\S]*header\.wav: sample rate 5 Hz"
    with pytest.warns(UserWarning, match="lower sample rate"), pytest.warns(UserWarning, match=told):
        verdicts = detector.predict([tmp_path / "mono.wav", tmp_path / "20.wav", tmp_path / "header.wav"])
    assert verdicts.tolist() == [0, *detector.predict([tmp_path / "20.wav"]), 0]


def test_arrays_of_several_lengths_are_as_a_list(detector):
    some = sounds(2, 3)
    nested = np.array(some, dtype=object)
    for rows in (nested, pd.Series(some)):
        np.testing.assert_array_equal(detector.score_samples(rows), detector.score_samples(some))


@pytest.mark.parametrize("bad", [np.full(RATE, np.nan), np.empty(0), np.zeros(RATE, dtype="int64")])
def test_the_row_that_is_no_waveform_is_named(detector, bad):
    with pytest.raises(ValueError, match="row 2: "):
        detector.score_samples([*sounds(2, 2), bad])


def test_useless_files_are_learned_with_a_warning(tmp_path):
    for number, sound in enumerate(sounds(0, 20)):
        soundfile.write(tmp_path / f"{number}.wav", np.clip(8 * sound, -0.99, 0.99) if number == 7 else sound, RATE)
    with pytest.warns(UserWarning, match=r"1 of 20 recordings are useless[\s\S]*7\.wav: clipped"):
        RecordingDetector().fit(tmp_path)


def test_sections_with_one_recording_or_copies_are_refused():
    one = sounds(0, 1)
    for few in (one, one * 5):
        with pytest.raises(ValueError, match="at least 2"):
            RecordingDetector(sample_rate=RATE).fit(few)


def test_copies_count_once():
    some = sounds(0, 20)
    once, twice = (RecordingDetector(sample_rate=RATE, cv=20).fit(X) for X in (some, some + some[:5]))
    assert len(twice.calibration_) == 20
    assert twice.offsets_[""] == pytest.approx(once.offsets_[""], rel=0.2)


def test_anomalous_recordings_do_not_train():
    healthy, faulty = sounds(0, 20), sounds(3, 5, knocks=[1.2])
    mixed = RecordingDetector(sample_rate=RATE).fit(healthy + faulty, np.repeat([1, -1], [20, 5]))
    assert mixed.offsets_ == RecordingDetector(sample_rate=RATE).fit(healthy).offsets_


def test_update_is_a_fit_on_all_without_the_old_files(tmp_path):
    paths = []
    for number, samples in enumerate(sounds(1, 30)):
        paths.append(tmp_path / f"day {number}.wav")
        soundfile.write(paths[-1], samples, RATE)
    at_once, later = RecordingDetector().fit(paths), RecordingDetector().fit(paths[:20])
    before = dict(later.offsets_)
    for path in paths[:20]:
        path.unlink()
    assert later.update(paths[20:]) is later
    assert later.offsets_ == at_once.offsets_
    np.testing.assert_array_equal(later.score_samples(paths[20:]), at_once.score_samples(paths[20:]))
    changes = [(entry["action"], entry["n_recordings"], entry["n_new"]) for entry in later.log_]
    assert changes == [("fit", 20, 20), ("update", 30, 10)]
    assert later.log_[0]["offsets"] == before


def test_an_update_by_one_file_that_is_written_anew_each_day_is_of_many_recordings(detector, tmp_path):
    new, days = [1.5 * one for one in sounds(10, 4)], pickle.loads(pickle.dumps(detector))
    for samples in new:
        soundfile.write(tmp_path / "latest.wav", samples, RATE, subtype="FLOAT")
        days.update([tmp_path / "latest.wav"])
    at_once = pickle.loads(pickle.dumps(detector)).update(new)
    assert days.offsets_[""] == pytest.approx(at_once.offsets_[""], rel=0.01)
    assert len(np.unique(days.calibration_["recording"])) == 34


def test_the_log_counts_copies_once(detector):
    old, new = sounds(0, 1), sounds(10, 2)
    before = detector.log_[-1]
    changed = pickle.loads(pickle.dumps(detector)).update([*new, *old, *new])
    assert [changed.log_[-1][name] for name in ("n_recordings", "n_new")] == [before["n_recordings"] + 2, 2]
    alone = pickle.loads(pickle.dumps(detector)).update(new)
    assert changed.log_[-1]["seconds"] == alone.log_[-1]["seconds"]


def test_an_update_that_fails_changes_nothing(folder):
    clips = Clips.from_folder(folder, section="parent")
    detector = RecordingDetector(false_alarm_rate=0.2).fit(clips)
    before = detector.score_samples(clips)
    with pytest.raises(ValueError, match="load"):
        detector.update(clips.with_fields(load=["high"] * len(clips)))
    np.testing.assert_array_equal(detector.score_samples(clips), before)
    assert len(detector.log_) == 1


def test_drift_is_told_from_chance(detector):
    same, louder = detector.drift(sounds(10, 15)), detector.drift([1.5 * one for one in sounds(10, 15)])
    assert not same.has_moved
    assert louder.has_moved
    assert louder.alarm_rate > same.alarm_rate
    assert "update" in str(louder)


def test_drift_refuses_what_was_learned(folder):
    with pytest.raises(ValueError, match=r"learned from 20[\s\S]*day 0\.wav"):
        RecordingDetector().fit(folder).drift(folder)


def test_a_file_that_was_written_anew_is_new(tmp_path):
    for number, samples in enumerate(sounds(0, 20)):
        soundfile.write(tmp_path / f"{number}.wav", samples, RATE)
    detector = RecordingDetector().fit(tmp_path)
    with pytest.raises(ValueError, match=r"learned from 1 [\s\S]*7\.wav"):
        detector.drift([tmp_path / "7.wav"])
    soundfile.write(tmp_path / "7.wav", sounds(10, 1)[0], RATE)
    assert detector.drift([tmp_path / "7.wav"]).n_recordings == 1


def test_drift_refuses_parts_of_what_was_learned():
    parts = Clips(waveform=np.stack([one[:16000] for one in sounds(0, 22)]), recording=list("abcdefghijklmnopqrstuv"))
    detector = RecordingDetector(sample_rate=RATE).fit(parts[:20])
    assert detector.drift(parts[20:]).n_recordings == 2
    with pytest.raises(ValueError, match=r"learned from 1 [\s\S]*b"):
        detector.drift(parts[20:].with_fields(recording=["b", "new"]))


def test_drift_knows_what_it_has_learned_by_its_sound(detector, folder, tmp_path):
    with pytest.raises(ValueError, match=r"learned from 1 [\s\S]*row 1"):
        detector.drift([*sounds(10, 1), *sounds(0, 1)])
    copied = tmp_path / "under another name.wav"
    shutil.copy(folder / "pump 0" / "day 0.wav", copied)
    with pytest.raises(ValueError, match=r"another name\.wav"):
        RecordingDetector().fit(folder).drift([copied])


def test_drift_leaves_out_what_is_labelled_anomalous(detector):
    waveform = np.stack([one[:16000] for one in sounds(10, 6, knocks=[1.2])[:1] + sounds(11, 5)])
    clips = Clips(waveform=waveform, label=[-1, 1, 1, 1, 1, 0])
    assert detector.drift(clips) == detector.drift(waveform[1:])


def test_drift_counts_copies_once(detector):
    new = sounds(10, 5)
    assert detector.drift(new + new[:1] * 20) == detector.drift(new)


@pytest.mark.parametrize("is_known", [True, False])
def test_an_update_needs_sections_where_the_fit_had_some(folder, is_known):
    with_sections = Clips.from_folder(folder, section="parent")
    old, new = [with_sections, with_sections.without("section")][:: 1 if is_known else -1]
    detector = RecordingDetector(false_alarm_rate=0.2, cv=2).fit(old)
    with pytest.raises(ValueError, match="section"):
        detector.update(new)
    assert len(detector.log_) == 1


def test_a_hop_of_no_sample_is_an_error():
    with pytest.raises(ValueError, match="hop_duration=1e-09 s is less than one sample"):
        RecordingDetector(sample_rate=RATE, hop_duration=1e-9).fit(sounds(0, 3))


class Scorer(OutlierMixin, BaseEstimator):
    """An estimator of a user's own, which gives the scores that a function makes of good ones."""

    def __init__(self, change):
        self.change = change

    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def score_samples(self, X):
        return self.change(X["waveform"].mean(axis=1))


@pytest.mark.parametrize(
    "change",
    [
        lambda scores: scores[:-1],
        lambda scores: scores[:, np.newaxis],
        lambda scores: np.where(np.arange(len(scores)) == 0, np.nan, scores),
        lambda scores: np.full(len(scores), -np.inf),
        lambda scores: scores.astype(str),
    ],
)
def test_what_is_no_score_is_an_error_and_no_threshold(change):
    with pytest.raises(ValueError, match="score_samples of the estimator must give one finite number per clip"):
        RecordingDetector(Scorer(change), sample_rate=RATE, cv=2).fit(sounds(0, 20))


def test_later_parameters_wait_for_a_fit(detector, tmp_path):
    one, changed = sounds(2, 1), pickle.loads(pickle.dumps(detector))
    changed.set_params(summary="mean", clip_duration=9.0, false_alarm_rate=0.4)
    assert changed.score_samples(one) == detector.score_samples(one)
    soundfile.write(tmp_path / "one.wav", one[0], RATE)
    assert judge_recording(changed, tmp_path / "one.wav") == judge_recording(detector, tmp_path / "one.wav")
    assert changed.predict([tmp_path / "one.wav"]) == detector.predict([tmp_path / "one.wav"])


@pytest.mark.parametrize("save", [joblib.dump, pickle.dump])
def test_a_saved_detector_is_the_same(detector, save):
    stream, some = io.BytesIO(), sounds(2, 3)
    save(detector, stream)
    loaded = joblib.load(io.BytesIO(stream.getvalue()))
    np.testing.assert_array_equal(loaded.score_samples(some), detector.score_samples(some))
    assert loaded.locate(some[0]) == detector.locate(some[0])


def test_jobs_change_no_score(detector):
    some = sounds(2, 6)
    with joblib.parallel_config(backend="threading"):
        parallel = clone(detector).set_params(n_jobs=2).fit(sounds(0, 30))
    np.testing.assert_array_equal(parallel.score_samples(some), detector.score_samples(some))
    assert parallel.offsets_ == detector.offsets_


@pytest.mark.filterwarnings("ignore:false_alarm_rate")
def test_searches_and_cross_validation_take_recordings(tmp_path):
    labels = np.repeat([1, -1], [12, 8])
    for number, samples in enumerate(sounds(1, 12) + sounds(3, 8, knocks=[1.0])):
        (tmp_path / f"{labels[number]}").mkdir(exist_ok=True)
        soundfile.write(tmp_path / f"{labels[number]}" / f"{number:02}.wav", samples, RATE)
    clips = Clips.from_folder(tmp_path, label={"1": 1, "-1": -1})
    grid = {"clip_duration": [0.5, 1.0], "summary": ["worst", 2], "estimator__log_mel__n_mels": [16]}
    detector = RecordingDetector(statistics_pipeline(), cv=2)
    search = GridSearchCV(detector, grid, scoring=auc_scorer, cv=NormalOnlyKFold(2), error_score="raise")
    assert search.fit(clips, clips["label"]).best_score_ > 0.9
    groups = np.arange(len(clips)) // 2
    scores = cross_val_score(detector, clips, clips["label"], groups=groups, scoring=auc_scorer, cv=NormalOnlyKFold(2))
    assert scores.min() > 0.9


@pytest.mark.parametrize(
    "estimator",
    [
        NearestNeighborsDetector(metric="euclidean"),
        make_pipeline(LevelNormalizer(), LogMelSpectrogram(n_mels=16), StatisticsEmbedder(), MahalanobisDetector()),
        make_pipeline(LogMelSpectrogram(n_mels=8), FrameStacker(n_frames=2, hop_frames=2), NearestNeighborsDetector()),
    ],
    ids=["a detector alone", "levels", "windows"],
)
def test_any_pipeline_of_clips_does(estimator):
    if isinstance(estimator, NearestNeighborsDetector):
        with pytest.raises(ValueError, match="embedding"):
            RecordingDetector(estimator, sample_rate=RATE).fit(sounds(0, 20))
        return
    detector = RecordingDetector(estimator, sample_rate=RATE).fit(sounds(0, 20))
    assert detector.estimator_[0].get_params().get("sample_rate", RATE) == RATE
    some = sounds(3, 3, knocks=[1.2])
    np.testing.assert_array_equal(detector.score_samples(some)[2:], detector.score_samples(some[2:]))


def test_clips_of_one_recording_are_held_out_together():
    clips = load_motors(motor="M2", split="train")
    with pytest.warns(UserWarning, match="there are 4 of section 'M2'"):
        detector = RecordingDetector(cv=4).fit(clips)
    assert detector.sample_rate_ == 16000
    assert len(np.unique(detector.calibration_["recording"])) == 4


def test_hops_are_at_most_as_long_as_clips():
    with pytest.raises(ValueError, match="hop_duration"):
        RecordingDetector(sample_rate=RATE, hop_duration=1.0).fit(sounds(0, 20))


def test_the_generator_makes_faults_that_can_be_heard():
    healthy = [make_recording("pump", seed=seed, duration=3)[:, 0] for seed in range(8)]
    faulty = [make_recording("pump", "imbalance", 1.8, seed, 3)[:, 0] for seed in range(3)]
    with pytest.warns(UserWarning, match="there are 8"):
        detector = RecordingDetector(sample_rate=48000).fit(healthy)
    assert np.all(detector.predict(faulty) == -1)


def test_names_of_files_are_bytes_and_paths_too(detector, folder):
    path = folder / "pump 0" / "day 0.wav"
    for name in (str(path), path, os.fsencode(path)):
        assert judge_recording(detector, name).kind == "normal"
    with pytest.raises(TypeError):
        judge_recording(detector, None)


@pytest.mark.parametrize("use", [StreamMonitor, export_onnx, judge_recording, write_report])
def test_what_takes_a_detector_says_so(use, tmp_path):
    other = MahalanobisDetector().fit(np.random.default_rng(0).standard_normal((20, 2)))
    rest = {StreamMonitor: [], export_onnx: [tmp_path / "a"], judge_recording: ["a.wav"], write_report: [[], tmp_path]}
    with pytest.raises(ValueError, match=rf"{use.__name__} takes a RecordingDetector; got MahalanobisDetector"):
        use(other, *rest[use])
