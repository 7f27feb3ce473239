import pickle

import numpy as np
import pytest
from imblearn.over_sampling import SMOTE
from scipy.stats import gamma, multivariate_normal
from sklearn.base import clone
from sklearn.covariance import OAS, EmpiricalCovariance, LedoitWolf
from sklearn.metrics import pairwise_distances, roc_auc_score
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import LocalOutlierFactor
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_info, threadpool_limits

from skasd.clips import Clips
from skasd.detectors import (
    AutoencoderDetector,
    CosineCenterDetector,
    FlowDetector,
    GaussianMixtureDetector,
    LocalOutlierFactorDetector,
    MahalanobisDetector,
    NearestNeighborsDetector,
)
from skasd.detectors._level import score_held_out
from skasd.detectors._oversampling import oversample_target
from skasd.detectors._threshold import Threshold, gamma_point
from skasd.metrics import auc_scorer
from skasd.model_selection import NormalOnlyKFold

OWN_MODELS = [
    CosineCenterDetector(),
    GaussianMixtureDetector(2, random_state=0),
    GaussianMixtureDetector(density="component", target_ratio=0.5, random_state=0),
    LocalOutlierFactorDetector(n_neighbors=5),
    MahalanobisDetector(),
    MahalanobisDetector(covariance="oas", per_domain=True),
    MahalanobisDetector(feature_groups={"low": slice(0, 2), "high": [2, 3, 4]}),
    NearestNeighborsDetector(),
    NearestNeighborsDetector(
        2, metric="euclidean", normalization="local_density", n_local_neighbors=3, target_ratio=0.5, random_state=0
    ),
    NearestNeighborsDetector(metric="euclidean", normalization="variance_minimizing"),
    NearestNeighborsDetector(feature_groups={"low": slice(0, 2), "high": [2, 3, 4]}, normalization="local_density"),
    NearestNeighborsDetector(metric="euclidean", feature_groups={"low": slice(0, 2), "high": [2, 3, 4]}),
]
TRAINING = {"max_epochs": 30, "lr": 0.01, "batch_size": 64, "device": "cpu", "random_state": 0}
NARROW = {"network__n_hidden": (8,), "network__n_bottleneck": 2}
ONE_NETWORK = [
    AutoencoderDetector(**NARROW, **TRAINING),
    FlowDetector(transforms=2, hidden_features=(8,), **TRAINING),
]
BEST_DOMAIN_OF_A_CLIP = [AutoencoderDetector(**NARROW, error="selective_mahalanobis", **TRAINING)]
every_own_model = pytest.mark.parametrize("detector", OWN_MODELS, ids=repr)
every_detector = pytest.mark.parametrize("detector", OWN_MODELS + ONE_NETWORK + BEST_DOMAIN_OF_A_CLIP, ids=repr)


def make_clips(n_clips=120, shift=0.0, seed=0):
    rng = np.random.default_rng(seed)
    center = np.where(np.arange(n_clips)[:, np.newaxis] % 2, [4.0, 0, 0, 0, 1], [0.0, 4, 0, 0, 1])
    return Clips(
        embedding=center + rng.normal(size=(n_clips, 5)) + shift * np.array([0, 0, 1.0, -1, 0]),
        section=np.where(np.arange(n_clips) % 2, "01", "00"),
        domain=np.where(np.arange(n_clips) % 10 < 8, "source", "target"),
        machine=np.full(n_clips, "fan"),
    )


@every_detector
def test_a_planted_anomaly_scores_lower(detector):
    detector.fit(make_clips())
    normal, odd = detector.score_samples(make_clips(seed=1)), detector.score_samples(make_clips(seed=2, shift=6.0))
    assert roc_auc_score(np.repeat([1, 0], 120), np.concatenate([normal, odd])) > 0.95
    assert (detector.predict(make_clips(seed=2, shift=12.0)) == -1).mean() > 0.95


@every_detector
def test_domain_is_not_needed_to_score(detector):
    detector.fit(make_clips())
    test = make_clips(seed=1)
    np.testing.assert_array_equal(detector.score_samples(test), detector.score_samples(test.without("domain")))


@every_detector
def test_row_order_and_batch_size_change_nothing(detector):
    detector.fit(make_clips())
    test = make_clips(seed=1)
    scores = detector.score_samples(test)
    order = np.random.default_rng(0).permutation(len(test))
    np.testing.assert_allclose(detector.score_samples(test[order]), scores[order], rtol=1e-9)
    halves = [detector.score_samples(test[:7]), detector.score_samples(test[7:])]
    np.testing.assert_allclose(np.concatenate(halves), scores, rtol=1e-9)


@every_own_model
def test_each_section_is_scored_by_its_own_model(detector):
    clips, test = make_clips(), make_clips(seed=1)
    scores = detector.fit(clips).score_samples(test)
    for section in ("00", "01"):
        rows = test["section"] == section
        alone = detector.fit(clips[clips["section"] == section])
        np.testing.assert_allclose(alone.score_samples(test[rows]), scores[rows], rtol=1e-9)


@every_detector
def test_anomalies_never_train(detector):
    clips = make_clips()
    label = np.where(np.arange(len(clips)) % 7 == 0, -1, 1)
    odd = clips.with_fields(embedding=np.where(label[:, np.newaxis] == 1, clips["embedding"], 99.0))
    test = make_clips(seed=1)
    wanted = detector.fit(odd[label == 1])
    wanted_scores, wanted_offset = wanted.score_samples(test), wanted.offset_
    for fitted in (detector.fit(odd, label), detector.fit(odd.with_fields(label=label))):
        np.testing.assert_array_equal(fitted.score_samples(test), wanted_scores)
        assert fitted.offset_ == wanted_offset


@every_detector
def test_a_saved_detector_scores_bit_for_bit_the_same(detector):
    detector.fit(make_clips())
    test = make_clips(seed=1)
    loaded = pickle.loads(pickle.dumps(detector))
    np.testing.assert_array_equal(loaded.decision_function(test), detector.decision_function(test))


@pytest.mark.parametrize("detector", OWN_MODELS + ONE_NETWORK, ids=repr)
def test_windows_are_averaged(detector):
    rng = np.random.default_rng(0)
    windows = rng.normal(size=(30, 4, 5)) + [4.0, 0, 0, 0, 1]
    domain = np.tile(["source", "target"], 15)
    detector.fit(Clips(embedding=windows, domain=domain))
    flat = detector.score_samples(windows.reshape(-1, 5)).reshape(30, 4)
    np.testing.assert_allclose(detector.score_samples(windows), flat.mean(axis=1), rtol=1e-9)


@every_detector
def test_float32_and_float64_agree(detector):
    clips, test = make_clips(), make_clips(seed=1)
    double = detector.fit(clips).score_samples(test)
    single = detector.fit(_as_float32(clips)).score_samples(_as_float32(test))
    np.testing.assert_allclose(single, double, rtol=2e-3, atol=2e-4)


def _as_float32(clips):
    return clips.with_fields(embedding=clips["embedding"].astype(np.float32))


