"""Frozen networks that were trained on other sounds or on pictures, and detectors behind their layers."""

from functools import partial

from sklearn.pipeline import Pipeline

from skasd._docstrings import fill
from skasd.detectors import MahalanobisDetector, NearestNeighborsDetector
from skasd.embedders import PretrainedEmbedder
from skasd.ensemble import ScoreEnsemble
from skasd.features import LogMelSpectrogram
from skasd.networks import AudioSetMobileNet, AudioSetSpectrogram
from skasd.systems._bandwise import bandwise_members

_TEXTS = {
    "audioset": """
weights : path-like or None
    File of EfficientAT's ``mn04_as``, as its authors publish it (``mn04_as_mAP_432.pt``, 4 MB) or with the names of
    torchvision. None takes random weights: the control.

sha256 : str, default=None
    At least the first eight hexadecimal digits of the SHA-256 that the file must have; that of the authors begins with
    899a8c62.
""",
    "device": """
device : str, default='auto'
    Device to compute on; 'auto' takes a GPU where there is one.

random_state : int, RandomState instance or None, default=None
    Draws random weights.
""",
}
_SIZES = {"features.10": (8, 32), "features.11": (8, 48), "features.14": (4, 64)}  # rows and channels of mn04_as


@fill(**_TEXTS)
def audioset_mobilenet(weights, *, sha256=None, device="auto", random_state=None):
    """A small network trained on AudioSet, frozen, and three detectors on layers in its middle.

    The maps of three blocks keep their frequency rows. The means over time of two of them have a Gaussian for each row;
    the maxima of the third are compared with those of the nearest normal clips, by the local density. The score is
    the mean of the three, each in units of its scores of training clips that it has not learned from.

    Parameters
    ----------
    {audioset}

    {device}

    Returns
    -------
    system : Pipeline
        Unfitted. It needs the extra ``vision``, and no fields but ``waveform`` or ``path``; ``section`` and
        ``recording`` are used where they are there.

    Notes
    -----
    Layers, pooling and detectors were chosen on two of the four slide rails of MIMII and on the motors that come with
    the package. Clips are resampled to 32 kHz.

    References
    ----------
    .. [1] F. Schmid, K. Koutini, G. Widmer, "Efficient large-scale audio tagging via transformer-to-CNN knowledge
       distillation", ICASSP 2023, https://arxiv.org/abs/2211.04772.

    Examples
    --------
    >>> from skasd.systems import audioset_mobilenet
    >>> system = audioset_mobilenet("mn04_as_mAP_432.pt", sha256="899a8c62")
    >>> list(system.named_steps)
    ['embedder', 'detector']
    """
    embedder = _audioset_embedder(weights, sha256, device, random_state)
    return Pipeline([("embedder", embedder), ("detector", ScoreEnsemble(_network_members(), cv=20))])


@fill(**_TEXTS)
def audioset_statistics_ensemble(weights, *, sha256=None, device="auto", random_state=None):
    """The frozen network of `audioset_mobilenet` and the statistics of `bandwise_ensemble`, five detectors in all.

    Parameters
    ----------
    {audioset}

    {device}

    Returns
    -------
    system : Pipeline
        Unfitted. It needs the extra ``vision``, and no fields but ``waveform`` or ``path``; ``section`` and
        ``recording`` are used where they are there.

    Notes
    -----
    All five scores count alike, each in units of its scores of training clips that it has not learned from.

    Examples
    --------
    >>> from skasd.systems import audioset_statistics_ensemble
    >>> system = audioset_statistics_ensemble(None)
    >>> [name for name, member in system["detector"].estimators]
    ['gaussian_11', 'gaussian_14', 'neighbors_10', 'density', 'bands']
    """
    embedder = _audioset_embedder(weights, sha256, device, random_state)
    members = [*_network_members(), *bandwise_members(random_state)]
    return Pipeline(
        [
            ("log_mel", LogMelSpectrogram(n_mels=64, keep=("waveform",))),
            ("embedder", embedder),
            ("detector", ScoreEnsemble(members, cv=20)),
        ]
    )


@fill(**_TEXTS)
def imagenet_efficientnet(weights="imagenet", *, variant="tf_efficientnet_lite1", device="auto", random_state=None):
    """An EfficientNet trained on pictures, frozen, with one Gaussian of all its stages.

    Each band of the log-mel spectrogram is brought to one scale, and the pooled outputs of all stages, nine in lite1
    and B1, have one Gaussian for each section.

    Parameters
    ----------
    weights : {'imagenet'}, path-like or None, default='imagenet'
        ImageNet's weights, which timm downloads; a local file of them; or random weights: the control.

    variant : str, default='tf_efficientnet_lite1'
        Any of timm's EfficientNets.

    {device}

    Returns
    -------
    system : Pipeline
        Unfitted. It needs the extra ``vision``.

    References
    ----------
    .. [1] O. Rippel, P. Mertens and D. Merhof, "Modeling the distribution of normal data in pre-trained deep features
       for anomaly detection", ICPR 2020, https://arxiv.org/abs/2005.14140.

    Examples
    --------
    >>> from skasd.systems import imagenet_efficientnet
    >>> imagenet_efficientnet(None)["embedder"].random_weights
    True
    """
    from skasd.networks import EfficientNet

    network = partial(EfficientNet, variant=variant, weights="imagenet" if weights == "imagenet" else None)
    n_blocks = len(EfficientNet(variant=variant).model.blocks)
    embedder = PretrainedEmbedder(
        network,
        layers=("model.bn1", *(f"model.blocks.{block}" for block in range(n_blocks)), "model.bn2"),
        weights=None if weights == "imagenet" else weights,
        random_weights=weights is None,
        pool="global",
        device=device,
        random_state=random_state,
    )
    return Pipeline([("log_mel", LogMelSpectrogram()), ("embedder", embedder), ("detector", MahalanobisDetector())])


def _audioset_embedder(weights, sha256, device, random_state):
    return PretrainedEmbedder(
        AudioSetMobileNet,
        layers=tuple(_SIZES),
        weights=weights,
        sha256=sha256,
        random_weights=weights is None,
        front_end=AudioSetSpectrogram,
        statistics=("mean", "max"),
        device=device,
        random_state=random_state,
    )


def _network_members():
    rows = _columns("features.10", "max")
    neighbors = NearestNeighborsDetector(
        metric="euclidean",
        normalization="local_density",
        n_local_neighbors=8,
        feature_groups={"features.10_max": slice(rows[0].start, rows[-1].stop)},
    )
    return [
        ("gaussian_11", MahalanobisDetector(feature_groups=_groups("features.11", "mean"))),
        ("gaussian_14", MahalanobisDetector(feature_groups=_groups("features.14", "mean"))),
        ("neighbors_10", neighbors),
    ]


def _groups(layer, statistic):
    return {f"{layer}_{statistic}_row{row}": part for row, part in enumerate(_columns(layer, statistic))}


def _columns(layer, statistic):
    """Columns of each row of a layer, in the order in which the embedder has layers, statistics and rows."""
    layers = list(_SIZES)
    start = sum(2 * rows * channels for rows, channels in map(_SIZES.get, layers[: layers.index(layer)]))
    n_rows, n_channels = _SIZES[layer]
    start += n_rows * n_channels * (statistic == "max")
    return [slice(start + row * n_channels, start + (row + 1) * n_channels) for row in range(n_rows)]
