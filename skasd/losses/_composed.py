from numbers import Integral

import torch
from torch import nn

from skasd._docstrings import fill
from skasd.losses._base import HEAD_DOC, ClassificationLoss
from skasd.losses._cosine import AdaCosLoss


@fill(head=HEAD_DOC)
class FocalLoss(ClassificationLoss):
    r"""Another loss, with less weight on clips that are already classified well.

    .. math:: -\sum_k \alpha_k\, y_k\, (1 - p_k)^\gamma \ln p_k

    averaged over the batch, where p is the softmax of the training logits of the other loss and y the target. For a
    whole-number or one-hot target this is the focal loss of a softmax, :math:`(1 - p_y)^\gamma` times the
    cross-entropy; for a soft target it is the mean over the classes, weighted by their shares, as for mixup.

    Parameters
    ----------
    {head}

    loss : callable, default=AdaCosLoss
        Makes the other loss: ``loss(embedding_size, n_classes, **loss_params)``, a `ClassificationLoss`.

    loss_params : dict, default=None
        Parameters of the other loss.

    gamma : float, default=2.0
        Focusing exponent, at least 0. With 0 (and alpha 1) the loss is the other loss.

    alpha : float or sequence of n_classes floats, default=1.0
        Weight of the loss, or of each class. The 0.25 used in object detection balances objects against background; a
        softmax has no background, so a single number only rescales the loss.

    Raises
    ------
    ValueError
        If a parameter is out of its range, or if there are more or fewer ``alpha`` than classes.
    TypeError
        If the other loss is not a `ClassificationLoss`.

    See Also
    --------
    MultiTargetLoss : Several targets at once.

    References
    ----------
    .. [1] T.-Y. Lin, P. Goyal, R. Girshick, K. He and P. Dollár, "Focal Loss for Dense Object Detection", ICCV 2017,
       arXiv:1708.02002.

    Examples
    --------
    >>> import torch
    >>> from skasd.losses import ArcFaceLoss, FocalLoss
    >>> loss = FocalLoss(128, 6, loss=ArcFaceLoss, loss_params={"margin": 0.7})
    >>> loss(torch.randn(4, 128), torch.tensor([0, 1, 2, 3])).shape
    torch.Size([])
    """

    def __init__(self, embedding_size, n_classes, *, loss=AdaCosLoss, loss_params=None, gamma=2.0, alpha=1.0):
        super().__init__(embedding_size, n_classes)
        if not gamma >= 0:
            raise ValueError(f"gamma must be at least 0; got {gamma}.")
        self.loss = loss(embedding_size, n_classes, **(loss_params or {}))
        if not isinstance(self.loss, ClassificationLoss):
            raise TypeError(f"FocalLoss weighs the logits of one head, so the other loss must be a ClassificationLoss, "
                            f"such as AdaCosLoss; got {type(self.loss).__name__}.")  # fmt: skip
        self.gamma = gamma
        self.register_buffer("alpha", _check_alpha(alpha, n_classes))

    def logits(self, embedding):
        return self.loss.logits(embedding)

    def training_logits(self, embedding, target):
        return self.loss.training_logits(embedding, target)

    def _loss(self, logits, target):
        log_p = logits.log_softmax(dim=1)
        # where p rounds to one, an exponent below one would have an infinite gradient
        remainder = (-log_p.expm1()).clamp(min=torch.finfo(log_p.dtype).eps)
        return -(self.alpha * target * remainder**self.gamma * log_p).sum(dim=1).mean()


class MultiTargetLoss(nn.Module):
    """Sum of the losses of several targets, each with its own head.

    Parameters
    ----------
    embedding_size : int
        Length of the embedding vectors.

    n_classes : sequence of int
        Number of classes of each target.

    loss : callable, default=AdaCosLoss
        Makes the loss of each target: ``loss(embedding_size, n_classes, **loss_params)``, a `ClassificationLoss`.

    loss_params : dict, default=None
        Parameters of these losses.

    Attributes
    ----------
    losses : torch.nn.ModuleList
        The losses, one per target.

    Raises
    ------
    ValueError
        If there is no target.

    See Also
    --------
    FocalLoss : Used for each target in the second system below.

    References
    ----------
    .. [1] H. Narita and A. Tamamori, "CNN-based Anomalous Sound Detection System for Domain Generalization", technical
       report, DCASE 2022 Challenge, task 2: a focal loss on AdaCos for the section and one for the attribute.

    Examples
    --------
    >>> import torch
    >>> from skasd.losses import FocalLoss, MultiTargetLoss
    >>> loss = MultiTargetLoss(128, (6, 39), loss=FocalLoss)  # section and attribute
    >>> section, attribute = torch.tensor([0, 5]), torch.tensor([38, 7])
    >>> loss(torch.randn(2, 128), (section, attribute)).shape
    torch.Size([])
    >>> [logits.shape for logits in loss.logits(torch.randn(2, 128))]
    [torch.Size([2, 6]), torch.Size([2, 39])]
    """

    def __init__(self, embedding_size, n_classes, *, loss=AdaCosLoss, loss_params=None):
        super().__init__()
        if isinstance(n_classes, Integral) or len(n_classes) == 0:
            raise ValueError(f"n_classes must hold the number of classes of each target, such as (6, 39); "
                             f"got {n_classes!r}.")  # fmt: skip
        self.losses = nn.ModuleList(loss(embedding_size, number, **(loss_params or {})) for number in n_classes)

    def logits(self, embedding):
        """Class scores of every target, for inference.

        Parameters
        ----------
        embedding : Tensor of shape (batch, embedding_size)

        Returns
        -------
        logits : tuple of Tensor of shape (batch, n_classes of the target)
            Higher = more like the class.
        """
        return tuple(loss.logits(embedding) for loss in self.losses)

    def forward(self, embedding, targets):
        """Sum over the targets of the mean loss of a batch.

        Parameters
        ----------
        embedding : Tensor of shape (batch, embedding_size)

        targets : sequence of Tensor of shape (batch,) or (batch, n_classes of the target)
            One per target, whole numbers or soft.

        Returns
        -------
        loss : Tensor of shape ()
            Lower = the classes are told apart better.

        Raises
        ------
        ValueError
            If there are more or fewer targets than losses, or if a shape is wrong.
        """
        if len(targets) != len(self.losses):
            raise ValueError(f"MultiTargetLoss has {len(self.losses)} targets; got {len(targets)}. "
                             "Give a sequence with one tensor a target.")  # fmt: skip
        return sum(loss(embedding, target) for loss, target in zip(self.losses, targets, strict=True))


def _check_alpha(alpha, n_classes):
    alpha = torch.as_tensor(alpha, dtype=torch.get_default_dtype())
    if alpha.shape not in ((), (n_classes,)) or not (alpha > 0).all():
        raise ValueError(
            f"alpha must be a number above 0, or {n_classes} of them, one per class; got {alpha.tolist()}."
        )
    return alpha