@every_detector
def test_decision_function_is_the_score_above_the_threshold(detector):
    detector.fit(make_clips())
    test = make_clips(seed=1)
    np.testing.assert_array_equal(detector.decision_function(test), detector.score_samples(test) - detector.offset_)


def recordings(n_recordings, n_clips, n_features=4, seed=0, n_windows=1):
    """Clips of recordings that differ more from each other than the clips of one do."""
    rng = np.random.default_rng(seed)
    embedding = rng.normal(size=(n_recordings, 1, 1, n_features)) + 2.0
    embedding = embedding + 0.2 * rng.normal(size=(n_recordings, n_clips, n_windows, n_features))
    return Clips(
        embedding=embedding.reshape(-1, n_windows, n_features) if n_windows > 1 else embedding.reshape(-1, n_features),
        recording=np.repeat([f"r{number}" for number in range(n_recordings)], n_clips),
    )


EXACT = [
    CosineCenterDetector(),
    GaussianMixtureDetector(random_state=0),
    GaussianMixtureDetector(covariance_type="tied", random_state=0),
    LocalOutlierFactorDetector(n_neighbors=5),
    MahalanobisDetector(),
    MahalanobisDetector(covariance="oas"),
    MahalanobisDetector(covariance="sample", feature_groups={"low": slice(0, 2), "high": [2, 3]}),
    NearestNeighborsDetector(),
    NearestNeighborsDetector(3, metric="euclidean"),
]
OF_VARIANCES = [GaussianMixtureDetector(covariance_type=one, random_state=0) for one in ("diag", "spherical")]
CORRELATED = np.array([[1.0, 0.8, 0.0, 0.0], [0.0, 1.0, 0.8, 0.0], [0.0, 0.0, 1.0, 0.8], [0.0, 0.0, 0.0, 1.0]])


@pytest.mark.parametrize("n_windows", [1, 3])
@pytest.mark.parametrize("detector", EXACT + OF_VARIANCES, ids=repr)
def test_threshold_is_the_quantile_of_scores_by_fits_without_the_recording(detector, n_windows):
    clips = recordings(10, 6, n_windows=n_windows)
    clips = clips.with_fields(embedding=clips["embedding"] @ CORRELATED)  # so that something is left to shrink
    scores = np.empty(60)
    for name in np.unique(clips["recording"]):
        own = clips["recording"] == name
        scores[own] = clone(detector).fit(clips[~own]).score_samples(clips[own])
    wanted = score_held_out(scores, np.repeat(np.arange(10), 6), np.zeros(60, dtype=int), 0.1, "quantile")
    assert clone(detector).fit(clips).offset_ == pytest.approx(wanted, rel=1e-2)  # ranks of ties may differ


@pytest.mark.parametrize("detector", EXACT + OF_VARIANCES, ids=repr)
def test_threshold_leaves_out_clip_by_clip_where_no_recording_is_known(detector):
    clips = np.random.default_rng(0).normal(size=(10, 2)) @ CORRELATED[:2, :2] + 3.0
    detector = clone(detector).set_params(**({"n_neighbors": 2} if "n_neighbors" in detector.get_params() else {}))
    detector.set_params(**({"feature_groups": None} if "feature_groups" in detector.get_params() else {}))
    scores = [clone(detector).fit(np.delete(clips, row, axis=0)).score_samples(clips[[row]])[0] for row in range(10)]
    wanted = np.quantile(scores, 0.1, method="weibull")  # right on average
    assert clone(detector).fit(clips).offset_ == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("density", ["mixture", "component"])
@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
def test_threshold_of_a_mixture_is_that_of_fits_without_the_clip_where_components_lie_apart(covariance_type, density):
    X = np.random.default_rng(0).normal(size=(10, 2))
    X[6:] += 100
    detector = GaussianMixtureDetector(
        2, covariance_type=covariance_type, density=density, reg_covar=0.5, random_state=0
    )
    scores = [clone(detector).fit(np.delete(X, row, axis=0)).score_samples(X[[row]])[0] for row in range(10)]
    assert detector.fit(X).offset_ == pytest.approx(np.quantile(scores, 0.1, method="weibull"))


@pytest.mark.parametrize("covariance_type", ["full", "diag"])
def test_threshold_leaves_out_what_was_made_up_of_a_clip_with_the_clip(covariance_type):
    X, domain = np.random.default_rng(0).normal(size=(10, 2)), np.repeat(["source", "target"], [7, 3])
    params = {"covariance_type": covariance_type, "reg_covar": 0.1, "random_state": 0}
    more, _, parents = oversample_target(X, domain, ratio=1.0, random_state=0)
    assert len(more) == 14
    models = [GaussianMixture(**params).fit(more[(parents != row).all(axis=1)]) for row in range(10)]
    scores = [model.score_samples(one[np.newaxis])[0] for model, one in zip(models, X, strict=True)]
    detector = GaussianMixtureDetector(target_ratio=1.0, **params).fit(Clips(embedding=X, domain=domain))
    assert detector.offset_ == pytest.approx(np.quantile(scores, 0.1, method="weibull"))


def test_gamma_threshold_is_that_of_the_challenge_baselines():
    scores = -np.random.default_rng(0).gamma(3.0, 2.0, size=400)
    shape, loc, scale = gamma.fit(-scores)
    assert gamma_point(scores, 0.1, 0.0) == pytest.approx(-gamma.ppf(0.9, shape, loc=loc, scale=scale))


@pytest.mark.parametrize(
    "detector",
    [MahalanobisDetector(covariance="sample"), GaussianMixtureDetector(target_ratio=0.2, random_state=0)],
    ids=repr,
)
@pytest.mark.parametrize("n_windows", [1, 3])
def test_new_normal_clips_rarely_alarm_though_a_gaussian_of_many_dimensions_fits_its_own_clips_best(
    detector, n_windows
):
    rng = np.random.default_rng(0)
    # The windows of a clip are alike, so that a model of one of them knows the others.
    embedding = rng.normal(size=(300, 1, 60)) + 0.1 * rng.normal(size=(300, n_windows, 60))
    embedding *= np.geomspace(1, 100, 60)
    clips = Clips(embedding=embedding, domain=np.where(np.arange(300) % 20, "source", "target"))
    train, test = clips[:100], clips[100:]
    detector.fit(train)
    assert (detector.predict(test) == -1).mean() < 0.2
    in_sample = np.quantile(detector.score_samples(train), 0.1)
    assert (detector.score_samples(test) < in_sample).mean() > 0.5


def test_gamma_threshold_is_replaced_where_the_distribution_does_not_fit():
    # scipy's fit of these scores ends at a shape below 1, whose 80 % point no score reaches
    clips = np.random.default_rng(1).normal(size=(100, 64))
    clips[:, 0] *= 3
    scores = LocalOutlierFactor(20).fit(clips).negative_outlier_factor_
    with pytest.warns(UserWarning, match=r"gamma .* 20.0%"):
        assert gamma_point(scores, 0.2, -1.25) == -1.25


def test_scores_that_are_all_the_same_have_no_gamma_distribution():
    detector = NearestNeighborsDetector(metric="euclidean", threshold="gamma").fit(np.arange(16.0)[:, np.newaxis])
    with pytest.raises(ValueError, match="threshold='gamma'"):
        detector.predict([[0.5]])


