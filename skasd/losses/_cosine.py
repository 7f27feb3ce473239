"""Losses on angles."""

import math
from numbers import Real

import torch
from torch import nn
from torch.nn import functional as F

from skasd._docstrings import fill
from skasd.losses._base import HEAD_DOC, ClassificationLoss, check_at_least_one, full_precision

_ADAPTIVE_DOC = {
    "head": HEAD_DOC,
    "dynamic": """
dynamic : bool, default=True
    Whether training adapts the scale. Inference and validation never do.""",
    "scale": """
scale : Tensor of shape ()
    The scale, saved with the weights.""",
}
_SMALLEST_SCALE = math.sqrt(2) * math.log(2)  # what three classes get: two would get 0, one -inf
_LARGEST_SCALE = 64.0  # the scale of the ArcFace paper, the largest in common use


class _CosineLoss(ClassificationLoss):
    """A loss on the cosines between the embedding and ``n_centers`` centres."""

    def __init__(self, embedding_size, n_classes, n_centers, trainable=True):
        super().__init__(embedding_size, n_classes)
        self.weight = nn.Parameter(torch.empty(n_centers, embedding_size), requires_grad=trainable)
        nn.init.xavier_uniform_(self.weight)

    def _cosine(self, embedding):
        return full_precision(_cosine_similarity, embedding, self.weight)


@fill(head=HEAD_DOC)
class ArcFaceLoss(_CosineLoss):
    r"""Softmax on scaled cosines, with a margin added to the angle of the target class.

    The logits are :math:`s \cos(\theta_k + m\,y_k)`, with :math:`\theta_k` the angle between the embedding and the
    centre of class k and :math:`y_k` the target. Beyond :math:`\theta_k = \pi - m\,y_k`, where that cosine would rise
    again, it continues as :math:`\cos\theta_k - m\,y_k \sin(m\,y_k)`.

    Parameters
    ----------
    {head}

    margin : float, default=0.5
        Margin m in radians, in [0, pi). With 0 the loss is a softmax on scaled cosines.

    scale : float, default=30.0
        Scale s of the cosines, above 0. The paper on face recognition uses 64; for machine sounds 30 is common.

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    See Also
    --------
    AdaCosLoss : Finds the scale itself and has no margin.

    Notes
    -----
    Soft targets: a class gets its share of the margin, :math:`m\,y_k`, and the loss is the cross-entropy with the soft
    target. The margin by mixing ratio is that of [2]_; a one-hot target gives the published ArcFace [1]_.

    The sine in :math:`\cos(\theta + m)` is kept off zero (by 3e-4 in float32), where its gradient would be infinite.

    References
    ----------
    .. [1] J. Deng, J. Guo, N. Xue and S. Zafeiriou, "ArcFace: Additive Angular Margin Loss for Deep Face Recognition",
       CVPR 2019, arXiv:1801.07698.
    .. [2] J. Choi and J.-W. Choi, "Integrating Mixup and ArcFace for Enhanced Anomalous Sound Detection", INTER-NOISE
       2024, doi:10.3397/IN_2024_3869.

    Examples
    --------
    >>> import torch
    >>> from skasd.losses import ArcFaceLoss
    >>> loss = ArcFaceLoss(2, 2, margin=0.5, scale=1.0)
    >>> _ = loss.load_state_dict({"weight": torch.eye(2)})
    >>> loss.logits(torch.tensor([[3.0, 0.0]]))  # no margin: cos 0 and cos 90
    tensor([[1., 0.]], grad_fn=<MulBackward0>)
    >>> loss.training_logits(torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 1.0]]))  # cos 0 and cos(90 + 28.6)
    tensor([[ 1.0000, -0.4794]], grad_fn=<MulBackward0>)
    """

    def __init__(self, embedding_size, n_classes, *, margin=0.5, scale=30.0):
        super().__init__(embedding_size, n_classes, n_centers=n_classes)
        if not 0 <= margin < math.pi:
            raise ValueError(f"margin must be in [0, pi) radians; got {margin}.")
        if not scale > 0:
            raise ValueError(f"scale must be above 0; got {scale}.")
        self.margin = margin
        self.scale = scale

    def logits(self, embedding):
        return self.scale * self._cosine(embedding)

    def training_logits(self, embedding, target):
        cosine = self._cosine(embedding)
        sine = (1 - cosine**2).clamp(min=torch.finfo(cosine.dtype).eps).sqrt()
        margin = self.margin * target.to(cosine.dtype)
        shifted = cosine * margin.cos() - sine * margin.sin()
        beyond = cosine - margin * margin.sin()
        return self.scale * torch.where(cosine > -margin.cos(), shifted, beyond)


