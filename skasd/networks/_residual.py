"""What the residual networks share: a trunk that keeps bands and frames apart, and a head without biases."""

from collections import deque
from itertools import pairwise

from torch import nn
from torch.nn import functional as F

from skasd.networks._lazy import LazyBatchNorm1d

_SMALLEST = {2: 7, 4: 11}  # bands and frames that the stem makes one of


class ResidualTrunk(nn.Module):
    """A stem that narrows the map, and two residual blocks per number of channels, each after the first halving.

    No biases, and batch norms without weights.
    """

    def __init__(self, channels, in_channels=1, stem_stride=4):
        super().__init__()
        if stem_stride not in _SMALLEST:
            raise ValueError(f"stem_stride must be 2 or 4; got {stem_stride!r}.")
        self.smallest = _SMALLEST[stem_stride]
        first = channels[0]
        conv = nn.Conv2d(in_channels, first, 7, stride=2, bias=False)
        pool = nn.MaxPool2d(3, stride=2) if stem_stride == 4 else nn.Identity()
        stages = [nn.Sequential(conv, batch_norm(2, first), nn.ReLU(), pool)]
        stages.append(nn.Sequential(_Block(first, first), _Block(first, first)))
        for narrow, wide in pairwise(channels):
            stages.append(nn.Sequential(_Block(narrow, wide, stride=2), _Block(wide, wide)))
        self.stages = nn.ModuleList(stages)

    def forward(self, x):
        return deque(self.maps(x), maxlen=1).pop()

    def maps(self, x):
        """The map of every stage in turn, of (batch, in_channels, n_bands, n_frames)."""
        x = pad_to(x, self.smallest, self.smallest)
        for stage in self.stages:
            x = stage(x)
            yield x


class _Block(nn.Module):
    def __init__(self, in_channels, out_channels, stride=1):
        super().__init__()
        self.norm = batch_norm(2, in_channels)
        self.skip = nn.Identity()
        if stride > 1:
            self.skip = nn.Sequential(
                nn.MaxPool2d(3, stride, padding=1), nn.Conv2d(in_channels, out_channels, 1, bias=False)
            )
        self.branch = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False),
            batch_norm(2, out_channels),
            nn.ReLU(),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            SqueezeExcitation(out_channels),
        )

    def forward(self, x):
        x = self.norm(x)
        return self.skip(x) + self.branch(x)


class SqueezeExcitation(nn.Module):
    """Weights for the channels of a map, from the means of all of them."""

    def __init__(self, channels, ratio=16):
        super().__init__()
        narrow = max(1, channels // ratio)
        self.gate = nn.Sequential(
            nn.Linear(channels, narrow, bias=False), nn.ReLU(), nn.Linear(narrow, channels, bias=False), nn.Sigmoid()
        )

    def forward(self, x):
        gate = self.gate(x.flatten(2).mean(2))
        return x * gate.view(*gate.shape, *(1,) * (x.ndim - 2))


def batch_norm(dimensions, channels):
    return {1: nn.BatchNorm1d, 2: nn.BatchNorm2d}[dimensions](channels, affine=False)


def flat_head(embedding_size):
    """Everything that is left of a clip, normalised, into one vector."""
    return nn.Sequential(nn.Flatten(), LazyBatchNorm1d(), nn.LazyLinear(embedding_size, bias=False))


def pad_to(x, *sizes):
    """Zeros at the end of the last axes where they are shorter than ``sizes``."""
    missing = [max(0, size - length) for size, length in zip(sizes, x.shape[-len(sizes) :], strict=True)]
    return F.pad(x, [n for each in reversed(missing) for n in (0, each)]) if any(missing) else x
