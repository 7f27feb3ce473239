"""What the systems share: their sizes, and the texts of their docstrings."""

SYSTEM_TEXTS = {
    "weights": """
weights : {'imagenet'}, path-like or None, default='imagenet'
    Initial weights of the network: those of ImageNet, which timm downloads; a local file of them; or, with None, random
    ones.
""",
    "preset": """
preset : {'full', 'small'}, default='full'
    The published size, or one that a laptop's CPU can train in minutes. The notes say what 'small' changes.

device : str, default='auto'
    Device to train on; 'auto' uses a GPU if there is one.

verbose : int, default=0
    With 1 or more, progress of the training is shown.

random_state : int, RandomState instance or None, default=None
    Seed of all randomness in the system.
""",
}


def choose(preset, *, full, small):
    """The values of one of the two presets."""
    presets = {"full": full, "small": small}
    if preset not in presets:
        raise ValueError(f"preset must be 'full' or 'small'; got {preset!r}.")
    return presets[preset]