class _AdaptiveScaleLoss(_CosineLoss):
    """AdaCos in general: a subclass says which cosines count for B, and how far an embedding is from its target."""

    def __init__(self, embedding_size, n_classes, n_centers, trainable, dynamic, scale):
        super().__init__(embedding_size, n_classes, n_centers, trainable)
        self.dynamic = dynamic
        self.register_buffer("scale", torch.tensor(scale))

    def logits(self, embedding):
        return self._pool(self.scale * self._cosine(embedding))

    def training_logits(self, embedding, target):
        cosine = self._cosine(embedding)
        adapts = self.dynamic and self.training
        scale = self._adapt_scale(cosine, target.to(cosine.dtype)) if adapts else self.scale
        return self._pool(scale * cosine)

    @torch.no_grad()
    def _adapt_scale(self, cosine, target):
        angle = (target * self._class_angles(cosine.clamp(-1, 1).acos())).sum(dim=1).quantile(0.5)
        scale = self._log_b(self.scale * cosine, target) / angle.clamp(max=math.pi / 4).cos()
        scale = scale.clamp(_SMALLEST_SCALE, _LARGEST_SCALE)
        scale = torch.where(scale.isnan(), self.scale, scale)  # one overflow in float16 must not stay for ever
        self.scale.copy_(scale)
        return scale

    def _pool(self, logits):
        return logits

    def _class_angles(self, angles):
        return angles

    def _log_b(self, logits, target):
        others = (1 - target).clamp(min=0).log()
        return (logits + others).flatten().logsumexp(dim=0) - math.log(len(logits))


@fill(**_ADAPTIVE_DOC)
class AdaCosLoss(_AdaptiveScaleLoss):
    r"""Softmax on cosines whose scale follows from the number of classes and from training.

    The scale starts at :math:`\sqrt 2 \ln(C - 1)` for C classes. If it is dynamic, each training batch sets it to

    .. math:: s = \frac{\ln B}{\cos\min(\pi / 4, \theta_\text{med})}, \quad
        B = \frac 1 N \sum_i \sum_k (1 - y_{ik}) \exp(s_\text{before} \cos\theta_{ik})

    with :math:`\theta_\text{med}` the median over the batch of the angle to the target, :math:`\sum_k y_{ik}
    \theta_{ik}`. There is no margin.

    Parameters
    ----------
    {head}

    {dynamic}

    Attributes
    ----------
    {scale}

    See Also
    --------
    SubclusterAdaCosLoss : With several centres per class.

    Notes
    -----
    The rule gives 0 for two classes and minus infinity for one, and falls below 0 when two classes are told apart well:
    nothing could be learned with such a scale. The scale therefore never leaves the range from :math:`\sqrt 2 \ln 2 =
    0.98`, what three classes start with, to 64.

    For whole-number or one-hot targets this is the rule of the paper; for soft targets, a class counts for B to the
    extent that it is not the target, and the angle is the mean over the classes of the target, weighted by their
    shares.

    References
    ----------
    .. [1] X. Zhang, R. Zhao, Y. Qiao, X. Wang and H. Li, "AdaCos: Adaptively Scaling Cosine Logits for Effectively
       Learning Deep Face Representations", CVPR 2019, arXiv:1905.00292.

    Examples
    --------
    >>> from skasd.losses import AdaCosLoss
    >>> loss = AdaCosLoss(128, 6)
    >>> loss.scale
    tensor(2.2761)
    """

    def __init__(self, embedding_size, n_classes, *, dynamic=True):
        check_at_least_one(n_classes=n_classes)
        super().__init__(embedding_size, n_classes, n_classes, True, dynamic, _fixed_scale(n_classes))


