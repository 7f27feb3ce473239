"""Losses for embeddings whose parts come from branches of a network."""

from functools import partial

import torch
from torch import nn

from skasd._docstrings import fill
from skasd.augmentation import Batch, FeatureExchange
from skasd.losses._base import HEAD_DOC, Head, soft
from skasd.losses._cosine import SubclusterAdaCosLoss

_BRANCHES_DOC = """
branch_sizes : sequence of int
    Length of each branch's part of the embedding, such as ``MultiResolutionNetwork().branch_sizes``.

loss : callable, default=SubclusterAdaCosLoss
    Makes each head: ``loss(embedding_size, n_classes, trainable=..., **loss_params)``, such as `AdaProjLoss`.

loss_params : dict, default=None
    Further parameters of the heads, such as ``{"dynamic": False}``."""


class _BranchLoss(Head):
    """A loss on the whole embedding, with centres that stay where they were drawn, and others beside it."""

    def __init__(self, embedding_size, n_classes, branch_sizes, make):
        super().__init__()
        self.branch_sizes = tuple(branch_sizes)
        if sum(self.branch_sizes) != embedding_size:
            raise ValueError(f"branch_sizes must add up to the length of the embedding, {embedding_size}; got "
                             f"{self.branch_sizes}. A network with branches names theirs as branch_sizes.")  # fmt: skip
        self.whole = make(embedding_size, n_classes, trainable=False)

    def logits(self, embedding):
        return self.whole.logits(embedding)

    def forward(self, embedding, target):
        return self.whole(embedding, target) + self._loss_beside(embedding, target)

    def _loss_beside(self, embedding, target):
        raise NotImplementedError


@fill(head=HEAD_DOC, branches=_BRANCHES_DOC)
class SubspaceLoss(_BranchLoss):
    """A loss on the whole embedding and one on each branch's part of it, so that every branch has to learn.

    The head on the whole embedding has fixed random centres; those on the branches train theirs. The losses are added.

    Parameters
    ----------
    {head}

    {branches}

    Attributes
    ----------
    whole : torch.nn.Module
        The loss on the whole embedding.

    branches : torch.nn.ModuleList
        The losses on the branches.

    Raises
    ------
    ValueError
        If ``branch_sizes`` do not add up to ``embedding_size``.

    See Also
    --------
    FeatureExchangeLoss : Makes the network tell which clip each part is from.
    skasd.networks.MultiResolutionNetwork : A network with branches.

    References
    ----------
    .. [1] T. Fujimura, K. Wilkinghoff, K. Imoto and T. Toda, "ASDKit: A Toolkit for Comprehensive Evaluation of
       Anomalous Sound Detection Methods", DCASE 2025 Workshop, arXiv:2507.10264.

    Examples
    --------
    >>> import torch
    >>> from skasd.losses import SubspaceLoss
    >>> loss = SubspaceLoss(8, 3, branch_sizes=(4, 4))
    >>> loss(torch.randn(5, 8), torch.tensor([0, 1, 2, 0, 1])).shape
    torch.Size([])
    >>> [head.weight.requires_grad for head in (loss.whole, *loss.branches)]
    [False, True, True]
    """

    def __init__(self, embedding_size, n_classes, *, branch_sizes, loss=SubclusterAdaCosLoss, loss_params=None):
        make = partial(loss, **(loss_params or {}))
        super().__init__(embedding_size, n_classes, branch_sizes, make)
        self.branches = nn.ModuleList(make(size, n_classes, trainable=True) for size in self.branch_sizes)

    def _loss_beside(self, embedding, target):
        parts = embedding.split(self.branch_sizes, dim=1)
        return sum(branch(part, target) for branch, part in zip(self.branches, parts, strict=True))


@fill(branches=_BRANCHES_DOC)
class FeatureExchangeLoss(_BranchLoss):
    """A loss on embeddings as they are, and one on embeddings whose parts come from several clips.

    In training, `skasd.augmentation.FeatureExchange` combines the branches of different clips into new embeddings, and
    a second head, with its own classes, tells which part is from which class. Its centres are trained; those of the
    first head are random and fixed. The losses are added. In evaluation, only the first is used.

    Parameters
    ----------
    embedding_size : int
        Length of the embedding vectors.

    n_classes : int
        Number of classes C, at least 1. With M branches the second head has C (M + 1).

    {branches}

    probability : float, default=0.5
        Probability that a clip's parts are exchanged, in [0, 1].

    Attributes
    ----------
    whole : torch.nn.Module
        The loss on embeddings as they are.

    exchanged : torch.nn.Module
        The loss on exchanged ones.

    Raises
    ------
    ValueError
        If ``branch_sizes`` do not add up to ``embedding_size``.

    See Also
    --------
    SubspaceLoss : A loss on each branch.
    skasd.augmentation.FeatureExchange : What is exchanged, and the classes that result.

    Notes
    -----
    What is exchanged is drawn from torch's global generator on the CPU, as for dropout.

    References
    ----------
    .. [1] K. Wilkinghoff, "Self-Supervised Learning for Anomalous Sound Detection", ICASSP 2024, arXiv:2312.09578.

    Examples
    --------
    >>> import torch
    >>> from skasd.losses import FeatureExchangeLoss
    >>> loss = FeatureExchangeLoss(8, 3, branch_sizes=(4, 4))
    >>> loss(torch.randn(5, 8), torch.tensor([0, 1, 2, 0, 1])).shape
    torch.Size([])
    >>> loss.whole.n_classes, loss.exchanged.n_classes
    (3, 9)
    """

    def __init__(
        self, embedding_size, n_classes, *, branch_sizes, loss=SubclusterAdaCosLoss, loss_params=None, probability=0.5
    ):
        make = partial(loss, **(loss_params or {}))
        super().__init__(embedding_size, n_classes, branch_sizes, make)
        self.exchange = FeatureExchange(branch_sizes=self.branch_sizes, probability=probability)
        (n_exchanged,) = self.exchange.n_classes((n_classes,))
        self.exchanged = make(embedding_size, n_exchanged, trainable=True)

    def _loss_beside(self, embedding, target):
        if not self.training:
            return 0
        embedding = embedding.to(torch.promote_types(embedding.dtype, torch.float32))
        batch = self.exchange(Batch(embedding, (soft(target, self.whole.n_classes),)), torch.default_generator)
        return self.exchanged(batch.x, *batch.targets)