@pytest.mark.parametrize("threshold", ["quantile", "gamma"])
@every_own_model
def test_clips_that_are_all_the_same_have_no_threshold(detector, threshold):
    detector, same = clone(detector).set_params(threshold=threshold), np.tile([1.0, 0.0, 0.0, 2.0, 1.0], (30, 1))
    with pytest.raises(ValueError, match=r"same|differ"):
        detector.fit(same).predict(same)


def alarm_rate(detector, n_windows, has_recordings, has_copies, seed):
    train = recordings(40, 5, seed=seed, n_windows=n_windows)
    fresh = recordings(100, 5, seed=1000 + seed, n_windows=n_windows)
    if not has_recordings:  # the first of each recording: clips that have nothing to do with each other
        train = recordings(200, 1, seed=seed, n_windows=n_windows).without("recording")
    train = train + train[::2] if has_copies else train
    return np.mean(clone(detector).fit(train).predict(fresh) == -1)


@pytest.mark.parametrize("has_copies", [False, True])
@pytest.mark.parametrize("has_recordings", [False, True])
@pytest.mark.parametrize("n_windows", [1, 4])
@pytest.mark.parametrize("detector", EXACT, ids=repr)
def test_about_the_asked_share_of_fresh_clips_raises_an_alarm(detector, n_windows, has_recordings, has_copies):
    rates = [alarm_rate(detector, n_windows, has_recordings, has_copies, seed) for seed in range(8)]
    assert 0.05 < np.mean(rates) < 0.2


@pytest.mark.parametrize("detector", EXACT, ids=repr)
def test_a_clip_unlike_all_others_spoils_no_threshold(detector):
    """Without it, its part is scored by far tighter models than all other parts are, and than new clips will be."""
    rates = []
    for seed in range(8):
        X = np.random.default_rng(seed).normal(size=(600, 5)) + 5.0
        X[0] = -300.0
        rates.append(np.mean(clone(detector).fit(X[:100]).predict(X[100:]) == -1))
    assert 0.05 < np.mean(rates) < 0.2


def test_windows_of_a_clip_are_left_out_together():
    rng = np.random.default_rng(0)
    windows = rng.normal(size=(80, 1, 4)) + 0.05 * rng.normal(size=(80, 20, 4))
    detector = NearestNeighborsDetector(metric="euclidean").fit(windows[:40])
    distances = pairwise_distances(windows[:40].reshape(-1, 4))
    clip = np.repeat(np.arange(40), 20)
    distances[clip[:, None] == clip] = np.inf
    by_hand = -distances.min(axis=1).reshape(40, 20).mean(axis=1)
    assert detector.offset_ == pytest.approx(np.quantile(by_hand, 0.1, method="weibull"))


@pytest.mark.parametrize("n_copies", [2, 3])
@every_own_model
def test_copies_count_once(detector, n_copies):
    clips, fresh = make_clips(), make_clips(seed=1)
    once, often = clone(detector).fit(clips), clone(detector).fit(sum([clips] * (n_copies - 1), clips))
    np.testing.assert_allclose(often.score_samples(fresh), once.score_samples(fresh), rtol=1e-9)
    assert often.offset_ == pytest.approx(once.offset_, rel=1e-9)


def test_one_recording_gives_a_threshold_with_a_warning():
    clips = recordings(1, 20)
    with pytest.warns(UserWarning, match="one recording"):
        detector = MahalanobisDetector().fit(clips)
    assert np.isfinite(detector.offset_)


def test_clips_are_left_out_one_by_one_with_a_warning_where_too_few_recordings_are_left():
    clips = Clips(embedding=np.random.default_rng(0).normal(size=(10, 3)), recording=["a"] * 7 + ["b"] * 3)
    detector = MahalanobisDetector(covariance="sample", contamination=0.4)
    scores = [clone(detector).fit(np.delete(clips["embedding"], row, axis=0)).score_samples(clips["embedding"][[row]])
              for row in range(10)]  # fmt: skip
    wanted = score_held_out(np.ravel(scores), np.repeat([0, 1], [7, 3]), np.zeros(10, dtype=int), 0.4, "quantile")
    with pytest.warns(UserWarning, match="whole recordings"):
        assert detector.fit(clips).offset_ == pytest.approx(wanted)


def test_two_clips_have_a_threshold():
    detector = NearestNeighborsDetector(metric="euclidean", contamination=0.4).fit([[0.0], [2.0]])
    assert detector.offset_ == -2.0


def test_a_search_scored_by_auc_makes_no_thresholds(monkeypatch):
    made = []
    monkeypatch.setattr(Threshold, "value", lambda self: made.append(self))
    X = np.r_[np.random.default_rng(0).normal(size=(40, 3)), np.full((10, 3), 9.0)]
    y = np.repeat([1, -1], [40, 10])
    grid = {"covariance": ["oas", "ledoit_wolf"]}
    GridSearchCV(MahalanobisDetector(), grid, scoring=auc_scorer, cv=NormalOnlyKFold(2)).fit(X, y)
    assert not made


@every_own_model
def test_threshold_is_that_of_the_clips_as_they_were_in_fit(detector):
    clips = make_clips()
    wanted = clone(detector).fit(make_clips()).offset_
    detector = clone(detector).fit(clips)
    clips["embedding"][:] = 7.0
    assert detector.offset_ == wanted


def test_threshold_is_made_before_a_detector_is_saved():
    detector = MahalanobisDetector().fit(make_clips())
    saved = pickle.dumps(detector)
    assert len(saved) < 10_000  # no training clips in it
    assert pickle.loads(saved).offset_ == detector.offset_


# Precision


FLAT = -60 + np.random.default_rng(0).normal(0, 0.05, size=(200, 64))  # levels in dB that hardly differ
PRECISE = [
    CosineCenterDetector(),
    GaussianMixtureDetector(covariance_type="diag", reg_covar=1e-6, random_state=0),
    GaussianMixtureDetector(covariance_type="tied", reg_covar=1e-6, random_state=0),
    GaussianMixtureDetector(2, reg_covar=1e-6, random_state=0),
    LocalOutlierFactorDetector(),
    LocalOutlierFactorDetector(metric="cosine"),
    MahalanobisDetector(covariance="sample"),
    MahalanobisDetector(),
    NearestNeighborsDetector(),
    NearestNeighborsDetector(metric="euclidean"),
    NearestNeighborsDetector(metric="euclidean", normalization="local_density", n_local_neighbors=4),
    NearestNeighborsDetector(metric="correlation"),
    NearestNeighborsDetector(metric="euclidean", normalization="variance_minimizing"),
    NearestNeighborsDetector(feature_groups={"low": slice(0, 20), "high": slice(20, 64)}),
]