@fill(**_ADAPTIVE_DOC)
class SubclusterAdaCosLoss(_AdaptiveScaleLoss):
    r"""AdaCos with several centres per class, so that a class may consist of clusters.

    The probability of a class is the sum of the softmax over its K centres. The scale starts at
    :math:`\sqrt 2 \ln(C K - 1)` for C classes. If it is dynamic, each training batch sets it to

    .. math:: s = \frac{\ln B}{\cos\min(\pi / 4, \theta_\text{med})}, \quad
        B = \frac 1 N \sum_i \sum_k \sum_j \exp(s_\text{before} \cos\theta_{ikj})

    with :math:`\theta_\text{med}` the median over the batch of the angle to the nearest centre of the target.

    Parameters
    ----------
    {head}

    n_subclusters : int, default=16
        Number K of centres per class.

    {dynamic}

    trainable : bool, default=False
        Whether the centres are trained, or stay random and fixed.

    Attributes
    ----------
    {scale}

    See Also
    --------
    AdaCosLoss : With one centre per class.

    Notes
    -----
    Unlike in `AdaCosLoss`, all classes count for B, the target as well. The rule was published for training with mixup.
    Without it, and with embeddings near their centres, the scale can grow without limit: with 39 classes and 16 centres
    it passed 1e6 in a few hundred batches. It is therefore kept in the range from 0.98 to 64; with mixup it settles
    around 10 to 15.

    The paper does not say from which of the K centres the angle is measured. Its code adds the K angles, whose sum
    nearly always exceeds :math:`\pi / 4`; here it is the nearest centre, so that with one centre per class it is the
    angle of AdaCos. For soft targets the angles of the classes are averaged, weighted by their shares.

    References
    ----------
    .. [1] K. Wilkinghoff, "Sub-Cluster AdaCos: Learning Representations for Anomalous Sound Detection", IJCNN 2021.

    Examples
    --------
    >>> from skasd.losses import SubclusterAdaCosLoss
    >>> loss = SubclusterAdaCosLoss(128, 6, n_subclusters=16)
    >>> loss.scale, loss.weight.shape
    (tensor(6.4402), torch.Size([96, 128]))
    """

    def __init__(self, embedding_size, n_classes, *, n_subclusters=16, dynamic=True, trainable=False):
        check_at_least_one(n_classes=n_classes, n_subclusters=n_subclusters)
        n_centers = n_classes * n_subclusters
        super().__init__(embedding_size, n_classes, n_centers, trainable, dynamic, _fixed_scale(n_centers))
        self.n_subclusters = n_subclusters

    def _pool(self, logits):
        return self._by_class(logits).logsumexp(dim=2)

    def _class_angles(self, angles):
        return self._by_class(angles).amin(dim=2)

    def _log_b(self, logits, target):
        return logits.flatten().logsumexp(dim=0) - math.log(len(logits))

    def _by_class(self, values):
        return values.unflatten(1, (self.n_classes, self.n_subclusters))


