"""Networks of timm, which is imported here and only here."""

from functools import partial

import torch
from torch import nn

from skasd.networks._staged import StagedNetwork
from skasd.networks._standardizer import BandStandardizer
from skasd.networks.inputs import as_images
from skasd.networks.weights import load_weights

PARAMETERS_DOC = """
in_channels : int, default=1
    Channels of the input. With 3, as the published weights and the DCASE baseline have it, a spectrogram is repeated;
    with 1 published weights are summed over the three channels, which gives the same numbers sooner.

weights : None, "imagenet" or path-like, default=None
    None starts from random weights. ``"imagenet"`` has timm download its own. A path is a state dict of timm's,
    ``.pth`` or ``.safetensors``, with or without a classifier."""

RAISES_DOC = """
ImportError
    If timm, or the torchvision that it needs, cannot be imported.
ValueError
    If there is no such network, or the file does not hold its weights.
OSError
    If the weights cannot be downloaded or found."""


def _import_timm():
    try:
        import timm
    except (ImportError, RuntimeError) as error:  # a torchvision built for another torch is a RuntimeError
        raise ImportError(
            "EfficientNet and MobileNetV2 need timm, and a torchvision that fits the installed torch "
            f"{torch.__version__}: pip install 'skasd[vision]'. The import failed with: {error}"
        ) from error
    return timm


timm = _import_timm()


class TimmNetwork(StagedNetwork):
    """A network of timm's EfficientNet family without its classifier; the mean of its last map is the embedding."""

    def __init__(self, name, in_channels, weights):
        super().__init__()
        self.in_channels = in_channels
        self.standardizer = BandStandardizer()
        self.model = _create(name, in_channels, pretrained=weights == "imagenet")
        if weights not in (None, "imagenet"):
            load_weights(self.model, weights, adapt=partial(_adapted, self.model), name=name)

    def forward(self, x):
        return self.model(self._images(x))

    def adapt_weights(self, state):
        """A state dict of timm's network as one of this network, which also has its standardization.

        Parameters
        ----------
        state : dict of str to Tensor
            As timm's network writes it, with or without a classifier.

        Returns
        -------
        state : dict of str to Tensor
        """
        own = {key: value for key, value in self.state_dict().items() if key.startswith("standardizer.")}
        return own | {f"model.{key}": value for key, value in _adapted(self.model, state).items()}

    def forward_stages(self, x):
        return [each.mean((2, 3)) for each in self._maps(x)]

    def _maps(self, x):
        model, x = self.model, self._images(x)
        stem, head = nn.Sequential(model.conv_stem, model.bn1), nn.Sequential(model.conv_head, model.bn2)
        for stage in (stem, *model.blocks, head):
            x = stage(x)
            yield x

    def _images(self, x):
        x = as_images(x, channels=(1, self.in_channels), smallest=32, owner=type(self).__name__)
        return self.standardizer(x).expand(-1, self.in_channels, -1, -1)


def _create(name, in_channels, pretrained):
    if not timm.is_model(name):
        raise ValueError(f"timm {timm.__version__} has no network {name!r}; timm.list_models('*efficientnet*') names "
                         "those that can be had.")  # fmt: skip
    try:
        model = timm.create_model(name, pretrained=pretrained, in_chans=in_channels, num_classes=0)
    except (OSError, RuntimeError) as error:
        if not pretrained:
            raise
        raise OSError(f"timm could not get the ImageNet weights of {name}: {error} On a machine without a connection, "
                      "give weights= the path of a .pth or .safetensors file.") from error  # fmt: skip
    if not isinstance(model, timm.models.EfficientNet):
        raise ValueError(f"{name!r} is not built of EfficientNet's stages; take one of timm's EfficientNets, or wrap "
                         "it in a module of your own.")  # fmt: skip
    return model


def _adapted(model, state):
    """The state dict without a classifier, and with the three input channels of the published weights as others."""
    state = {key: value for key, value in state.items() if not key.startswith("classifier.")}
    stem = state.get("conv_stem.weight")
    if stem is not None and stem.shape[1] == 3:
        state["conv_stem.weight"] = timm.models.adapt_input_conv(model.conv_stem.in_channels, stem)
    return state
