"""Learning rates that change along the training, by name."""

import math
from functools import partial

from skorch.callbacks import LRScheduler
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, OneCycleLR

SCHEDULES = frozenset({"constant", "cosine", "one_cycle", "warmup"})
_WARM_UP = 0.1


def schedule_callback(name, lr, n_epochs, n_batches, cycles_momentum):
    """The schedule of this name as a list of one named callback, or of none."""
    n_steps = n_epochs * n_batches
    if name == "constant":
        return []
    if name == "cosine":
        schedule = LRScheduler(CosineAnnealingLR, T_max=n_epochs)
    elif name == "one_cycle":
        cycle = {"max_lr": lr, "total_steps": n_steps + 1, "cycle_momentum": cycles_momentum}  # one step is made before
        schedule = LRScheduler(OneCycleLR, step_every="batch", **cycle)
    else:
        schedule = LRScheduler(LambdaLR, step_every="batch", lr_lambda=partial(_warm_up, n_steps))
    return [("lr_schedule", schedule)]


def _warm_up(n_steps, step):
    """Share of the learning rate: up in a straight line for a tenth of the steps, and down along a cosine."""
    n_up = max(1, round(_WARM_UP * n_steps))
    if step < n_up:
        return (step + 1) / n_up
    return (1 + math.cos(math.pi * min(1.0, (step - n_up) / max(1, n_steps - n_up)))) / 2
