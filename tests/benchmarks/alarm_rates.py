"""Share of healthy new clips that raise an alarm: `python tests/benchmarks/alarm_rates.py`.

Each detector is fitted on clips that are drawn, and predicts 500 fresh ones of the same distribution; the mean over the
seeds should be near the contamination that was asked for. Clips come one by one or, as cut from recordings, in groups
of five that are alike; fresh clips then come from fresh recordings. They have one vector or three windows that are
alike. With copies, every second clip is there twice.
"""

import argparse
import itertools

import numpy as np

from skasd.clips import Clips
from skasd.detectors import (
    AutoencoderDetector,
    CosineCenterDetector,
    FlowDetector,
    GaussianMixtureDetector,
    LocalOutlierFactorDetector,
    MahalanobisDetector,
    NearestNeighborsDetector,
    OutlierExposureDetector,
)
from skasd.ensemble import ScoreEnsemble

N_FEATURES, N_FRESH, N_ALIKE = 8, 500, 5
DETECTORS = [
    CosineCenterDetector(),
    GaussianMixtureDetector(random_state=0),
    GaussianMixtureDetector(3, covariance_type="diag", random_state=0),
    GaussianMixtureDetector(density="component", target_ratio=0.5, random_state=0),
    LocalOutlierFactorDetector(n_neighbors=10),
    LocalOutlierFactorDetector(n_neighbors=10, metric="cosine"),
    MahalanobisDetector(),
    MahalanobisDetector(covariance="oas", per_domain=True),
    MahalanobisDetector(covariance="sample", feature_groups={"low": slice(0, 4), "high": slice(4, 8)}),
    NearestNeighborsDetector(),
    NearestNeighborsDetector(3, metric="euclidean"),
    NearestNeighborsDetector(metric="manhattan", target_ratio=0.5, random_state=0),
    NearestNeighborsDetector(metric="euclidean", normalization="local_density", n_local_neighbors=4),
    NearestNeighborsDetector(metric="euclidean", normalization="variance_minimizing"),
    NearestNeighborsDetector(feature_groups={"low": slice(0, 4), "high": slice(4, 8)}, normalization="local_density"),
]
TRAINING = {"max_epochs": 5, "lr": 0.01, "batch_size": 64, "device": "cpu", "random_state": 0}
WITH_NETWORK = [
    AutoencoderDetector(network__n_hidden=(8,), network__n_bottleneck=2, threshold="quantile", **TRAINING),
    FlowDetector(transforms=2, hidden_features=(8,), **TRAINING),
    OutlierExposureDetector(),
]
ENSEMBLE = ScoreEnsemble([("density", MahalanobisDetector()), ("distance", NearestNeighborsDetector())])


def draw(rng, n_clips, n_windows, n_alike):
    """Clips (n_clips, n_windows, N_FEATURES) of which `n_alike` each come from one recording, and their recordings."""
    recording = np.arange(n_clips) // n_alike
    common = rng.normal(size=(n_clips // n_alike, 1, N_FEATURES))[recording]
    own = rng.normal(size=(n_clips, 1, N_FEATURES)) * (1.0 if n_alike == 1 else 0.1)
    spread = np.geomspace(1, 4, N_FEATURES)
    windows = 2 + spread * (common + own + 0.1 * rng.normal(size=(n_clips, n_windows, N_FEATURES)))
    return windows, recording


def as_clips(windows, recording, n_alike, field):
    """Clips of which every eighth recording is of the target domain."""
    fields = {field: windows, "domain": np.where(recording % 8, "source", "target")}
    clips = Clips(fields, section=["0"] * len(windows)).with_attrs(classes=list("01234567"), target="section")
    return clips.with_fields(recording=[f"r{number}" for number in recording]) if n_alike > 1 else clips


def alarm_rate(detector, seed, n_train, *, n_windows=1, n_alike=1, with_copies=False):
    """Share of fresh clips that raise an alarm."""
    rng = np.random.default_rng(seed)
    field = "logits" if isinstance(detector, OutlierExposureDetector) else "embedding"
    train = as_clips(*draw(rng, n_train, n_windows, n_alike), n_alike, field)
    if with_copies:
        train = train + train[::2].with_fields(recording=train["recording"][::2]) if n_alike > 1 else train + train[::2]
    fresh = as_clips(*draw(rng, N_FRESH, n_windows, n_alike), n_alike, field)
    return np.mean(detector.fit(train).predict(fresh) == -1)


CASES = list(itertools.product((1, N_ALIKE), (1, 3), (False, True)))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument(
        "--clips", type=int, default=200, help="that train; a fifth of them is the number of recordings"
    )
    parser.add_argument("--contamination", type=float, default=0.1)
    parser.add_argument("--only", default="", help="detectors with this in their name")
    options = parser.parse_args()
    names = [
        f"{'recordings' if alike > 1 else 'clips'}{', windows' if windows > 1 else ''}{', copies' if copies else ''}"
        for alike, windows, copies in CASES
    ]
    print(f"alarms (%) of {N_FRESH} fresh clips, {100 * options.contamination:g} wanted; {options.clips} clips train; "
          f"mean of {options.seeds} seeds")  # fmt: skip
    print("\n".join(f"{column}: {name}" for column, name in enumerate(names, 1)))
    print(" ".join(f"{column:>5}" for column in range(1, len(names) + 1)), " detector")
    for detector in [*DETECTORS, *WITH_NETWORK, ENSEMBLE]:
        if options.only not in repr(detector):
            continue
        detector.set_params(contamination=options.contamination)
        for alike, windows, copies in CASES:
            rates = [
                alarm_rate(detector, seed, options.clips, n_windows=windows, n_alike=alike, with_copies=copies)
                for seed in range(options.seeds)
            ]
            print(f"{100 * np.mean(rates):>5.1f}", end=" ", flush=True)
        print("", " ".join(repr(detector).split()), flush=True)


if __name__ == "__main__":
    main()
