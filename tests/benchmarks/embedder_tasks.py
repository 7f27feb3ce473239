"""What `compare_embedders.py` and `explain_embedders.py` share: tasks, settings of the network, and measures.

A task is a pair of clips, training and test, with the fields ``individual`` (motor or section) and ``attribute`` to
learn from. Levels are normalised throughout, so that loudness helps nobody.

The tasks of `DEVELOPMENT` are there to choose a setting, those of `REPORTED` to report it. They share no test clip:

- propeller: chosen on M1 and M2 at 1400, 1550 and 1750 rpm, where the reported test has 1450, 1650, 1850 and 2000;
- bearing: chosen on damaged *propellers* of M1 and M2, each unknown to its training; reported on M3 and M4;
- synthetic: chosen on fans and sliders, reported on gearboxes and valves, with other seeds.
"""

from functools import partial

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skasd.audio import LevelNormalizer
from skasd.augmentation import Mixup, SpecAugment
from skasd.datasets import load_motors, make_machine_sounds
from skasd.detectors import (
    CosineCenterDetector,
    GaussianMixtureDetector,
    MahalanobisDetector,
    NearestNeighborsDetector,
)
from skasd.embedders import ClassificationEmbedder
from skasd.features import LogMelSpectrogram
from skasd.losses import AdaCosLoss, ArcFaceLoss, SoftmaxLoss
from skasd.networks import MobileFaceNet, MobileNetV2

TRAINING_SPEEDS = (1400, 1550, 1750, 1950)
DETECTORS = {
    "cosine centre": CosineCenterDetector(),
    "nearest neighbour": NearestNeighborsDetector(),
    "Mahalanobis": MahalanobisDetector(),
    "GMM": GaussianMixtureDetector(random_state=0),
}


def propeller(seed):
    """Training clips of motors overlap, so that there are about 300 of them; test clips do not overlap."""
    train, test = load_motors(split="train", hop=0.25), load_motors(split="test")
    return [clips.with_fields(individual=clips["motor"]) for clips in (train, test)]


def propeller_at(speed, seed):
    """Training has not heard this speed of its own speeds; the test has nothing else."""
    speeds = [one for one in TRAINING_SPEEDS if one != speed]
    train = load_motors(training_speeds=speeds, split="train", hop=0.25)
    test = load_motors(training_speeds=speeds, split="test")
    return [clips.with_fields(individual=clips["motor"]) for clips in (train, test[test["speed"] == speed])]


def bearing(seed):
    train, test = (load_motors("bearing", split=split, hop=hop) for split, hop in (("train", 0.5), ("test", None)))
    return [clips.with_fields(individual=clips["motor"]) for clips in (train, test)]


def propeller_of(motor, seed):
    """As `bearing`, with damaged propellers: training knows the two other healthy motors and not this one."""
    train = load_motors("bearing", held_out=motor, split="train", hop=0.5)
    test = load_motors(training_speeds=(), motor=motor)
    test = test.with_fields(section=["00"] * len(test))
    return [clips.with_fields(individual=clips["motor"]) for clips in (train, test)]


def synthetic(machine, seed, **changes):
    """Three sections with shifts of speed, load and noise, and as much noise as machine."""
    clips = make_machine_sounds(machine, duration=2.0, snr=0.0, random_state=seed, **changes)
    clips = clips.with_fields(individual=clips["section"])
    return [clips[clips["split"] == split] for split in ("train", "test")]


DEVELOPMENT = {
    "motors, propeller": [partial(propeller_at, speed) for speed in (1400, 1550, 1750)],
    "motors, bearing": [partial(propeller_of, motor) for motor in ("M1", "M2")],
    "synthetic": [partial(synthetic, machine) for machine in ("fan", "slider")],
}
REPORTED = {
    "motors, propeller": propeller,
    "motors, bearing": bearing,
    "synthetic gearbox": partial(synthetic, "gearbox"),
    "synthetic valve": partial(synthetic, "valve"),
}


def whole(log_mel, train):
    return log_mel


def changes(log_mel, train):
    """What changes within a clip: the standing spectrum is taken away."""
    return log_mel - log_mel.mean(axis=2, keepdims=True)


def standardized(log_mel, train):
    """Decibels with mean 0 and deviation 1 over all training clips."""
    return (log_mel - train.mean()) / train.std()


def bands_standardized(log_mel, train):
    """Each band with mean 0 and deviation 1 over all training clips."""
    axes = {"axis": (0, 2), "keepdims": True}
    return (log_mel - train.mean(**axes)) / train.std(**axes)


def spectra(task, alter=whole):
    """Training and test clips of a task as log-mel spectrograms."""
    hop_length = 512 * task[0]["waveform"].shape[1] // 16000  # 32 frames a clip
    features = make_pipeline(LevelNormalizer(), LogMelSpectrogram(n_mels=64, hop_length=hop_length)).fit(task[0])
    made = [features.transform(clips) for clips in task]
    return [clips.with_fields(log_mel=alter(clips["log_mel"], made[0]["log_mel"])) for clips in made]


_BASE = {
    "network": MobileNetV2,
    "loss": AdaCosLoss,
    "targets": ("individual", "attribute"),
    "augmentations": (Mixup(),),
    "max_epochs": 10,
    "batch_size": 32,
    "lr_schedule": "cosine",
}
UNTRAINED = {"lr": 1e-12, "max_epochs": 1}  # its batch norms know the training clips, its weights stay as drawn
SETTINGS = {  # each changes one thing of the first
    "first": {},  # MobileNetV2, AdaCos, mixup, individuals and attributes, 10 epochs
    "untrained": UNTRAINED,
    "30 epochs": {"max_epochs": 30},
    "learning rate 1e-4": {"lr": 1e-4},
    "ArcFace": {"loss": ArcFaceLoss},
    "softmax": {"loss": SoftmaxLoss},
    "no mixup": {"augmentations": ()},
    "SpecAugment": {"augmentations": (Mixup(), SpecAugment(freq_mask=16, time_mask=16))},
    "individuals only": {"targets": ("individual",)},
    "MobileFaceNet": {"network": MobileFaceNet},
    "changes only": {},
    "bands standardised": {},
}


SPECTRA = {
    "changes only": changes,
    "bands standardised": bands_standardized,
}  # of settings that see other spectra than the whole ones


def embedder(setting, seed, **params):
    """The network in one of the `SETTINGS`, unfitted; it gives all stages, of which the last is the embedding."""
    return ClassificationEmbedder(**(_BASE | SETTINGS[setting] | params), output="stages", random_state=seed)


def probe(clips):
    """Mean over the sections of the AUC of a linear classifier that knows the labels, in three folds.

    All clips of a recording are in one fold, so that the classifier cannot know a clip by its neighbours.
    """
    informed = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
    sections = [clips[clips["section"] == section] for section in np.unique(clips["section"])]
    return np.mean([_cross_validated(informed, one) for one in sections])


def _cross_validated(classifier, clips):
    groups = clips["recording"] if "recording" in clips else np.arange(len(clips))
    folds = StratifiedGroupKFold(n_splits=3, shuffle=True, random_state=0)
    scores = cross_val_predict(
        classifier, clips["embedding"], clips["label"], groups=groups, cv=folds, method="decision_function"
    )
    return roc_auc_score(clips["label"], scores)


def mean_and_std(values):
    return f"{np.mean(values):.3f} ± {np.std(values):.3f}"


def print_row(*cells):
    print(f"| {' | '.join(cells)} |", flush=True)


def print_head(*names):
    print()
    print_row(*names)
    print_row(*["---"] * len(names))
