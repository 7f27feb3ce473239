"""Normalizing flow detector."""

import math
from functools import partial
from itertools import pairwise
from numbers import Integral

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler
from sklearn.utils import gen_batches
from skorch.callbacks import GradientNormClipping
from torch import nn
from torch.nn import functional as F
from zuko.lazy import LazyComposedTransform, LazyTransform
from zuko.nn import MaskedLinear
from zuko.transforms import AutoregressiveTransform, DependentTransform, MonotonicAffineTransform

from skasd._docstrings import fill
from skasd._sklearn import Interval
from skasd.detectors._network import NETWORK_TEXTS, NetworkDetector


@fill(**NETWORK_TEXTS)
class FlowDetector(NetworkDetector):
    """Detect anomalies as clips that have a low density under a masked autoregressive flow.

    A flow turns the distribution of the normal windows into a standard Gaussian by invertible steps; each scales and
    shifts every feature by amounts that a network computes from the features before it [1]_. One flow is trained for
    all sections of the machine; the section, one-hot encoded, is one of its inputs, as in [2]_. The score of a clip is
    the mean log-likelihood of its windows, in the units of the embeddings. With ``transforms=1`` it is the masked
    autoencoder (MADE) [3]_.

    Parameters
    ----------
    transforms : int, default=5
        Number of autoregressive steps, which take the features in their order and in reverse order alternately.

    hidden_features : tuple of int, default=(100,)
        Units of each hidden layer of the networks.

    {training}

    {threshold}

    {kwargs}

    Attributes
    ----------
    network_ : torch.nn.Module
        The trained flow; ``network_.log_prob(x, section)`` is the log-likelihood of windows (n, d) whose sections have
        the numbers (n,).

    {net_}

    history_ : list of dict
        For each epoch its number, losses (minus the mean log-likelihood, in nats) and duration in seconds.

    {sections_}

    models_ : dict of str to SectionModel
        The ``number`` of each section.

    {fitted}

    See Also
    --------
    AutoencoderDetector : Reconstructs the windows instead.
    GaussianMixtureDetector : A density that needs fewer training clips.

    Notes
    -----
    The optimizer is `torch.optim.Adam` where none is given. The gradient is clipped to a norm of 10, because windows
    far from the others would exceed it, unless there is a `skorch.callbacks.GradientNormClipping` among the callbacks.

    Features are first standardised by the mean and standard deviation of the training windows. Features that never vary
    in training, such as empty mel bands, have no density and are left out. Hidden units are spread evenly over the
    features, and direct connections [3]_ lead from each feature to the shifts of all later ones, so that no feature is
    cut off from its parents even if there are more features than hidden units.

    References
    ----------
    .. [1] G. Papamakarios, T. Pavlakou and I. Murray, "Masked autoregressive flow for density estimation", NeurIPS
       2017, https://arxiv.org/abs/1705.07057.
    .. [2] G. Liu et al., "Unsupervised anomalous sound detection under domain shift conditions based on MobileFaceNets
       and masked autoregressive flow", DCASE2022 Challenge, technical report, 2022.
    .. [3] M. Germain, K. Gregor, I. Murray and H. Larochelle, "MADE: masked autoencoder for distribution estimation",
       ICML 2015, https://arxiv.org/abs/1502.03509.

    Examples
    --------
    >>> import numpy as np
    >>> from skasd.detectors import FlowDetector
    >>> x = np.random.default_rng(0).normal(size=(500, 2))
    >>> banana = x + np.array([0.0, 1.0]) * x[:, :1] ** 2
    >>> detector = FlowDetector(transforms=2, max_epochs=30, lr=0.01, device="cpu", random_state=0).fit(banana)
    >>> inside, outside = detector.score_samples([[2.0, 4.0], [2.0, 0.0]])
    >>> bool(inside > outside)
    True
    """

    _parts = ()
    _training_dtype = np.float64  # the flow itself standardises, before it goes on in single precision

    _parameter_constraints: dict = {
        **NetworkDetector._parameter_constraints,
        "transforms": [Interval(Integral, 1, None, closed="left")],
        "hidden_features": [tuple, list],
    }

    def __init__(
        self,
        *,
        transforms=5,
        hidden_features=(100,),
        augmentation=None,
        max_epochs=100,
        lr=1e-3,
        batch_size=512,
        lr_schedule="constant",
        validation_fraction="auto",
        checkpoint=None,
        device="auto",
        verbose=0,
        random_state=None,
        contamination=0.1,
        threshold="quantile",
        **kwargs,
    ):
        super().__init__(contamination=contamination, threshold=threshold)
        self.transforms = transforms
        self.hidden_features = hidden_features
        self.augmentation = augmentation
        self.max_epochs = max_epochs
        self.lr = lr
        self.batch_size = batch_size
        self.lr_schedule = lr_schedule
        self.validation_fraction = validation_fraction
        self.checkpoint = checkpoint
        self.device = device
        self.verbose = verbose
        self.random_state = random_state
        self._net_params = kwargs

    def _make_network(self, X, rows, n_sections):
        if not all(isinstance(width, Integral) and width > 0 for width in self.hidden_features):
            raise ValueError(f"hidden_features must hold numbers of units above 0; got {self.hidden_features!r}.")
        scaler = StandardScaler()
        for batch in gen_batches(len(rows), _ROWS_AT_ONCE):
            scaler.partial_fit(X[rows[batch]].astype(np.float64))
        scale = np.sqrt(scaler.var_)
        if not np.isfinite(scale).all():
            raise ValueError(f"The embedding has values up to {max(X.max(), -X.min()):.3g}, whose variance is beyond "
                             "float64. Bring it to other units.")  # fmt: skip
        varies = scale > 10 * np.finfo(X.dtype).eps * np.abs(scaler.mean_)
        if not varies.any():
            raise ValueError(f"All {len(rows)} training rows are the same; a density needs rows that differ.")
        flow = SectionFlow(scaler.mean_, scale, varies, n_sections, self.transforms, self.hidden_features)
        return flow.to(self._dtype()) if self._dtype() == torch.float32 else flow

    def _fit_shared(self, X, windows, clips):
        super()._fit_shared(X, windows, clips)
        loss, untrained = self.history_[-1]["train_loss"], self.network_.gaussian_entropy()
        if loss > untrained + len(self.network_.features):
            raise ValueError(f"Training diverged: the loss is {loss:.4g} nats after epoch {len(self.history_)}; that "
                             f"of independent Gaussians is {untrained:.4g}. Lower lr, or clip the gradient "
                             "more.")  # fmt: skip

    def _measure(self, network):
        return network

    def _further_callbacks(self, given):
        callbacks = [one[1] if isinstance(one, tuple) else one for one in given]
        kinds = [one if isinstance(one, type) else type(one) for one in callbacks]
        if any(issubclass(kind, GradientNormClipping) for kind in kinds):
            return []
        return [("gradient_norm_clipping", GradientNormClipping(_MAX_NORM))]