@pytest.mark.parametrize("detector", PRECISE, ids=repr)
def test_single_precision_embeddings_are_scored_in_double_precision(detector):
    single = FLAT.astype(np.float32)
    scores = clone(detector).fit(single[:150]).score_samples(single[150:])
    wanted = clone(detector).fit(single[:150].astype(np.float64)).score_samples(single[150:].astype(np.float64))
    np.testing.assert_allclose(scores, wanted, rtol=1e-9)
    assert len(np.unique(scores)) == 50


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
def test_a_density_does_not_depend_on_where_the_features_lie(covariance_type):
    X, place = np.random.default_rng(0).normal(size=(80, 2)), [1e7, -1e7]
    detector = GaussianMixtureDetector(2, covariance_type=covariance_type, random_state=0).fit(X)
    moved = clone(detector).fit(X + place)
    np.testing.assert_allclose(moved.score_samples(X + place), detector.score_samples(X), rtol=1e-6)


@pytest.mark.parametrize("detector", [NearestNeighborsDetector(metric="euclidean"), NearestNeighborsDetector(),
                                      LocalOutlierFactorDetector(5)], ids=repr)  # fmt: skip
def test_distances_do_not_depend_on_where_the_features_lie(detector):
    X, place = np.random.default_rng(0).integers(100, size=(60, 3)).astype(float), [2.0**50, -(2.0**50), 0.0]
    detector, moved = clone(detector).fit(X[:40]), clone(detector).fit(X[:40] + place)
    np.testing.assert_allclose(moved.score_samples(X[40:] + place), detector.score_samples(X[40:]))


def test_the_threshold_of_a_density_moves_by_the_logarithm_of_the_unit():
    X = np.random.default_rng(0).normal(size=(80, 2)) @ CORRELATED[:2, :2]
    offsets = [GaussianMixtureDetector(reg_covar=0.0, random_state=0).fit(X * unit).offset_ for unit in (1, 1e-6, 1e6)]
    np.testing.assert_allclose(np.diff(offsets), np.array([1, -2]) * 2 * np.log(1e6))


@pytest.mark.parametrize("metric", ["cosine", "correlation", "euclidean"])
def test_distances_of_vectors_that_hardly_differ_are_exact(metric):
    exact = pairwise_distances_exactly(FLAT[150:], FLAT[:150], metric).min(axis=1)
    scores = NearestNeighborsDetector(metric=metric).fit(FLAT[:150]).score_samples(FLAT[150:])
    np.testing.assert_allclose(-scores, exact, rtol=1e-6)


def pairwise_distances_exactly(X, Y, metric):
    """In more digits than float64 has, with numpy's longdouble."""
    X, Y = X.astype(np.longdouble), Y.astype(np.longdouble)
    if metric == "euclidean":
        return np.sqrt(((X[:, None] - Y) ** 2).sum(axis=2)).astype(float)
    if metric == "correlation":
        X, Y = X - X.mean(axis=1, keepdims=True), Y - Y.mean(axis=1, keepdims=True)
    X, Y = (values / np.sqrt((values**2).sum(axis=1, keepdims=True)) for values in (X, Y))
    return (1 - X @ Y.T).astype(float)


@every_own_model
def test_a_clip_alone_scores_as_among_others(detector):
    detector, fresh = clone(detector).fit(make_clips()), make_clips(seed=1)
    alone = np.concatenate([detector.score_samples(fresh[row : row + 1]) for row in range(len(fresh))])
    np.testing.assert_allclose(alone, detector.score_samples(fresh), rtol=1e-9)


# Numbers that overflow


@pytest.mark.parametrize("scale", [1e-200, 1e-30, 1e30, 1e200, 1e308])
def test_a_cosine_does_not_depend_on_the_length(scale):
    train = np.array([[1.0, 1, 0], [1, 0.5, 0.2], [0.5, 1, -0.2], [1, 1, 0.1]])
    detector = CosineCenterDetector().fit(train)
    away = np.array([[-1.0, 0, 0], [1.0, 1, 1]])
    np.testing.assert_allclose(detector.score_samples(scale * away), detector.score_samples(away), rtol=1e-12)
    assert detector.predict([[-scale, 0, 0]]) == [-1]


@pytest.mark.parametrize("scale", [1e-150, 1e150])
@pytest.mark.parametrize("detector", [MahalanobisDetector(), MahalanobisDetector(covariance="sample")], ids=repr)
def test_a_mahalanobis_distance_does_not_depend_on_the_unit(detector, scale):
    X, test = np.split(np.random.default_rng(0).normal(size=(60, 3)), [40])
    wanted = clone(detector).fit(X)
    scaled = clone(detector).fit(scale * X)
    np.testing.assert_allclose(scaled.score_samples(scale * test), wanted.score_samples(test), rtol=1e-9)
    assert scaled.offset_ == pytest.approx(wanted.offset_)


@pytest.mark.parametrize("scale", [2.0**-600, 2.0**600])
@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "chebyshev"])
def test_distances_to_neighbors_grow_with_the_unit_where_their_squares_cannot_be_held(metric, scale):
    X, test = np.split(np.random.default_rng(0).normal(size=(60, 3)), [40])
    nearest, factor = NearestNeighborsDetector(metric=metric), LocalOutlierFactorDetector(5, metric=metric)
    wanted, wanted_factor = clone(nearest).fit(X), clone(factor).fit(X)
    scaled, scaled_factor = nearest.fit(scale * X), factor.fit(scale * X)
    np.testing.assert_allclose(scaled.score_samples(scale * test), scale * wanted.score_samples(test))
    assert scaled.offset_ == pytest.approx(scale * wanted.offset_)
    np.testing.assert_allclose(scaled_factor.score_samples(scale * test), wanted_factor.score_samples(test))


@pytest.mark.parametrize("place", [5, -5])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("detector", [MahalanobisDetector(), NearestNeighborsDetector(),
                                      LocalOutlierFactorDetector(metric="seuclidean")], ids=repr)  # fmt: skip
def test_a_feature_that_is_constant_up_to_rounding_scores_as_a_constant_one(detector, dtype, place):
    X, test = np.split(np.random.default_rng(0).normal(size=(130, 4)).astype(dtype), [100])
    X[:, 2], test[:, 2] = place, place + 1
    wanted = clone(detector).fit(X)
    X[:, 2] *= 1 + 4 * np.finfo(dtype).eps * np.random.default_rng(1).choice([-1, 0, 1], size=100)
    found = clone(detector).fit(X)
    np.testing.assert_allclose(found.score_samples(test), wanted.score_samples(test), rtol=1e-4)
    assert found.offset_ == pytest.approx(wanted.offset_, rel=1e-4)


def test_a_sample_covariance_of_a_feature_that_is_constant_up_to_rounding_is_refused():
    X = np.random.default_rng(0).normal(size=(100, 3))
    X[:, 1] = 5 * (1 + 1e-15 * X[:, 1])
    with pytest.raises(ValueError, match="a feature is constant"):
        MahalanobisDetector(covariance="sample").fit(X)


def test_a_constant_row_has_no_correlation():
    X = np.random.default_rng(0).normal(size=(20, 4))
    X[7] = 3.0
    with pytest.raises(ValueError, match="clip 7"):
        NearestNeighborsDetector(metric="correlation").fit(X)
    detector = NearestNeighborsDetector(metric="correlation").fit(np.delete(X, 7, axis=0))
    with pytest.raises(ValueError, match="clip 7"):
        detector.score_samples(X)


