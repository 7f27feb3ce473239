"""
================
Your own network
================

Any torch module can be an embedder: we write a small one and try it.

Any ``torch.nn.Module`` that turns spectrograms into vectors can be trained by
:class:`~skasd.embedders.ClassificationEmbedder`; loss, augmentation, training and
saving come with it. This example writes a small network, trains it on valves, and asks
whether the idea behind it is any good.
"""

# %%
# The network
# -----------
# It takes a batch of log-mel spectrograms, shape (n_clips, n_mels, n_frames) in dB, and
# returns one vector per clip. The bands are the channels of two convolutions over time,
# whose output is summarised by its mean and standard deviation. The idea: a valve's
# faults are in its rhythm, so remove the steady spectrum (``changes_only``), which
# makes sections too easy to tell apart. Sizes that depend on the input may be lazy,
# such as the number of bands here.

# sphinx_gallery_thumbnail_number = 2
import torch
from torch import nn


class RhythmNetwork(nn.Module):
    def __init__(self, n_channels=64, embedding_size=32, changes_only=True):
        super().__init__()
        self.changes_only = changes_only
        self.convolve = nn.Sequential(
            nn.LazyConv1d(n_channels, kernel_size=5, stride=2),
            nn.BatchNorm1d(n_channels),
            nn.ReLU(),
            nn.Conv1d(n_channels, n_channels, kernel_size=5, stride=2),
            nn.BatchNorm1d(n_channels),
            nn.ReLU(),
        )
        self.embed = nn.Linear(2 * n_channels, embedding_size)

    def forward(self, log_mel):
        if self.changes_only:
            log_mel = log_mel - log_mel.mean(dim=2, keepdim=True)
        x = self.convolve(log_mel / 20)
        return self.embed(torch.cat([x.mean(dim=2), x.std(dim=2)], dim=1))


# %%
# Train it
# --------
# Pass the class, and its arguments by name, such as ``network__changes_only``. The
# network is made in ``fit``, so ``clone`` and ``GridSearchCV`` work as with any
# estimator, also for these arguments.

from skasd.augmentation import Mixup
from skasd.datasets import make_machine_sounds
from skasd.embedders import ClassificationEmbedder, StatisticsEmbedder
from skasd.features import LogMelSpectrogram
from skasd.losses import AdaCosLoss

clips = make_machine_sounds(
    "valve",
    n_train_source=40,
    n_test=15,
    duration=4.0,
    random_state=0,
)
clips = LogMelSpectrogram(n_mels=64).fit_transform(clips)
train, test = clips[clips["split"] == "train"], clips[clips["split"] == "test"]

embedder = ClassificationEmbedder(
    RhythmNetwork,
    network__changes_only=True,
    loss=AdaCosLoss,
    targets=("section", "attribute"),
    augmentations=(Mixup(),),
    max_epochs=20,
    batch_size=32,
    lr_schedule="cosine",
    validation_fraction=0.2,
    device="cpu",
    random_state=0,
)
embedder.fit(train)

# %%
import matplotlib.pyplot as plt

from skasd.plotting import TrainingHistoryDisplay

figure, ax = plt.subplots(figsize=(5.5, 4), layout="constrained")
n_parameters = sum(parameter.numel() for parameter in embedder.network_.parameters())
TrainingHistoryDisplay.from_estimator(embedder, ax=ax)
ax.set_title(f"RhythmNetwork, {n_parameters} parameters")
plt.show()

# %%
# Is the idea any good?
# ---------------------
# One run cannot tell: the initial weights and the order of the clips are random. So we
# train it with and without the idea, with three random states each, on all training
# clips, and compare it with the control, which needs no training.

from sklearn.base import clone

from skasd.detectors import CosineCenterDetector, MahalanobisDetector
from skasd.metrics import auc_scorer

embedders = {"no training (control)": [StatisticsEmbedder()]}
for name, changes_only in [("whole spectra", False), ("changes only", True)]:
    params = {"network__changes_only": changes_only, "validation_fraction": 0.0}
    embedders[name] = [clone(embedder).set_params(**params, random_state=seed) for seed in range(3)]

detectors = {
    "cosine centre": CosineCenterDetector(),
    "Mahalanobis": MahalanobisDetector(),
}
figure, axes = plt.subplots(
    2,
    figsize=(5.5, 4.5),
    sharex=True,
    sharey=True,
    layout="constrained",
)
for name, runs in embedders.items():
    embedded = [(run.fit_transform(train), run.transform(test)) for run in runs]
    for ax, (detector_name, detector) in zip(axes, detectors.items(), strict=True):
        aucs = [auc_scorer(detector.fit(known), tested) for known, tested in embedded]
        print(f"{name:<25}{detector_name:<15}AUC", *(f"{auc:.3f}" for auc in aucs))
        ax.plot(aucs, [name] * len(aucs), "o", color="#0072B2", alpha=0.7, markersize=9)
for ax, name in zip(axes, detectors, strict=True):
    ax.axvline(0.5, color="0.5", linestyle="--", label="chance")
    ax.set(
        title=f"Detector: {name}",
        xlabel="AUC, harmonic mean of three valves",
        ylabel="embedder",
    )
    ax.margins(y=0.2)
    ax.grid(axis="y", alpha=0.3)
    ax.label_outer()
axes[0].legend()
plt.show()

# %%
# The control with the Mahalanobis detector is ahead of everything: such a small
# network, trained on so few clips, seldom does better (see
# :doc:`/gallery/networks/plot_1_train_embedder`). The idea helps with one of the
# detectors and hurts with the other.
#
# To go on: a network with the method ``forward_stages`` offers all its stages to a
# detector (``output="stages"``); :class:`~skasd.networks.WithFrontEnd` puts a
# spectrogram layer in front of it, so that it trains on waveforms. To save a fitted
# embedder with ``joblib``, keep the class in a module that can be imported wherever it
# is loaded.
