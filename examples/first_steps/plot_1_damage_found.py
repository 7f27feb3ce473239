"""
==========================
A damaged propeller, found
==========================

Four steps detect the damage of a real motor, raise an alarm and show where it is.
"""

# %%
# Two small motors
# ----------------
# Their recordings come with the package: one for each motor, speed and state, of ten
# seconds. The first six seconds of the healthy ones are for training. The last two are
# for testing, together with those of a damaged propeller. This is the easiest case
# there is, since training and test clips come from the same recordings; the examples
# that follow make it harder.

from skasd.datasets import load_motors

motors = load_motors(training_speeds=(), duration=2.0).without("recording")
healthy, damaged = motors[motors["label"] == 1], motors[motors["label"] == -1]
train, test = healthy[healthy["start"] < 6], motors[motors["start"] == 8]
print(f"{len(train)} clips train, {len(test)} are tested")

# %%
# Four steps
# ----------
# Bring all clips to the same level, so that loudness is no clue; make log-mel
# spectrograms; summarise each band by statistics; and measure how far these are from
# those of healthy clips. ``contamination`` is the share of healthy clips that may raise
# a false alarm.

from sklearn.pipeline import make_pipeline

from skasd.audio import LevelNormalizer
from skasd.detectors import MahalanobisDetector
from skasd.embedders import StatisticsEmbedder
from skasd.features import LogMelSpectrogram

detector = make_pipeline(
    LevelNormalizer(),
    LogMelSpectrogram(n_mels=64, hop_length=256),
    StatisticsEmbedder(),
    MahalanobisDetector(contamination=0.05),
).fit(train)
alarms = detector.predict(test) == -1
for label, name in [(1, "healthy"), (-1, "damaged")]:
    chosen = alarms[test["label"] == label]
    print(f"{name}: {chosen.sum()} alarms for {len(chosen)} clips")

# %%
# Where is it?
# ------------
# The darker the colour, the more unusual the place. The damaged propeller knocks.

# sphinx_gallery_thumbnail_number = 1
import matplotlib.pyplot as plt

from skasd.plotting import AnomalyMapDisplay, ScoreHistogramDisplay

AnomalyMapDisplay.from_estimator(
    detector,
    damaged[damaged["start"] == 8],
    9,
    reference=train,
    patch_shape=(8, 8),
    name="damaged propeller, motor M2 at 1650 rpm",
)
plt.show()

# %%
# And the scores, relative to the threshold:

ScoreHistogramDisplay.from_predictions(
    test["label"],
    detector.decision_function(test),
    threshold=0,
)
plt.show()