def undefined_from_nine(a, b):
    return np.nan if a[0] == 9 else np.abs(a - b).sum()


def test_a_metric_below_zero_is_no_distance():
    X = np.random.default_rng(0).normal(size=(20, 3))
    detector = NearestNeighborsDetector(metric=lambda a, b: -np.abs(a - b).sum()).fit(X)
    with pytest.raises(ValueError, match="the metric"):
        detector.score_samples(X + 1)


@pytest.mark.parametrize("detector", [NearestNeighborsDetector(), MahalanobisDetector()])
@pytest.mark.parametrize("columns", [[0, 0], [0, -3], np.array([1, 2, 1])])
def test_a_column_counts_once_in_a_group_of_features(detector, columns):
    with pytest.raises(ValueError, match="'low'"):
        clone(detector).set_params(feature_groups={"low": columns}).fit(np.random.default_rng(0).normal(size=(20, 3)))


@pytest.mark.parametrize("normalization", [None, "local_density"])
def test_a_clip_that_a_metric_cannot_measure_is_named_in_later_blocks_and_held_out_parts_too(
    normalization, monkeypatch
):
    monkeypatch.setattr("skasd.detectors._neighbors.VALUES_AT_ONCE", 1)
    X = np.random.default_rng(0).normal(size=(40, 3))
    X[23, 0] = 9.0
    detector = NearestNeighborsDetector(metric=undefined_from_nine, normalization=normalization)
    asked = [lambda: detector.fit(X).score_samples(X), lambda: detector.fit(X).offset_]
    for ask in asked:
        with pytest.raises(ValueError, match="clip 23: the metric"):
            ask()
    with pytest.raises(ValueError, match="clip 23: the metric"):
        LocalOutlierFactorDetector(5, metric=undefined_from_nine).fit(X)


FAR_FROM_THOSE_LEFT = {  # median distances are large with all clips, and then 1e-60
    "2": Clips(embedding=[[0.0], [1e-60], [1e60]]),
    "5": Clips(embedding=[[1e60], [2e60], [0.0], [1e-60], [2e-60], [3e60]], recording=list("aabcde")),
}


@pytest.mark.parametrize(("number", "clips"), FAR_FROM_THOSE_LEFT.items(), ids=["scored", "fitted"])
@pytest.mark.parametrize("detector", [NearestNeighborsDetector(), LocalOutlierFactorDetector(1)], ids=repr)
def test_a_clip_too_far_from_those_that_are_left_is_named(detector, number, clips):
    detector = clone(detector).fit(clips)
    with pytest.raises(ValueError, match=f"clip {number}: "):
        detector.predict([[0.0]])


@every_own_model
def test_a_clip_too_far_away_is_named(detector):
    detector = clone(detector).fit(make_clips().without("section", "domain", "machine"))
    far = np.ones((3, 5))
    far[1, 1] = 1e300
    try:
        scores = detector.score_samples(far)
    except ValueError as error:
        assert "clip 1" in str(error)
    else:
        assert np.isfinite(scores).all()
        assert "metric" not in detector.get_params() or detector.metric == "cosine"


# Answers worked by hand or by another library


def test_cosine_center_by_hand():
    # source points along x, target along y; the clip at 60 degrees is nearer to y: cos 30 degrees
    clips = Clips(embedding=[[1.0, 0], [3.0, 0], [0, 2.0], [0, 5.0]], domain=["source", "source", "target", "target"])
    scores = CosineCenterDetector().fit(clips).score_samples([[0.5, np.sqrt(0.75)], [-1.0, -1.0]])
    np.testing.assert_allclose(scores, [np.sqrt(0.75), -np.sqrt(0.5)])


def test_local_outlier_factor_is_that_of_sklearn():
    rng = np.random.default_rng(0)
    X, test = rng.normal(size=(60, 3)), rng.normal(size=(20, 3))
    oracle = LocalOutlierFactor(7, novelty=True).fit(X)
    detector = LocalOutlierFactorDetector(7).fit(X)
    np.testing.assert_allclose(detector.score_samples(test), oracle.score_samples(test), rtol=1e-9)


def test_mixture_of_one_gaussian_is_its_log_density():
    X = np.random.default_rng(0).normal(size=(500, 3)) @ np.array([[1.0, 0, 0], [0.5, 2, 0], [0, 0, 0.1]])
    detector = GaussianMixtureDetector(reg_covar=0.0).fit(X)
    oracle = multivariate_normal(X.mean(axis=0), np.cov(X.T, bias=True))
    np.testing.assert_allclose(detector.score_samples(X), oracle.logpdf(X), rtol=1e-8)


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
def test_mixture_is_that_of_sklearn(covariance_type):
    X, test = np.split(np.random.default_rng(0).normal(size=(100, 3)) * [1.0, 3.0, 0.2], [80])
    X[::4] += 5.0
    params = {"covariance_type": covariance_type, "reg_covar": 0.1, "random_state": 0}
    oracle = GaussianMixture(2, **params).fit(X)
    detector = GaussianMixtureDetector(2, **params).fit(X)
    np.testing.assert_allclose(detector.score_samples(test), oracle.score_samples(test))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_steps_and_starts_of_a_mixture_are_those_that_were_asked_for():
    X, test = np.split(np.random.default_rng(0).normal(size=(120, 3)), [100])
    params = {"n_components": 4, "reg_covar": 0.1, "max_iter": 3, "n_init": 3, "random_state": 0}
    detector, oracle = GaussianMixtureDetector(**params).fit(X), GaussianMixture(**params).fit(X)
    assert detector.n_iter_ == 3
    np.testing.assert_allclose(detector.score_samples(test), oracle.score_samples(test))
    for other in ({"n_init": 1}, {"max_iter": 100}):
        assert not np.allclose(GaussianMixture(**params | other).fit(X).score_samples(test), oracle.score_samples(test))


def test_density_of_the_likeliest_component_leaves_the_weight_out():
    X = np.concatenate(
        [np.random.default_rng(0).normal(size=(90, 1)), 100 + np.random.default_rng(1).normal(size=(10, 1))]
    )
    detector = GaussianMixtureDetector(2, density="component", reg_covar=0.0, random_state=0).fit(X)
    rare = X[90:]
    oracle = multivariate_normal(rare.mean(), rare.var()).logpdf(rare[:, 0])
    np.testing.assert_allclose(detector.score_samples(rare), oracle, rtol=1e-6)


@pytest.mark.parametrize(
    ("covariance", "oracle"), [("ledoit_wolf", LedoitWolf()), ("oas", OAS()), ("sample", EmpiricalCovariance())]
)
@pytest.mark.parametrize("n_features", [2, 4])
def test_mahalanobis_is_the_root_of_sklearns_squared_distance(covariance, oracle, n_features):
    X = (np.random.default_rng(0).normal(size=(50, 4)) @ CORRELATED * np.arange(1, 5))[:, :n_features]
    Z = StandardScaler().fit_transform(X)
    detector = MahalanobisDetector(covariance=covariance).fit(X)
    assert_units_do_not_matter(detector, X)
    np.testing.assert_allclose(detector.score_samples(X), -np.sqrt(oracle.fit(Z).mahalanobis(Z)))
    assert 0 < getattr(oracle, "shrinkage_", 0.5) < 1


