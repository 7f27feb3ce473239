"""Buffers whose size the first batch gives."""

from torch import nn
from torch.nn.parameter import UninitializedBuffer


class LazyBuffer(UninitializedBuffer):
    """An uninitialised buffer that can be copied before the first batch, which torch's own cannot."""

    def __deepcopy__(self, memo):
        return memo.setdefault(id(self), type(self)(device=self.device, dtype=self.dtype))


class LazyBatchNorm1d(nn.LazyBatchNorm1d):
    """Batch norm without weights, as `torch.nn.LazyBatchNorm1d`."""

    def __init__(self):
        super().__init__(affine=False)
        self.running_mean, self.running_var = LazyBuffer(), LazyBuffer()
