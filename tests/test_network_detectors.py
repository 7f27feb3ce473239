import subprocess
import sys
import warnings
from functools import partial

import joblib
import numpy as np
import pytest
import torch
from scipy.stats import f_oneway, rankdata, spearmanr
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.covariance import OAS, EmpiricalCovariance
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from skorch.callbacks import EarlyStopping, EpochScoring, GradientNormClipping
from torch import nn

from skasd.augmentation import Mixup
from skasd.clips import Clips
from skasd.detectors import AutoencoderDetector, FlowDetector
from skasd.detectors._level import n_independent, score_held_out
from skasd.features import FrameStacker
from skasd.metrics import auc_scorer
from skasd.model_selection import DevelopmentSplit

TRAINING = {"max_epochs": 3, "lr": 0.01, "batch_size": 64, "device": "cpu", "random_state": 0}
BEST = EarlyStopping(patience=1, load_best=True)
autoencoder = partial(AutoencoderDetector, **(TRAINING | {"network__n_hidden": (8,), "network__n_bottleneck": 2}))
flow = partial(FlowDetector, **(TRAINING | {"transforms": 2, "hidden_features": (8,)}))

VARIANTS = {
    "autoencoder": autoencoder,
    "mahalanobis": partial(autoencoder, error="selective_mahalanobis", n_frames=3),
    "early stopping": partial(autoencoder, validation_fraction=0.25, callbacks=[BEST], max_epochs=20),
    "schedule": partial(autoencoder, lr_schedule="cosine", callbacks=[GradientNormClipping(0.5)]),
    "flow": flow,
    "made": partial(flow, transforms=1),
    "deep flow": partial(flow, hidden_features=(8, 8), validation_fraction=0.25),
    "mixup": partial(flow, augmentation=Mixup()),
    "autoencoder, mixup": partial(autoencoder, augmentation=Mixup(), validation_fraction=0.25),
}
every_variant = pytest.mark.parametrize("make", VARIANTS.values(), ids=VARIANTS)


def make_clips(n_clips=24, n_windows=10, seed=0, anomalous=False):
    """Two sections; windows of six features near a plane, and far from it where they are anomalous."""
    rng = np.random.default_rng(seed)
    plane = np.array([[1.0, 1, 0, 0, 1, -1], [0, 1, 1, -1, 0, 1]])
    windows = rng.normal(size=(n_clips, n_windows, 2)) @ plane + 0.2 * rng.normal(size=(n_clips, n_windows, 6))
    windows += np.where(np.arange(n_clips) % 2, 1.0, -1.0)[:, np.newaxis, np.newaxis]
    if anomalous:
        windows[..., 0] += 2 * rng.normal(size=(n_clips, n_windows))
    return Clips(
        embedding=windows.astype(np.float32),
        section=np.where(np.arange(n_clips) % 2, "01", "00"),
        domain=np.where(np.arange(n_clips) % 6 < 4, "source", "target"),
        label=np.full(n_clips, -1 if anomalous else 1),
        split=np.full(n_clips, "test" if seed else "train"),
    )


@every_variant
def test_two_fits_are_the_same_bit_for_bit(make):
    clips = make_clips()
    first, second = make().fit(clips), make().fit(clips)
    np.testing.assert_array_equal(first.score_samples(clips), second.score_samples(clips))
    assert first.offset_ == second.offset_
    assert not np.array_equal(make(random_state=1).fit(clips).score_samples(clips), first.score_samples(clips))


@every_variant
def test_training_leaves_the_randomness_of_others_alone(make):
    torch.manual_seed(3)
    wanted = torch.rand(4)
    torch.manual_seed(3)
    make().fit(make_clips())
    torch.testing.assert_close(torch.rand(4), wanted, rtol=0, atol=0)


@every_variant
def test_anomalies_never_train(make):
    clips, odd = make_clips(), make_clips(6, seed=5, anomalous=True).with_fields(split=["train"] * 6)
    wanted = make().fit(clips)
    for fitted in (make().fit(clips + odd), make().fit((odd + clips).without("label"), np.repeat([-1, 1], [6, 24]))):
        np.testing.assert_array_equal(fitted.score_samples(clips), wanted.score_samples(clips))
        assert fitted.offset_ == wanted.offset_


