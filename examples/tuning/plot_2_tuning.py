"""
=========================
Tuning by the partial AUC
=========================

``GridSearchCV`` tunes any part of a pipeline, by the partial AUC.

It needs to know which clips to train on, which to validate on, and how to score; skasd
has a splitter and scorers for that. As in the DCASE Challenge, some machines are for
development, and others are kept back to see what the choice is worth.
"""

# %%
# Some machines to tune on, others to report
# ------------------------------------------
# Six synthetic gearboxes. Each has healthy training clips, and healthy and faulty test
# clips. Each is a section with its own model. The first three are for development; the
# others are not used before the end.

import numpy as np

from skasd.datasets import make_machine_sounds
from skasd.features import LogMelSpectrogram

clips = make_machine_sounds(
    "gearbox",
    n_sections=6,
    n_train_source=60,
    n_test=15,
    duration=2.0,
    random_state=0,
)
clips = LogMelSpectrogram(n_mels=64).fit_transform(clips)
development = clips[np.isin(clips["section"], ["00", "01", "02"])]
evaluation = clips[np.isin(clips["section"], ["03", "04", "05"])]

# %%
# The spectrograms are computed once, before the search: nothing in the grid changes
# them, and nothing is learned in computing them. Whatever *learns* from clips belongs
# in the pipeline, so that it learns only from the training clips of a split.
#
# Search
# ------
# :class:`~skasd.model_selection.DevelopmentSplit` trains on the clips called ``train``
# and validates on those called ``test``. :func:`~skasd.metrics.pauc_scorer` computes
# the partial AUC of each section and their harmonic mean. Clips labelled -1 are never
# used for training, not even when the best setting is refitted on all development
# clips.

from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from skasd.detectors import (
    GaussianMixtureDetector,
    MahalanobisDetector,
    NearestNeighborsDetector,
)
from skasd.embedders import StatisticsEmbedder
from skasd.metrics import pauc_scorer
from skasd.model_selection import DevelopmentSplit

system = Pipeline(
    [
        ("embedder", StatisticsEmbedder()),
        ("detector", MahalanobisDetector()),
    ]
)
choices = [("mean",), ("mean", "std"), ("mean", "max", "diff"), ("rank",)]
statistics = {"embedder__statistics": choices}
grid = [
    {
        **statistics,
        "detector": [MahalanobisDetector()],
        "detector__per_domain": [False, True],
    },
    {
        **statistics,
        "detector": [GaussianMixtureDetector(random_state=0)],
        "detector__n_components": [1, 2],
    },
    {
        **statistics,
        "detector": [NearestNeighborsDetector()],
        "detector__normalization": [None, "local_density", "variance_minimizing"],
    },
]
search = GridSearchCV(system, grid, scoring=pauc_scorer, cv=DevelopmentSplit())
search.fit(development, development["label"])

print(f"{len(search.cv_results_['params'])} settings, and the best of them:")
for name, value in search.best_params_.items():
    print(f"  {name}: {value}")

# %%
# What is the best score worth?
# -----------------------------
# ``best_score_`` is the highest of many, on the very clips that chose it. For an honest
# result, the chosen setting learns the evaluation machines from their training clips,
# and is scored on their test clips.

from sklearn.base import clone


def score_on_evaluation(params):
    chosen = clone(system).set_params(**clone(params, safe=False))
    chosen.fit(evaluation[evaluation["split"] == "train"])
    return pauc_scorer(chosen, evaluation[evaluation["split"] == "test"])


reached = score_on_evaluation(search.best_params_)
print(f"development: partial AUC {search.best_score_:.3f}")
print(f"evaluation:  partial AUC {reached:.3f}")

# %%
# All settings at once
# --------------------
# All settings, scored on both sets of machines, to see what development says about
# evaluation. (This is only for the picture: if you chose by the vertical axis, you
# would be tuning on the evaluation machines.) By and large, settings that do well on
# one do well on the other, but the order of the best ones differs. Some machines are
# harder than others: here the evaluation machines are easier, so most marks are above
# the diagonal, and the chosen setting has lost its lead.

import matplotlib.pyplot as plt

params = search.cv_results_["params"]
on_development = search.cv_results_["mean_test_score"]
on_evaluation = np.array([score_on_evaluation(each) for each in params])
kinds = np.array([type(each["detector"]).__name__ for each in params])

n_better = np.sum(on_evaluation > reached)
print(f"mean over the settings, development: {on_development.mean():.3f}")
print(f"mean over the settings, evaluation:  {on_evaluation.mean():.3f}")
print(f"{n_better} settings do better in evaluation than the chosen one")

figure, ax = plt.subplots(figsize=(5.5, 5.5), layout="constrained")
colors = ["#0072B2", "#D55E00", "#009E73"]
for kind, color, marker in zip(np.unique(kinds), colors, "os^", strict=True):
    ax.scatter(
        on_development[kinds == kind],
        on_evaluation[kinds == kind],
        color=color,
        marker=marker,
        label=kind,
    )
best = search.best_index_
ax.scatter(
    on_development[best],
    on_evaluation[best],
    s=200,
    facecolors="none",
    edgecolors="black",
    label="chosen on development",
)
ax.axline((0.5, 0.5), slope=1, color="0.5", linestyle="--", label="as good on both")
ax.set(
    xlabel="partial AUC, development machines",
    ylabel="partial AUC, evaluation machines",
    aspect="equal",
)
ax.set(xlim=(0.47, 0.87), ylim=(0.47, 0.87))
ax.set_title("One mark a setting")
ax.legend()
plt.show()

# %%
# A data set that comes without a split is divided into folds by
# :class:`~skasd.model_selection.NormalOnlyKFold`: it trains on normal clips and
# validates on normal and anomalous ones. Pass the recordings as ``groups`` if several
# clips come from one.
