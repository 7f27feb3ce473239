"""EfficientNet, from timm."""

from skasd._docstrings import fill
from skasd.networks._timm import PARAMETERS_DOC, RAISES_DOC, TimmNetwork


@fill(parameters=PARAMETERS_DOC, raises=RAISES_DOC)
class EfficientNet(TimmNetwork):
    """EfficientNet, pooled over bands and frames, with the output of each of its stages.

    EfficientNet-B1 is the network of a DCASE 2022 system [2]_ that models the means of all nine stages, 2096 numbers,
    by a Gaussian.

    Parameters
    ----------
    variant : str, default="efficientnet_b1"
        Name of a network of EfficientNet's family in timm, such as ``"efficientnet_b0"`` or ``"tf_efficientnet_b1"``.

    {parameters}

    Raises
    ------
    {raises}

    See Also
    --------
    MobileNetV2 : A smaller network, that of the DCASE 2022 baseline.
    MobileFaceNet : A small network without timm.

    References
    ----------
    .. [1] M. Tan, Q. Le. "EfficientNet: rethinking model scaling for convolutional neural networks". ICML 2019.
       https://arxiv.org/abs/1905.11946
    .. [2] H. Narita, A. Tamamori. "CNN-based anomalous sound detection system for domain generalization". Technical
       report, DCASE 2022 Challenge, Task 2.

    Examples
    --------
    >>> import torch
    >>> from skasd.networks import EfficientNet
    >>> network = EfficientNet().eval()
    >>> stages = network.forward_stages(torch.zeros(1, 64, 32))
    >>> [stage.shape[1] for stage in stages]
    [32, 16, 24, 40, 80, 112, 192, 320, 1280]
    """

    def __init__(self, *, variant="efficientnet_b1", in_channels=1, weights=None):
        super().__init__(variant, in_channels, weights)
