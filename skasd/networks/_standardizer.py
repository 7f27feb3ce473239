"""Spectrograms at one scale in every band, before anything is learned from them."""

import torch
from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.parameter import is_lazy

from skasd.networks._lazy import LazyBuffer

_CONSTANT = 1e-3  # rounding and dither are below this share of a band's level, sound is above it


class BandStandardizer(LazyModuleMixin, nn.Module):
    """Subtract the mean of each band and divide by its standard deviation, both from the training clips.

    Raw decibels are far from zero, and the first thing that a convolution with zero padding then learns is where the
    border is. The layer passes spectrograms on unchanged until `learn_standardization` has gone over the training
    clips. What it has learned is saved with the weights. The number of bands, and of channels, comes from the first
    batch.

    Attributes
    ----------
    mean : Tensor of shape (n_bands, 1) or (channels, n_bands, 1)
        Mean of each band over clips and frames; 0 before anything is learned.

    std : Tensor of shape (n_bands, 1) or (channels, n_bands, 1)
        What each band is divided by; 1 before anything is learned.

    See Also
    --------
    learn_standardization : Lets all such layers of a network learn from the training clips.

    Notes
    -----
    A band that is constant in training, such as one above the range of a microphone, has a standard deviation of zero
    or of mere rounding. It is divided by the root mean square of the other bands' standard deviations instead, or by 1
    if no band varies, so that faint noise there does not outweigh everything else.

    Examples
    --------
    >>> import torch
    >>> from skasd.networks import BandStandardizer, learn_standardization
    >>> layer = BandStandardizer()
    >>> x = torch.tensor([[[-40.0, -60.0], [-80.0, -80.0]]])  # one clip of two bands, the second is silent
    >>> learn_standardization(layer, [x])
    >>> layer(x)
    tensor([[[ 1., -1.],
             [ 0.,  0.]]])
    """

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", LazyBuffer())
        self.register_buffer("std", LazyBuffer())

    def initialize_parameters(self, x):
        if self.has_uninitialized_params():
            for buffer, start in ((self.mean, 0.0), (self.std, 1.0)):
                buffer.materialize((*x.shape[1:-1], 1))
                buffer.fill_(start)

    def forward(self, x):
        """Standardise spectrograms.

        Parameters
        ----------
        x : Tensor of shape (batch, n_bands, n_frames) or (batch, channels, n_bands, n_frames)

        Returns
        -------
        x : Tensor of the same shape

        Raises
        ------
        ValueError
            If the number of bands or channels is not that of the first batch.
        """
        if x.shape[1:-1] != self.mean.shape[:-1]:
            raise ValueError(f"This BandStandardizer was built on clips of shape {(*self.mean.shape[:-1], 'any')}; got "
                             f"{tuple(x.shape[1:])}. Make spectrograms with as many bands, or build a new "
                             "network.")  # fmt: skip
        return (x - self.mean) / self.std

    def extra_repr(self):
        """The number of bands, for the module's repr."""
        return f"size={'not known yet' if is_lazy(self.mean) else tuple(self.mean.shape[:-1])}"


@torch.no_grad()
def learn_standardization(network, batches):
    """Let every `BandStandardizer` of a network learn its means and standard deviations from the training clips.

    One pass over the clips before training starts. Each layer learns from its input while all of them pass spectrograms
    on unchanged; a network without such a layer is left alone, and the batches are not used.

    Parameters
    ----------
    network : torch.nn.Module
        A network in evaluation mode, or such a layer alone.

    batches : iterable of Tensor
        What the network takes: training clips, without augmentation.

    Raises
    ------
    ValueError
        If there are no batches, or if the input of a layer is not finite.

    See Also
    --------
    BandStandardizer : The layer.

    Examples
    --------
    >>> import torch
    >>> from skasd.networks import SpectrogramResNet, learn_standardization
    >>> log_mel = 5 * torch.randn(16, 64, 32) - 40
    >>> network = SpectrogramResNet().eval()
    >>> learn_standardization(network, log_mel.split(8))
    >>> network.standardizer(log_mel[:, None]).std().round(decimals=1)
    tensor(1.)
    """
    moments = {layer: _Moments() for layer in network.modules() if isinstance(layer, BandStandardizer)}
    if not moments:
        return
    hooks = [layer.register_forward_hook(lambda layer, args, out: moments[layer].add(args[0])) for layer in moments]
    try:
        for batch in batches:
            network(batch)
    finally:
        for hook in hooks:
            hook.remove()
    for layer, found in moments.items():
        mean, std = found.mean_and_std()
        layer.mean.copy_(mean)
        layer.std.copy_(std)


class _Moments:
    """Mean and variance of each band over batches that come one by one."""

    def __init__(self):
        self.count = 0

    def add(self, x):
        """Take one batch in, and give it back, which makes it the output of the layer that the hook watches."""
        variance, mean = torch.var_mean(x.double(), dim=(0, -1), correction=0, keepdim=True)
        count, mean, squares = x.shape[0] * x.shape[-1], mean[0], variance[0]
        if self.count:
            before, shift = self.count, mean - self.mean
            total = before + count
            self.variance += count / total * (squares - self.variance + before / total * shift**2)
            self.mean += count / total * shift
        else:
            self.mean, self.variance = mean, squares
        self.count += count
        return x

    def mean_and_std(self):
        if not self.count:
            raise ValueError("There are no batches to learn the mean and standard deviation of each band from.")
        if not (self.mean.isfinite() & self.variance.isfinite()).all():
            raise ValueError("The spectrograms of the training clips hold NaN or infinite numbers; a band has no mean.")
        std = self.variance.sqrt()
        constant = std <= _CONSTANT * self.mean.abs()
        others = std[~constant].square().mean().sqrt().nan_to_num(nan=1.0)  # the mean of no bands is NaN
        return self.mean, torch.where(constant, others, std)
