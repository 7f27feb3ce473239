"""The dense autoencoder of the DCASE baselines."""

import torch
from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.parameter import UninitializedParameter


class DenseAutoencoder(nn.Module):
    """Autoencoder of dense layers, each with batch normalisation and ReLU except for the linear output.

    The number of features comes from the first batch, and the output starts at its mean. With 640 features, five frames
    of 128 mel bands, the default is the network of the DCASE Task 2 baselines.

    Parameters
    ----------
    n_hidden : sequence of int, default=(128, 128, 128, 128)
        Units of the encoder's layers; the decoder has them in reverse order.

    n_bottleneck : int, default=8
        Units of the narrowest layer.

    See Also
    --------
    MobileFaceNet : A network that is trained to tell machines apart instead.

    References
    ----------
    .. [1] K. Dohi et al. "Description and discussion on DCASE 2022 challenge task 2". DCASE 2022 Workshop.
       https://arxiv.org/abs/2206.05876

    Examples
    --------
    >>> import torch
    >>> from skasd.networks import DenseAutoencoder
    >>> network = DenseAutoencoder().eval()
    >>> network(torch.zeros(3, 640)).shape
    torch.Size([3, 640])
    >>> network.encode(torch.zeros(3, 640)).shape
    torch.Size([3, 8])
    """

    def __init__(self, *, n_hidden=(128, 128, 128, 128), n_bottleneck=8):
        super().__init__()
        widths = [*n_hidden, n_bottleneck]
        self.encoder = nn.Sequential(*map(_dense, widths))
        self.decoder = nn.Sequential(*map(_dense, reversed(widths[:-1])))
        self.output = _LinearLike()

    def forward(self, x):
        """Reconstruct the input.

        Parameters
        ----------
        x : Tensor of shape (batch, n_features)

        Returns
        -------
        reconstruction : Tensor of shape (batch, n_features)
        """
        return self.output(self.decoder(self.encode(x)), x)

    def encode(self, x):
        """The output of the narrowest layer.

        Parameters
        ----------
        x : Tensor of shape (batch, n_features)

        Returns
        -------
        code : Tensor of shape (batch, n_bottleneck)

        Raises
        ------
        ValueError
            If ``x`` does not have two dimensions.
        """
        if x.ndim != 2:
            raise ValueError(f"DenseAutoencoder takes vectors (batch, n_features); got shape {tuple(x.shape)}. "
                             "Stack frames with FrameStacker, or flatten the rows.")  # fmt: skip
        return self.encoder(x)


def _dense(width):
    return nn.Sequential(nn.LazyLinear(width), nn.BatchNorm1d(width), nn.ReLU())


class _LinearLike(LazyModuleMixin, nn.Linear):
    """A linear layer that makes its output as wide as a second input, and starts at the mean of that one."""

    def __init__(self):
        super().__init__(1, 1)
        self.weight, self.bias = UninitializedParameter(), UninitializedParameter()

    def initialize_parameters(self, x, like):
        if self.has_uninitialized_params():
            self.weight.materialize((like.shape[1], x.shape[1]))
            self.bias.materialize((like.shape[1],))
            self.reset_parameters()
            with torch.no_grad():  # the optimizer would take hundreds of steps to some -60 dB
                self.bias.copy_(like.mean(dim=0))
        self.out_features, self.in_features = self.weight.shape

    def forward(self, x, like):
        return super().forward(x)
