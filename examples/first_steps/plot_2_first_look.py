"""
==============================
A first look at machine sounds
==============================

Before anything is detected, listen and look: waveforms and spectrograms of motors.

This example loads recordings of small motors, draws them as waveforms and as log-mel
spectrograms, and shows what makes the task hard: a damaged propeller changes the sound,
and so does the speed. At the end come synthetic machines, which can make as many clips
as you like.
"""

# %%
# Clips
# -----
# Recordings of four small motors come with the package.
# :func:`~skasd.datasets.load_motors` cuts them into clips of equal length and returns
# :class:`~skasd.clips.Clips`: fields of equal length, where row *i* of each belongs to
# clip *i*. A string selects a field; a mask, a slice or an array of row numbers selects
# clips.

# sphinx_gallery_thumbnail_number = 3
from skasd.datasets import load_motors

clips = load_motors(fault="propeller", motor="M2", duration=4.0)
print(clips)

# %%
# Anomalies are labelled -1, as scikit-learn labels outliers. They are only in the test:
# the detector is to learn how the motor sounds when it runs well, and training and test
# have different speeds.

import numpy as np

for split in ("train", "test"):
    for label, name in [(1, "healthy"), (-1, "damaged")]:
        chosen = clips[(clips["split"] == split) & (clips["label"] == label)]
        speeds = np.unique(chosen["speed"])
        print(f"{split:<6}{name:<8} {len(chosen):2} clips, speeds (rpm): {speeds}")

# %%
# A healthy and a damaged motor
# -----------------------------
# Two clips at the same speed: above as waveforms, about four turns of the propeller
# long, below as log-mel spectrograms, which show the level in each frequency band at
# each time. The bands are narrow at low frequencies and wide at high ones, much as in
# human hearing. Both spectrograms have the same colour scale, so that their levels can
# be compared.

import matplotlib.pyplot as plt

from skasd.plotting import SpectrogramDisplay

BLUE, ORANGE = (
    "#0072B2",
    "#E69F00",
)  # can be told apart by colour-blind people, as in all plots of skasd

at_one_speed = clips[clips["speed"] == 1650]
figure, axes = plt.subplots(4, figsize=(5.5, 9.5), layout="constrained")
axes[0].sharey(axes[1])
states = [(1, "healthy", BLUE), (-1, "damaged propeller", ORANGE)]
for column, (label, name, color) in zip(axes.reshape(2, 2).T, states, strict=True):
    waveform = at_one_speed["waveform"][at_one_speed["label"] == label][0]
    time = np.arange(2400) / 16000
    column[0].plot(time, waveform[:2400], color=color, linewidth=0.8)
    column[0].set(
        title=f"{name}, 1650 rpm",
        xlabel="time (s)",
        ylabel="amplitude (1 = full scale)",
    )
    SpectrogramDisplay.from_waveform(
        waveform,
        name=f"{name}, 1650 rpm",
        ax=column[1],
        vmin=-60,
        vmax=-10,
    )
plt.show()

# %%
# How loud are the two? This is worth knowing before you praise a detector: if faults
# are simply louder, a sound level meter finds them too.

for label, name in [(1, "healthy"), (-1, "damaged")]:
    waveform = at_one_speed["waveform"][at_one_speed["label"] == label]
    print(f"{name}: {20 * np.log10(waveform.std()):.1f} dB re full scale")

# %%
# Speed changes the sound as well
# -------------------------------
# The mean of each band over time, one line per recording. The healthy motor also
# changes from one speed to the next: peaks move, and everything above 3 kHz gets
# louder. A detector has to distinguish such changes from those caused by a fault.

from skasd.features import LogMelSpectrogram

spectra = LogMelSpectrogram().fit_transform(clips)["log_mel"].mean(axis=2)
frequencies = SpectrogramDisplay(log_mel=spectra.T).frequencies

figure, ax = plt.subplots(figsize=(5.5, 4.5), layout="constrained")
for speed, style in [(1450, ":"), (1650, "--"), (1850, "-")]:
    for label, name, color in [(1, "healthy", BLUE), (-1, "damaged", ORANGE)]:
        chosen = (clips["speed"] == speed) & (clips["label"] == label)
        ax.semilogx(
            frequencies,
            spectra[chosen].mean(axis=0),
            style,
            color=color,
            label=f"{name}, {speed} rpm",
        )
ax.set(
    xlabel="frequency (Hz)",
    ylabel="mean level (dB)",
    title="Motor M2: speed and fault both change the spectrum",
)
ax.legend(ncols=2, fontsize="small")
plt.show()

# %%
# Synthetic machines
# ------------------
# :func:`~skasd.datasets.make_machine_sounds` makes seven kinds of machines in factory
# noise, with known faults. Here are four of them, healthy on the left and with a fault
# on the right. The noise is lower and the faults are worse than by default, so that you
# can see them.

from skasd.datasets import make_machine_sounds

machines = ("fan", "gearbox", "slider", "valve")
figure, axes = plt.subplots(
    len(machines),
    2,
    figsize=(5.5, 8),
    sharex=True,
    sharey=True,
    layout="constrained",
)
for row, machine in zip(axes, machines, strict=True):
    made = make_machine_sounds(
        machine,
        n_sections=1,
        n_train_source=0,
        n_train_target=0,
        n_test=1,
        duration=4.0,
        snr=20,
        severity=2,
        random_state=0,
    )
    made = made[made["domain"] == "source"]
    for ax, label in zip(row, (1, -1), strict=True):
        clip = np.flatnonzero(made["label"] == label)[0]
        display = SpectrogramDisplay.from_waveform(
            made["waveform"][clip],
            name=f"{machine}, {made['fault'][clip]}",
            ax=ax,
            vmin=-60,
            vmax=0,
        )
        display.colorbar_.remove()  # one for all is enough
        ax.label_outer()
figure.colorbar(display.image_, ax=axes, label="level (dB)")
plt.show()
