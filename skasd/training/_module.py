"""An embedder's network in training: its two parts, and its batch norms."""

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from skasd.audio.samples import as_floats
from skasd.networks import FrontEndNetwork


class SplitNetwork(nn.Module):
    """A network in two parts: the front end makes spectrograms of waveforms, the back end embeds a window of them.

    A network that is no `FrontEndNetwork` takes its input as it is. The window is a number of frames; None takes whole
    clips.
    """

    def __init__(self, network, window=None):
        super().__init__()
        self.network = network
        self.window = window

    @property
    def has_front_end(self):
        return isinstance(self.network, FrontEndNetwork)

    @property
    def back(self):
        return self.network.backbone if self.has_front_end else self.network

    def front(self, x):
        x = as_floats(x, torch.float32)
        return self.network.spectrograms(x) if self.has_front_end else x

    def forward(self, x=None, domain=None, *, spectrograms=None):
        """Embed clips by the window in their middle, or windows of spectrograms; the domain is for training alone."""
        return self.back(self.middle(self.front(x)) if spectrograms is None else spectrograms)

    def middle(self, x):
        """The window in the middle of each clip, or the clips as they are."""
        start = 0 if self.window is None else (x.shape[-1] - self.window) // 2
        return x[..., start : None if self.window is None else start + self.window]

    def random_crop(self, x, generator):
        """A random window of each clip, or the clips as they are."""
        if self.window is None:
            return x
        starts = torch.randint(x.shape[-1] - self.window + 1, (len(x),), generator=generator)
        return torch.stack(
            [one[..., start : start + self.window] for one, start in zip(x, starts.tolist(), strict=True)]
        )


@torch.no_grad()
def settle_batch_norms(module, batches):
    """Let batch norms know the mean and variance of what they meet, in place of a running mean over the last steps.

    The running mean starts at 0 and 1 and follows weights that still change, so after few steps it is off, and the
    network is another one in evaluation than it was in training. The module, a `SplitNetwork`, has weights that are
    final and is in evaluation mode; the batches are what its front end has made of all clips, without augmentation.
    """
    norms = [one for one in module.modules() if isinstance(one, _BatchNorm) and one.track_running_stats]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over all batches
        norm.train()
    for batch in batches:
        module(spectrograms=batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()
