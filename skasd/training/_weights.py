"""Modules whose weights are plain arrays, so that a file that holds no code can hold them."""

import copy

import torch
from torch import nn


class StoredTensor:
    """A tensor of a module as an array; a deep copy of it is the tensor."""

    def __init__(self, tensor):
        values = tensor.detach().cpu()
        self.dtype = str(values.dtype).removeprefix("torch.")
        self.values = (values.float() if values.dtype == torch.bfloat16 else values).numpy()
        self.requires_grad = tensor.requires_grad
        self.is_parameter = isinstance(tensor, nn.Parameter)

    def __deepcopy__(self, memo):
        tensor = torch.tensor(self.values, dtype=getattr(torch, self.dtype))
        return nn.Parameter(tensor, self.requires_grad) if self.is_parameter else tensor


def as_arrays(module):
    """A copy of a module with arrays for its parameters and buffers, which can be stored but does not compute."""
    tensors = [*module.parameters(), *module.buffers()]
    return copy.deepcopy(module, {id(tensor): StoredTensor(tensor) for tensor in tensors})


def as_tensors(module):
    """The module of which `as_arrays` has made this copy."""
    return copy.deepcopy(module)
