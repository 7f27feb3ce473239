"""Clips with parts of others."""

import numpy as np
import torch

from skasd.augmentation._base import PROBABILITY, NumpyAugmentation, name_sources


class _Exchange(NumpyAugmentation):
    """Some clips get parts of others, and a soft target that says where each part is from."""

    def _draw(self, batch, random_state):
        n_clips = len(batch.x)
        partners = np.stack([random_state.permutation(n_clips) for _ in range(self._n_partners())])
        return {"partners": partners, "exchanged": random_state.uniform(size=n_clips) < self.probability}

    def n_classes(self, n_classes):
        return tuple(number * (self._n_partners() + 2) for number in n_classes)

    def apply(self, batch, params):
        x, partners, exchanged = batch.x, *(params[name].to(batch.x.device) for name in ("partners", "exchanged"))
        mixed = torch.where(exchanged.view(-1, *(1,) * (x.ndim - 1)), self._mix(x, partners), x)
        owner = type(self).__name__
        targets = tuple(name_sources(target, partners, exchanged, owner) for target in batch.targets)
        return batch._replace(x=mixed, targets=targets)


class FeatureExchange(_Exchange):
    """Combine branches of several clips into embeddings, and make the network tell which part is from which clip.

    In embeddings with M parts, all parts but the first are permuted over the batch, each with its own permutation. The
    network then has to keep in every branch what distinguishes clips, instead of relying on the easiest one. This
    happens after the network, in `skasd.losses.FeatureExchangeLoss`.

    Parameters
    ----------
    branch_sizes : sequence of int
        Length of each part of the embedding, at least two parts, such as ``MultiResolutionNetwork().branch_sizes``.

    probability : float, default=0.5
        Probability that a clip's parts are exchanged, in [0, 1].

    See Also
    --------
    skasd.losses.FeatureExchangeLoss : Exchanges while training, with a head for the new classes.
    StatisticsExchange : Exchanges the statistics of spectrograms.

    Notes
    -----
    C classes become C (M + 1): an unchanged clip keeps its class k, and a combined clip has the share 1 / M in each of
    the classes k + C m, with k the class of the clip that part m = 1, ..., M is from.

    References
    ----------
    .. [1] K. Wilkinghoff, "Self-Supervised Learning for Anomalous Sound Detection", ICASSP 2024, arXiv:2312.09578.

    Examples
    --------
    >>> import torch
    >>> from skasd.augmentation import Batch, FeatureExchange
    >>> embedding = torch.tensor([[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]])
    >>> batch = Batch(embedding, targets=(torch.eye(2),))
    >>> exchanged = FeatureExchange(branch_sizes=(1, 2), probability=1.0)(batch, torch.Generator().manual_seed(0))
    >>> exchanged.x
    tensor([[1., 2., 2.],
            [2., 1., 1.]])
    >>> exchanged.targets[0]  # two classes as they are, two of the first part, two of the second
    tensor([[0.0000, 0.0000, 0.5000, 0.0000, 0.0000, 0.5000],
            [0.0000, 0.0000, 0.0000, 0.5000, 0.5000, 0.0000]])
    """

    _parameter_constraints: dict = {"branch_sizes": [tuple, list], "probability": [PROBABILITY]}
    works_on = "embedding"

    def __init__(self, *, branch_sizes, probability=0.5):
        self.branch_sizes = branch_sizes
        self.probability = probability

    def _draw(self, batch, random_state):
        sizes = tuple(self.branch_sizes)
        if len(sizes) < 2 or batch.x.ndim != 2 or sum(sizes) != batch.x.shape[1]:
            raise ValueError(f"FeatureExchange wants embeddings (batch, d) of at least two parts with d the sum of "
                             f"branch_sizes={sizes}; got shape {tuple(batch.x.shape)}.")  # fmt: skip
        return super()._draw(batch, random_state)

    def _n_partners(self):
        return len(self.branch_sizes) - 1

    def _mix(self, x, partners):
        first, *others = x.split(tuple(self.branch_sizes), dim=1)
        return torch.cat([first, *(part[partner] for part, partner in zip(others, partners, strict=True))], dim=1)


class StatisticsExchange(_Exchange):
    """Give a spectrogram the level and the spread of another clip in each band, and make the network notice.

    In each band, the mean and the standard deviation over time are replaced by those of another clip of the batch; what
    remains of the clip is its course in time. Such a clip is a new class, which keeps a network from telling classes
    apart by the mean spectrum alone.

    Parameters
    ----------
    probability : float, default=0.5
        Probability that a clip's statistics are exchanged, in [0, 1].

    See Also
    --------
    FeatureExchange : Exchanges parts of embeddings.
    Mixup : Mixes clips and their targets.

    Notes
    -----
    C classes become 3 C: an unchanged clip keeps its class k, and a changed one has the share 1 / 2 in k + C, with k
    its own class, and in j + 2 C, with j the class of the other clip. A band that is constant over time becomes the
    other clip's mean.

    References
    ----------
    .. [1] K. Wilkinghoff, "Self-Supervised Learning for Anomalous Sound Detection", ICASSP 2024, arXiv:2312.09578.

    Examples
    --------
    >>> import torch
    >>> from skasd.augmentation import Batch, StatisticsExchange
    >>> batch = Batch(torch.tensor([[[1.0, 3.0, 1.0, 3.0]], [[0.0, 0.0, 8.0, 8.0]]]), targets=(torch.eye(2),))
    >>> exchanged = StatisticsExchange(probability=1.0)(batch, torch.Generator().manual_seed(0))
    >>> exchanged.x[:, 0]
    tensor([[0., 8., 0., 8.],
            [1., 1., 3., 3.]])
    >>> exchanged.targets[0]
    tensor([[0.0000, 0.0000, 0.5000, 0.0000, 0.0000, 0.5000],
            [0.0000, 0.0000, 0.0000, 0.5000, 0.5000, 0.0000]])
    """

    _parameter_constraints: dict = {"probability": [PROBABILITY]}
    works_on = "log_mel"

    def __init__(self, *, probability=0.5):
        self.probability = probability

    def _n_partners(self):
        return 1

    def _mix(self, x, partners):
        wide = x.to(torch.promote_types(x.dtype, torch.float32))  # in half precision, squares would overflow
        variance, mean = torch.var_mean(wide, dim=-1, correction=0, keepdim=True)
        std = variance.clamp(min=torch.finfo(wide.dtype).tiny).sqrt()
        rounding = 16 * torch.finfo(x.dtype).eps * mean.abs()
        course = (wide - mean) / torch.where(std > rounding, std, torch.inf)
        (partner,) = partners
        return (course * std[partner] + mean[partner]).to(x.dtype)
