"""The search for nearest rows that several detectors share, beside all distances without a short cut."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors
from sklearn.preprocessing import normalize
from threadpoolctl import threadpool_info, threadpool_limits

from skasd.detectors import LocalOutlierFactorDetector, MahalanobisDetector, NearestNeighborsDetector
from skasd.detectors._metric import Space
from skasd.detectors._neighbors import LeftOut, Neighbors
from skasd.detectors._threads import n_jobs_of_products

rng = np.random.default_rng(0)
ROWS = {
    "normal": rng.normal(size=(500, 20)),
    "far clusters": np.repeat([0.0, 1e6], 250)[:, np.newaxis] + rng.normal(size=(500, 20)),
    "nearly the same": 1 + 1e-7 * rng.normal(size=(500, 20)),
    "on a grid": rng.integers(0, 3, size=(500, 8)).astype(float),
    "one far away": np.vstack([rng.normal(size=(499, 20)), np.full(20, 1e30)]),
    "few": rng.normal(size=(3, 20)),
}


@pytest.mark.parametrize("n_neighbors", [1, 2])
@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
def test_nearest_distances_are_those_of_all_distances(rows, n_neighbors):
    new = rows[::2] + 0.01 * np.std(rows, axis=0) * rng.normal(size=rows[::2].shape)
    detector = NearestNeighborsDetector(n_neighbors, metric="euclidean").fit(rows)
    oracle = np.sort(cdist(new, np.unique(rows, axis=0)), axis=1)[:, :n_neighbors].mean(axis=1)
    np.testing.assert_allclose(-detector.score_samples(new), oracle, rtol=1e-6)


@pytest.mark.parametrize("n_rows", [3, 70, 1201])
@pytest.mark.parametrize("n_nearest", [1, 3])
@pytest.mark.parametrize("with_offset", [False, True])
@pytest.mark.parametrize("leave_out", [False, True])
def test_the_nearest_rows_are_found_in_groups_of_any_size(n_rows, n_nearest, with_offset, leave_out):
    rows, X = rng.normal(size=(n_rows, 5)), rng.normal(size=(n_rows, 5))
    scale, offset = rng.lognormal(size=(2, n_rows))
    space = Space("euclidean", rows, np.finfo(np.float64).eps)
    own = np.arange(n_rows)[:, np.newaxis] // 7
    neighbors = Neighbors(space, space(rows), scale, offset if with_offset else None)
    expected = cdist(space(X), space(rows)) / scale - (offset if with_offset else 0)
    if leave_out:
        expected[own == own.T] = np.inf
    distances, found = neighbors.nearest(space(X), n_nearest, LeftOut(own, own) if leave_out else None)
    np.testing.assert_allclose(distances, np.sort(expected, axis=1)[:, :n_nearest], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(np.take_along_axis(expected, found, axis=1), distances, rtol=1e-9, atol=1e-9)


def test_near_rows_are_found_however_far_others_are():
    rows = np.repeat([0.0, 1e9], 250)[:, np.newaxis] + 1e-3 * rng.normal(size=(500, 20))
    new = rows + 1e-4 * rng.normal(size=rows.shape)
    scores = NearestNeighborsDetector(metric="euclidean").fit(rows).score_samples(new)
    np.testing.assert_allclose(-scores, cdist(new, rows).min(axis=1), rtol=1e-3)
    factors = LocalOutlierFactorDetector(n_neighbors=5)
    alone = [factors.fit(rows).score_samples(one) for one in new[::50, np.newaxis]]
    np.testing.assert_allclose(np.ravel(alone), factors.score_samples(new)[::50], rtol=1e-9)


def test_normalized_distances_are_found_however_far_other_rows_are():
    places = np.repeat([0.0, 1e9], 250)[:, np.newaxis]
    rows = places + 1e-3 * rng.normal(size=(500, 5)) * rng.lognormal(size=(500, 1))
    new = rows + 1e-4 * rng.normal(size=rows.shape)
    distances, far = cdist(rows, rows) + np.diag(np.full(500, np.inf)), cdist(new, rows)
    local = np.sort(distances, axis=1)[:, :4].mean(axis=1)
    nearest, of_nearest = distances.min(axis=1), local[distances.argmin(axis=1)]
    alpha = np.cov(nearest, of_nearest)[0, 1] / np.var(of_nearest, ddof=1)
    for normalization, oracle in (("local_density", far / local), ("variance_minimizing", far - alpha * local)):
        scores = NearestNeighborsDetector(metric="euclidean", normalization=normalization).fit(rows).score_samples(new)
        np.testing.assert_allclose(-scores, oracle.min(axis=1), rtol=0.01, err_msg=normalization)


def test_cosine_neighbors_are_those_of_sklearn():
    rows, new = rng.normal(1, 1, size=(2, 3000, 16))
    oracle = NearestNeighbors(n_neighbors=3, metric="cosine").fit(rows).kneighbors(new)[0].mean(axis=1)
    scores = NearestNeighborsDetector(3, metric="cosine").fit(rows).score_samples(new)
    np.testing.assert_allclose(-scores, oracle, rtol=1e-9)


@pytest.mark.parametrize("n_local", [1, 5])
def test_scaled_distances_are_those_of_all_distances(n_local):
    rows, new = rng.normal(size=(2, 800, 8)) * rng.lognormal(size=(2, 800, 1))
    scale = np.sort(cdist(rows, rows), axis=1)[:, 1 : n_local + 1].mean(axis=1)
    detector = NearestNeighborsDetector(
        2, metric="euclidean", normalization="local_density", n_local_neighbors=n_local
    ).fit(rows)
    oracle = np.sort(cdist(new, rows) / scale, axis=1)[:, :2].mean(axis=1)
    np.testing.assert_allclose(-detector.score_samples(new), oracle, rtol=1e-9)


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "cosine"])
def test_local_outlier_factor_is_that_of_sklearn(metric, n_jobs):
    rows, new = rng.normal(1, 1, size=(2, 1000, 16))
    new, old = (normalize(new), normalize(rows)) if metric == "cosine" else (new, rows)
    name = "sqeuclidean" if metric == "cosine" else metric  # twice the cosine distance, of which ratios are made
    oracle = LocalOutlierFactor(20, metric=name, novelty=True).fit(old).score_samples(new)
    scores = LocalOutlierFactorDetector(metric=metric, n_jobs=n_jobs).fit(rows).score_samples(new)
    np.testing.assert_allclose(scores, oracle, rtol=1e-6)


def test_held_out_distances_leave_all_rows_of_the_group_out():
    windows = rng.normal(size=(40, 1, 4)) + 0.05 * rng.normal(size=(40, 20, 4))
    detector = NearestNeighborsDetector(metric="euclidean").fit(windows)
    distances = cdist(windows.reshape(-1, 4), windows.reshape(-1, 4))
    distances[np.kron(np.eye(40), np.ones((20, 20))) > 0] = np.inf
    scores = -distances.min(axis=1).reshape(40, 20).mean(axis=1)
    below = np.mean(scores < detector.offset_)
    assert 0.02 < below < 0.2


@pytest.mark.parametrize(("n_threads", "n_jobs", "wanted"), [(3, None, 3), (1, None, 1), (3, 2, 2), (1, 2, 2)])
def test_products_are_made_side_by_side_by_as_many_threads_as_one_would_take(n_threads, n_jobs, wanted):
    with threadpool_limits(n_threads, user_api="blas"):
        assert n_jobs_of_products(n_jobs) == wanted


@pytest.mark.parametrize("leave_out", [False, True])
def test_the_nearest_rows_are_found_among_more_than_one_product_holds(leave_out):
    rows, X = rng.normal(size=(20_000, 30)), rng.normal(size=(600, 30))
    offset, group = rng.normal(size=20_000), rng.integers(0, 40, (20_000, 1))
    distances = cdist(X, rows) - offset
    if leave_out:
        distances[group[:600] == group.T] = np.inf
    neighbors = Neighbors(Space("euclidean", rows, 1e-16), rows, offset=offset)
    near, found = neighbors.nearest(X, 3, LeftOut(group[:600], group) if leave_out else None)
    np.testing.assert_allclose(near, np.sort(distances, axis=1)[:, :3])
    np.testing.assert_array_equal(found, np.argsort(distances, axis=1)[:, :3])


def test_rows_far_away_at_regular_places_leave_the_others_exact():
    rows, new = rng.normal(size=(20_001, 3)), rng.normal(size=(20, 3))
    rows[::3] += 1e12
    detector = NearestNeighborsDetector(metric="euclidean").fit(rows)
    np.testing.assert_allclose(-detector.score_samples(new), cdist(new, rows).min(axis=1), rtol=1e-9)


@pytest.mark.parametrize("detector", [NearestNeighborsDetector, MahalanobisDetector])
def test_threads_that_overlap_leave_as_many_as_there_were(detector):
    rows = rng.normal(size=(1500, 8))
    expected = detector().fit(rows)
    with threadpool_limits(3, user_api="blas"):
        fitted = detector().fit(rows)
        with ThreadPoolExecutor(6) as pool:
            offsets = list(pool.map(lambda _: (fitted.score_samples(rows).sum(), fitted.offset_)[1], range(12)))
        assert {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"} == {3}
    np.testing.assert_allclose(offsets, expected.offset_)


def test_more_jobs_than_there_is_work_are_as_many_as_there_is():
    rows = rng.normal(size=(50, 3))
    many = NearestNeighborsDetector(metric="euclidean", n_jobs=10**6).fit(rows)
    np.testing.assert_array_equal(many.score_samples(rows), many.set_params(n_jobs=1).fit(rows).score_samples(rows))
