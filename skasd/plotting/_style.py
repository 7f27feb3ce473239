"""What all displays share: colours, and where to draw."""

import numpy as np

from skasd._problems import encodable
from skasd.clips import Clips

COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")  # Okabe and Ito
NORMAL, ANOMALOUS, NEUTRAL = "#0072B2", "#E69F00", "0.5"


class Display:
    """What all displays do: find where to draw, and remember it."""

    def _open(self, ax):
        """Draw on these axes, or on those of a new figure."""
        owner = type(self).__name__
        try:
            from matplotlib import axes, pyplot
        except ImportError as error:
            raise ImportError(f"{owner} needs matplotlib: pip install skasd[plot]") from error
        if ax is not None and not isinstance(ax, axes.Axes):
            raise TypeError(f"ax must be one matplotlib Axes, on which {owner} draws; got {type(ax).__name__}. Of "
                            "several axes choose one, such as axes[0].")  # fmt: skip
        self.ax_ = pyplot.subplots()[1] if ax is None else ax
        self.figure_ = self.ax_.figure


def groups_of(X, by, owner):
    """The field of the clips by which they are grouped, one value per clip; None without one."""
    if by is None:
        return None
    if not isinstance(X, Clips) or not isinstance(by, str) or by not in X:
        known = ", ".join(X) if isinstance(X, Clips) else "none, since they are a plain array"
        raise ValueError(f"{owner}: by={by!r} must be a field of the clips; they have {known}.")
    if X[by].ndim != 1:
        raise ValueError(f"{owner}: by={by!r} must be a field with one value per clip; it has shape {X[by].shape}.")
    return X[by]


def check_group(group, n_clips, owner):
    """Groups as an array with a value per clip; None without."""
    if group is None:
        return None
    group = np.asarray(group)
    if group.shape != (n_clips,):
        raise ValueError(f"{owner}: group must have one value per clip, shape ({n_clips},); got shape {group.shape}.")
    return group


def group_name(value):
    """The name of a group, as matplotlib shows it."""
    return plain(str(value)) or "unknown"


def show_image(values, ax, extent, label, style):
    """An image over time and frequency, with a bar that says what its colours mean."""
    style = {"aspect": "auto", "origin": "lower", "interpolation": "nearest"} | style
    image = ax.imshow(values, extent=extent, **style)
    bar = ax.figure.colorbar(image, ax=ax)
    color = ax.xaxis.label.get_color()  # can be read in whatever style the axes were made
    bar.set_label(label, color=color)
    bar.ax.tick_params(color=color, labelcolor=color)
    bar.outline.set_edgecolor(color)
    return image, bar


def plain(text):
    """Text that matplotlib shows as it is: no ``$`` begins a formula."""
    return encodable(text or "").replace("$", r"\$")
