"""Time the detectors against the scikit-learn calls inside them: `python tests/benchmarks/benchmark_detectors.py`.

Both sides fit, score the training rows for the threshold (where a row must not be its own neighbour, both leave it out)
and score as many new rows. The ratio is what sections, windows, validation and thresholds cost.
"""

import argparse
import time
from statistics import median

import numpy as np
from sklearn.covariance import LedoitWolf
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors

from skasd.detectors import (
    CosineCenterDetector,
    GaussianMixtureDetector,
    LocalOutlierFactorDetector,
    MahalanobisDetector,
    NearestNeighborsDetector,
)


def cosine_center(train, test):
    center = train.mean(axis=0, keepdims=True)
    return cosine_similarity(train, center), cosine_similarity(test, center)


def gaussian_mixture(train, test):
    mixture = GaussianMixture(1, reg_covar=1e-3).fit(train)
    return mixture.score_samples(train), mixture.score_samples(test)


def local_outlier_factor(train, test):
    factor = LocalOutlierFactor(20, novelty=True).fit(train)
    return factor.negative_outlier_factor_, factor.score_samples(test)


def mahalanobis(train, test):
    covariance = LedoitWolf().fit(train)
    return covariance.mahalanobis(train), covariance.mahalanobis(test)


def nearest_neighbors(train, test):
    index = NearestNeighbors(metric="cosine").fit(train)
    return index.kneighbors(n_neighbors=1), index.kneighbors(test, 1)


PAIRS = [
    (CosineCenterDetector(), cosine_center),
    (GaussianMixtureDetector(), gaussian_mixture),
    (MahalanobisDetector(), mahalanobis),
    (NearestNeighborsDetector(), nearest_neighbors),
    (LocalOutlierFactorDetector(), local_outlier_factor),
]


CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def seconds(call, clock):
    start = clock()
    call()
    return clock() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000, help="rows to fit, and rows to score")
    parser.add_argument("--features", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: computing time, where others compute too")
    parser.add_argument("--detectors", nargs="*", default=[type(detector).__name__ for detector, _ in PAIRS])
    options = parser.parse_args()
    rng, clock = np.random.default_rng(0), CLOCKS[options.clock]
    print(
        f"{options.rows} x {options.features} float32, median of {options.repeats} interleaved runs, "
        f"{options.clock} clock"
    )
    print(f"{'detector':<28}{'rows':>9}{'sklearn s':>11}{'skasd s':>9}{'ratio':>7}")
    for detector, inside in PAIRS:
        name = type(detector).__name__
        if name not in options.detectors:
            continue
        train, test = (rng.normal(1, 1, size=(options.rows, options.features)).astype(np.float32) for _ in range(2))
        inside(train[:1000], test[:1000])
        pairs = [
            (
                seconds(lambda: inside(train, test), clock),  # noqa: B023
                seconds(lambda: detector.fit(train).score_samples(test), clock),  # noqa: B023
            )
            for _ in range(options.repeats)
        ]
        plain, ours = (median(times) for times in zip(*pairs, strict=True))
        print(f"{name:<28}{options.rows:>9}{plain:>11.2f}{ours:>9.2f}{ours / plain:>7.2f}", flush=True)


if __name__ == "__main__":
    main()
