"""Compare a trained embedder with the untrained control: `python tests/benchmarks/compare_embedders.py`.

`ClassificationEmbedder` and `StatisticsEmbedder` stand before the same detectors, on the recordings of real motors and
on synthetic machines. What is printed is the mean and the standard deviation over seeds (of the network, and of the
synthetic machines), as Markdown. Levels are normalised throughout, so that loudness helps nobody.

With ``--spectra changes`` the mean over time is taken from each band: what is left is what changes within a clip, and
the standing spectrum, by which the classes are told apart most easily, is gone.

The probe is a linear classifier that is shown the labels of the test clips, in four folds: its AUC says whether the
faults can be found in the embedding at all, by somebody who knows what to look for.
"""

import argparse
import sys
import time

import numpy as np
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

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
from skasd.networks import MobileFaceNet, MobileNetV2

NETWORKS = {"MobileNetV2": MobileNetV2, "MobileFaceNet": MobileFaceNet}
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
    clips = make_machine_sounds(machine, duration=2.0, snr=0.0, random_state=seed)
    return [clips[clips["split"] == split] for split in ("train", "test")], ("section", "attribute")


DATA = {
    "motors, propeller": lambda seed: motors("propeller"),
    "motors, bearing": lambda seed: motors("bearing"),
    **{f"synthetic {name}": lambda seed, name=name: synthetic(name, seed) for name in ("gearbox", "valve")},
}


def embedders(targets, seed, network, max_epochs):
    trained = ClassificationEmbedder(
        NETWORKS[network],
        loss=AdaCosLoss,
        targets=targets,
        augmentations=(Mixup(),),
        max_epochs=max_epochs,
        batch_size=32,
        lr_schedule="cosine",
        random_state=seed,
    )
    return {
        "mean and deviation": StatisticsEmbedder(),
        network: trained,
    }


def probe(clips):
    """Mean over the sections of the AUC of a linear classifier that knows the labels."""
    informed = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
    sections = [clips[clips["section"] == section] for section in np.unique(clips["section"])]
    folds = [cross_val_score(informed, one["embedding"], one["label"], scoring="roc_auc", cv=4) for one in sections]
    return np.mean(folds)


def whole(clips):
    return clips


def changes(clips):
    log_mel = clips["log_mel"]
    return clips.with_fields(log_mel=log_mel - log_mel.mean(axis=2, keepdims=True))


SPECTRA = {"whole": whole, "changes": changes}


def measure(data, seed, spectra, network, max_epochs):
    """AUC and partial AUC of every embedder with every detector, and the probe of the embedder."""
    (train, test), targets = data(seed)
    features = make_pipeline(LevelNormalizer(), LogMelSpectrogram(n_mels=64)).fit(train)
    train, test = (SPECTRA[spectra](features.transform(clips)) for clips in (train, test))
    rows = {}
    for name, embedder in embedders(targets, seed, network, max_epochs).items():
        start = time.perf_counter()
        vectors = embedder.fit(train).transform(train)
        print(f"  seed {seed}: {name} in {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
        tested = embedder.transform(test)
        informed = probe(tested)
        for detector_name, detector in DETECTORS.items():
            fitted = clone(detector).fit(vectors)
            rows[name, detector_name] = [auc_scorer(fitted, tested), pauc_scorer(fitted, tested), informed]
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--spectra", choices=SPECTRA, default="whole")
    parser.add_argument("--network", choices=NETWORKS, default="MobileFaceNet")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--max-epochs", type=int, default=10)
    options = parser.parse_args()
    print(f"Mean ± standard deviation over {options.seeds} seeds; {options.max_epochs} epochs.\n")
    print("| data | embedder | detector | AUC | pAUC | probe |\n|---|---|---|---|---|---|")
    for name in options.data:
        print(name, file=sys.stderr, flush=True)
        runs = [
            measure(DATA[name], seed, options.spectra, options.network, options.max_epochs)
            for seed in range(options.seeds)
        ]
        for embedder, detector in runs[0]:
            values = np.array([run[embedder, detector] for run in runs])
            cells = [f"{mean:.3f} ± {std:.3f}" for mean, std in zip(values.mean(0), values.std(0), strict=True)]
            print(f"| {name} | {embedder} | {detector} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
