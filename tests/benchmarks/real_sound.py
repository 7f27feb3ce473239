"""Systems on real recordings: `python tests/benchmarks/real_sound.py FOLDER`, the slide rail's, in DCASE's layout.

FOLDER has a folder ``slider`` with clips of the DCASE 2020 slide rail, four ids of one machine: all four train, and
each is scored by itself. The motors come with the package: a damaged propeller at speeds that training has not heard
(motors M1 and M2), and a damaged bearing on M4 (M1, M2 and M3 held out in turn, so that motor and fault are mixed),
all clips brought to one level. Prints a Markdown table: mean AUC and partial AUC in percent, their standard deviation
over seeds, seconds of training and clips scored per second (features included).
"""

import argparse
import inspect
import time
from functools import partial
from pathlib import Path

import numpy as np
from sklearn.pipeline import make_pipeline

from skasd import systems
from skasd.audio import LevelNormalizer
from skasd.datasets import load_dcase, load_motors
from skasd.detectors import MahalanobisDetector
from skasd.embedders import StatisticsEmbedder
from skasd.features import LogMelSpectrogram
from skasd.metrics import anomaly_predictions, auc_score, pauc_score

IDS = ("00", "02", "04", "06")
MOTORS = [("propeller", {"fault": "propeller"})]
MOTORS += [("bearing", {"fault": "bearing", "held_out": motor}) for motor in ("M1", "M2", "M3")]
HEAD = (
    "system",
    *(f"AUC {one}" for one in IDS),
    "mean AUC",
    "mean pAUC",
    "propeller",
    "bearing",
    "train [s]",
    "clips/s",
)


def control():
    """Mean and standard deviation of each log-mel band, and one Gaussian per section: no training."""
    return make_pipeline(LogMelSpectrogram(), StatisticsEmbedder(statistics=("mean", "std")), MahalanobisDetector())


def build(name, machine, seed, preset):
    """The unfitted system of this name, with those options that it has."""
    if name == "control":
        return control()
    make = getattr(systems, name)
    options = {"machine": machine, "random_state": seed, "preset": preset, "weights": None}
    return make(**{key: value for key, value in options.items() if key in inspect.signature(make).parameters})


def fit_and_rank(make, train, test):
    """For each section of the test clips AUC and partial AUC; seconds of training, and clips scored per second."""
    start = time.perf_counter()
    system = make().fit(train)
    trained = time.perf_counter()
    y_true, y_score = anomaly_predictions(system, test)
    scored = time.perf_counter()
    sections = test["section"]
    ranks = {
        section: [100 * measure(y_true[sections == section], y_score[sections == section])
                  for measure in (auc_score, pauc_score)]
        for section in np.unique(sections).tolist()
    }  # fmt: skip
    return ranks, trained - start, len(test) / (scored - trained)


def slide_rail(folder):
    clips = load_dcase(folder / "slider")
    return clips[clips["split"] == "train"], clips[clips["split"] == "test"]


def motors(which):
    """Training clips overlap, so that there are more of them; test clips do not. Both without loudness as a hint."""
    parts = [
        load_motors(split="train", duration=2.5, hop_duration=0.5, **which),
        load_motors(split="test", duration=2.5, **which),
    ]
    return [LevelNormalizer().fit_transform(part.without("path")) for part in parts]


def numbers(name, folder, seed, preset):
    """One row of the table for one seed."""
    ranks, seconds, speed = fit_and_rank(partial(build, name, "slider", seed, preset), *slide_rail(folder))
    by_id = np.array([ranks[one] for one in IDS])
    tasks = {"propeller": [], "bearing": []}
    for task, which in MOTORS:
        try:
            ranked = fit_and_rank(partial(build, name, "fan", seed, preset), *motors(which))[0]
        except ValueError as error:
            print(f"{name} on {task}: {error}")
            ranked = {}
        tasks[task] += [auc for auc, _ in ranked.values()] or [np.nan]
    return [*by_id[:, 0], *by_id.mean(axis=0), *(np.mean(values) for values in tasks.values()), seconds, speed]


def spread(values):
    mean, std = np.mean(values), np.std(values, ddof=1) if len(values) > 1 else 0.0
    if np.isnan(mean):
        return "-"
    return f"{mean:.1f} ± {std:.1f}" if std > 0.05 else f"{mean:.1f}"


def main():
    names = ["control", *(name for name in systems.__all__ if name != "narita_ensemble")]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="has the folder 'slider' in it")
    parser.add_argument("--systems", nargs="+", choices=names, default=["control", "rank_pooled_gmm"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--preset", choices=["small", "full"], default="small")
    options = parser.parse_args()
    print("| " + " | ".join(HEAD) + " |\n|---|" + "---:|" * (len(HEAD) - 1), flush=True)
    for name in options.systems:
        rows = np.array([numbers(name, options.folder, seed, options.preset) for seed in options.seeds])
        print(f"| {name} | " + " | ".join(map(spread, rows.T)) + " |", flush=True)


if __name__ == "__main__":
    main()
