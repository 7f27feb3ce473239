"""The systems of the second report: CNN-GLOBAL, CNN-LOCAL, CNN-OE and their ensemble."""

from functools import partial

from sklearn.base import clone
from sklearn.pipeline import Pipeline

from skasd._docstrings import fill
from skasd.augmentation import Mixup, SevenBandParametricEQ, SpecAugment
from skasd.detectors import MahalanobisDetector, OutlierExposureDetector
from skasd.embedders import ClassificationEmbedder
from skasd.features import LogMelSpectrogram
from skasd.losses import FocalLoss
from skasd.networks import EfficientNet, LogMelLayer, WithFrontEnd
from skasd.systems._presets import SYSTEM_TEXTS, choose

_MIXUP = Mixup(alpha=1.0)
_MASKS = SpecAugment(time_mask=0.1, n_time_masks=1, freq_mask=0.1, n_freq_masks=1)
_SMALL_NETWORK = {"variant": "test_efficientnet", "in_channels": 1, "weights": None}


@fill(**SYSTEM_TEXTS)
def cnn_global(*, weights="imagenet", preset="full", device="auto", verbose=0, random_state=None):
    """CNN-GLOBAL: EfficientNet-B1 on whole clips, Mahalanobis distance of all its stages [S2]_.

    The network learns to tell sections and attributes apart, each with AdaCos inside a focal loss, under mixup and
    SpecAugment. The pooled outputs of its nine stages, 2096 numbers, are modelled by one Gaussian per section.

    Parameters
    ----------
    {weights}

    {preset}

    Returns
    -------
    system : Pipeline
        Unfitted. It needs the fields ``section`` and ``attribute``.

    Notes
    -----
    Open in the report: optimizer, learning rate, epochs, batch size, gamma of the focal loss, strength of mixup and
    SpecAugment. Chosen: AdamW at 1e-3 along a cosine, 30 epochs and at least 1000 steps, 32, 2, mixup with uniform
    weights, one mask of up to a tenth of the frames and one of up to a tenth of the bands. 1000 clips are too few for a
    sample covariance of 2096 numbers, so it is shrunk after Ledoit and Wolf. If all clips have the same attribute, or
    none is known, the network learns the sections alone, with a warning. The preset 'small' is the smallest
    EfficientNet of timm, with one input channel and random weights on 64 bands, trained for 5 epochs and at least 500
    steps with one cycle up to 3e-3.

    Examples
    --------
    >>> from skasd.systems import cnn_global
    >>> cnn_global(weights=None)["embedder"].targets
    ('section', 'attribute')
    """
    features, network, training = _cnn_sizes(preset, weights, device=device, verbose=verbose, random_state=random_state)
    embedder = _cnn(EfficientNet, network, (_MIXUP, _MASKS), output="stages", **training)
    return Pipeline(
        [("log_mel", LogMelSpectrogram(**features)), ("embedder", embedder), ("detector", MahalanobisDetector())]
    )


@fill(**SYSTEM_TEXTS)
def cnn_local(*, weights="imagenet", preset="full", device="auto", verbose=0, random_state=None):
    """CNN-LOCAL: CNN-GLOBAL on windows of 64 frames [S2]_.

    As `cnn_global`, but trained on random windows of 64 frames with frequency masks only; the score of a clip is the
    mean over its windows.

    Parameters
    ----------
    {weights}

    {preset}

    Returns
    -------
    system : Pipeline
        Unfitted. It needs the fields ``section`` and ``attribute``.

    Notes
    -----
    As in `cnn_global`. Gaussians are fitted to windows 8 frames apart, and windows at every frame are scored; in the
    preset 'small', which trains at least 800 steps, 32 and 16 frames apart.

    Examples
    --------
    >>> from skasd.systems import cnn_local
    >>> cnn_local(weights=None)["embedder"].window_frames
    64
    """
    features, network, training = _cnn_sizes(preset, weights, device=device, verbose=verbose, random_state=random_state)
    training |= choose(preset, full={"hop_frames": (8, 1)}, small={"hop_frames": (32, 16), "min_steps": 800})
    training |= {"output": "stages", "window_frames": 64}
    embedder = _cnn(EfficientNet, network, (_MIXUP, clone(_MASKS).set_params(n_time_masks=0)), **training)
    return Pipeline(
        [("log_mel", LogMelSpectrogram(**features)), ("embedder", embedder), ("detector", MahalanobisDetector())]
    )