_ROWS_AT_ONCE = 4096
_MAX_NORM = 10.0  # of the gradient, which windows far from the others would make as long as they like


class SectionFlow(nn.Module):
    """Masked autoregressive flow, conditioned on the section, with the standardisation of its input.

    Of the features, with this mean and scale (n_features,), there is a density of those that vary. Each of the
    transforms is an `AutoregressiveStep` with these hidden features.
    """

    def __init__(self, mean, scale, varies, n_sections, transforms, hidden_features):
        super().__init__()
        self.n_sections = n_sections
        self.register_buffer("features", torch.from_numpy(np.flatnonzero(varies)))
        self.register_buffer("mean", torch.from_numpy(mean[varies]))
        self.register_buffer("scale", torch.from_numpy(scale[varies]))
        order = torch.arange(len(self.features))
        self.transform = LazyComposedTransform(
            *(AutoregressiveStep(order if step % 2 == 0 else order.flip(0), n_sections, hidden_features)
              for step in range(transforms))
        )  # fmt: skip

    def forward(self, x, section=None):
        """Minus the log-likelihood of each row; of one section, it need not be named."""
        if section is None:
            if self.n_sections > 1:
                raise ValueError(f"The flow has learned {self.n_sections} sections; give the number of that of each "
                                 "row, as {'x': rows, 'section': numbers}.")  # fmt: skip
            section = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        return -self.log_prob(x, section)

    def gaussian_entropy(self):
        """Entropy of independent Gaussians with this mean and scale, in nats."""
        return float(self.scale.log().sum()) + len(self.scale) * (1 + math.log(2 * math.pi)) / 2

    def log_prob(self, x, section):
        """Log-likelihood of the rows (n, n_features) of sections with these numbers (n,)."""
        standard = ((x[:, self.features] - self.mean) / self.scale).to(next(self.parameters()).dtype)
        context = F.one_hot(section, self.n_sections).to(standard.dtype)
        base, ladj = self.transform(context).call_and_ladj(standard)
        return ladj - self.scale.log().sum() - (base.square() + math.log(2 * math.pi)).sum(dim=1) / 2


class AutoregressiveStep(LazyTransform):
    """zuko's masked autoregressive transform with another network, in which no feature is cut off from its parents.

    It starts as the identity. Direct connections lead to the shifts alone: scales that are exponentials of many parents
    would grow beyond measure. The order (n_features,) is the place of each feature, whose parents are those with lower
    places; the context is the number of further inputs, on which every feature may depend; the hidden features are the
    units of each hidden layer.
    """

    def __init__(self, order, context, hidden_features):
        super().__init__()
        self.n_features = len(order)
        inputs = torch.cat([order + 1, torch.zeros(context, dtype=torch.int64)])
        outputs = order.repeat_interleave(2)  # shift and scale of each feature
        degrees = [inputs, *(_spread(width, self.n_features) for width in hidden_features), outputs]
        layers = [MaskedLinear(_connected(*pair)) for pair in pairwise(degrees)]
        activated = [module for layer in layers[:-1] for module in (layer, nn.ReLU())]
        self.hidden = nn.Sequential(*activated, layers[-1])
        self.direct = MaskedLinear(_connected(inputs, order), bias=False)
        for parameter in (layers[-1].weight, layers[-1].bias, self.direct.weight):
            nn.init.zeros_(parameter)

    def forward(self, context):
        """The transform for a context (n, context)."""
        return AutoregressiveTransform(partial(self._affine, context), self.n_features)

    def _affine(self, context, x):
        inputs = torch.cat([x, context], dim=-1)
        shift, scale = self.hidden(inputs).unflatten(-1, (-1, 2)).unbind(-1)
        return DependentTransform(MonotonicAffineTransform(shift + self.direct(inputs), scale), 1)


def _spread(width, n_features):
    """Degrees of hidden units: how many of the first features each may see, from none (the context) to all but one."""
    return torch.linspace(0, n_features - 1, width).round().long()


def _connected(degrees, next_degrees):
    """Which unit of a layer (columns) each unit of the next layer (rows) may see."""
    return degrees <= next_degrees[:, None]
