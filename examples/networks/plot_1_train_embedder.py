"""
====================
Training an embedder
====================

A network is trained to tell healthy sounds apart, and compared with the control.

To tell motors and their speeds apart it has to listen to how they sound. Its output can
then stand in the place of simple statistics before any detector. This example trains
one, watches it learn, and compares it with the control that needs no training. Training
does not always pay.
"""

# %%
# Train
# -----
# Healthy clips of two motors at four speeds each.
# :class:`~skasd.embedders.ClassificationEmbedder` trains any network; by default a
# MobileFaceNet. It learns both targets at once, with mixup, and a fifth of the
# recordings is set aside to watch the loss.

# sphinx_gallery_thumbnail_number = 2
from sklearn.pipeline import make_pipeline

from skasd.audio import LevelNormalizer
from skasd.augmentation import Mixup
from skasd.datasets import load_motors
from skasd.embedders import ClassificationEmbedder, StatisticsEmbedder
from skasd.features import LogMelSpectrogram
from skasd.losses import AdaCosLoss

features = make_pipeline(LevelNormalizer(), LogMelSpectrogram(n_mels=64))
train = features.fit_transform(load_motors(split="train", hop_duration=0.5))
test = features.transform(load_motors(split="test"))

network = ClassificationEmbedder(
    loss=AdaCosLoss,
    targets=("motor", "speed"),
    augmentations=(Mixup(),),
    max_epochs=8,
    batch_size=32,
    lr_schedule="cosine",
    validation_fraction=0.2,
    device="cpu",
    random_state=0,
)
network.fit(train)

# %%
# The validation loss should fall with the training loss. Here it does not: the clips
# that were set aside come from whole recordings, of a motor at a speed at which the
# network has only heard the other motor. It has learned its few recordings by heart.

import matplotlib.pyplot as plt
import numpy as np

from skasd.plotting import TrainingHistoryDisplay

figure, ax = plt.subplots(figsize=(5.5, 4), layout="constrained")
TrainingHistoryDisplay.from_estimator(network, ax=ax)
ax.set_title("MobileFaceNet tells two motors and four speeds apart")
plt.show()

# %%
# The embeddings
# ----------------------
# The embeddings of the network and of the control (mean, maximum and roughness of each
# band), in the two directions in which the training clips vary most. The test clips,
# healthy and with a damaged propeller, have other speeds than the training clips.

from sklearn.decomposition import PCA

from skasd.features import FieldTransformer

embedders = {
    "statistics": StatisticsEmbedder().fit(train),
    "MobileFaceNet": network,
}
embedded = {name: [embedder.transform(clips) for clips in (train, test)] for name, embedder in embedders.items()}

figure, axes = plt.subplots(2, figsize=(5.5, 8), layout="constrained")
for ax, (name, (known, tested)) in zip(axes, embedded.items(), strict=True):
    reduce = FieldTransformer(PCA(2)).fit(known)
    groups = {
        "healthy, training": (known, "0.6", "."),
        "healthy, new speeds": (tested[tested["label"] == 1], "#0072B2", "o"),
        "damaged, new speeds": (tested[tested["label"] == -1], "#E69F00", "^"),
    }
    for label, (clips, color, marker) in groups.items():
        points = reduce.transform(clips)["embedding"]
        ax.scatter(*points.T, s=30, color=color, marker=marker, alpha=0.7, label=label)
    unit = "dB" if name == "statistics" else "no unit"
    ax.set(
        title=name,
        xlabel=f"principal component 1 ({unit})",
        ylabel=f"principal component 2 ({unit})",
    )
axes[0].legend()
plt.show()

# %%
# Does it pay?
# ------------
# Both are followed by the same detectors. Each number is a harmonic mean over the two
# motors.

from skasd.detectors import (
    CosineCenterDetector,
    GaussianMixtureDetector,
    MahalanobisDetector,
    NearestNeighborsDetector,
)
from skasd.metrics import auc_scorer, pauc_scorer

detectors = {
    "cosine centre": CosineCenterDetector(),
    "nearest neighbour": NearestNeighborsDetector(),
    "Mahalanobis": MahalanobisDetector(),
    "Gaussian mixture": GaussianMixtureDetector(random_state=0),
}
scores = {
    metric: {
        name: [scorer(detector.fit(known), tested) for detector in detectors.values()]
        for name, (known, tested) in embedded.items()
    }
    for metric, scorer in [("AUC", auc_scorer), ("partial AUC", pauc_scorer)]
}

figure, axes = plt.subplots(2, figsize=(5.5, 6), sharex=True, layout="constrained")
for ax, (metric, values) in zip(axes, scores.items(), strict=True):
    for name, color, marker in zip(values, ["#0072B2", "#D55E00"], "os", strict=True):
        ax.plot(values[name], list(detectors), marker, color=color, ms=9, label=name)
    ax.axvline(0.5, color="0.5", linestyle="--", label="chance")
    ax.set(xlabel=f"{metric} (higher = better)", ylabel="detector")
    ax.grid(axis="y", alpha=0.3)
    ax.margins(y=0.15)
axes[0].legend()
plt.show()

# %%
# The control is ahead nearly everywhere. One run proves nothing, and the recordings are
# few: intervals from resampling whole recordings show how uncertain the best of each
# is.

from skasd.metrics import anomaly_predictions, auc_score, bootstrap_interval

for name, (known, tested) in embedded.items():
    best = list(detectors)[np.argmax(scores["AUC"][name])]
    y_true, y_score = anomaly_predictions(detectors[best].fit(known), tested)
    auc = bootstrap_interval(
        auc_score,
        y_true,
        y_score,
        section=tested["section"],
        groups=tested["recording"],
        n_resamples=300,
        random_state=0,
    )
    print(f"{name} with {best}: AUC {auc.value:.3f}, {auc.low:.3f} to {auc.high:.3f}")

# %%
# The intervals overlap a little, and even they are optimistic, since the best detector
# was chosen on the same clips. Before you train anything big, compare with
# :class:`~skasd.embedders.StatisticsEmbedder` on your own machines.
