"""MobileFaceNet, in the two layer tables in which it has been published."""

import math

import torch
from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.parameter import UninitializedParameter, is_lazy

from skasd.networks._staged import StagedNetwork
from skasd.networks._standardizer import BandStandardizer
from skasd.networks.inputs import as_images

_LAYOUTS = {
    "dcase": ((2, 128, 2, 2), (4, 128, 2, 2), (4, 128, 2, 2)),
    "paper": ((2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1), (4, 128, 1, 2), (2, 128, 2, 1)),
}
_STEM, _LAST = 64, 512


class MobileFaceNet(StagedNetwork):
    """MobileFaceNet, a small network whose pooling has a weight for every position of the last map.

    A 3 x 3 convolution that halves the map, a depthwise one, inverted bottlenecks, a 1 x 1 convolution, and then,
    instead of the average of other networks, a depthwise convolution as large as the map, which can distinguish the
    middle of a spectrogram from its edge. That kernel takes its size from the first batch, so the network works for any
    number of bands and frames, but from then on only for inputs that shrink to the same map.

    Parameters
    ----------
    in_channels : int, default=1
        Channels of the input: 1 for a spectrogram, 2 for log-mel and wavegram.

    embedding_size : int, default=128
        Length of the embedding.

    layout : {"dcase", "paper"} or sequence of tuple of int, default="dcase"
        The bottlenecks, as rows (expansion, channels, repeats, stride). ``"dcase"`` is the short table used for machine
        sounds since DCASE 2022 [2]_, ``"paper"`` that of the paper [1]_.

    See Also
    --------
    DualFeatureNetwork : Log-mel and wavegram in front of this network.
    EfficientNet : A larger network, with ImageNet weights on request.

    Notes
    -----
    Stages are the first two convolutions, each row of the table, the 1 x 1 convolution and the embedding.

    References
    ----------
    .. [1] S. Chen, Y. Liu, X. Gao, Z. Han. "MobileFaceNets: Efficient CNNs for accurate real-time face verification on
       mobile devices". CCBR 2018. https://arxiv.org/abs/1804.07573
    .. [2] Y. Liu, J. Guan, Q. Zhu, W. Wang. "Anomalous sound detection using spectral-temporal information fusion".
       ICASSP 2022. https://arxiv.org/abs/2201.05510

    Examples
    --------
    >>> import torch
    >>> from skasd.networks import MobileFaceNet
    >>> network = MobileFaceNet().eval()
    >>> network(torch.zeros(2, 64, 32)).shape
    torch.Size([2, 128])
    >>> [stage.shape[1] for stage in network.forward_stages(torch.zeros(2, 64, 32))]
    [64, 64, 128, 128, 128, 512, 128]
    """

    def __init__(self, *, in_channels=1, embedding_size=128, layout="dcase"):
        super().__init__()
        rows = _rows(layout)
        self.in_channels = in_channels
        self.standardizer = BandStandardizer()
        self.stride = 2 * math.prod(row[3] for row in rows)
        stages = [_conv(in_channels, _STEM, 3, stride=2), _conv(_STEM, _STEM, 3, groups=_STEM)]
        width = _STEM
        for expansion, channels, repeats, stride in rows:
            blocks = [_Bottleneck(width, channels, expansion, stride)]
            blocks += [_Bottleneck(channels, channels, expansion, 1) for _ in range(repeats - 1)]
            stages.append(nn.Sequential(*blocks))
            width = channels
        self.stages = nn.ModuleList([*stages, _conv(width, _LAST, 1)])
        self.global_conv = _GlobalDepthwiseConv(_LAST)
        self.head = nn.Sequential(nn.BatchNorm2d(_LAST), *_linear_conv(_LAST, embedding_size), nn.Flatten())

    def _maps(self, x):
        x = self.standardizer(self._images(x))
        for stage in self.stages:
            x = stage(x)
            yield x

    def _embed(self, last):
        return self.head(self.global_conv(last))

    def _images(self, x):
        x = as_images(x, channels=(self.in_channels,), smallest=self.stride, owner="MobileFaceNet")
        sizes = tuple(-(-size // self.stride) for size in x.shape[2:])
        built = None if is_lazy(self.global_conv.weight) else tuple(self.global_conv.weight.shape[2:])
        if built not in (None, sizes):
            mels, frames, s = self.standardizer.mean.shape[-2], built[1], self.stride
            raise ValueError(
                f"This MobileFaceNet was built on {mels} mel bands and {s * (frames - 1) + 1} to {s * frames} frames; "
                f"got {x.shape[2]} x {x.shape[3]}. Crop or pad the input to that size, cut it into windows of that "
                "size, or build a new network."
            )
        return x


def _rows(layout):
    rows = _LAYOUTS.get(layout) if isinstance(layout, str) else tuple(map(tuple, layout))
    if not rows or any(len(row) != 4 for row in rows):
        raise ValueError(f"layout must be one of {', '.join(map(repr, _LAYOUTS))}, or rows (expansion, channels, "
                         f"repeats, stride); got {layout!r}.")  # fmt: skip
    return rows


def _linear_conv(in_channels, out_channels, kernel_size=1, stride=1, groups=1):
    padding = kernel_size // 2
    conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, groups=groups, bias=False)
    return conv, nn.BatchNorm2d(out_channels)


def _conv(in_channels, out_channels, kernel_size, stride=1, groups=1):
    layers = _linear_conv(in_channels, out_channels, kernel_size, stride, groups)
    return nn.Sequential(*layers, nn.PReLU(out_channels))


class _Bottleneck(nn.Module):
    """Widen, convolve each channel, narrow without activation; the input is added where the shape allows."""

    def __init__(self, in_channels, out_channels, expansion, stride):
        super().__init__()
        hidden = in_channels * expansion
        self.residual = stride == 1 and in_channels == out_channels
        self.layers = nn.Sequential(
            _conv(in_channels, hidden, 1),
            _conv(hidden, hidden, 3, stride, groups=hidden),
            *_linear_conv(hidden, out_channels),
        )

    def forward(self, x):
        return x + self.layers(x) if self.residual else self.layers(x)


class _GlobalDepthwiseConv(LazyModuleMixin, nn.Module):
    """A weighted mean over the whole map, with weights of its own for each channel."""

    def __init__(self, channels):
        super().__init__()
        self.channels = channels
        self.weight = UninitializedParameter()

    def initialize_parameters(self, x):
        if self.has_uninitialized_params():
            self.weight.materialize((self.channels, 1, *x.shape[2:]))
            nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))  # as torch's own convolutions start

    def forward(self, x):
        return torch.einsum("bchw,chw->bc", x, self.weight[:, 0])[:, :, None, None]

    def extra_repr(self):
        size = "not known yet" if is_lazy(self.weight) else tuple(self.weight.shape[2:])
        return f"{self.channels}, kernel_size={size}"
