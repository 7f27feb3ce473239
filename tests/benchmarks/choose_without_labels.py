"""What is chosen without labels: `python tests/benchmarks/choose_without_labels.py FOLDER`.

FOLDER has the slide rail of DCASE 2020 in the layout of the challenge; the motors come with the package. Prints for
each machine the system that `select_systems` chooses on its normal training clips alone, what that reaches on the test,
the best of the ten there (the oracle), and their mean, which is what a random choice reaches; AUC in percent.
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn.model_selection import GroupKFold, KFold
from sklearn.pipeline import make_pipeline

from skasd.audio import AudioLoader, LevelNormalizer
from skasd.datasets import load_dcase, load_motors
from skasd.detectors import (
    CosineCenterDetector,
    GaussianMixtureDetector,
    LocalOutlierFactorDetector,
    MahalanobisDetector,
    NearestNeighborsDetector,
)
from skasd.embedders import StatisticsEmbedder
from skasd.ensemble import select_systems
from skasd.features import LogMelSpectrogram
from skasd.metrics import PseudoAnomalyScorer, auc_scorer

STATISTICS = {
    "mean": ["mean"],
    "max": ["max"],
    "std": ["mean", "std"],
    "rank": ["rank"],
    "all": ["mean", "max", "diff"],
}
PAIRS = [
    ("mean", MahalanobisDetector()),
    ("mean", CosineCenterDetector()),
    ("max", MahalanobisDetector()),
    ("max", NearestNeighborsDetector()),
    ("std", MahalanobisDetector()),
    ("std", NearestNeighborsDetector(metric="cosine")),
    ("rank", GaussianMixtureDetector(random_state=0)),
    ("all", MahalanobisDetector()),
    ("all", NearestNeighborsDetector()),
    ("all", LocalOutlierFactorDetector(n_neighbors=10)),
]


def name_of(statistics, detector):
    return " ".join([statistics, type(detector).__name__.removesuffix("Detector"), getattr(detector, "metric", "")])


SYSTEMS = {
    name_of(name, detector): make_pipeline(StatisticsEmbedder(statistics=STATISTICS[name]), detector)
    for name, detector in PAIRS
}


def machines(folder):
    spectrogram = LogMelSpectrogram(n_mels=64)
    yield "slide rail", make_pipeline(AudioLoader(), spectrogram).fit_transform(load_dcase(Path(folder, "slider")))
    for fault, held_out in (("propeller", "M3"), ("bearing", "M1"), ("bearing", "M2"), ("bearing", "M3")):
        clips = load_motors(fault, held_out=held_out)
        clips = make_pipeline(LevelNormalizer(), spectrogram).fit_transform(clips)
        yield f"{fault}, {held_out}", clips


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    options = parser.parse_args()
    print("| machine | chosen without labels | AUC | best of ten | AUC | mean of ten | rank correlation |")
    print("|---|---|---:|---|---:|---:|---:|")
    for machine, clips in machines(options.folder):
        train, test = (clips[clips["split"] == split] for split in ("train", "test"))
        if "recording" in train:
            numbers = np.unique(train["recording"], return_inverse=True)[1]
            cv = list(GroupKFold(3).split(numbers, groups=numbers))
        else:
            cv = KFold(3, shuffle=True, random_state=0)
        selection = select_systems(SYSTEMS, train, scorer=PseudoAnomalyScorer(), cv=cv, labels=None)
        (scores,), (chosen,) = selection.scores.values(), selection.best.values()
        real = {name: 100 * auc_scorer(system.fit(train), test) for name, system in SYSTEMS.items()}
        best = max(real, key=real.get)
        ranks = [np.argsort(np.argsort([one[name] for name in SYSTEMS])) for one in (scores, real)]
        print(f"| {machine} | {chosen} | {real[chosen]:.1f} | {best} | {real[best]:.1f} | "
              f"{np.mean(list(real.values())):.1f} | {np.corrcoef(ranks)[0, 1]:.2f} |", flush=True)  # fmt: skip
        print(f"  pseudo {', '.join(f'{name} {scores[name]:.3f} ({real[name]:.1f})' for name in SYSTEMS)}", flush=True)


if __name__ == "__main__":
    main()
