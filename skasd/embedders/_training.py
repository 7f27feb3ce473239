"""How an embedder trains: the data set, one step and the skorch net."""

from contextlib import nullcontext

import numpy as np
import torch
from skorch import NeuralNet
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from skasd.augmentation import Batch
from skasd.networks._inputs import as_floats

__all__ = [
    "ClipDataset",
    "EmbeddingNet",
    "SplitNetwork",
    "TrainingStep",
    "as_floating",
    "autocast",
    "settle_batch_norms",
]


class SplitNetwork(nn.Module):
    """A network in two parts: the front end makes spectrograms of waveforms, the back end embeds.

    A network without a front end (without the method ``spectrograms``) takes its input as it is.
    """

    def __init__(self, network):
        super().__init__()
        self.network = network

    @property
    def has_front_end(self):
        return hasattr(self.network, "spectrograms")

    def front(self, x):
        return self.network.spectrograms(x) if self.has_front_end else x

    @property
    def back(self):
        return self.network.backbone if self.has_front_end else self.network

    def forward(self, x):
        return self.back(x)


class ClipDataset(torch.utils.data.Dataset):
    """Some rows of clips with their class numbers and domains; a whole batch is read at once.

    Parameters
    ----------
    values : ndarray
        Waveforms, spectrograms or paths of all clips, in memory or memory-mapped. They are never copied as a whole.

    rows : ndarray of int
        The rows that belong to the data set.

    labels : list of ndarray of int, each as long as `values`
        Class numbers, an array a target.

    domain : ndarray of str, as long as `values`, or None
        Domain of each clip.

    loader : AudioLoader or None
        Reads the waveforms where `values` are paths.
    """

    def __init__(self, values, rows, labels, domain, loader):
        self.values = values
        self.rows = rows
        self.labels = labels
        self.domain = None if domain is None else np.select([domain == "source", domain == "target"], [0, 1], -1)
        self.loader = loader

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        return self.__getitems__([index])

    def __getitems__(self, indices):
        rows = self.rows[indices]
        x = torch.from_numpy(read_rows(self.values, rows, self.loader))
        labels = tuple(torch.from_numpy(label[rows]) for label in self.labels)
        domain = None if self.domain is None else torch.from_numpy(self.domain[rows])
        return x, labels, domain


def read_rows(values, rows, loader):
    """These rows as a new array; paths are read."""
    if values.dtype.kind == "U":
        return loader.transform(values[rows])
    return values[rows]


def as_floating(x, device):
    """A batch on the device as float32; samples of integers come to [-1, 1]."""
    return as_floats(x.to(device, non_blocking=True), torch.float32)


def autocast(device, mixed_precision):
    """Context in which matrix products run in bfloat16, or a context that does nothing."""
    if not mixed_precision:
        return nullcontext()
    return torch.autocast(torch.device(device).type, dtype=torch.bfloat16)


class TrainingStep:
    """What happens to a batch before the back end sees it: augmentation, front end, random crop.

    Parameters
    ----------
    augmentations : sequence of Augmentation
        Applied in this order. The front end comes before the first that works on spectrograms.

    window : int or None
        Frames of a random crop, drawn for each clip anew.

    n_classes : tuple of int
        Classes of each target before augmentation.

    generator : torch.Generator
        Source of all randomness of augmentation and crop.
    """

    def __init__(self, augmentations, window, n_classes, generator):
        n_before = next((n for n, one in enumerate(augmentations) if one.works_on == "log_mel"), len(augmentations))
        self.before, self.after = augmentations[:n_before], augmentations[n_before:]
        self.window = window
        self.n_classes = n_classes
        self.generator = generator

    def training_batch(self, network, x, labels, domain):
        """What the back end is trained on: an augmented `Batch` of spectrograms (or of what the network takes)."""
        batch = Batch.from_labels(x, labels, self.n_classes, domain)
        for augmentation in self.before:
            batch = augmentation(batch, self.generator)
        batch = batch._replace(x=self.crop(network.front(batch.x)))
        for augmentation in self.after:
            batch = augmentation(batch, self.generator)
        return batch

    def validation_batch(self, network, x, labels, domain):
        """The same without augmentation, cropped in the middle; the classes that augmentation adds stay empty."""
        n_classes = self.n_classes
        for augmentation in (*self.before, *self.after):
            n_classes = augmentation.n_classes(n_classes)
        batch = Batch.from_labels(x, labels, n_classes, domain)
        x = network.front(batch.x)
        if self.window is not None:
            start = (x.shape[-1] - self.window) // 2
            x = x[..., start : start + self.window]
        return batch._replace(x=x)

    def crop(self, x):
        """A random window of each clip, or the clips as they are."""
        if self.window is None:
            return x
        starts = torch.randint(x.shape[-1] - self.window + 1, (len(x),), generator=self.generator)
        return torch.stack(
            [one[..., start : start + self.window] for one, start in zip(x, starts.tolist(), strict=True)]
        )


class EmbeddingNet(NeuralNet):
    """A skorch net whose module is a `SplitNetwork` and whose criterion is a loss with its own head."""

    def __init__(self, *args, step, mixed_precision, **kwargs):
        super().__init__(*args, **kwargs)
        self.step = step
        self.mixed_precision = mixed_precision

    def train_step_single(self, batch, **fit_params):
        self._set_training(True)
        loss, embedding = self._forward(batch, self.step.training_batch)
        loss.backward()
        return {"loss": loss, "y_pred": embedding}

    def validation_step(self, batch, **fit_params):
        self._set_training(False)
        with torch.no_grad():
            loss, embedding = self._forward(batch, self.step.validation_batch)
        return {"loss": loss, "y_pred": embedding}

    def _forward(self, batch, prepare):
        x, labels, domain = batch
        labels = tuple(label.to(self.device, non_blocking=True) for label in labels)
        with autocast(self.device, self.mixed_precision):
            batch = prepare(self.module_, as_floating(x, self.device), labels, domain)
            embedding = self.module_(batch.x)
            targets = batch.targets if len(batch.targets) > 1 else batch.targets[0]
            return self.criterion_(embedding, targets), embedding


@torch.no_grad()
def settle_batch_norms(module, batches):
    """Let batch norms know the mean and variance of what they meet, in place of a running mean over the last steps.

    The running mean starts at 0 and 1 and follows weights that still change, so after few steps it is off, and the
    network is another one in evaluation than it was in training.

    Parameters
    ----------
    module : torch.nn.Module
        Module in evaluation mode, whose weights are final.

    batches : iterable of Tensor
        What the module takes, clips as they are, without augmentation.
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
        module(batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()
