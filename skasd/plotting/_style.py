"""What all displays share: colours, and where to draw."""

NORMAL, ANOMALOUS, NEUTRAL = "#0072B2", "#E69F00", "0.5"


def axes_for(ax, owner):
    """Axes to draw on: the given ones, or those of a new figure."""
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError(f"{owner} needs matplotlib: pip install skasd[plot]") from error
    return pyplot.subplots()[1] if ax is None else ax
