import re

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import ParameterGrid

from skasd.augmentation import Mixup
from skasd.clips import Clips
from skasd.embedders import StatisticsEmbedder
from skasd.features import FrameStacker

SOME_LOG_MEL = np.random.default_rng(0).normal(-60, 10, size=(150, 4, 31)).astype(np.float32)


def test_worked_by_hand():
    # Bands (-60, -20, -40) and (-30, -30, -30); weights 4/7, 2/7, 1/7 from loud to quiet.
    log_mel = np.array([[[-60.0, -20.0, -40.0], [-30.0, -30.0, -30.0]]])
    embedder = StatisticsEmbedder(statistics=("mean", "std", "max", "rank"), decay=0.5)
    expected = [-40, -30, np.sqrt(800 / 3), 0, -20, -30, -(80 + 80 + 60) / 7, -30]
    np.testing.assert_allclose(embedder.fit_transform(log_mel), [expected], rtol=1e-6)


def test_relative_deviation_pooling_by_hand():
    # frames (0, 0), (0, 0), (30, 40): the mean frame (10, 40/3) is 50/3, 50/3 and 100/3 away, the weights 1.5, 1.5, 2
    log_mel = np.array([[[0.0, 0.0, 30.0], [0.0, 0.0, 40.0]]])
    embedder = StatisticsEmbedder(statistics=["relative_deviation"], gamma=1, power=0)
    np.testing.assert_allclose(embedder.fit_transform(log_mel), [[12, 16]], rtol=1e-6)
    np.testing.assert_allclose(embedder.transform(log_mel / 1000), [[0.012, 0.016]], rtol=1e-6)
    embedder.set_params(gamma=2)  # weights 2.25, 2.25, 4
    np.testing.assert_allclose(embedder.transform(log_mel), [[120 / 8.5, 160 / 8.5]], rtol=1e-6)
    embedder.set_params(gamma=1, power=1)
    np.testing.assert_allclose(embedder.transform(log_mel), 10 * np.log10([[400.6, 4000.6]]), rtol=1e-6)
    embedder.set_params(power=0.5)
    magnitudes = 0.6 + 0.4 * np.sqrt([[1e3, 1e4]])
    np.testing.assert_allclose(embedder.transform(log_mel), 20 * np.log10(magnitudes), rtol=1e-6)


def test_relative_deviation_pooling_has_the_mean_and_the_maximum_as_limits():
    def pooled(values=SOME_LOG_MEL, **params):
        return StatisticsEmbedder(statistics=["relative_deviation"], **params).fit_transform(values)

    np.testing.assert_allclose(pooled(gamma=0, power=0), SOME_LOG_MEL.mean(axis=2), rtol=1e-5)
    powers = [pooled(power=power) for power in (0, 1e-6, 1, 64)]
    np.testing.assert_allclose(powers[1], powers[0], rtol=1e-5)
    assert (powers[1] < powers[2]).all() and (powers[2] < powers[3]).all()
    np.testing.assert_allclose(powers[3], SOME_LOG_MEL.max(axis=2), atol=0.3)
    steady = np.full((1, 2, 9), -50.0)
    np.testing.assert_allclose(pooled(steady, gamma=64, power=64), [[-50.0, -50.0]])


def test_values_are_those_of_numpy():
    embedding = StatisticsEmbedder(statistics=["max", "mean", "std"]).fit_transform(SOME_LOG_MEL)
    parts = [SOME_LOG_MEL.max(axis=2), SOME_LOG_MEL.mean(axis=2), SOME_LOG_MEL.std(axis=2)]
    assert embedding.dtype == np.float32
    np.testing.assert_allclose(embedding, np.concatenate(parts, axis=1), rtol=1e-5)


def test_the_same_level_from_frame_to_frame_has_no_differences():
    steady, saw = np.full((1, 2, 9), -50.0), np.resize([-60.0, -40.0], (1, 2, 9))
    embedder = StatisticsEmbedder(statistics=["diff"])
    np.testing.assert_array_equal(embedder.fit_transform(steady), [[0.0, 0.0]])
    np.testing.assert_allclose(embedder.transform(saw), [[20.0, 20.0]])  # up and down by 20 dB
    np.testing.assert_array_equal(embedder.transform(saw[:, :, 0]), [[0.0, 0.0]])


def test_rank_pooling_goes_from_maximum_to_mean():
    ranks = [StatisticsEmbedder(statistics=["rank"], decay=decay).fit_transform(SOME_LOG_MEL)
             for decay in (0, 0.3, 0.9, 0.99, 1)]  # fmt: skip
    np.testing.assert_allclose(ranks[0], SOME_LOG_MEL.max(axis=2), rtol=1e-6)
    np.testing.assert_allclose(ranks[-1], SOME_LOG_MEL.mean(axis=2), rtol=1e-5)
    assert (np.diff(ranks, axis=0) < 0).all()


@pytest.mark.parametrize(
    "options",
    list(ParameterGrid({"statistics": [["mean", "std", "max", "rank"]], "decay": [0, 0.9]})),
)
def test_order_of_frames_does_not_matter(options):
    embedder = StatisticsEmbedder(**options).fit(SOME_LOG_MEL)
    shuffled = np.random.default_rng(1).permuted(SOME_LOG_MEL, axis=2)
    np.testing.assert_allclose(embedder.transform(shuffled), embedder.transform(SOME_LOG_MEL), rtol=1e-5)


