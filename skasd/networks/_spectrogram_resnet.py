"""A residual network that keeps the bands of a spectrogram apart to the end."""

import torch

from skasd.networks._residual import ResidualTrunk, flat_head
from skasd.networks._staged import StagedNetwork
from skasd.networks._standardizer import BandStandardizer
from skasd.networks.inputs import as_images


class SpectrogramResNet(StagedNetwork):
    """A small residual network whose embedding shows in which band something is loud.

    Networks for images average over the whole last map; this one takes the mean and the maximum over time of each
    channel in each band. The mean responds to steady sounds, the maximum to short ones, and a sound an octave higher is
    a different sound. Its input is standardised band by band, see `BandStandardizer`.

    The number of bands comes from the first batch; the number of frames is free.

    Parameters
    ----------
    in_channels : int, default=1
        Channels of the input.

    channels : sequence of int, default=(16, 32, 64, 128)
        Channels of the stages; each after the first halves bands and frames.

    stem_stride : {2, 4}, default=2
        By how much the first layers narrow bands and frames: 2 by a convolution, 4 with a max-pool after it, for about
        a quarter of the work. The finer map shows shorter sounds in narrower bands.

    embedding_size : int, default=128
        Length of the embedding.

    Raises
    ------
    ValueError
        If ``stem_stride`` is neither 2 nor 4.

    See Also
    --------
    MultiResolutionNetwork : The same blocks on spectrograms of several resolutions.
    BandStandardizer : Brings all bands to one scale.
    MobileFaceNet : Has a weight for every position of the last map instead.

    Notes
    -----
    The blocks are those of `MultiResolutionNetwork`, without biases and with batch norms without weights. Stages are
    the stem, each pair of blocks, and the embedding. Inputs of less than 7 bands or frames (11 with
    ``stem_stride=4``) are padded with zeros.

    Examples
    --------
    >>> import torch
    >>> from skasd.networks import SpectrogramResNet
    >>> network = SpectrogramResNet().eval()
    >>> network(torch.zeros(2, 64, 157)).shape
    torch.Size([2, 128])
    >>> [stage.shape[1] for stage in network.forward_stages(torch.zeros(2, 64, 313))]
    [16, 16, 32, 64, 128, 128]
    """

    def __init__(self, *, in_channels=1, channels=(16, 32, 64, 128), stem_stride=2, embedding_size=128):
        super().__init__()
        self.in_channels = in_channels
        self.standardizer = BandStandardizer()
        self.trunk = ResidualTrunk(channels, in_channels, stem_stride)
        self.head = flat_head(embedding_size)

    def _maps(self, x):
        x = as_images(x, channels=(self.in_channels,), smallest=1, owner="SpectrogramResNet")
        return self.trunk.maps(self.standardizer(x))

    def _embed(self, last):
        return self.head(torch.cat([last.mean(3), last.amax(3)], dim=1))