@every_variant
def test_single_and_double_windows_score_alike_alone_and_among_others(make):
    clips = make_clips()
    detector = make().fit(clips)
    double = clips.with_fields(embedding=clips["embedding"].astype(np.float64))
    wanted = detector.score_samples(double)
    np.testing.assert_array_equal(detector.score_samples(clips), wanted)
    alone = np.concatenate([detector.score_samples(clips[row : row + 1]) for row in range(len(clips))])
    np.testing.assert_allclose(alone, wanted, rtol=1e-12)


def test_small_changes_at_a_high_level_are_heard():
    """Decibels that differ by a twentieth, and values of which single precision knows nothing."""
    rng = np.random.default_rng(0)
    X = rng.normal(0, 1, (400, 4)) @ rng.normal(size=(4, 4))
    params = {"max_epochs": 10, "validation_fraction": 0.0}
    plain = flow(**params).fit(X).score_samples(X)
    for level, scale, dtype in ((-60, 0.05, np.float32), (-1e6, 1e-3, np.float64)):
        moved = (level + scale * X).astype(dtype)
        found = flow(**params).fit(moved).score_samples(moved)
        assert spearmanr(found, plain).statistic > 0.999


@every_variant
def test_saved_and_loaded_scores_bit_for_bit_the_same(make, tmp_path):
    clips = make_clips()
    detector = make().fit(clips)
    joblib.dump(detector, tmp_path / "detector.joblib")
    loaded = joblib.load(tmp_path / "detector.joblib")
    assert not hasattr(loaded, "net_")
    np.testing.assert_array_equal(loaded.decision_function(clips), detector.decision_function(clips))


def test_a_fresh_process_scores_bit_for_bit_the_same(tmp_path):
    clips = make_clips()
    detectors = [make().fit(clips) for make in VARIANTS.values()]
    joblib.dump((detectors, clips), tmp_path / "detectors.joblib")
    code = (
        "import joblib, numpy, sys\n"
        "detectors, clips = joblib.load(sys.argv[1])\n"
        "numpy.save(sys.argv[2], [detector.decision_function(clips) for detector in detectors])"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "detectors.joblib", tmp_path / "out.npy"], check=True)
    np.testing.assert_array_equal(
        np.load(tmp_path / "out.npy"), [detector.decision_function(clips) for detector in detectors]
    )


@pytest.mark.parametrize(
    "make",
    [partial(autoencoder, network__n_hidden=(100, 100)), partial(flow, hidden_features=(3000,), lr=1e-4)],
    ids=["autoencoder", "flow"],
)
def test_the_saved_file_is_about_as_large_as_the_weights(make, tmp_path):
    detector = make().fit(make_clips(n_windows=100))
    joblib.dump(detector, tmp_path / "detector.joblib")
    weights = sum(tensor.nbytes for tensor in detector.network_.state_dict().values())
    assert weights < (tmp_path / "detector.joblib").stat().st_size < weights + 30_000


@every_variant
def test_scores_of_windows_average_to_those_of_clips(make):
    clips = make_clips().without("domain")
    detector = make().fit(clips)
    windows = detector.score_windows(clips)
    assert windows.shape == (24, 10)
    np.testing.assert_allclose(windows.mean(axis=1), detector.score_samples(clips), rtol=1e-6)
    one = clips.with_fields(embedding=clips["embedding"][:, 3])
    np.testing.assert_allclose(detector.score_windows(one)[:, 0], windows[:, 3], rtol=1e-4, atol=1e-5)


@every_variant
def test_an_anomaly_is_where_it_was_planted(make):
    clips = make_clips(n_windows=40)
    detector = make(max_epochs=20, callbacks=None).fit(clips)
    planted = make_clips(seed=1)
    windows = planted["embedding"].copy()
    windows[:, 7, 0] += 8
    scores = detector.score_windows(planted.with_fields(embedding=windows))
    assert (scores.argmin(axis=1) == 7).mean() > 0.95


