"""What the losses share: their head, soft targets, and full precision."""

from numbers import Integral

import torch
from torch import nn
from torch.nn import functional as F

from skasd._docstrings import fill

HEAD_DOC = """
embedding_size : int
    Length of the embedding vectors.

n_classes : int
    Number of classes, at least 1."""


class Head(nn.Module):
    """What all losses of one target can be asked for."""

    def logits(self, embedding):
        """Class scores for inference; their softmax is the probability of the classes.

        Parameters
        ----------
        embedding : Tensor of shape (batch, embedding_size)

        Returns
        -------
        logits : Tensor of shape (batch, n_classes)
            Higher = more like the class.
        """
        raise NotImplementedError(f"{type(self).__name__} must define logits(embedding).")

    def forward(self, embedding, target):
        """Mean loss of a batch.

        Parameters
        ----------
        embedding : Tensor of shape (batch, embedding_size)

        target : Tensor of shape (batch,) or (batch, n_classes)
            Whole numbers, or soft.

        Returns
        -------
        loss : Tensor of shape ()
            Lower = the classes are told apart better.

        Raises
        ------
        ValueError
            If the shape of the embedding or of the target is wrong.
        """
        raise NotImplementedError


@fill(head=HEAD_DOC)
class ClassificationLoss(Head):
    """Base of the losses: cross-entropy of the logits that a subclass defines.

    A loss of your own inherits from it and defines ``logits``, and ``training_logits`` if they differ in training.

    Parameters
    ----------
    {head}

    See Also
    --------
    SoftmaxLoss : The simplest of these.

    Examples
    --------
    >>> import torch
    >>> from skasd.losses import ClassificationLoss
    >>> class NegativeDistanceLoss(ClassificationLoss):
    ...     def __init__(self, embedding_size, n_classes):
    ...         super().__init__(embedding_size, n_classes)
    ...         self.centers = torch.nn.Parameter(torch.eye(n_classes, embedding_size))
    ...
    ...     def logits(self, embedding):
    ...         return -torch.cdist(embedding, self.centers)
    >>> loss = NegativeDistanceLoss(3, 2)
    >>> bool(loss(torch.eye(2, 3), torch.tensor([0, 1])) < loss(torch.eye(2, 3), torch.tensor([1, 0])))
    True
    """

    def __init__(self, embedding_size, n_classes):
        super().__init__()
        check_at_least_one(embedding_size=embedding_size, n_classes=n_classes)
        self.embedding_size = embedding_size
        self.n_classes = n_classes

    def training_logits(self, embedding, target):
        """Class scores that the loss compares with the target, including a margin if there is one.

        Parameters
        ----------
        embedding : Tensor of shape (batch, embedding_size)

        target : Tensor of shape (batch, n_classes)
            Soft targets.

        Returns
        -------
        logits : Tensor of shape (batch, n_classes)
        """
        return self.logits(embedding)

    def forward(self, embedding, target):
        target = self._soft_target(embedding, target)
        logits = self.training_logits(embedding, target)
        return self._loss(logits, target.to(logits.dtype))

    def _loss(self, logits, target):
        return F.cross_entropy(logits, target)

    def _soft_target(self, embedding, target):
        if embedding.ndim != 2 or embedding.shape[1] != self.embedding_size:
            raise ValueError(f"{type(self).__name__} wants embeddings of shape (batch, {self.embedding_size}); "
                             f"got {tuple(embedding.shape)}.")  # fmt: skip
        shape = (len(embedding), self.n_classes) if target.is_floating_point() else (len(embedding),)
        if target.shape != shape:
            raise ValueError(
                f"{type(self).__name__} wants a target of whole numbers, shape ({len(embedding)},), or a soft one, "
                f"shape ({len(embedding)}, {self.n_classes}); got {target.dtype} of shape {tuple(target.shape)}."
            )
        return soft(target, self.n_classes)


@fill(head=HEAD_DOC)
class SoftmaxLoss(ClassificationLoss):
    """Cross-entropy of a linear layer: the loss of the MobileNetV2 baseline.

    Parameters
    ----------
    {head}

    See Also
    --------
    ArcFaceLoss, AdaCosLoss : Losses on angles; their embeddings suit cosine distances.

    Examples
    --------
    >>> import torch
    >>> from skasd.losses import SoftmaxLoss
    >>> loss = SoftmaxLoss(128, 6)
    >>> loss(torch.zeros(4, 128), torch.tensor([0, 1, 2, 3])).shape
    torch.Size([])
    """

    def __init__(self, embedding_size, n_classes):
        super().__init__(embedding_size, n_classes)
        self.linear = nn.Linear(embedding_size, n_classes)

    def logits(self, embedding):
        return full_precision(F.linear, embedding, self.linear.weight, self.linear.bias)


def soft(target, n_classes):
    """Whole numbers as rows of zeros and a one; what is soft already stays."""
    return target if target.is_floating_point() else F.one_hot(target.long(), n_classes).float()


def full_precision(function, embedding, *weights):
    """``function`` of embedding and weights in float32 or better, whatever precision the network runs in."""
    dtype = torch.promote_types(weights[0].dtype, torch.float32)
    with torch.autocast(embedding.device.type, enabled=False):
        return function(embedding.to(dtype), *(weight.to(dtype) for weight in weights))


def check_at_least_one(**numbers):
    for name, number in numbers.items():
        if not (isinstance(number, Integral) and number >= 1):
            raise ValueError(f"{name} must be a whole number of at least 1; got {number!r}.")
