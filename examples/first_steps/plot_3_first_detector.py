"""
================
A first detector
================

A pipeline of four steps learns how a healthy motor sounds, and scores new clips.

Four steps are enough: bring the clips to the same level, compute log-mel spectrograms,
summarise each as a vector, and measure how far it is from the healthy ones. The result
of loudness alone is shown for comparison.
"""

# %%
# Fit and score
# -------------
# Training has healthy clips of motor M2 at four speeds; the test has healthy clips and
# ones with a damaged propeller, at four other speeds.
# :class:`~skasd.audio.LevelNormalizer` keeps the detector from going by loudness.

from sklearn.pipeline import make_pipeline

from skasd.audio import LevelNormalizer
from skasd.datasets import load_motors
from skasd.detectors import MahalanobisDetector
from skasd.embedders import StatisticsEmbedder
from skasd.features import LogMelSpectrogram

train = load_motors(motor="M2", split="train")
test = load_motors(motor="M2", split="test")

system = make_pipeline(
    LevelNormalizer(),
    LogMelSpectrogram(n_mels=64),
    StatisticsEmbedder(),
    MahalanobisDetector(),
)
system.fit(train)
system.score_samples(test)[:5]

# %%
# A **higher score is more normal**, as everywhere in scikit-learn. Here the score is a
# negative distance.
#
# What the scores look like
# -------------------------
# Nearly all damaged clips score lower than the healthy ones. The dashed line is the
# threshold that ``predict`` uses, ``offset_`` of the detector. It is set so that one
# clip in ten would raise an alarm if all were like those of training.

import matplotlib.pyplot as plt

from skasd.plotting import ScoreHistogramDisplay

figure, ax = plt.subplots(figsize=(5.5, 4.5), layout="constrained")
ScoreHistogramDisplay.from_estimator(system, test, ax=ax)
ax.set_title("Motor M2, speeds not heard in training")
plt.show()

# %%
# Here it is a cautious one. There are four training recordings, each at a different
# speed, and to a model that has heard three of them the fourth sounds strange. So the
# threshold is low: no healthy clip raises an alarm, and a third of the damaged ones
# slip through. Ranking and threshold are two different questions; the second is the
# subject of :doc:`/gallery/alarms/plot_1_thresholds`.

alarms = system.predict(test) == -1
print(f"damaged clips that raise an alarm: {alarms[test['label'] == -1].mean():.0%}")
print(f"healthy clips that raise an alarm: {alarms[test['label'] == 1].mean():.0%}")

# %%
# How well do they rank?
# ----------------------
# The ROC curve shows all thresholds at once. Its area, the AUC, is the chance that a
# damaged clip has a lower score than a healthy one. People who are called for nothing
# too often stop coming, so the part with few false alarms matters most: the partial
# AUC, shaded, goes up to one false alarm in ten healthy clips. The other curve is what
# loudness alone reaches.

import numpy as np

from skasd.metrics import anomaly_predictions, auc_score, bootstrap_interval
from skasd.plotting import PartialROCDisplay

loudness = np.mean(np.square(test["waveform"]), axis=1)
y_true, y_score = anomaly_predictions(system, test)

figure, ax = plt.subplots(figsize=(5.5, 5.5), layout="constrained")
PartialROCDisplay.from_predictions(y_true, y_score, name="pipeline", ax=ax)
PartialROCDisplay.from_predictions(
    y_true,
    loudness,
    name="loudness alone",
    ax=ax,
    color="#E69F00",
    linestyle="-.",
)
plt.show()

# %%
# The clips come from few recordings, and clips of one recording are alike. An interval
# from resampling whole recordings shows how uncertain the number is; one from
# resampling clips would promise too much.

for name, groups in [("recordings", test["recording"]), ("clips (too narrow)", None)]:
    auc = bootstrap_interval(auc_score, y_true, y_score, groups=groups, random_state=0)
    print(f"AUC {auc.value:.3f}, drawing {name}: {auc.low:.3f} to {auc.high:.3f}")

# %%
# Which recordings are hard?
# --------------------------
# One mark per clip. At 1450 rpm the healthy clips score nearly as low as damaged ones
# do at other speeds, although 1400 rpm is among the training speeds: at any single
# speed, a detector would have an easier task.

figure, ax = plt.subplots(figsize=(5.5, 4.5), layout="constrained")
scores = system.score_samples(test)
for label, name, color, marker, shift in [
    (1, "healthy", "#0072B2", "o", -8),
    (-1, "damaged", "#E69F00", "^", 8),
]:
    rows = test["label"] == label
    ax.scatter(
        test["speed"][rows] + shift,
        scores[rows],
        color=color,
        marker=marker,
        alpha=0.7,
        label=name,
    )
for speed in np.unique(train["speed"]):
    ax.axvline(
        speed,
        color="0.5",
        linestyle=":",
        label="speeds of training" if speed == 1400 else None,
    )
ax.set(
    xlabel="speed (rpm)",
    ylabel="score (higher = more normal)",
    title="Motor M2, clip by clip",
)
ax.legend()
plt.show()