def test_a_search_finds_the_better_rate_over_stacked_frames():
    def as_frames(clips):
        return clips.without("embedding").with_fields(log_mel=clips["embedding"].transpose(0, 2, 1))

    parts = [make_clips(40), make_clips(40, seed=1), make_clips(40, seed=2, anomalous=True)]
    clips = as_frames(parts[0] + parts[1] + parts[2])
    system = make_pipeline(FrameStacker(n_frames=2), flow(max_epochs=20))
    search = GridSearchCV(system, {"flowdetector__lr": [1e-7, 0.01]}, scoring=auc_scorer, cv=DevelopmentSplit())
    search.fit(clips, clips["label"])
    assert search.best_params_ == {"flowdetector__lr": 0.01}
    assert search.best_score_ > 0.95


def set_aside_by(make, clips):
    """Mask of the clips that watch the loss, of which each is there with all its windows."""
    rows = []
    note = EpochScoring(lambda net, X, y: rows.append(X.rows) or 0.0, name="rows", use_caching=False, on_train=False)
    make(max_epochs=1, callbacks=[note]).fit(clips)
    aside, counts = np.unique(rows[0] // clips["embedding"].shape[1], return_counts=True)
    assert (counts == clips["embedding"].shape[1]).all()
    return np.isin(np.arange(len(clips)), aside)


def test_windows_of_a_clip_are_set_aside_together():
    clips = make_clips()
    aside = set_aside_by(partial(autoencoder, validation_fraction=0.25), clips)
    assert np.bincount(np.flatnonzero(aside) % 2).tolist() == [3, 3]  # of both sections alike


@pytest.mark.parametrize("fraction", ["auto", 0.3])
def test_whole_recordings_are_set_aside(fraction):
    clips = make_clips(48)
    recording = np.array([f"{number // 6}{number % 2}" for number in range(48)])
    aside = set_aside_by(partial(flow, validation_fraction=fraction), clips.with_fields(recording=recording))
    shares = [aside[recording == name].mean() for name in np.unique(recording)]
    assert set(shares) == {0.0, 1.0}


def test_every_section_and_domain_keeps_clips_that_train():
    clips = make_clips(24).with_fields(
        section=["00"] * 20 + ["01"] * 4, domain=["source"] * 18 + ["target"] * 2 + ["source"] * 3 + ["target"]
    )
    aside = set_aside_by(partial(autoencoder, validation_fraction=0.9), clips)
    kept = clips[~aside]
    assert set(zip(kept["section"], kept["domain"], strict=True)) == set(
        zip(clips["section"], clips["domain"], strict=True)
    )


def test_how_many_clips_are_set_aside():
    def counted(n_clips, **params):
        windows = np.random.default_rng(0).normal(size=(n_clips, 1, 3)).astype(np.float32)
        return set_aside_by(partial(flow, **params), Clips(embedding=windows)).sum()

    assert counted(400) == 40  # a tenth
    assert counted(100) == 20  # no fewer
    assert counted(30) == 15  # no more than half
    assert counted(400, contamination=0.01) == 99  # the lowest of 99 scores has one alarm in a hundred
    assert counted(3) == 1


@pytest.mark.parametrize("make", [autoencoder, flow], ids=["autoencoder", "flow"])
def test_too_few_clips_to_set_any_aside_are_told(make):
    X = np.random.default_rng(0).normal(size=(2, 5, 3))
    with pytest.warns(UserWarning, match="threshold") as caught:
        detector = make(threshold="quantile").fit(X)
        assert caught[0].filename == __file__
        assert np.isfinite(detector.decision_function(X)).all()


def test_the_threshold_comes_from_the_clips_that_are_set_aside():
    clips = make_clips(60)
    detector = flow(contamination=0.1)
    aside = set_aside_by(flow, clips)
    scores = np.sort(detector.fit(clips).score_samples(clips[aside]))
    assert len(scores) == 20
    assert detector.offset_ == pytest.approx(np.quantile(scores, 0.1, method="weibull"))  # right on average


def draw(n_clips, basis, rng, n_windows=1, n_recordings=None):
    """Clips near a subspace; those of a recording have most of their place in it in common."""
    n_recordings = n_recordings or n_clips
    number = np.arange(n_clips) % n_recordings
    place = rng.normal(size=(n_recordings, 1, len(basis)))[number]
    place = place + 0.3 * rng.normal(size=(n_clips, n_windows, len(basis)))
    embedding = place @ basis + 0.3 * rng.normal(size=(n_clips, n_windows, basis.shape[1]))
    return Clips(embedding=embedding, recording=[f"r{one}" for one in number])


ALIKE = {
    "clips": (60, {}),
    "windows": (60, {"n_windows": 5}),
    "recordings": (100, {"n_recordings": 20}),
    "windows of recordings": (100, {"n_windows": 3, "n_recordings": 20}),
}


@pytest.mark.parametrize("threshold", ["quantile", "gamma"])
@pytest.mark.parametrize(("n_clips", "params"), ALIKE.values(), ids=ALIKE)
@pytest.mark.parametrize("make", [autoencoder, flow], ids=["autoencoder", "flow"])
def test_the_rate_of_alarms_is_that_which_was_asked_for(make, n_clips, params, threshold):
    rates = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        basis = rng.normal(size=(3, 20))
        clips, fresh = draw(n_clips, basis, rng, **params), draw(500, basis, rng, params.get("n_windows", 1))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The gamma distribution")
            detector = make(threshold=threshold, random_state=seed).fit(clips + clips[::3])
            rates.append(np.mean(detector.predict(fresh) == -1))
    assert 0.05 <= np.mean(rates) <= 0.2


def test_clips_of_few_recordings_count_as_few():
    rng = np.random.default_rng(0)
    rates = {"alike": [], "own": []}
    for _ in range(300):
        recording = np.repeat(np.arange(10), 5)
        place, own = rng.normal(size=10)[recording], rng.normal(size=50)
        fresh = rng.normal(size=1000)
        for name, scores in (("alike", place + 1e-3 * own), ("own", own)):
            offset = score_held_out(scores, recording, np.zeros(50, dtype=int), 0.1, "quantile")
            rates[name].append(np.mean(fresh < offset))
    assert np.mean(rates["alike"]) == pytest.approx(0.1, abs=0.02)
    assert np.mean(rates["own"]) == pytest.approx(0.1, abs=0.02)


def test_how_many_independent_clips_is_told_by_the_analysis_of_variance():
    rng, recording = np.random.default_rng(0), np.repeat(np.arange(8), 5)
    scores = rng.normal(size=8)[recording] + rng.normal(size=40)
    ranks = rankdata(scores)
    statistic = f_oneway(*(ranks[recording == one] for one in range(8))).statistic
    correlation = (statistic - 1) / (statistic + 4)
    assert 0.1 < correlation < 0.9
    found = n_independent(scores, recording, np.zeros(40, dtype=int))
    assert found == pytest.approx(40 / (1 + 4 * correlation))


@pytest.mark.parametrize(
    "draw", [np.random.Generator.exponential, np.random.Generator.chisquare], ids=lambda one: one.__name__
)
@pytest.mark.parametrize(("n_scores", "share"), [(10, 0.05), (20, 0.025), (8, 0.1), (5, 0.1)])
def test_alarms_rarer_than_one_in_all_scores_follow_their_tail(draw, n_scores, share):
    rng = np.random.default_rng(0)
    scores, fresh = -draw(rng, 4, size=(1000, n_scores)), -draw(rng, 4, size=10_000)
    number, section = np.arange(n_scores), np.zeros(n_scores, dtype=int)
    offsets = [score_held_out(own, number, section, share, "quantile") for own in scores]
    rate = np.mean(fresh[:, np.newaxis] < offsets)
    assert share / 1.5 < rate < 1.5 * share


@pytest.mark.parametrize(("n_scores", "share_of_lowest"), [(8, 1 / 9), (9, 1 / 10), (19, 1 / 20)])
def test_the_lowest_score_is_the_threshold_of_its_own_share(n_scores, share_of_lowest):
    scores, zeros = np.random.default_rng(0).normal(size=n_scores), np.zeros(n_scores, dtype=int)
    lowest, above = (
        score_held_out(scores, np.arange(n_scores), zeros, share, "quantile")
        for share in (share_of_lowest, 1.05 * share_of_lowest)
    )
    assert lowest == pytest.approx(scores.min())
    assert above > scores.min()


@pytest.mark.parametrize("threshold", ["quantile", "gamma"])
def test_too_few_recordings_for_so_rare_alarms_are_told(threshold):
    rng = np.random.default_rng(0)
    recording = np.repeat(np.arange(10), 5)
    scores = rng.normal(size=10)[recording] + 1e-6 * rng.normal(size=50)
    with pytest.warns(UserWarning, match=r"contamination=0.02 needs .* 24 recordings .* 50 clips .* than 10.1: "):
        offset = score_held_out(scores, recording, np.zeros(50, dtype=int), 0.02, threshold)
    assert np.isfinite(offset) and offset < scores.min()


def test_few_scores_that_are_the_same_are_their_own_threshold():
    with pytest.warns(UserWarning, match="contamination=0.1 "):
        assert score_held_out(np.full(3, 2.0), np.arange(3), np.zeros(3, dtype=int), 0.1, "quantile") == 2.0


def test_early_stopping_keeps_the_best_weights():
    best = EarlyStopping(patience=2, load_best=True)
    detector = VARIANTS["early stopping"](callbacks=[best], max_epochs=60, lr=0.3).fit(make_clips())
    losses = [epoch["valid_loss"] for epoch in detector.history_]
    assert len(losses) < 60
    assert len(losses) - 1 - int(np.argmin(losses)) == 2


@pytest.mark.parametrize(
    ("params", "limit"),
    [
        ({}, 10.0),
        ({"callbacks": [EpochScoring(lambda net, X, y: 0.0, name="other", use_caching=False)]}, 10.0),
        ({"callbacks": [GradientNormClipping(0.5)]}, 0.5),
        ({"callbacks": [("mine", GradientNormClipping(0.5))]}, 0.5),
        ({"callbacks": [("mine", GradientNormClipping)], "callbacks__mine__gradient_clip_value": 0.5}, 0.5),
    ],
    ids=["own", "beside another", "given", "given by name", "given as a class"],
)
def test_the_gradient_of_a_flow_is_clipped_once(params, limit):
    net = flow(max_epochs=1, **params).fit(make_clips(8)).net_
    clippings = [one.gradient_clip_value for _, one in net.callbacks_ if isinstance(one, GradientNormClipping)]
    assert clippings == [limit]


@pytest.mark.parametrize("make", [autoencoder, flow], ids=["autoencoder", "flow"])
def test_progress_in_a_log_file_is_a_line(make, capsys):
    make(max_epochs=10, verbose=1, threshold="quantile").fit(make_clips(8))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("Training: 10/10 epochs, train_loss ")


def test_importing_the_detectors_is_free_of_torch():
    code = "import sys, skasd.detectors; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# Augmentation


class Scaled(TransformerMixin, BaseEstimator):
    """Scales windows, and leaves some out."""

    def __init__(self, factor=1.0, n_windows=10):
        self.factor = factor
        self.n_windows = n_windows

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return X.with_fields(embedding=self.factor * X["embedding"][:, : self.n_windows])


@pytest.mark.parametrize("make", [autoencoder, flow], ids=["autoencoder", "flow"])
def test_the_network_learns_from_augmented_clips_and_the_threshold_from_the_others(make):
    clips, test = make_clips(), make_clips(seed=1)
    mixup = Mixup(target_share=0.5, random_state=7)
    own = {"threshold": "quantile", "validation_fraction": 0.0}
    detector = make(augmentation=mixup, contamination=0.25, **own).fit(clips)
    by_hand = make(**own).fit(mixup.fit_transform(clips))
    np.testing.assert_array_equal(detector.score_samples(test), by_hand.score_samples(test))
    assert detector.offset_ == pytest.approx(np.quantile(detector.score_samples(clips), 0.25, method="weibull"))


@pytest.mark.parametrize("seed", [3, np.random.RandomState(3)], ids=["int", "RandomState"])
def test_an_augmentation_without_a_seed_takes_that_of_the_detector(seed):
    X = make_clips()["embedding"]
    detector = flow(augmentation=Mixup(), random_state=clone(seed, safe=False)).fit(X)
    seeded = flow(augmentation=Mixup(random_state=5), random_state=clone(seed, safe=False)).fit(X)
    again = flow(augmentation=Mixup(), random_state=clone(seed, safe=False)).fit(X)
    np.testing.assert_array_equal(detector.score_samples(X), again.score_samples(X))
    assert not np.array_equal(detector.score_samples(X), seeded.score_samples(X))
    assert detector.augmentation.random_state is None
    assert not hasattr(detector.augmentation, "n_features_in_")


def test_clips_that_are_set_aside_are_not_augmented():
    detector = AutoencoderDetector(Nothing, augmentation=Scaled(100.0), validation_fraction=0.25, **TRAINING)
    losses = detector.fit(make_clips()).history_[-1]
    assert losses["train_loss"] > 1000 * losses["valid_loss"]


def test_an_augmentation_gives_back_the_windows_that_it_got():
    with pytest.raises(
        ValueError, match=r"augmentation=Scaled\(n_windows=9\) must .* \(24, 10, 6\); it made \(24, 9, 6\)"
    ):
        flow(augmentation=Scaled(n_windows=9), validation_fraction=0.0).fit(make_clips())


# Answers of another library


class LinearAutoencoder(nn.Sequential):
    """A network of a user, whose optimum is the projection of PCA."""

    def __init__(self, n_features, n_components):
        super().__init__(nn.Linear(n_features, n_components), nn.Linear(n_components, n_features))


def test_a_linear_autoencoder_finds_the_subspace_of_pca():
    rng = np.random.default_rng(0)
    basis = rng.normal(size=(2, 6))
    X, test = (rng.normal(size=(n, 2)) @ basis + 0.1 * rng.normal(size=(n, 6)) for n in (600, 200))
    params = TRAINING | {"network__n_features": 6, "network__n_components": 2, "max_epochs": 200, "lr": 0.02}
    params |= {"validation_fraction": 0.0}
    detector = AutoencoderDetector(LinearAutoencoder, lr_schedule="cosine", threshold="quantile", **params).fit(X)
    pca = PCA(2).fit(X)
    wanted = -np.square(test - pca.inverse_transform(pca.transform(test))).mean(axis=1)
    np.testing.assert_allclose(detector.score_samples(test), wanted, rtol=0.05, atol=1e-4)
    np.testing.assert_allclose(
        detector.score_samples(test), -np.square(test - detector.reconstruct(test)[:, 0]).mean(axis=1), rtol=1e-9
    )


class Nothing(nn.Module):
    """Reconstructs every vector as zeros, so that what is missed is the vector."""

    def __init__(self):
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        return 0 * x * self.unused


def squared_distance(X, Y):
    """Mean over the frames of each window of Y, by the covariance of the frames of X, two a window."""
    precision = EmpiricalCovariance().fit(X.reshape(-1, 3)).precision_
    frames = Y.reshape(-1, 2, 3)
    return np.einsum("nfi,ij,nfj->nf", frames, precision, frames).mean(axis=1)


def test_mahalanobis_weighs_the_errors_of_frames_by_section_and_domain():
    clips, test = make_clips(), make_clips(seed=1)
    params = {"error": "selective_mahalanobis", "validation_fraction": 0.0, **TRAINING}
    detector = AutoencoderDetector(Nothing, n_frames=2, **params).fit(clips)
    for section in ("00", "01"):
        own, rows = clips[clips["section"] == section], test["section"] == section
        distances = [
            squared_distance(own["embedding"][own["domain"] == domain], test["embedding"][rows]).reshape(12, 10)
            for domain in ("source", "target")
        ]
        wanted = -np.minimum(*(distance.mean(axis=1) for distance in distances))
        np.testing.assert_allclose(detector.score_samples(test)[rows], wanted, rtol=1e-3)
        np.testing.assert_allclose(detector.score_windows(test)[rows], -np.minimum(*distances), rtol=1e-3)


def test_mahalanobis_goes_without_the_domain_that_a_section_lacks():
    clips, test = make_clips(), make_clips(seed=1)
    no_target = clips[(clips["section"] == "00") | (clips["domain"] == "source")]
    params = {"error": "selective_mahalanobis", "validation_fraction": 0.0, **TRAINING}
    both, one = (AutoencoderDetector(Nothing, **params).fit(some) for some in (clips, no_target))
    rows = test["section"] == "00"
    np.testing.assert_allclose(both.score_samples(test)[rows], one.score_samples(test)[rows], rtol=1e-6)
    assert [len(model.precisions) for model in one.models_.values()] == [2, 1]
    assert (one.score_samples(test) <= both.score_samples(test) + 1e-6).all()


def test_bands_that_never_vary_do_not_make_the_covariance_singular():
    clips = make_clips()
    windows = clips["embedding"].copy()
    windows[..., 2] = -80
    clips = clips.with_fields(embedding=windows)
    assert np.isfinite(VARIANTS["mahalanobis"](n_frames=1).fit(clips).score_samples(clips)).all()


# Bad input


@pytest.mark.parametrize(
    ("detector", "message"),
    [
        (autoencoder(error="selective_mahalanobis", n_frames=4), "n_frames=4 does not divide the 6 features"),
        (AutoencoderDetector(partial(nn.Linear, 6, 5), **TRAINING), r"it made \(2, 5\) of \(2, 6\)"),
        (AutoencoderDetector(partial(nn.Linear, 7, 7), **TRAINING), r"cannot take clips of shape \(6,\)"),
        (autoencoder(lr=1e30, optimizer=torch.optim.SGD), "Training diverged: the loss is .* Lower lr"),
        (autoencoder(callbacks=[BEST], validation_fraction=0.0), "EarlyStopping .*validation_fraction"),
        (flow(lr=1e30), "Training diverged|not finite"),
        (flow(lr=1.0, transforms=5, callbacks=[GradientNormClipping(1e9)]), "Training diverged"),
        (flow(hidden_features=(8, 0)), r"numbers of units above 0; got \(8, 0\)"),
    ],
)
def test_what_cannot_train_says_why(detector, message):
    with pytest.raises(ValueError, match=message):
        detector.fit(make_clips())


def test_few_errors_have_a_shrunk_covariance():
    clips = make_clips(12, n_windows=1)  # of each section four source windows and two target windows of six features
    params = {"error": "selective_mahalanobis", "validation_fraction": 0.0, **TRAINING}
    detector = AutoencoderDetector(Nothing, **params).fit(clips)
    X = clips["embedding"][:, 0].astype(float)
    of_domains = [
        OAS().fit(X[(clips["section"] == "00") & (clips["domain"] == domain)]) for domain in ("source", "target")
    ]
    wanted = -np.min([np.einsum("ni,ij,nj->n", X, one.precision_, X) for one in of_domains], axis=0)
    own = clips["section"] == "00"
    np.testing.assert_allclose(detector.score_samples(clips[own]), wanted[own], rtol=1e-3)


def test_errors_that_do_not_vary_have_no_covariance():
    clips = make_clips(8, n_windows=1)
    alone = clips.with_fields(domain=np.where(np.arange(8) < 2, "target", "source"))
    params = {"error": "selective_mahalanobis", "validation_fraction": 0.0, **TRAINING}
    with pytest.raises(ValueError, match=r"section '00': .*errors that vary, and the 1 of the domain 'target'"):
        AutoencoderDetector(Nothing, **params).fit(alone)


def test_what_is_beyond_single_precision_is_scored_in_double():
    clips = make_clips()
    far = clips.with_fields(embedding=1e25 * clips["embedding"])
    for make in (autoencoder, flow, VARIANTS["mahalanobis"]):
        scores = make().fit(clips).score_samples(far)
        assert (scores < -1e40).all()
        assert np.isfinite(scores).all()


def test_a_network_that_went_astray_gives_no_score():
    detector = flow().fit(make_clips())
    next(detector.network_.parameters()).data[:] = np.nan
    with pytest.raises(ValueError, match="A score is not finite: training diverged"):
        detector.score_samples(make_clips())
