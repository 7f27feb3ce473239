"""Compare a trained embedder with the untrained control: `python tests/benchmarks/compare_embedders.py`.

`ClassificationEmbedder` and `StatisticsEmbedder` stand before the same detectors, on the recordings of real motors and
on synthetic machines. What is printed is the mean and the standard deviation over seeds (of the network, and of the
synthetic machines), as Markdown. Levels are normalised throughout, so that loudness helps nobody.
"""

import argparse
import sys
import time

import numpy as np
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

from skasd.audio import LevelNormalizer
from skasd.augmentation import Mixup
from skasd.datasets import load_motors, make_machine_sounds
from skasd.detectors import (
    CosineCenterDetector,
    GaussianMixtureDetector,
    MahalanobisDetector,
    NearestNeighborsDetector,
)
from skasd.embedders import ClassificationEmbedder, StatisticsEmbedder
from skasd.features import LogMelSpectrogram
from skasd.losses import AdaCosLoss
from skasd.metrics import auc_scorer, pauc_scorer

DETECTORS = {
    "cosine centre": CosineCenterDetector(),
    "nearest neighbour": NearestNeighborsDetector(),
    "Mahalanobis": MahalanobisDetector(),
    "GMM": GaussianMixtureDetector(random_state=0),
}


def motors(fault):
    """Training clips overlap by three quarters, so that there are more of them; test clips do not overlap."""
    clips = [load_motors(fault=fault, split="train", hop=0.25), load_motors(fault=fault, split="test")]
    return clips, ("motor", "speed")


def synthetic(machine, seed):
    """Three sections with shifts of speed, load and noise, and as much noise as machine."""
    clips = make_machine_sounds(machine, n_train_source=95, n_train_target=5, duration=2.0, snr=0.0, random_state=seed)
    return [clips[clips["split"] == split] for split in ("train", "test")], ("section", "attribute")


DATA = {
    "motors, propeller": lambda seed: motors("propeller"),
    "motors, bearing": lambda seed: motors("bearing"),
    **{f"synthetic {name}": lambda seed, name=name: synthetic(name, seed) for name in ("fan", "gearbox", "valve")},
}


def embedders(targets, seed, max_epochs):
    network = ClassificationEmbedder(
        loss=AdaCosLoss,
        targets=targets,
        augmentations=(Mixup(),),
        max_epochs=max_epochs,
        lr_schedule="cosine",
        random_state=seed,
    )
    return {
        "mean and deviation": StatisticsEmbedder(),
        "mean": StatisticsEmbedder(statistics=("mean",)),
        "MobileFaceNet": network,
    }


def measure(data, seed, max_epochs):
    """AUC and partial AUC of every embedder with every detector."""
    (train, test), targets = data(seed)
    features = make_pipeline(LevelNormalizer(), LogMelSpectrogram(n_mels=64, hop_length=256)).fit(train)
    train, test = features.transform(train), features.transform(test)
    rows = {}
    for name, embedder in embedders(targets, seed, max_epochs).items():
        start = time.perf_counter()
        vectors = embedder.fit(train).transform(train)
        print(f"  seed {seed}: {name} in {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
        tested = embedder.transform(test)
        for detector_name, detector in DETECTORS.items():
            fitted = clone(detector).fit(vectors)
            rows[name, detector_name] = [score(fitted, tested) for score in (auc_scorer, pauc_scorer)]
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--max-epochs", type=int, default=15)
    options = parser.parse_args()
    print(f"Mean ± standard deviation over {options.seeds} seeds; {options.max_epochs} epochs.\n")
    print("| data | embedder | detector | AUC | pAUC |\n|---|---|---|---|---|")
    for name in options.data:
        print(name, file=sys.stderr, flush=True)
        runs = [measure(DATA[name], seed, options.max_epochs) for seed in range(options.seeds)]
        for embedder, detector in runs[0]:
            values = np.array([run[embedder, detector] for run in runs])
            cells = [f"{mean:.3f} ± {std:.3f}" for mean, std in zip(values.mean(0), values.std(0), strict=True)]
            print(f"| {name} | {embedder} | {detector} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