def assert_units_do_not_matter(detector, X):
    units = 10.0 ** np.arange(-9, 9, 18 / X.shape[1])
    scores = clone(detector).fit(units * X + 5 * units).score_samples(units * X + 5 * units)
    np.testing.assert_allclose(scores, detector.score_samples(X), rtol=1e-6)


def test_mahalanobis_of_a_unit_square_by_hand():
    # corners of a square: covariance is the identity, so the distance is Euclidean
    square = np.array([[1.0, 1], [1, -1], [-1, 1], [-1, -1]])
    detector = MahalanobisDetector(covariance="sample").fit(square)
    np.testing.assert_allclose(detector.score_samples([[3.0, 4.0], [0, 0]]), [-5, 0], atol=1e-12)


def test_two_clips_of_one_feature_have_a_mahalanobis_distance():
    np.testing.assert_allclose(MahalanobisDetector().fit([[0.0], [2.0]]).score_samples([[1.0], [3.0]]), [0.0, -2.0])


def test_mahalanobis_takes_the_nearer_domain():
    rng = np.random.default_rng(0)
    source, target = rng.normal(size=(50, 2)), rng.normal(size=(50, 2)) * 3 + 20
    clips = Clips(embedding=np.concatenate([source, target]), domain=np.repeat(["source", "target"], 50))
    test = rng.normal(size=(30, 2)) * 10 + 10
    alone = [MahalanobisDetector().fit(part).score_samples(test) for part in (source, target)]
    both = MahalanobisDetector(per_domain=True).fit(clips).score_samples(test)
    np.testing.assert_allclose(both, np.maximum(*alone))


def test_mahalanobis_averages_groups():
    X = np.random.default_rng(0).normal(size=(50, 6))
    parts = [MahalanobisDetector().fit(X[:, a]).score_samples(X[:, a]) for a in (slice(0, 2), slice(2, 6))]
    grouped = MahalanobisDetector(feature_groups={"first": slice(0, 2), "second": [2, 3, 4, 5]}).fit(X).score_samples(X)
    np.testing.assert_allclose(grouped, np.mean(parts, axis=0))


def test_nearest_neighbors_by_hand():
    detector = NearestNeighborsDetector(2, metric="euclidean", contamination=0.25).fit([[0.0], [1.0], [3.0]])
    np.testing.assert_allclose(detector.score_samples([[1.0], [10.0]]), [-0.5, -8.0])
    # no clip is its own neighbour: mean distances 2, 1.5, 2.5
    assert detector.offset_ == -2.5  # one in four lies below the lowest of three


def test_a_window_that_is_in_two_clips_is_left_out_with_neither():
    windows = np.random.default_rng(0).normal(size=(10, 2, 3))
    windows[5, 1] = windows[0, 0]
    windows[8] = windows[0, 0] + 0.1  # which has it for its neighbour
    detector = NearestNeighborsDetector(metric="euclidean", contamination=0.49)
    scores = [
        clone(detector).fit(np.delete(windows, clip, axis=0)).score_samples(windows[[clip]])[0] for clip in range(10)
    ]
    for contamination in (0.1, 0.3, 0.49):
        wanted = np.quantile(scores, contamination, method="weibull")
        assert detector.set_params(contamination=contamination).fit(windows).offset_ == pytest.approx(wanted)


def test_a_clip_on_the_threshold_is_normal():
    detector = NearestNeighborsDetector(metric="euclidean").fit([[0.0], [1.0], [3.0]])
    detector.offset_ = -4.0
    assert detector.predict([[7.0], [7.5]]).tolist() == [1, -1]


def test_nearest_neighbors_take_the_nearer_memory():
    clips = Clips(embedding=[[0.0], [1.0], [10.0], [12.0]], domain=["source", "source", "target", "target"])
    detector = NearestNeighborsDetector(2, metric="euclidean").fit(clips)
    np.testing.assert_allclose(detector.score_samples([[2.0], [9.0]]), [-1.5, -2.0])


@pytest.mark.parametrize("n_neighbors", [1, 3])
def test_local_density_normalisation_is_its_formula(n_neighbors):
    rng = np.random.default_rng(0)
    X, test = rng.normal(size=(40, 3)), rng.normal(size=(15, 3))
    own = np.sort(pairwise_distances(X), axis=1)[:, 1:5].mean(axis=1)
    wanted = np.sort(pairwise_distances(test, X) / own, axis=1)[:, :n_neighbors].mean(axis=1)
    detector = NearestNeighborsDetector(
        n_neighbors, metric="euclidean", normalization="local_density", n_local_neighbors=4
    ).fit(X)
    np.testing.assert_allclose(detector.score_samples(test), -wanted)


def test_variance_minimizing_by_hand():
    # from each to its nearest u = 1, 1, 2, 3, 4, and from this nearest to its own v = 1, 1, 1, 2, 3
    detector = NearestNeighborsDetector(
        metric="euclidean", normalization="variance_minimizing", n_local_neighbors=1
    ).fit([[0.0], [1.0], [3.0], [6.0], [10.0]])
    alpha = 0.88 / 0.64  # Cov(u, v) / Var(v)
    np.testing.assert_allclose(  # 4 is nearer to 3 than to 6, which has its neighbours farther away
        detector.score_samples([[0.5], [4.0], [13.0]]), [alpha - 0.5, 3 * alpha - 2, 4 * alpha - 3]
    )


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("n_neighbors", [1, 3])
def test_variance_minimizing_is_its_formula(n_neighbors, metric):
    rng = np.random.default_rng(0)
    X, test = rng.normal(size=(40, 3)) * rng.uniform(0.1, 1, size=(40, 1)) + [3, 0, 0], rng.normal(size=(15, 3))
    distances = pairwise_distances(X, metric=metric)
    np.fill_diagonal(distances, np.inf)
    local = np.sort(distances, axis=1)[:, :4].mean(axis=1)
    nearest, of_nearest = distances.min(axis=1), local[distances.argmin(axis=1)]
    alpha = np.cov(nearest, of_nearest)[0, 1] / np.var(of_nearest, ddof=1)
    wanted = np.sort(pairwise_distances(test, X, metric=metric) - alpha * local, axis=1)[:, :n_neighbors].mean(axis=1)
    detector = NearestNeighborsDetector(n_neighbors, metric=metric, normalization="variance_minimizing").fit(X)
    np.testing.assert_allclose(detector.score_samples(test), -wanted)


def test_variance_minimizing_takes_nothing_off_where_all_places_are_alike():
    X = np.arange(6.0)[:, np.newaxis]
    detector = NearestNeighborsDetector(
        metric="euclidean", normalization="variance_minimizing", n_local_neighbors=1
    ).fit(X)
    np.testing.assert_allclose(detector.score_samples([[0.25], [8.0]]), [-0.25, -3.0])


