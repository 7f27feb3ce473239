"""
==============================
Domain shift, seen and handled
==============================

A new speed sounds different, and a detector cannot know that it is not a fault.

This example shows what such a *domain shift* does to scores, and what three remedies
gain and cost: a few healthy clips from the new conditions, a model for each domain, and
features that depend less on the speed.
"""

# %%
# Gearboxes at new speeds
# -----------------------
# Four synthetic gearboxes, each a section of its own. In the *source* domain they run
# at three speeds, in the *target* domain at two others. For each gearbox there are 95
# training clips from the source domain, and up to 40 from the target domain, to see
# what these are worth.

# sphinx_gallery_thumbnail_number = 2
import numpy as np
from sklearn.pipeline import make_pipeline

from skasd.datasets import make_machine_sounds
from skasd.embedders import StatisticsEmbedder
from skasd.features import LogMelSpectrogram

clips = make_machine_sounds(
    "gearbox",
    n_sections=4,
    domain_shift="speed",
    n_train_target=40,
    duration=2.0,
    random_state=0,
)
clips = LogMelSpectrogram(n_mels=64).fit_transform(clips)
source = clips[(clips["split"] == "train") & (clips["domain"] == "source")]
target = clips[(clips["split"] == "train") & (clips["domain"] == "target")]
test = clips[clips["split"] == "test"]

# %%
# Seen
# ----
# This detector has only heard the source domain. In the target domain, healthy clips
# score lower than most faulty clips of the source domain: no threshold can suit both.

import matplotlib.pyplot as plt

from skasd.detectors import MahalanobisDetector
from skasd.plotting import ScoreHistogramDisplay

system = make_pipeline(StatisticsEmbedder(), MahalanobisDetector()).fit(source)

figure, axes = plt.subplots(
    2,
    figsize=(5.5, 6.5),
    sharex=True,
    sharey=True,
    layout="constrained",
)
scores, bins = system.score_samples(test), np.linspace(-80, 0, 41)
for ax, domain in zip(axes, ("source", "target"), strict=True):
    rows = test["domain"] == domain
    ScoreHistogramDisplay.from_predictions(
        test["label"][rows],
        scores[rows],
        threshold=system[-1].offset_,
        bins=bins,
        name=f"{domain} domain",
        ax=ax,
    )
    ax.label_outer()
plt.show()

# %%
# :func:`~skasd.metrics.domain_scores` follows the challenge's rules: each domain's
# healthy clips against the faulty clips of both. An AUC below 0.5 means that a healthy
# clip of that domain usually looks *worse* than a faulty one.

from skasd.metrics import anomaly_predictions, domain_scores


def aucs(system):
    """AUC in the source and in the target domain, the mean over the gearboxes."""
    y_true, y_score = anomaly_predictions(system, test)
    sections = domain_scores(y_true, y_score, test["domain"], section=test["section"])
    return np.mean([[each.auc_source, each.auc_target] for each in sections], axis=0)


print("AUC: {:.2f} in the source domain, {:.2f} in the target domain".format(*aucs(system)))

# %%
# Handled
# -------
# Three pipelines, each with 0 to 40 healthy clips of the target domain in training. The
# second one gives each domain its own Gaussian; the smaller distance counts, so the
# domain need not be known for scoring. The third one leaves out the mean level of the
# bands and uses how much they vary over time.

systems = {
    "one Gaussian": system,
    "a Gaussian each domain": make_pipeline(
        StatisticsEmbedder(),
        MahalanobisDetector(per_domain=True),
    ),
    "one Gaussian, standard deviations only": make_pipeline(
        StatisticsEmbedder(statistics=("std",)),
        MahalanobisDetector(),
    ),
}
counts = [0, 3, 5, 10, 20, 40]
number = np.tile(np.arange(40), 4)  # of a target clip among those of its gearbox
reached = {
    name: np.transpose([aucs(each.fit(source + target[number < count])) for count in counts])
    for name, each in systems.items()
}

figure, axes = plt.subplots(
    2,
    figsize=(5.5, 7.5),
    sharex=True,
    sharey=True,
    layout="constrained",
)
colors = ["#0072B2", "#D55E00", "#009E73"]
for name, color, marker in zip(systems, colors, "os^", strict=True):
    for ax, values in zip(axes, reached[name], strict=True):
        ax.plot(counts, values, color=color, marker=marker, label=name)
for ax, domain in zip(axes, ("source", "target"), strict=True):
    ax.axhline(0.5, color="0.5", linestyle="--", label="chance")
    ax.set(
        title=f"{domain} domain",
        xlabel="target clips in training, a gearbox",
        ylabel="AUC, mean of four gearboxes",
    )
    ax.label_outer()
axes[0].legend()
plt.show()

# %%
# Each remedy helps in the target domain, and each has a price in the source domain. A
# second Gaussian needs enough clips to be estimated; a few target clips help all three.
# What is best depends on the machine, the kind of shift and the number of clips: tune
# it on development machines (:doc:`/gallery/tuning/plot_2_tuning`) rather than read it
# off a test, as this picture does.
