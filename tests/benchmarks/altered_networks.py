"""Networks between MobileNetV2 and MobileFaceNet, and MobileFaceNets that halve less, for `explain_embedders.py`.

MobileNetV2 has 16 channels at first, halves a map five times, has ReLU6, 17 blocks, and a mean at the end.
MobileFaceNet has 64 channels at first, halves a map four times, has PReLU, 6 blocks, and a weighted mean at the end.
"""

from functools import partial
from unittest import mock

from torch import nn

from skasd.networks import MobileFaceNet, MobileNetV2
from skasd.networks import _mobilefacenet as mobile_face_net


def networks():
    """What makes each network, by its name."""
    wide, narrow = partial(MobileNetV2, width=1.0), partial(_face, stem=16)
    quarter = partial(_face, stem=16, last=128, layout=((2, 32, 2, 2), (4, 32, 2, 2), (4, 32, 2, 2)))
    return {
        "MobileNetV2": MobileNetV2,
        "MobileNetV2, twice the channels": wide,
        "MobileNetV2, no first halving": partial(_altered, MobileNetV2, _not_first),
        "MobileNetV2, no last halving": partial(_altered, MobileNetV2, _not_last),
        "MobileNetV2, PReLU": partial(_altered, MobileNetV2, _prelu),
        "MobileNetV2, one block a stage": partial(_altered, MobileNetV2, _shallow),
        "MobileNetV2, twice the channels, no first halving": partial(_altered, wide, _not_first),
        "MobileNetV2, all of these but the last halving": partial(_altered, wide, _not_first, _prelu, _shallow),
        "MobileFaceNet": MobileFaceNet,
        "MobileFaceNet, 16 channels at first": narrow,
        "MobileFaceNet, a quarter of all channels": quarter,
        "MobileFaceNet, a fifth halving": partial(_altered, MobileFaceNet, _fifth),
        "MobileFaceNet, ReLU": partial(_altered, MobileFaceNet, _relu),
        "MobileFaceNet, plain mean": partial(_altered, MobileFaceNet, _plain_mean),
        "MobileFaceNet, 15 blocks": partial(MobileFaceNet, layout="paper"),
        "MobileFaceNet, 16 channels at first, a fifth halving": partial(_altered, narrow, _fifth),
        "MobileFaceNet, the same, ReLU, plain mean": partial(_altered, narrow, _fifth, _relu, _plain_mean),
    }


def halving():
    """What makes MobileFaceNets, by what their bottlenecks halve; the first convolution halves bands and frames."""
    return {
        "bands and frames": MobileFaceNet,
        "bands": partial(_halving, (2, 1)),
        "frames": partial(_halving, (1, 2)),
        "neither": partial(_halving, (1, 1)),
        "neither, with shortcuts": partial(MobileFaceNet, layout=((2, 128, 2, 1), (4, 128, 2, 1), (4, 128, 2, 1))),
    }


def _halving(stride):
    """A bottleneck that was made to halve has no shortcut, and gets none here."""
    network = MobileFaceNet()
    network._images = _as_channels  # its own check of the size knows one stride for both
    for stage in network.stages[2:5]:
        stage[0].layers[1][0].stride = stride
    return network


def _as_channels(x):
    return x[:, None]


def _altered(make, *changes):
    network = make()
    for change in changes:
        change(network)
    return network


def _face(stem=64, last=512, **params):
    with mock.patch.multiple(mobile_face_net, _STEM=stem, _LAST=last):
        return MobileFaceNet(**params)


def _not_first(network):
    network.model.conv_stem.stride = (1, 1)


def _not_last(network):
    network.model.blocks[5][0].conv_dw.stride = (1, 1)


def _shallow(network):
    network.model.blocks = nn.Sequential(*(stage[:1] for stage in network.model.blocks))


def _fifth(network):
    network.stages[1][0].stride = (2, 2)
    network.stride *= 2


def _prelu(network):
    _replace(network, nn.ReLU6, nn.PReLU)


def _relu(network):
    _replace(network, nn.PReLU, nn.ReLU)


def _replace(module, old, new):
    for name, child in module.named_children():
        if isinstance(child, old):
            setattr(module, name, new())
        else:
            _replace(child, old, new)


def _plain_mean(network):
    network.global_conv = _PlainMean(network.global_conv.channels)


class _PlainMean(mobile_face_net._GlobalDepthwiseConv):
    """As it starts, every place has the same weight."""

    def initialize_parameters(self, x):
        if self.has_uninitialized_params():
            super().initialize_parameters(x)
            nn.init.constant_(self.weight, 1 / self.weight[0].numel())