@pytest.mark.parametrize("normalization", [None, "local_density", "variance_minimizing"])
@pytest.mark.parametrize("metric", ["euclidean", "seuclidean", "cosine"])
def test_nearest_neighbors_of_groups_are_averaged(normalization, metric):
    detector = NearestNeighborsDetector(metric=metric, normalization=normalization)
    train, test = make_clips(), make_clips(seed=1)
    groups = {"first": slice(0, 2), "second": [2, 3, 4]}
    parts = [
        clone(detector)
        .fit(train.with_fields(embedding=train["embedding"][:, columns]))
        .score_samples(test.with_fields(embedding=test["embedding"][:, columns]))
        for columns in groups.values()
    ]
    grouped = clone(detector).set_params(feature_groups=groups).fit(train).score_samples(test)
    np.testing.assert_allclose(grouped, np.mean(parts, axis=0))


def test_a_clip_may_be_like_another_in_each_group():
    groups = {"left": [0], "right": [1]}
    detector = NearestNeighborsDetector(metric="euclidean", feature_groups=groups, contamination=0.25)
    detector.fit([[0.0, 0.0], [4.0, 10.0], [6.0, 30.0]])
    np.testing.assert_allclose(detector.score_samples([[5.0, 0.0], [0.0, 20.0]]), [-0.5, -5.0])
    # without itself a clip has the mean distances (4 + 10) / 2, (2 + 10) / 2, (2 + 20) / 2
    assert detector.offset_ == -11.0


def test_a_group_of_features_that_never_change_is_named():
    X = np.column_stack([np.random.default_rng(0).normal(size=20), np.zeros(20)])
    detector = NearestNeighborsDetector(metric="euclidean", feature_groups={"left": [0], "right": [1]})
    with pytest.raises(ValueError, match=r"n_samples=1 .*'right'"):
        detector.fit(X)


@pytest.mark.parametrize("normalization", ["local_density", "variance_minimizing"])
def test_a_training_clip_is_scored_without_its_recording(normalization):
    rng = np.random.default_rng(0)
    recording = np.repeat(np.arange(8), 5)
    clips = Clips(embedding=rng.normal(size=(8, 3))[recording] + 0.05 * rng.normal(size=(40, 3)), recording=recording)
    detector = NearestNeighborsDetector(metric="euclidean", normalization=normalization).fit(clips)
    scores = [clone(detector).fit(clips[recording != one]).score_samples(clips[recording == one]) for one in range(8)]
    assert detector.offset_ == score_held_out(np.concatenate(scores), recording, np.zeros(40, int), 0.1, "quantile")


def test_repeated_clips_do_not_make_density_infinite():
    X = np.repeat(np.random.default_rng(0).normal(size=(10, 2)), 3, axis=0)
    scores = (
        NearestNeighborsDetector(metric="euclidean", normalization="local_density", n_local_neighbors=1)
        .fit(X)
        .score_samples(X + 0.01)
    )
    assert np.isfinite(scores).all()
    assert scores.min() > -1


def test_smote_draws_between_target_clips():
    X = np.concatenate([np.random.default_rng(0).normal(size=(50, 2)), [[10.0, 0], [20.0, 0], [30.0, 0]]])
    domain = np.repeat(["source", "target"], [50, 3])
    more, names, parents = oversample_target(X, domain, ratio=0.4, random_state=0)
    made = more[names == "target"]
    assert len(made) == 20
    assert (names == "source").sum() == 50
    assert (made[:, 1] == 0).all()
    assert (made[:, 0] >= 10).all()
    assert (made[:, 0] <= 30).all()
    np.testing.assert_array_equal(parents[:53], np.column_stack([np.arange(53)] * 2))
    between = np.sort(X[parents[53:], 0], axis=1)
    assert ((between[:, 0] <= made[3:, 0]) & (made[3:, 0] <= between[:, 1])).all()


def test_smote_is_that_of_imbalanced_learn():
    X, domain = np.random.default_rng(0).normal(size=(60, 3)), np.repeat(["source", "target"], [50, 10])
    seed = np.random.RandomState(7).randint(np.iinfo(np.int32).max)
    oracle = SMOTE(sampling_strategy={"target": 25}, k_neighbors=2, random_state=seed)
    made, _, parents = oversample_target(X, domain, ratio=0.5, random_state=7)
    np.testing.assert_allclose(made, oracle.fit_resample(X, domain)[0])
    low, high = np.sort(X[parents], axis=1).transpose(1, 0, 2)
    assert ((low - 1e-12 <= made) & (made <= high + 1e-12)).all()


@pytest.mark.parametrize(("ratio", "n_made"), [(0.4, 0), (0.5, 1), (0.6, 2)])
def test_smote_makes_as_many_as_the_ratio_says(ratio, n_made):
    X, domain = np.random.default_rng(0).normal(size=(14, 2)), np.repeat(["source", "target"], [10, 4])
    assert len(oversample_target(X, domain, ratio=ratio, random_state=0)[0]) == 14 + n_made


@pytest.mark.parametrize("n_target", [0, 1, 30])
def test_smote_adds_nothing_where_it_cannot_or_need_not(n_target):
    X = np.random.default_rng(0).normal(size=(50 + n_target, 2))
    domain = np.repeat(["source", "target"], [50, n_target])
    more, names, _ = oversample_target(X, domain, ratio=0.4)
    assert more is X
    assert names is domain


# Bad input


@every_detector
def test_unknown_section_is_named_with_those_that_are_known(detector):
    detector.fit(make_clips())
    with pytest.raises(ValueError, match="No model for section '07': fit has seen section '00', section '01'"):
        detector.score_samples(make_clips(4).with_fields(section=["00", "07", "00", "01"]))
    with pytest.raises(ValueError, match="No model for the one unnamed section"):
        detector.score_samples(np.zeros((3, 5)))


@every_detector
def test_a_section_with_one_clip_is_refused(detector):
    clips = make_clips(21).with_fields(section=["00"] * 20 + ["01"])
    with pytest.raises(ValueError, match="section '01' has n_samples=1 normal clip"):
        detector.fit(clips)


@every_detector
def test_only_anomalies_are_refused(detector):
    with pytest.raises(ValueError, match="nothing to train on: all 20 clips are labelled -1"):
        detector.fit(make_clips(20), np.full(20, -1))


@every_detector
@pytest.mark.parametrize("dtype", [str, "S8", object])
def test_text_that_reads_like_numbers_is_refused(detector, dtype):
    text = np.array([[f"{row}_{column}" for column in range(3)] for row in range(40)])  # to Python 1_0 is 10
    with pytest.raises(ValueError, match="takes numbers; got text"):
        detector.fit(text.astype(dtype))


@every_detector
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused(detector, bad):
    clips = make_clips()
    embedding = clips["embedding"].copy()
    embedding[3, 2] = bad
    with pytest.raises(ValueError, match=f"{'NaN' if np.isnan(bad) else 'infinity'} in clip 3 "):
        detector.fit(clips.with_fields(embedding=embedding))


