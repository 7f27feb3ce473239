"""Time the detectors against the scikit-learn calls inside them: `python tests/benchmarks/benchmark_detectors.py`.

Both sides fit and score as many new rows; the ratio is what sections, windows and validation cost. The last columns fit
alone, on ``--small-rows``: scikit-learn's model, ours, and ours with its threshold, which comes from models that have
not learned from the clip. A last line times a search over detectors that is scored by AUC, with thresholds and without.
"""

import argparse
import time
from functools import partial

import numpy as np
from sklearn.covariance import LedoitWolf
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors

from skasd.detectors import (
    CosineCenterDetector,
    GaussianMixtureDetector,
    LocalOutlierFactorDetector,
    MahalanobisDetector,
    NearestNeighborsDetector,
)
from skasd.metrics import auc_scorer
from skasd.model_selection import NormalOnlyKFold


def cosine_center(train, test):
    center = train.mean(axis=0, keepdims=True)
    return lambda: cosine_similarity(test, center)


def gaussian_mixture(train, test):
    mixture = GaussianMixture(1, reg_covar=1e-3).fit(train)
    return lambda: mixture.score_samples(test)


def local_outlier_factor(train, test):
    factor = LocalOutlierFactor(20, novelty=True).fit(train)
    return lambda: factor.score_samples(test)


def mahalanobis(train, test):
    covariance = LedoitWolf().fit(train)
    return lambda: covariance.mahalanobis(test)


def nearest_neighbors(train, test):
    index = NearestNeighbors(metric="cosine").fit(train)
    return lambda: index.kneighbors(test, 1)


PAIRS = [
    (CosineCenterDetector(), cosine_center),
    (GaussianMixtureDetector(), gaussian_mixture),
    (MahalanobisDetector(), mahalanobis),
    (NearestNeighborsDetector(metric="cosine"), nearest_neighbors),
    (LocalOutlierFactorDetector(), local_outlier_factor),
]


CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def draws(rng, rows, features, dtype):
    """Rows to fit, and rows to score."""
    return [rng.normal(1, 1, size=(rows, features)).astype(dtype) for _ in range(2)]


def seconds(call, clock):
    start = clock()
    call()
    return clock() - start


def in_turn(calls, draw, repeats, clock):
    """Median seconds of each call on data that are drawn anew for each turn, and its median ratio to the first.

    By luck of the draw the eigenvalues inside scikit-learn's covariance take much longer.
    """
    turns = (draw() for _ in range(repeats))
    times = np.array([[seconds(partial(call, *data), clock) for call in calls] for data in turns])
    return np.median(times, axis=0), np.median(times / times[:, :1], axis=0)


def search_seconds(train, test, repeats, clock):
    """A search scored by AUC, beside one whose scorer reads the threshold as well."""
    X, y = np.r_[train, test], np.repeat([1, -1], [len(train), len(test)])

    def search(scoring):
        grid = {"covariance": ["ledoit_wolf", "oas"]}
        return GridSearchCV(MahalanobisDetector(), grid, scoring=scoring, cv=NormalOnlyKFold()).fit

    def with_threshold(detector, X, y):
        return auc_scorer(detector, X, y) + 0 * detector.offset_

    return in_turn([search(auc_scorer), search(with_threshold)], lambda: (X, y), repeats, clock)[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000, help="rows to fit, and rows to score")
    parser.add_argument("--features", type=int, default=128)
    parser.add_argument("--small-rows", type=int, default=1000, help="rows of the fits with and without threshold")
    parser.add_argument("--small-features", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: computing time, where others compute too")
    parser.add_argument("--detectors", nargs="*", default=[type(detector).__name__ for detector, _ in PAIRS])
    options = parser.parse_args()
    rng, clock = np.random.default_rng(0), CLOCKS[options.clock]
    print(f"{options.rows} x {options.features} float32 to fit and to score, {options.small_rows} x "
          f"{options.small_features} float64 to fit; medians of {options.repeats} turns, {options.clock} clock",
          flush=True)  # fmt: skip
    print(f"{'detector':<28}{'sklearn s':>11}{'skasd s':>9}{'ratio':>7}{'fit ms':>9}{'ratio':>7}{'+ threshold':>13}")
    for detector, inside in PAIRS:
        name = type(detector).__name__
        if name not in options.detectors:
            continue
        (plain, ours), (_, ratio) = in_turn(
            [lambda train, test: inside(train, test)(), lambda train, test: detector.fit(train).score_samples(test)],  # noqa: B023
            partial(draws, rng, options.rows, options.features, np.float32),
            options.repeats,
            clock,
        )
        few = partial(draws, rng, options.small_rows, options.small_features, np.float64)
        (own, _, _), (_, fit, threshold) = in_turn(
            [inside, lambda train, _: detector.fit(train), lambda train, _: detector.fit(train).offset_],  # noqa: B023
            few,
            options.repeats,
            clock,
        )
        print(f"{name:<28}{plain:>11.2f}{ours:>9.2f}{ratio:>7.2f}{1e3 * own:>9.1f}{fit:>7.2f}{threshold:>13.2f}",
              flush=True)  # fmt: skip
    train = rng.normal(size=(options.small_rows, options.small_features))
    search, with_threshold = search_seconds(train, train[:100] + 0.2, options.repeats, clock)
    print(f"search over MahalanobisDetector by AUC: {search:.2f} s, with thresholds {with_threshold:.2f} s")


if __name__ == "__main__":
    main()
