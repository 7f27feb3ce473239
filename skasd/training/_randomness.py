"""All that is random in training, from one seed, without a trace outside."""

import random
from contextlib import contextmanager, nullcontext

import numpy as np
import torch
from sklearn.utils import check_random_state


def draw_seed(random_state):
    """A seed that is the same for the same `random_state`, and another one each time where it is None."""
    return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))


@contextmanager
def seeded(seed, device):
    """Randomness of torch (on the CPU and this device, no other), numpy and Python from a seed; outside as it was."""
    device = torch.device(device)
    others = np.random.get_state(), random.getstate()
    try:
        with torch.random.fork_rng(_cuda_index(device), device_type="cuda"):
            torch.default_generator.manual_seed(seed)
            if device.type != "cpu":
                _seed_device(device, seed)
            np.random.seed(seed)
            random.seed(seed)
            yield
    finally:
        np.random.set_state(others[0])
        random.setstate(others[1])


def random_states(device, generators):
    """The states of all that `seeded` sets and of these generators, in types that torch loads safely."""
    kind, keys, *rest = np.random.get_state()
    return {
        "torch": torch.get_rng_state(),
        "cuda": [torch.cuda.get_rng_state(index) for index in _cuda_index(torch.device(device))],
        "generators": [generator.get_state() for generator in generators],
        "numpy": [kind, keys.tolist(), *rest],
        "python": random.getstate(),
    }


def set_random_states(states, device, generators):
    """Go on where `random_states` was called."""
    torch.set_rng_state(states["torch"])
    for index, state in zip(_cuda_index(torch.device(device)), states["cuda"], strict=False):
        torch.cuda.set_rng_state(state, index)
    for generator, state in zip(generators, states["generators"], strict=True):
        generator.set_state(state)
    np.random.set_state(tuple(states["numpy"]))
    random.setstate(states["python"])


def _cuda_index(device):
    if device.type != "cuda":
        return []
    return [torch.cuda.current_device() if device.index is None else device.index]


def _seed_device(device, seed):
    module = torch.get_device_module(device)
    with getattr(module, "device", nullcontext)(device):
        module.manual_seed(seed)
