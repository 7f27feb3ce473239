"""
===========================
Thresholds and false alarms
===========================

A threshold turns scores into alarms: how well does it keep the promised rate?

It can only be set with healthy clips, so all it can promise is a false-alarm rate. This
example checks that promise: on clips like those of training, and after a domain shift.
"""

# %%
# A fan in two halls
# ------------------
# A synthetic fan whose target domain is another factory hall. Training uses the source
# domain only. There are many test clips, so that low alarm rates can be measured.

# sphinx_gallery_thumbnail_number = 2
from sklearn.pipeline import make_pipeline

from skasd.datasets import make_machine_sounds
from skasd.embedders import StatisticsEmbedder
from skasd.features import LogMelSpectrogram

clips = make_machine_sounds(
    "fan",
    n_sections=1,
    domain_shift="noise",
    n_train_source=200,
    n_train_target=50,
    n_test=150,
    duration=2.0,
    random_state=0,
)
embed = make_pipeline(LogMelSpectrogram(n_mels=64), StatisticsEmbedder())
clips = embed.fit_transform(clips)
known = clips[clips["split"] == "train"]
train, target = (known[known["domain"] == domain] for domain in ("source", "target"))
test = clips[clips["split"] == "test"]

# %%
# Two ways to set it
# ------------------
# ``contamination`` is the share of normal clips that may raise an alarm, and
# ``threshold`` says how ``offset_`` is computed from the scores of the training clips:
# as their quantile, or as that of a gamma distribution fitted to them. The quantile
# makes no assumptions, but at 1 % of 200 clips it depends on the two or three lowest
# scores.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone

from skasd.detectors import MahalanobisDetector, NearestNeighborsDetector
from skasd.plotting import ScoreHistogramDisplay

detector = NearestNeighborsDetector(n_neighbors=5, contamination=0.01).fit(train)
gamma = clone(detector).set_params(threshold="gamma").fit(train)
in_source = test[test["domain"] == "source"]

figure, ax = plt.subplots(figsize=(5.5, 4.5), layout="constrained")
ScoreHistogramDisplay.from_estimator(detector, in_source, ax=ax)
ax.set_title("Source domain, one false alarm in 100 asked for")
ax.axvline(
    gamma.offset_,
    color="#D55E00",
    linestyle=":",
    linewidth=2,
    label=f"threshold {gamma.offset_:.3g} by gamma",
)
ax.legend()
plt.show()

# %%
# Asked for and found
# -------------------
# Each detector is fitted for rates from 1 to 30 %, and we count the healthy test clips
# that raise an alarm. On the dashed line the promise is kept.


def false_alarms(detector, rate, clips):
    detector.set_params(contamination=rate).fit(train)
    return np.mean(detector.predict(clips[clips["label"] == 1]) == -1)


rates = np.array([0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3])
kinds = {
    "nearest neighbours, quantile": NearestNeighborsDetector(n_neighbors=5),
    "nearest neighbours, gamma": NearestNeighborsDetector(
        n_neighbors=5,
        threshold="gamma",
    ),
    "Mahalanobis, quantile": MahalanobisDetector(),
}
colors = ["#0072B2", "#009E73", "#D55E00"]
figure, axes = plt.subplots(
    2,
    figsize=(5.5, 8),
    sharex=True,
    sharey=True,
    layout="constrained",
)
for ax, domain in zip(axes, ("source", "target"), strict=True):
    in_domain = test[test["domain"] == domain]
    for name, color, marker in zip(kinds, colors, "o^s", strict=True):
        found = [100 * false_alarms(kinds[name], rate, in_domain) for rate in rates]
        ax.plot(100 * rates, found, color=color, marker=marker, label=name)
    ax.axline((0, 0), slope=1, color="0.5", linestyle="--", label="as asked for")
    ax.set(
        title=f"{domain} domain",
        xlabel="false alarms asked for (%)",
        ylabel="false alarms found (%)",
        ylim=(-3, 103),
    )
    ax.label_outer()
axes[1].legend()
plt.show()

# %%
# In the hall that they know, the detectors raise about as many alarms as were asked
# for, or fewer; in the new hall they raise more, some of them twice as many. The first
# result does not come for free. A Gaussian in 192 dimensions fits the 200 clips that it
# was fitted to better than any others, and every clip is its own nearest neighbour. So,
# for the threshold, each training clip is scored without that clip. If you take a
# quantile of ``score_samples`` on the training clips instead, you get a different
# threshold, as the next table shows.
#
# Set it for the conditions under which it will run
# -------------------------------------------------
# One remedy for the new hall is to record some healthy clips there. No training is
# needed: ``offset_`` is a number that you can replace.

detector = MahalanobisDetector(contamination=0.1).fit(train)
offsets = {
    "the detector itself": detector.offset_,
    "scores of training": np.quantile(detector.score_samples(train), 0.1),
    "50 target clips": np.quantile(detector.score_samples(target), 0.1),
}
print(f"{'':<24}{'source domain':>20}{'target domain':>25}")
print(f"{'threshold by':<24}" + 2 * f"{'false alarms':>15}{'found':>8}  ")
for name, offset in offsets.items():
    detector.offset_ = offset
    alarms = detector.predict(test) == -1
    print(f"{name:<24}", end="")
    for domain in ("source", "target"):
        raised = alarms[test["domain"] == domain]
        healthy = test["label"][test["domain"] == domain] == 1
        rates = f"{raised[healthy].mean():>15.0%}{raised[~healthy].mean():>8.0%}  "
        print(rates, end="")
    print()

# %%
# One in ten was asked for. In the target domain, the detector's own threshold gives
# nearly twice as many false alarms; the threshold from target clips keeps the promise
# there, but misses more faults in the source domain. If the domain is unknown while the
# machine runs, you have to choose between false alarms in one domain and missed faults
# in the other, or bring the domains closer together
# (:doc:`/gallery/alarms/plot_3_domain_shift`).

figure, axes = plt.subplots(
    2,
    figsize=(5.5, 7),
    sharex=True,
    sharey=True,
    layout="constrained",
)
for ax, domain in zip(axes, ("source", "target"), strict=True):
    rows = test["domain"] == domain
    ScoreHistogramDisplay.from_predictions(
        test["label"][rows],
        detector.score_samples(test[rows]),
        bins=np.linspace(-60, 0, 41),
        name=f"{domain} domain",
        ax=ax,
    )
    for (name, offset), style in zip(offsets.items(), [":", "-", "--"], strict=True):
        ax.axvline(offset, color="black", linestyle=style, label=f"by {name}")
    ax.legend(loc="upper left", fontsize="small")
    ax.label_outer()
plt.show()