@fill(**SYSTEM_TEXTS)
def cnn_oe(*, weights="imagenet", preset="full", device="auto", verbose=0, random_state=None):
    """CNN-OE: the network of CNN-GLOBAL, trained further on equalised clips, gives the score itself [S2]_.

    First the network is trained as in CNN-GLOBAL. Then training continues with waveforms that are changed by a random
    seven-band equaliser half of the time, and then count as sections of their own. The score is the log-odds of the
    clip's own section.

    Parameters
    ----------
    {weights}

    {preset}

    Returns
    -------
    system : Pipeline
        Unfitted. It needs the fields ``section`` and ``attribute``, and the extra ``augment``.

    Notes
    -----
    As in `cnn_global`; the network makes its spectrograms itself, since the equaliser works on waveforms. Open in the
    report: learning rate and epochs of the second step; chosen: a third of the first step's rate, as many epochs.

    Examples
    --------
    >>> from skasd.systems import cnn_oe
    >>> list(cnn_oe(weights=None).named_steps)
    ['embedder', 'detector']
    """
    features, network, training = _cnn_sizes(preset, weights, device=device, verbose=verbose, random_state=random_state)
    network = {"front_ends": [partial(LogMelLayer, **features)], "backbone": partial(EfficientNet, **network)}
    augmentations = (_MIXUP, _MASKS)
    training |= choose(preset, full={}, small={"min_steps": 300})
    first = _cnn(WithFrontEnd, network, augmentations, **training)
    augmentations = (SevenBandParametricEQ(sample_rate=16000, new_class=True), *augmentations)
    training |= {"output": "logits", "pretrain": first, "lr": training["lr"] / 3}
    second = _cnn(WithFrontEnd, network, augmentations, **training)
    return Pipeline([("embedder", second), ("detector", OutlierExposureDetector())])


_CHOSEN = {
    "ToyCar": cnn_local,
    "ToyTrain": cnn_local,
    "bearing": cnn_local,
    "fan": cnn_oe,
    "gearbox": cnn_oe,
    "slider": cnn_oe,
    "valve": cnn_global,
}


@fill(**SYSTEM_TEXTS)
def narita_ensemble(machine, *, weights="imagenet", preset="full", device="auto", verbose=0, random_state=None):
    """The second report's ensemble: for each machine the one of its three systems that had the best AUC [S2]_.

    CNN-LOCAL for ToyCar, ToyTrain and bearing, CNN-OE for fan, gearbox and slider, CNN-GLOBAL for valve.

    Parameters
    ----------
    machine : str
        One of the seven machines of 2022.

    {weights}

    {preset}

    Returns
    -------
    system : Pipeline
        Unfitted.

    Raises
    ------
    ValueError
        If the report has no choice for the machine.

    Notes
    -----
    The authors chose on the labelled development set, so results on that set are too good. To choose on clips of your
    own, use `skasd.ensemble.select_systems`.

    Examples
    --------
    >>> from skasd.systems import narita_ensemble
    >>> narita_ensemble("bearing", weights=None)["embedder"].window_frames
    64
    """
    if machine not in _CHOSEN:
        raise ValueError(f"The report chose a system for {', '.join(_CHOSEN)}; got machine={machine!r}. Use "
                         "cnn_global, cnn_local or cnn_oe, or choose by skasd.ensemble.select_systems.")  # fmt: skip
    return _CHOSEN[machine](weights=weights, preset=preset, device=device, verbose=verbose, random_state=random_state)


def _cnn_sizes(preset, weights, **training):
    """Features, network and training of the second report's systems."""
    return choose(
        preset,
        full=(
            {"n_mels": 224},
            {"in_channels": 3, "weights": weights},
            {"lr": 1e-3, "lr_schedule": "cosine", "max_epochs": 30, "min_steps": 1000, **training},
        ),
        small=(
            {"n_mels": 64},
            _SMALL_NETWORK,
            {"lr": 3e-3, "lr_schedule": "one_cycle", "max_epochs": 5, "min_steps": 500, **training},
        ),
    )


def _cnn(network, arguments, augmentations, **params):
    return ClassificationEmbedder(
        network,
        loss=FocalLoss,
        targets=("section", "attribute"),
        augmentations=augmentations,
        batch_size=32,
        **{f"network__{name}": value for name, value in arguments.items()},
        **params,
    )
