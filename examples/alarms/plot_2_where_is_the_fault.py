"""
==================
Where is the fault
==================

A score says that a clip is unusual; a map shows what is unusual in it.

:class:`~skasd.plotting.AnomalyMapDisplay` draws where in time and frequency a pipeline
finds it unusual. With synthetic machines we know what a fault has changed, so the maps
can be checked: of three faults, two are shown where they are, and one is not.
"""

# %%
# A fan, with and without its faults
# ----------------------------------
# With the same ``random_state``, clips are identical except for the fault, whose
# ``severity`` we choose. So every faulty clip has a twin without the fault, and the
# difference between the two is what a map should show.

from skasd.datasets import make_machine_sounds

chosen = {
    "n_sections": 1,
    "n_train_target": 0,
    "n_test": 12,
    "duration": 4.0,
    "snr": 10,
    "random_state": 0,
}
clips = make_machine_sounds("fan", severity=2, **chosen)
twins = make_machine_sounds("fan", severity=0, **chosen)

train = clips[clips["split"] == "train"]
tested = (clips["split"] == "test") & (clips["domain"] == "source")
test, twins = clips[tested], twins[tested]

# %%
# A pipeline like that of :doc:`/gallery/first_steps/plot_3_first_detector`. With faults
# as obvious as these it ranks the clips well; the question here is whether it can say
# why.

from sklearn.pipeline import make_pipeline

from skasd.detectors import MahalanobisDetector
from skasd.embedders import StatisticsEmbedder
from skasd.features import LogMelSpectrogram
from skasd.metrics import auc_scorer

log_mel = LogMelSpectrogram(n_mels=64)
system = make_pipeline(log_mel, StatisticsEmbedder(), MahalanobisDetector()).fit(train)
print(f"AUC {auc_scorer(system, test):.3f}")

# %%
# The truth and the map
# ---------------------
# On the left is what the fault has changed. On the right is how much the score rises,
# that is, how much more normal the clip becomes, when a patch of its spectrogram is
# replaced by the usual level of the training clips. All maps have the same scale: on
# its own scale, even a healthy clip would have a darkest place.

import matplotlib.pyplot as plt
import numpy as np

from skasd.plotting import AnomalyMapDisplay, SpectrogramDisplay

with_fault = log_mel.transform(test)["log_mel"]
change = with_fault - log_mel.transform(twins)["log_mel"]

scale = {"vmin": 0, "vmax": 20, "cmap": "magma_r"}
names = ["bearing", "loose", "imbalance", "healthy"]
figure, axes = plt.subplots(
    4,
    2,
    figsize=(5.5, 9),
    sharex=True,
    sharey=True,
    layout="constrained",
)
for (left, right), name in zip(axes, names, strict=True):
    row = np.flatnonzero(test["fault"] == name)[0]
    truth = SpectrogramDisplay.from_log_mel(
        change[row],
        name=f"{name}: what changed",
        ax=left,
        **scale,
    )
    found = AnomalyMapDisplay.from_estimator(
        system,
        test,
        row,
        reference=train,
        patch_shape=(8, 8),
        name=f"{name}: map",
        ax=right,
        vmin=0,
        vmax=2,
    )
    for display in (truth, found):
        display.colorbar_.remove()  # one a column is enough
        display.ax_.label_outer()
    if name != "healthy":
        band, frame = np.unravel_index(change[row].argmax(), change[row].shape)
        start, pitch = frame * 512 / 16000, truth.frequencies[band]
        print(f"{name}: changed most at {start:.1f} s, {pitch:.0f} Hz; ", end="")
        print("the map is darkest at {:.1f} s, {:.0f} Hz".format(*found.peak))
for column, display, label in [
    (axes[:, 0], truth, "rise by the fault (dB)"),
    (axes[:, 1], found, "rise of the score"),
]:
    figure.colorbar(display.image_, ax=column, location="bottom", label=label)
plt.show()

# %%
# The damaged bearing sounds all the time in a narrow band, the loose part on and off.
# The maps show both, as finely as their patches allow, and darkest where the fault is
# loudest, since the pipeline also uses the maximum of each band. Imbalance changes a
# little everywhere. The score notices, but there is no single place to show, and the
# darkest place on the map means nothing. A pipeline that ends in
# :class:`~skasd.features.FrameStacker` and
# :class:`~skasd.detectors.AutoencoderDetector` gets a different map, of what it fails
# to reconstruct.
