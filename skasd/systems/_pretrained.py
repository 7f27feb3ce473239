"""Frozen networks that were trained on other sounds or on pictures, followed by detectors."""

from functools import partial

import numpy as np
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
    File of EfficientAT's ``mn04_as``, as published by its authors (``mn04_as_mAP_432.pt``, 4 MB) or with the names of
    torchvision. None means random weights, as a control.

sha256 : str, default=None
    At least the first eight hexadecimal digits of the SHA-256 that the file must have; that of the authors' file begins
    with 899a8c62.
""",
    "device": """
device : str, default='auto'
    Device to compute on; 'auto' uses a GPU if there is one.

random_state : int, RandomState instance or None, default=None
    Seed of random weights.
""",
}
_SIZES = {f"features.{block}": 8 * (32 if block < 11 else 48) for block in range(4, 13)}  # of mn04_as: rows, channels


@fill(**_TEXTS)
def audioset_mobilenet(weights, *, sha256=None, device="auto", random_state=None):
    """A small network trained on AudioSet, frozen, and nearest neighbours in nine layers in its middle.

    The maps of nine blocks keep their frequency rows. The maxima over time of each row are compared with those of the
    nearest normal clips, corrected for the local density; the score is the mean over the blocks.

    Parameters
    ----------
    {audioset}

    {device}

    Returns
    -------
    system : Pipeline
        Unfitted. It needs the extra ``vision``, and only the field ``waveform`` or ``path``; ``section`` and
        ``recording`` are used if they are there.

    Notes
    -----
    Layers, pooling and detector were chosen on two of the four slide rails of MIMII and on the motors that come with
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
    return Pipeline([("embedder", embedder), ("detector", _neighbors())])


@fill(**_TEXTS)
def audioset_statistics_ensemble(weights, *, sha256=None, device="auto", random_state=None):
    """The frozen network of `audioset_mobilenet` and the statistics of `bandwise_ensemble`.

    Parameters
    ----------
    {audioset}

    {device}

    Returns
    -------
    system : Pipeline
        Unfitted. It needs the extra ``vision``, and only the field ``waveform`` or ``path``; ``section`` and
        ``recording`` are used if they are there.

    Notes
    -----
    The network counts as much as the two detectors of the statistics together, each score in units of the scores of
    training clips that its detector has not learned from.

    Examples
    --------
    >>> from skasd.systems import audioset_statistics_ensemble
    >>> system = audioset_statistics_ensemble(None)
    >>> [name for name, member in system["detector"].estimators]
    ['network', 'density', 'bands']
    """
    embedder = _audioset_embedder(weights, sha256, device, random_state)
    members = [("network", _neighbors()), *bandwise_members(random_state)]
    return Pipeline(
        [
            ("log_mel", LogMelSpectrogram(n_mels=64, keep=("waveform",))),
            ("embedder", embedder),
            ("detector", ScoreEnsemble(members, weights=(2, 1, 1), cv=20)),
        ]
    )


@fill(**_TEXTS)
def imagenet_efficientnet(weights="imagenet", *, variant="tf_efficientnet_lite1", device="auto", random_state=None):
    """An EfficientNet trained on pictures, frozen, with one Gaussian over all its stages.

    The bands of the log-mel spectrogram are standardised, and the pooled outputs of all stages, nine in lite1 and B1,
    are modelled by one Gaussian for each section.

    Parameters
    ----------
    weights : {'imagenet'}, path-like or None, default='imagenet'
        ImageNet weights, which timm downloads; a local file of them; or, with None, random weights, as a control.

    variant : str, default='tf_efficientnet_lite1'
        Any EfficientNet of timm.

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
        statistics=("max",),
        device=device,
        random_state=random_state,
    )


def _neighbors():
    ends = np.cumsum(list(_SIZES.values())).tolist()
    groups = {layer: slice(end - size, end) for (layer, size), end in zip(_SIZES.items(), ends, strict=True)}
    return NearestNeighborsDetector(
        metric="euclidean", normalization="local_density", n_local_neighbors=8, feature_groups=groups
    )
