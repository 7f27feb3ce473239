"""How hard the synthetic machines are, and how fast they are: `python tests/benchmarks/benchmark_machine_sounds.py`.

For each machine and severity of its faults: the AUC in both domains as the challenge counts it (normal clips of the
domain against all anomalies of the section), mean over sections and seeds, of two detectors on the mean and deviation
of log-mel bands; the AUC of the level alone; and the time for a clip of 10 s on one thread.
"""

import argparse
import time
from itertools import product

import numpy as np
from sklearn.pipeline import make_pipeline

from skasd.datasets import make_machine_sounds
from skasd.detectors import MahalanobisDetector, NearestNeighborsDetector
from skasd.embedders import StatisticsEmbedder
from skasd.features import LogMelSpectrogram
from skasd.metrics import auc_score, domain_scores

MACHINES = ["ToyCar", "ToyTrain", "bearing", "fan", "gearbox", "slider", "valve"]
DETECTORS = [NearestNeighborsDetector(metric="euclidean"), MahalanobisDetector()]


def measure(machine, severity, seed):
    """Seconds a clip; AUC of the level; AUC in the source and in the target domain for each detector."""
    start = time.perf_counter()
    clips = make_machine_sounds(machine, severity=severity, random_state=seed)
    seconds = (time.perf_counter() - start) / len(clips)
    level = np.mean(np.square(clips["waveform"]), axis=1)
    clips = make_pipeline(LogMelSpectrogram(), StatisticsEmbedder()).fit_transform(clips)
    tested = clips["split"] == "test"
    train, test = clips[~tested], clips[tested]
    y_true = (test["label"] == -1).astype(int)
    figures = [seconds, auc_score(y_true, level[tested], section=test["section"])]
    for detector in DETECTORS:
        y_score = -detector.fit(train).score_samples(test)
        scores = domain_scores(y_true, y_score, test["domain"], section=test["section"])
        figures += np.mean([(score.auc_source, score.auc_target) for score in scores], axis=0).tolist()
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--severities", type=float, nargs="+", default=[0.5, 1.0, 2.0])
    options = parser.parse_args()
    print(f"AUC source / target, mean of 3 sections and {options.seeds} seeds")
    print(f"{'machine':<10}{'severity':<10}{'neighbours':<16}{'Mahalanobis':<16}{'level':<8}ms a clip")
    for machine, severity in product(MACHINES, options.severities):
        runs = [measure(machine, severity, seed) for seed in range(options.seeds)]
        seconds, level, *aucs = np.mean(runs, axis=0)
        near, gauss = (f"{source:.2f} / {target:.2f}" for source, target in np.reshape(aucs, (2, 2)))
        print(f"{machine:<10}{severity:<10}{near:<16}{gauss:<16}{level:<8.2f}{1000 * seconds:.1f}", flush=True)


if __name__ == "__main__":
    main()
