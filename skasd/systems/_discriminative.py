"""Networks without pretraining that tell all classes of a machine apart, followed by nearest neighbours."""

from sklearn.pipeline import Pipeline

from skasd._docstrings import fill
from skasd.augmentation import Mixup, SpecAugment
from skasd.detectors import NearestNeighborsDetector
from skasd.embedders import ClassificationEmbedder
from skasd.features import LogMelSpectrogram
from skasd.losses import SubclusterAdaCosLoss
from skasd.networks import MultiResolutionNetwork, SpectrogramResNet
from skasd.systems._presets import SYSTEM_TEXTS, choose

_TARGETS = (("machine", "section", "attribute", "domain"),)


@fill(**SYSTEM_TEXTS)
def multi_resolution(*, preset="full", device="auto", verbose=0, random_state=None):
    """Three spectrograms and the spectrum of a clip, each with a branch of one network, and nearest neighbours [1]_.

    The network learns to tell apart the combinations of machine, section, attribute and domain, with trainable
    sub-cluster AdaCos and mixup of waveforms. A clip is compared with the nearest clips of the source domain and of the
    target domain, which SMOTE oversamples to a fifth of the source clips.

    Parameters
    ----------
    {preset}

    Returns
    -------
    system : Pipeline
        Unfitted. It needs clips of two or more sections, or clips that differ in the fields ``attribute`` or
        ``domain``.

    Notes
    -----
    The published system trains one network on all machines, for 16 epochs of batches of 64 clips at a learning rate of
    1e-3; here there is one network for each machine, trained for at least 400 steps. The preset 'small' has half the
    channels, short frames that do not overlap, batches of 16, and at least 300 steps along one cycle.

    References
    ----------
    .. [1] T. Fujimura, K. Wilkinghoff, K. Imoto, T. Toda, "ASDKit: a toolkit for comprehensive evaluation of anomalous
       sound detection methods", DCASE 2025 Workshop, https://arxiv.org/abs/2507.10264.

    Examples
    --------
    >>> from skasd.systems import multi_resolution
    >>> multi_resolution(preset="small")["embedder"].targets
    (('machine', 'section', 'attribute', 'domain'),)
    """
    small = {
        "network__resolutions": ((256, 256), (1024, 1024), (4096, 2048)),
        "network__channels": (8, 16, 32, 64),
        "network__spectrum_channels": 32,
        "lr_schedule": "one_cycle",
        "batch_size": 16,
        "max_epochs": 1,
        "min_steps": 300,
    }
    training = choose(preset, full={"batch_size": 64, "max_epochs": 16, "min_steps": 400}, small=small)
    embedder = ClassificationEmbedder(
        MultiResolutionNetwork,
        loss=SubclusterAdaCosLoss,
        loss__dynamic=False,
        loss__trainable=True,
        optimizer__weight_decay=0.0,
        targets=_TARGETS,
        augmentations=(Mixup(alpha=1.0, probability=0.5),),
        lr=1e-3,
        device=device,
        verbose=verbose,
        random_state=random_state,
        **training,
    )
    return Pipeline([("embedder", embedder), ("detector", _nearest(random_state))])


@fill(**SYSTEM_TEXTS)
def spectrogram_resnet(*, preset="full", device="auto", verbose=0, random_state=None):
    """A small ResNet on the log-mel spectrogram that keeps its bands, and nearest neighbours.

    The network learns to tell apart the combinations of machine, section, attribute and domain, with sub-cluster
    AdaCos, mixup and small masks. Mean and maximum over time of its last map, band by band, make the embedding. A clip
    is compared with the nearest clips of the source and of the target domain, as in `multi_resolution`.

    Parameters
    ----------
    {preset}

    Returns
    -------
    system : Pipeline
        Unfitted. It needs clips of two or more sections, or clips that differ in the fields ``attribute`` or
        ``domain``.

    Notes
    -----
    This is not a published system, but a plain network that did well on real sound. The preset 'small' has half the
    channels and trains at least 1000 steps of 16 clips; 'full' trains at least 1000 steps of 32 clips.

    Examples
    --------
    >>> from skasd.systems import spectrogram_resnet
    >>> list(spectrogram_resnet().named_steps)
    ['log_mel', 'embedder', 'detector']
    """
    channels, training = choose(
        preset,
        full=((16, 32, 64, 128), {"batch_size": 32, "min_steps": 1000}),
        small=((8, 16, 32, 64), {"batch_size": 16, "min_steps": 1000}),
    )
    masks = SpecAugment(time_mask=0.1, n_time_masks=1, freq_mask=0.1, n_freq_masks=1)
    embedder = ClassificationEmbedder(
        SpectrogramResNet,
        network__channels=channels,
        loss=SubclusterAdaCosLoss,
        loss__dynamic=False,
        targets=_TARGETS,
        augmentations=(Mixup(alpha=1.0), masks),
        max_epochs=1,
        lr=1e-3,
        lr_schedule="one_cycle",
        device=device,
        verbose=verbose,
        random_state=random_state,
        **training,
    )
    log_mel = LogMelSpectrogram(n_mels=64)
    return Pipeline([("log_mel", log_mel), ("embedder", embedder), ("detector", _nearest(random_state))])


def _nearest(random_state):
    return NearestNeighborsDetector(metric="cosine", target_ratio=0.2, random_state=random_state)
