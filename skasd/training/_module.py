"""How an embedder's network is trained: its two parts, what happens to a batch between them, and its batch norms."""

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from skasd._samples import as_floats
from skasd.augmentation import Batch
from skasd.networks import FrontEndNetwork

__all__ = ["SplitNetwork", "TrainingStep", "as_floating", "settle_batch_norms"]


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
        x = as_floating(x)
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


def as_floating(x):
    """A batch as float32; samples of integers come to [-1, 1]."""
    return as_floats(x, torch.float32)


class TrainingStep:
    """What happens to a batch before the back end sees it: augmentation, front end, random crop.

    Parameters
    ----------
    augmentations : sequence of Augmentation
        Applied in this order. The front end comes before the first that works on spectrograms.

    n_classes : tuple of int
        Classes of each target before augmentation.

    generator : torch.Generator
        Source of all randomness of augmentation and crop.
    """

    def __init__(self, augmentations, n_classes, generator):
        n_before = next((n for n, one in enumerate(augmentations) if one.works_on == "log_mel"), len(augmentations))
        self.before, self.after = augmentations[:n_before], augmentations[n_before:]
        self.n_classes = n_classes
        self.generator = generator

    def __call__(self, module, x, labels, domain=None):
        """What the back end is trained on: an augmented `Batch` of spectrograms (or of what the network takes)."""
        batch = Batch.from_labels(as_floating(x), labels, self.n_classes, domain)
        for augmentation in self.before:
            batch = augmentation(batch, self.generator)
        batch = batch._replace(x=module.random_crop(module.front(batch.x), self.generator))
        for augmentation in self.after:
            batch = augmentation(batch, self.generator)
        return batch


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
