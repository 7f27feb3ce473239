"""
===========================
Thresholds and false alarms
===========================

A detector ranks clips; a threshold makes alarms of the ranking. Only healthy clips are there to set it by, so
what can be promised is a rate of false alarms. This example asks how well such promises are kept: on clips like
those of training, and after a domain shift.
"""

# %%
# A fan in two halls
# ------------------
# A synthetic fan whose target domain is another factory hall. Training has heard the source domain alone. There
# are many test clips, so that small rates of alarms can be counted.

from sklearn.pipeline import make_pipeline

from skasd.datasets import make_machine_sounds
from skasd.embedders import StatisticsEmbedder
from skasd.features import LogMelSpectrogram

clips = make_machine_sounds(
    "fan",
    n_sections=1,
    domain_shift="noise",
    n_train_source=300,
    n_train_target=50,
    n_test=150,
    duration=2.0,
    random_state=0,
)
clips = make_pipeline(LogMelSpectrogram(n_mels=64), StatisticsEmbedder()).fit_transform(clips)
known = clips[clips["split"] == "train"]
source, target = (known[known["domain"] == domain] for domain in ("source", "target"))
test = clips[clips["split"] == "test"]
train, aside = source[:200], source[200:]

# %%
# Two ways to set it
# ------------------
# ``contamination`` is the rate of false alarms that one asks for, ``threshold`` how ``offset_`` is made from the
# scores of the training clips: as their quantile, or as that of a gamma distribution fitted to them. The quantile
# takes nothing for granted, but at 1 % of 200 clips it rests on the two or three lowest scores.

import matplotlib.pyplot as plt
import numpy as np

from skasd.detectors import MahalanobisDetector, NearestNeighborsDetector
from skasd.plotting import ScoreHistogramDisplay

detector = NearestNeighborsDetector(metric="euclidean", contamination=0.01).fit(train)
gamma = NearestNeighborsDetector(metric="euclidean", contamination=0.01, threshold="gamma").fit(train)
in_source = test[test["domain"] == "source"]

figure, ax = plt.subplots(figsize=(8, 4.5), layout="constrained")
ScoreHistogramDisplay.from_estimator(detector, in_source, name="Source domain, one false alarm in 100 asked for", ax=ax)
ax.axvline(gamma.offset_, color="#D55E00", linestyle=":", linewidth=2, label=f"threshold {gamma.offset_:.3g} by gamma")
ax.legend()
plt.show()

# %%
# Asked for and found
# -------------------
# Each detector is fitted for rates from 1 to 30 %, and of the healthy test clips those are counted that raise an
# alarm. On the dashed line the promise is kept.

from sklearn.base import clone


def false_alarms(detector, clips):
    return np.mean(detector.predict(clips[clips["label"] == 1]) == -1)


rates = np.array([0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3])
kinds = {
    "nearest neighbour, quantile": NearestNeighborsDetector(metric="euclidean"),
    "nearest neighbour, gamma": NearestNeighborsDetector(metric="euclidean", threshold="gamma"),
    "Mahalanobis, quantile": MahalanobisDetector(),
}
figure, axes = plt.subplots(1, 2, figsize=(10, 4.8), sharey=True, layout="constrained")
for ax, domain in zip(axes, ("source", "target"), strict=True):
    in_domain = test[test["domain"] == domain]
    for (name, kind), color, marker in zip(kinds.items(), ["#0072B2", "#009E73", "#D55E00"], "o^s", strict=True):
        fitted = [clone(kind).set_params(contamination=rate).fit(train) for rate in rates]
        found = [100 * false_alarms(detector, in_domain) for detector in fitted]
        ax.plot(100 * rates, found, color=color, marker=marker, label=name)
    ax.axline((0, 0), slope=1, color="0.5", linestyle="--", label="as asked for")
    ax.set(
        title=f"{domain} domain", xlabel="false alarms asked for (%)", ylabel="false alarms found (%)", ylim=(-3, 103)
    )
    ax.label_outer()
axes[1].legend()
plt.show()

# %%
# The promise is broken for two reasons.
#
# - **In the new hall** every detector raises more false alarms than were asked for: none knows that hall.
# - **The Mahalanobis distance** raises far too many even in the hall that it knows. A Gaussian in 128 dimensions
#   lies close to the 200 clips that it was fitted to, closer than to any others. The nearest neighbour has no
#   such trouble: in the scores for the threshold no training clip is its own neighbour.
#
# Set it by clips that did not train
# ----------------------------------
# The remedy is the same for both: some healthy clips that the detector was not fitted to, of the conditions under
# which it will run. ``offset_`` is a number and can be replaced.

detector = MahalanobisDetector().fit(train)
offsets = {
    f"{len(train)} clips of training": detector.offset_,
    f"{len(aside)} source clips set aside": np.quantile(detector.score_samples(aside), 0.1),
    f"{len(target)} target clips set aside": np.quantile(detector.score_samples(target), 0.1),
}
print(f"{'':<30}{'source domain':>21}{'target domain':>29}")
print(f"{'threshold by':<30}" + 2 * f"{'false alarms':>15}{'found':>10}    ")
for name, offset in offsets.items():
    detector.offset_ = offset
    alarms = detector.predict(test) == -1
    print(f"{name:<30}", end="")
    for domain in ("source", "target"):
        healthy, faulty = (alarms[(test["domain"] == domain) & (test["label"] == label)] for label in (1, -1))
        print(f"{healthy.mean():>15.0%}{faulty.mean():>10.0%}    ", end="")
    print()

# %%
# One in ten was asked for. The threshold of the source clips suits source clips, that of the target clips suits
# target clips, and neither suits the other domain. Where the domain is not known while the machine runs, one has
# to choose between false alarms in the one and missed faults in the other, or to bring the domains closer
# together (:doc:`plot_4_domain_shift`).

figure, axes = plt.subplots(2, figsize=(8, 6.5), sharex=True, sharey=True, layout="constrained")
for ax, domain in zip(axes, ("source", "target"), strict=True):
    rows = test["domain"] == domain
    scores = detector.score_samples(test[rows])
    bins = np.linspace(-40, 0, 41)
    ScoreHistogramDisplay.from_predictions(test["label"][rows], scores, name=f"{domain} domain", bins=bins, ax=ax)
    for (name, offset), style in zip(offsets.items(), [":", "-", "--"], strict=True):
        ax.axvline(offset, color="black", linestyle=style, label=f"by {name}")
    ax.legend(loc="upper left", fontsize="small")
    ax.label_outer()
plt.show()
