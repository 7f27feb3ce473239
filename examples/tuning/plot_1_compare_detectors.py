"""
===================
Comparing detectors
===================

What do the detectors call normal? Borders drawn on data with two features.

Each row of the picture is a set of embeddings with two features, so that it can be
drawn, and each column a detector. None is best everywhere: each draws the border that
follows from its own idea of normal. Four rows are made up to show these ideas; the last
one comes from recordings of a motor.
"""

# %%
# Embeddings with two features
# ----------------------------
# Each of the made-up sets has 200 training clips, all normal, and 200 normal and 200
# anomalous test clips. The anomalies are spread over a square.

import numpy as np
from sklearn.datasets import make_blobs, make_moons

rng = np.random.RandomState(0)


angle, length = rng.normal(0.8, 0.15, 400), rng.uniform(0.3, 4.5, 400)
normal = {
    "one cluster": rng.multivariate_normal([1, 1], [[0.5, 0.35], [0.35, 0.4]], 400),
    "two densities": make_blobs(
        [300, 100],
        centers=[[-2, -1.5], [1.5, 1]],
        cluster_std=[0.2, 0.8],
        random_state=0,
    )[0],
    "a moon": 2 * make_moons((400, 0), noise=0.1, random_state=0)[0] - [0, 1],
    "one direction": np.column_stack([length * np.cos(angle), length * np.sin(angle)]),
}
sets = {}
for name, embedding in normal.items():
    embedding = rng.permutation(embedding)
    sets[name] = embedding[:200], embedding[200:], rng.uniform(-4, 4, (200, 2))

# %%
# The last row is real: clips of motor M2, healthy and with a damaged propeller, at
# speeds that are not in training. Their spectra are summarised by mean, maximum and
# roughness of each band, and only the two directions of these 192 features in which the
# training clips vary most are kept.

from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline

from skasd.audio import LevelNormalizer
from skasd.datasets import load_motors
from skasd.embedders import StatisticsEmbedder
from skasd.features import FieldTransformer, LogMelSpectrogram

embed = make_pipeline(
    LevelNormalizer(),
    LogMelSpectrogram(n_mels=64),
    StatisticsEmbedder(),
)
train = embed.fit_transform(load_motors(motor="M2", split="train", hop_duration=0.25))
test = embed.transform(load_motors(motor="M2", split="test"))

reduce = FieldTransformer(PCA(2, whiten=True)).fit(train)
motor = reduce.transform(test)
sets["motor M2"] = (
    reduce.transform(train)["embedding"],
    motor["embedding"][motor["label"] == 1],
    motor["embedding"][motor["label"] == -1],
)

# %%
# Five detectors
# --------------
# These need no network. (:class:`~skasd.detectors.AutoencoderDetector` and
# :class:`~skasd.detectors.FlowDetector` train one;
# :class:`~skasd.detectors.OutlierExposureDetector` reads the output of a classifier.)

from skasd.detectors import (
    CosineCenterDetector,
    GaussianMixtureDetector,
    LocalOutlierFactorDetector,
    MahalanobisDetector,
    NearestNeighborsDetector,
)

detectors = {
    "cosine centre": CosineCenterDetector(),
    "Mahalanobis": MahalanobisDetector(),
    "Gaussian mixture (3)": GaussianMixtureDetector(n_components=3, random_state=0),
    "nearest neighbour": NearestNeighborsDetector(metric="euclidean"),
    "local outlier factor": LocalOutlierFactorDetector(n_neighbors=20),
}

# %%
# What they call normal
# ---------------------
# The darker the blue, the more normal. The black line is the threshold, set for one
# false alarm in ten clips like those of training. Grey dots are training clips, orange
# triangles anomalies of the test. The number in the corner is the AUC on the test.

import matplotlib.pyplot as plt

from skasd.metrics import auc_score

figure, axes = plt.subplots(5, 5, figsize=(6.5, 7.5), layout="constrained")
blues = plt.cm.Blues(np.linspace(0.05, 0.7, 9))
for row, (set_name, (known, healthy, faulty)) in zip(axes, sets.items(), strict=True):
    tested = np.concatenate([healthy, faulty])
    y_true = np.repeat([0, 1], [len(healthy), len(faulty)])
    everything = np.concatenate([known, tested])
    low, high = everything.min(axis=0) - 0.3, everything.max(axis=0) + 0.3
    x, y = np.meshgrid(*np.linspace(low, high, 100).T)
    grid = np.column_stack([x.ravel(), y.ravel()])
    for ax, detector in zip(row, detectors.values(), strict=True):
        detector.fit(known)
        score = detector.decision_function(grid).reshape(x.shape)
        levels = np.quantile(score, np.linspace(0, 1, 10))
        ax.contourf(x, y, score, levels=levels, colors=blues)
        ax.contour(x, y, score, levels=[0], colors="black", linewidths=1.5)
        ax.scatter(*known.T, s=3, color="0.3")
        ax.scatter(
            *faulty[:80].T,
            s=14,
            marker="^",
            color="#E69F00",
            edgecolors="black",
            linewidths=0.4,
        )
        auc = auc_score(y_true, -detector.score_samples(tested))
        ax.text(
            0.96,
            0.04,
            f"{auc:.2f}",
            transform=ax.transAxes,
            ha="right",
            bbox={"facecolor": "white", "pad": 2},
        )
        ax.set(xticks=[], yticks=[])
    row[0].set_ylabel(f"{set_name}\nfeature 2")
for ax, name in zip(axes[0], detectors, strict=True):
    ax.set_title(name.replace(" ", "\n", 1), fontsize="medium")
for ax in axes[-1]:
    ax.set_xlabel("feature 1")
plt.show()

# %%
# Two features are not enough
# ---------------------------
# On the motor, no detector does well: the two directions in which healthy clips vary
# most show the speed, not the fault. With all 192 features, results and the choice of
# the detector are different:

from skasd.metrics import auc_scorer, pauc_scorer

for name, detector in detectors.items():
    detector.fit(train)
    auc, pauc = auc_scorer(detector, test), pauc_scorer(detector, test)
    print(f"{name:<21} AUC {auc:.3f}   partial AUC {pauc:.3f}")