@fill(**_ADAPTIVE_DOC)
class AdaProjLoss(_AdaptiveScaleLoss):
    r"""Softmax on the cosines between the embedding and its projections onto a subspace of each class.

    A class has S unit vectors :math:`w_{cs}`. The logits are :math:`s \langle x, p_c \rangle`, with x the embedding
    scaled to length 1 and

    .. math:: p_c = \frac{\sum_s \langle x, w_{cs} \rangle w_{cs}}{\|\sum_s \langle x, w_{cs} \rangle w_{cs}\|}

    so that a clip may be anywhere in the subspace of its class, where `SubclusterAdaCosLoss` draws it to one of S
    points. If the scale is dynamic, training adapts it as in `AdaCosLoss`.

    Parameters
    ----------
    {head}

    subspace_size : int, default=16
        Number S of vectors per class; published systems use 16 or 32.

    initial_scale : {"vectors", "classes"} or float, default="vectors"
        The scale s before training, of C classes: ``"vectors"`` is :math:`\sqrt 2 \ln(C S - 1)`, as in the paper,
        ``"classes"`` :math:`\sqrt 2 \ln(C - 1)`, as in published code; or a number above 0.

    {dynamic}

    trainable : bool, default=False
        Whether the vectors are trained, or stay random and fixed.

    Attributes
    ----------
    {scale}

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    See Also
    --------
    SubclusterAdaCosLoss : Draws a clip to the nearest of several centres.

    Notes
    -----
    The vectors are drawn at random and not made orthogonal, so the sum is a projection only in expectation. An
    embedding that is at right angles to all vectors of a class has the cosine 0. Unless it is given as a number, the
    scale is at least 0.98, see `AdaCosLoss`.

    References
    ----------
    .. [1] K. Wilkinghoff, "AdaProj: Adaptively Scaled Angular Margin Subspace Projections for Anomalous Sound Detection
       with Auxiliary Classification Tasks", DCASE 2024 Workshop, arXiv:2403.14179.

    Examples
    --------
    >>> import torch
    >>> from skasd.losses import AdaProjLoss
    >>> loss = AdaProjLoss(3, 2, subspace_size=2, initial_scale=1.0)
    >>> plane, line = torch.eye(3)[:2], torch.eye(3)[2:].expand(2, 3)
    >>> _ = loss.load_state_dict(loss.state_dict() | {"weight": torch.cat([plane, line])})
    >>> loss.logits(torch.tensor([[3.0, 4.0, 0.0], [0.0, 3.0, 4.0]]))  # in the plane, and 37 degrees off the line
    tensor([[1.0000, 0.0000],
            [0.6000, 0.8000]])
    """

    def __init__(
        self, embedding_size, n_classes, *, subspace_size=16, initial_scale="vectors", dynamic=True, trainable=False
    ):
        check_at_least_one(n_classes=n_classes, subspace_size=subspace_size)
        n_vectors = n_classes * subspace_size
        scale = _initial_scale(initial_scale, n_vectors, n_classes)
        super().__init__(embedding_size, n_classes, n_vectors, trainable, dynamic, scale)

    def _cosine(self, embedding):
        return full_precision(self._projected_cosine, embedding, self.weight)

    def _projected_cosine(self, embedding, weight):
        embedding = F.normalize(embedding)
        vectors = F.normalize(weight).unflatten(0, (self.n_classes, -1))
        shares = torch.einsum("nd,csd->ncs", embedding, vectors)
        projections = torch.einsum("ncs,csd->ncd", shares, vectors)
        return torch.einsum("nd,ncd->nc", embedding, F.normalize(projections, dim=2))


def _initial_scale(initial_scale, n_vectors, n_classes):
    if isinstance(initial_scale, str) and initial_scale in ("vectors", "classes"):
        return _fixed_scale(n_vectors if initial_scale == "vectors" else n_classes)
    if not (isinstance(initial_scale, Real) and initial_scale > 0):
        raise ValueError(f"initial_scale must be 'vectors', 'classes' or a number above 0; got {initial_scale!r}.")
    return float(initial_scale)


def _fixed_scale(n_centers):
    """The scale that AdaCos has before it adapts; two centres would get 0 and one minus infinity."""
    return math.sqrt(2) * math.log(max(n_centers - 1, 2))


def _cosine_similarity(embedding, centers):
    return F.linear(F.normalize(embedding), F.normalize(centers))