def test_order_of_whole_frames_does_not_matter_to_relative_deviation_pooling():
    embedder = StatisticsEmbedder(statistics=["relative_deviation"], gamma=8, power=1).fit(SOME_LOG_MEL)
    shuffled = SOME_LOG_MEL[:, :, np.random.default_rng(1).permutation(SOME_LOG_MEL.shape[2])]
    np.testing.assert_allclose(embedder.transform(shuffled), embedder.transform(SOME_LOG_MEL), rtol=1e-5)


def test_clips_and_arrays():
    clips = Clips(log_mel=SOME_LOG_MEL, section=["00"] * 150)
    embedder = StatisticsEmbedder()
    made = embedder.fit_transform(clips)
    assert list(made) == ["section", "embedding"]
    np.testing.assert_array_equal(made["embedding"], embedder.fit_transform(SOME_LOG_MEL))
    np.testing.assert_array_equal(embedder.transform(SOME_LOG_MEL[70:75]), made["embedding"][70:75])
    assert list(clone(embedder).set_params(keep=["log_mel"]).fit_transform(clips)) == [
        "log_mel",
        "section",
        "embedding",
    ]


@pytest.mark.parametrize("statistic", ["mean", "std", "max", "diff", "rank", "relative_deviation"])
def test_a_clip_alone_is_as_among_others(statistic):
    embedder = StatisticsEmbedder(statistics=[statistic]).fit(SOME_LOG_MEL)
    alone = [embedder.transform(one[np.newaxis])[0] for one in SOME_LOG_MEL[60:70]]
    np.testing.assert_allclose(embedder.transform(SOME_LOG_MEL)[60:70], alone, rtol=1e-5)


def test_two_dimensions_are_clips_of_one_frame():
    frames = SOME_LOG_MEL[:, :, 0]
    embedding = StatisticsEmbedder(statistics=["rank", "std"]).fit_transform(frames)
    np.testing.assert_allclose(embedding, np.concatenate([frames, 0 * frames], axis=1), rtol=1e-6)


def test_clips_may_be_longer_than_in_training_but_not_of_other_bands():
    embedder = StatisticsEmbedder().fit(SOME_LOG_MEL[:, :, :10])
    assert embedder.transform(SOME_LOG_MEL).shape == (150, 12)
    with pytest.raises(ValueError, match=r"3 features.*StatisticsEmbedder.* 4"):
        embedder.transform(SOME_LOG_MEL[:, :3])


@pytest.mark.parametrize(
    "options, X, message",
    [
        (
            {"statistics": ["mean", "median"]},
            SOME_LOG_MEL,
            r"mean, std, max, diff, rank.*\['mean', 'median'\]",
        ),
        ({"statistics": ["mean", "mean"]}, SOME_LOG_MEL, "none twice"),
        ({"statistics": [["mean"]]}, SOME_LOG_MEL, "statistics must name"),
        ({"statistics": []}, SOME_LOG_MEL, r"mean, std, max, diff, rank.*\[\]"),
        (
            {"statistics": "mean"},
            SOME_LOG_MEL,
            "'statistics' .*StatisticsEmbedder",
        ),
        (
            {"decay": 1.1},
            SOME_LOG_MEL,
            r"'decay' .*StatisticsEmbedder",
        ),
        ({"gamma": -1}, SOME_LOG_MEL, r"'gamma' .*StatisticsEmbedder"),
        ({"power": 100}, SOME_LOG_MEL, r"'power' .*StatisticsEmbedder"),
        ({}, Clips(waveform=[[0.0]]), "StatisticsEmbedder .*'log_mel'.* waveform"),
        ({}, np.full((2, 3, 4), np.nan), "NaN"),
        ({}, np.ones((2, 3, 4, 5)), r"\(2, 3, 4, 5\)"),
    ],
)
def test_bad_input(options, X, message):
    with pytest.raises(ValueError, match=message):
        StatisticsEmbedder(**options).fit(X)


@pytest.mark.parametrize("shape", [(3, 4, 0), (3, 0, 5)])
@pytest.mark.parametrize("estimator", [StatisticsEmbedder(), FrameStacker(n_frames=1), Mixup()])
def test_spectrograms_of_nothing_are_refused(estimator, shape):
    with pytest.raises(ValueError, match=re.escape(str(shape))):
        clone(estimator).fit(np.zeros(shape))


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_clips_with_levels_that_are_no_numbers_are_named(value):
    log_mel = np.array(SOME_LOG_MEL, dtype=float)
    log_mel[[7, 120], 2, 3] = value
    with pytest.raises(ValueError, match=r"log_mel.* 2 of 150 clips: row 7, row 120"):
        StatisticsEmbedder().fit_transform(log_mel)


def test_complex_numbers_are_refused_in_few_words():
    with pytest.raises(ValueError, match="Complex data not supported: StatisticsEmbedder") as refusal:
        StatisticsEmbedder().fit(SOME_LOG_MEL + 0j)
    assert len(str(refusal.value)) < 200
