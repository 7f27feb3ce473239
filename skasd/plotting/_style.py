"""What all displays share: colours, and where to draw."""

from skasd._problems import encodable

NORMAL, ANOMALOUS, NEUTRAL = "#0072B2", "#E69F00", "0.5"


def axes_for(ax, owner):
    """Axes to draw on: the given ones, or those of a new figure."""
    try:
        from matplotlib import axes, pyplot
    except ImportError as error:
        raise ImportError(f"{owner} needs matplotlib: pip install skasd[plot]") from error
    if ax is None:
        return pyplot.subplots()[1]
    if not isinstance(ax, axes.Axes):
        raise TypeError(f"ax must be one matplotlib Axes, on which {owner} draws; got {type(ax).__name__}. Of several "
                        "axes choose one, such as axes[0].")  # fmt: skip
    return ax


def plain(text):
    """Text that matplotlib shows as it is: no ``$`` begins a formula."""
    return encodable(text or "").replace("$", r"\$")


def add_colorbar(image, ax, label):
    """A bar that says what the colours of an image mean, with text in the colour of the text of the axes."""
    bar = ax.figure.colorbar(image, ax=ax)
    color = ax.xaxis.label.get_color()  # can be read in whatever style the axes were made
    bar.set_label(label, color=color)
    bar.ax.tick_params(color=color, labelcolor=color)
    bar.outline.set_edgecolor(color)
    return bar
