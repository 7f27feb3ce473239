"""MobileNetV2, from timm."""

from skasd._docstrings import fill
from skasd.networks._timm import PARAMETERS_DOC, RAISES_DOC, TimmNetwork

_NAMES = {0.35: "mobilenetv2_035", 0.5: "mobilenetv2_050", 0.75: "mobilenetv2_075", 1.0: "mobilenetv2_100",
          1.4: "mobilenetv2_140"}  # fmt: skip


@fill(parameters=PARAMETERS_DOC, raises=RAISES_DOC)
class MobileNetV2(TimmNetwork):
    """MobileNetV2, pooled over bands and frames: with half width, the network of the DCASE 2022 baseline.

    Parameters
    ----------
    width : {0.35, 0.5, 0.75, 1.0, 1.4}, default=0.5
        Factor on the number of channels. The embedding has 1280 numbers, or 1792 at 1.4.

    {parameters}

    Raises
    ------
    {raises}

    See Also
    --------
    EfficientNet : A larger network of the same kind.

    References
    ----------
    .. [1] M. Sandler, A. Howard, M. Zhu, A. Zhmoginov, L.-C. Chen. "MobileNetV2: inverted residuals and linear
       bottlenecks". CVPR 2018. https://arxiv.org/abs/1801.04381
    .. [2] K. Dohi et al. "Description and discussion on DCASE 2022 challenge task 2". DCASE 2022 Workshop.
       https://arxiv.org/abs/2206.05876

    Examples
    --------
    >>> import torch
    >>> from skasd.networks import MobileNetV2
    >>> MobileNetV2().eval()(torch.zeros(2, 128, 64)).shape
    torch.Size([2, 1280])
    """

    def __init__(self, *, width=0.5, in_channels=1, weights=None):
        if width not in _NAMES:
            raise ValueError(f"width must be one of {', '.join(map(str, _NAMES))}; got {width!r}.")
        super().__init__(_NAMES[width], in_channels, weights)