def test_masked_values_are_missing_values():
    embedding = np.ma.masked_array(make_clips()["embedding"])
    wanted = MahalanobisDetector().fit(embedding.data).score_samples(embedding.data)
    np.testing.assert_array_equal(MahalanobisDetector().fit(embedding).score_samples(embedding), wanted)
    embedding[3, [1, 2]] = np.ma.masked
    with pytest.raises(ValueError, match="2 masked"):
        MahalanobisDetector().fit(embedding)


@pytest.mark.parametrize(("n_bad", "said"), [(1, "clip 0"), (5, "clips 0, 1, 2, 3, 4"),
                                             (7, "clips 0, 1, 2, 3, 4 and 2 more")])  # fmt: skip
def test_many_clips_that_are_not_finite_are_counted(n_bad, said):
    embedding = make_clips()["embedding"].copy()
    embedding[:n_bad, 2] = np.nan
    with pytest.raises(ValueError, match=rf"NaN in {said} \("):
        MahalanobisDetector().fit(embedding)


def test_a_clip_is_named_by_its_own_number_where_windows_are_alike():
    windows = np.random.default_rng(0).normal(size=(20, 2, 4))
    windows[:5, 1] = windows[:5, 0]
    windows[7, 0] = 0.0
    with pytest.raises(ValueError, match=r"clip 7: .*zeros"):
        NearestNeighborsDetector(metric="cosine").fit(windows)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.ones(3), r"\(20,\).*\(3,\)"),
        (np.full(20, -2), r"got \[-2\]"),
        (np.full(20, 0.5), r"got \[0.5\]"),
        (np.full(20, np.nan), "rows 0, 1, 2"),
    ],
)
def test_labels_that_do_not_fit_are_refused(y, message):
    with pytest.raises(ValueError, match=message):
        MahalanobisDetector().fit(make_clips(20), y)


def test_mixed_machines_are_refused():
    clips = make_clips(20)
    mixed = clips.with_fields(machine=np.repeat(["fan", "valve"], 10))
    with pytest.raises(ValueError, match="one machine; these clips are of fan, valve"):
        MahalanobisDetector().fit(mixed)
    with pytest.raises(ValueError, match="machine 'fan'; cannot score clips of 'valve'"):
        MahalanobisDetector().fit(clips).score_samples(clips.with_fields(machine=np.full(20, "valve")))


def test_missing_field_is_named():
    message = "MahalanobisDetector needs the field 'embedding'; the clips have section. Put an embedder before it."
    with pytest.raises(ValueError, match=message):
        MahalanobisDetector().fit(Clips(section=["00", "00"]))


@pytest.mark.parametrize(
    ("detector", "message"),
    [
        (LocalOutlierFactorDetector(20), "section '00': n_neighbors=20 .* n_samples=10"),
        (NearestNeighborsDetector(10), "n_neighbors=10 .* n_samples=10"),
        (
            NearestNeighborsDetector(normalization="local_density", n_local_neighbors=10),
            "n_neighbors=10 .* n_samples=10",
        ),
        (NearestNeighborsDetector(feature_groups={"all": [0, 9]}), r"groups\['all'\] = \[0, 9\] does not fit"),
        (NearestNeighborsDetector(5), "domain 'target' has only n_samples=2"),
        (GaussianMixtureDetector(11), "n_components=11 .* n_samples=10"),
        (MahalanobisDetector(covariance="sample"), None),
        (MahalanobisDetector(feature_groups={"all": [0, 9]}), r"groups\['all'\] = \[0, 9\] does not fit .* 5 features"),
        (MahalanobisDetector(feature_groups={}), "feature_groups is empty"),
        (MahalanobisDetector(feature_groups={"one": 3}), r"groups\['one'\] = 3 selects no list"),
    ],
    ids=repr,
)
def test_too_few_clips_for_the_parameters(detector, message):
    clips = make_clips(20)
    if message is None:
        clips, message = clips[:10], "n_features=5 from n_samples=5 rows cannot be inverted"
    with pytest.raises(ValueError, match=message):
        detector.fit(clips)


def test_a_domain_of_one_row_has_no_gaussian():
    clips = Clips(embedding=np.random.default_rng(0).normal(size=(9, 2)), domain=["source"] * 8 + ["target"])
    with pytest.raises(ValueError, match="per_domain=False"):
        MahalanobisDetector(per_domain=True).fit(clips)


def test_equal_rows_have_no_gaussian():
    with pytest.raises(ValueError, match="All 4 training rows are the same"):
        MahalanobisDetector().fit(np.ones((4, 3)))


def test_a_vector_of_zeros_has_no_direction():
    detector = CosineCenterDetector().fit(np.eye(3))
    with pytest.raises(ValueError, match="all zeros"):
        detector.score_samples(np.zeros((1, 3)))


@pytest.mark.parametrize("value", [np.nan, -np.inf, None, "0.5"])
def test_a_threshold_that_is_no_number_is_refused(value):
    detector = MahalanobisDetector().fit(make_clips()["embedding"])
    with pytest.raises(ValueError, match=f"offset_.*{value}"):
        detector.offset_ = value


def test_high_powers_of_the_minkowski_metric_come_near_their_limit_and_are_then_refused():
    embedding = 1e-3 * make_clips()["embedding"]
    highest = LocalOutlierFactorDetector(p=64).fit(embedding).score_samples(embedding)
    limit = LocalOutlierFactorDetector(metric="chebyshev").fit(embedding).score_samples(embedding)
    np.testing.assert_allclose(highest, limit, atol=0.05)
    with pytest.raises(ValueError, match="'p'"):  # 1000 took all distances for 0
        LocalOutlierFactorDetector(p=1000).fit(embedding)


@pytest.mark.parametrize("metric", ["seuclidean", "euclidean", "cosine"])
@pytest.mark.parametrize("normalization", ["local_density", "variance_minimizing"])
def test_clips_that_are_all_alike_but_for_a_trace_have_scores_and_a_threshold(metric, normalization):
    rng = np.random.default_rng(0)
    same = rng.normal(size=8)
    train, fresh = (same + 1e-12 * rng.normal(size=(n_clips, 8)) for n_clips in (80, 500))
    detector = NearestNeighborsDetector(metric=metric, normalization=normalization).fit(train)
    scores = detector.score_samples(np.r_[fresh, same + rng.normal(size=(20, 8))])
    assert np.isfinite(scores).all()
    assert 0.03 < np.mean(scores[:500] < detector.offset_) < 0.25
    assert scores[500:].max() < scores[:500].min()


@pytest.mark.parametrize("detector", [MahalanobisDetector, GaussianMixtureDetector])
def test_a_threshold_takes_one_thread_and_gives_the_others_back(detector):
    def n_threads():
        return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}

    inside = []

    class Watched(detector):
        def _score(self, model, X):
            inside.append(n_threads())
            return super()._score(model, X)

        def _score_components(self, components, X):
            inside.append(n_threads())
            return super()._score_components(components, X)

    with threadpool_limits(3, user_api="blas"):
        _ = Watched().fit(np.random.default_rng(0).normal(size=(30, 2))).offset_
        assert n_threads() == {3}
    assert inside == [{1}] * 10
