"""What the systems share: their sizes, and the texts of their docstrings."""

SYSTEM_TEXTS = {
    "weights": """
weights : {'imagenet'}, path-like or None, default='imagenet'
    Start of the network: ImageNet's weights, which timm downloads; a local file of them; or random weights.
""",
    "preset": """
preset : {'full', 'small'}, default='full'
    The full size, as published, or one that a laptop's CPU trains in minutes. The notes say what 'small' changes.

device : str, default='auto'
    Device to train on; 'auto' takes a GPU where there is one.

verbose : int, default=0
    With 1 or more, progress of the training is shown.

random_state : int, RandomState instance or None, default=None
    All randomness of the system.
""",
}


def choose(preset, *, full, small):
    """The values of one of the two presets."""
    presets = {"full": full, "small": small}
    if preset not in presets:
        raise ValueError(f"preset must be 'full' or 'small'; got {preset!r}.")
    return presets[preset]
