"""Modules that are ready to score: on the device, in evaluation mode, without a change of what was fitted."""

import copy
from typing import NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import nn

_COPIES = WeakKeyDictionary()  # not an attribute: scoring leaves an estimator as it is, and saving it saves no copies


class _Copy(NamedTuple):
    of: nn.Module
    signature: list
    module: nn.Module


def ready(owner, name, device, dtype=None):
    """The module that a fitted estimator holds under this name, as it is or, where it is not ready, a copy made once.

    Ready is a module on the device, in evaluation mode, and with floating numbers of this dtype, if one is given.
    Several threads may ask at the same time: none changes what another one uses.
    """
    module, device = getattr(owner, name), torch.empty(0, device=device).device
    if _is_ready(module, device, dtype):
        return module
    signature = [str(device), dtype, *_state(module)]
    kept = _COPIES.get(owner, {}).get(name)
    if kept is None or kept.of is not module or kept.signature != signature:
        kept = _Copy(module, signature, copy.deepcopy(module).to(device, dtype).eval())
        _COPIES[owner] = {**_COPIES.get(owner, {}), name: kept}
    return kept.module


def forget_ready(owner):
    """Let go of the copies of an estimator's modules."""
    _COPIES.pop(owner, None)


def _is_ready(module, device, dtype):
    dtypes = {tensor.dtype for tensor in _tensors(module) if tensor.is_floating_point()}
    return (
        all(tensor.device == device for tensor in _tensors(module))
        and (dtype is None or dtypes <= {dtype})
        and not any(one.training for one in module.modules())
    )


def _state(module):
    """Numbers that are others as soon as the weights are, even by ``parameter.data``, of which torch keeps no count."""
    tensors = list(_tensors(module))
    sums = torch.stack([tensor.detach().sum().double().cpu() for tensor in tensors]).tolist() if tensors else []
    return [*((tensor.data_ptr(), tensor._version) for tensor in tensors), *sums]


def _tensors(module):
    yield from module.parameters()
    yield from module.buffers()
