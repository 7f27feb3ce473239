"""How an embedder trains: the data set, one step and the skorch net."""

from contextlib import nullcontext

import numpy as np
import torch
from skorch.dataset import unpack_data
from skorch.utils import to_numpy
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from skasd._training import TrainingNet
from skasd.augmentation import Batch
from skasd.networks.inputs import as_floats

__all__ = [
    "ClipDataset",
    "EmbeddingNet",
    "SplitNetwork",
    "TrainingStep",
    "as_floating",
    "autocast",
    "read_rows",
    "settle_batch_norms",
]


class SplitNetwork(nn.Module):
    """A network in two parts: the front end makes spectrograms of waveforms, the back end embeds a window of them.

    A network without a front end (without the method ``spectrograms``) takes its input as it is.

    Parameters
    ----------
    network : torch.nn.Module
        The network.

    window : int, default=None
        Frames of a window; None takes whole clips.
    """

    def __init__(self, network, window=None):
        super().__init__()
        self.network = network
        self.window = window

    @property
    def has_front_end(self):
        return hasattr(self.network, "spectrograms")

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


class ClipDataset(torch.utils.data.Dataset):
    """Some rows of clips, as ``{"x": clip, "domain": its domain}``, and class numbers; whole batches are read at once.

    Parameters
    ----------
    values : ndarray
        Waveforms, spectrograms or paths of all clips, in memory or memory-mapped. They are never copied as a whole.

    rows : ndarray of int
        The rows that belong to the data set.

    labels : ndarray of int of shape (n_clips,) or (n_clips, n_targets)
        Class numbers.

    domain : ndarray of str of shape (n_clips,), or None
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
        X, y = self.__getitems__([index])
        return {name: values[0] for name, values in X.items()}, y[0]

    def __getitems__(self, indices):
        rows = self.rows[indices]
        X = {"x": read_rows(self.values, rows, self.loader)}
        if self.domain is not None:
            X["domain"] = torch.from_numpy(self.domain[rows])
        return X, torch.from_numpy(self.labels[rows])


def read_rows(values, rows, loader):
    """These rows as a new tensor; paths are read."""
    if values.dtype.kind == "U":
        return torch.from_numpy(loader.transform(values[rows]))
    own = values.dtype.newbyteorder("=")
    return torch.from_numpy(values[rows].astype(np.float64 if own == np.longdouble else own, copy=False))


def as_floating(x):
    """A batch as float32; samples of integers come to [-1, 1]."""
    return as_floats(x, torch.float32)


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


class EmbeddingNet(TrainingNet):
    """A skorch net whose module is a `SplitNetwork` and whose criterion is a loss with its own head.

    Its `predict` gives the numbers of the classes, (n_clips,) or, of several targets, (n_clips, n_targets).
    """

    def __init__(self, *args, step, mixed_precision, **kwargs):
        super().__init__(*args, **kwargs)
        self.step = step
        self.mixed_precision = mixed_precision

    def train_step_single(self, batch, **fit_params):
        self._set_training(True)
        X, y = unpack_data(batch)
        X = {name: values.to(self.device, non_blocking=True) for name, values in X.items()}
        y = y.to(self.device, non_blocking=True)
        with autocast(self.device, self.mixed_precision):
            augmented = self.step(self.module_, labels=_by_target(y), **X)
            embedding = self.module_(spectrograms=augmented.x)
        loss = self._loss(embedding, augmented.targets)
        loss.backward()
        return {"loss": loss, "y_pred": embedding}

    def infer(self, x, **fit_params):
        with autocast(self.device, self.mixed_precision):
            return super().infer(x, **fit_params)

    def get_loss(self, y_pred, y_true, X=None, training=False):
        return self._loss(y_pred, _by_target(y_true.to(self.device)))

    def predict_proba(self, X):
        """Probability of each class, or a list of these for each target, as in scikit-learn."""
        self.check_is_fitted()
        with torch.inference_mode(), autocast(self.device, self.mixed_precision):
            logits = [self.criterion_.logits(embedding) for embedding in self.forward_iter(X, device=self.device)]
        if not isinstance(logits[0], tuple):
            return to_numpy(torch.cat(logits).float().softmax(dim=1))
        return [to_numpy(torch.cat(parts).float().softmax(dim=1)) for parts in zip(*logits, strict=True)]

    def predict(self, X):
        """Number of the likeliest class, for each target."""
        proba = self.predict_proba(X)
        if isinstance(proba, list):
            return np.stack([one.argmax(axis=1) for one in proba], axis=1)
        return proba.argmax(axis=1)

    def _loss(self, embedding, targets):
        with autocast(self.device, self.mixed_precision):
            return self.criterion_(embedding, targets if len(targets) > 1 else targets[0])


def _by_target(y):
    """Class numbers (n_clips,) or (n_clips, n_targets), one tensor per target."""
    return (y,) if y.ndim == 1 else y.unbind(dim=1)


@torch.no_grad()
def settle_batch_norms(module, batches):
    """Let batch norms know the mean and variance of what they meet, in place of a running mean over the last steps.

    The running mean starts at 0 and 1 and follows weights that still change, so after few steps it is off, and the
    network is another one in evaluation than it was in training.

    Parameters
    ----------
    module : SplitNetwork
        In evaluation mode, with weights that are final.

    batches : iterable of Tensor
        What its front end has made of all clips, without augmentation.
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
