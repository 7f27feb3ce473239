"""Sizes of the systems."""


def choose(preset, *, full, small):
    """The values of one of the two presets."""
    presets = {"full": full, "small": small}
    if preset not in presets:
        raise ValueError(f"preset must be 'full' or 'small'; got {preset!r}.")
    return presets[preset]
