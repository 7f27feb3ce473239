"""The systems of the first report: MobileFaceNet and masked autoregressive flow."""

from sklearn.pipeline import Pipeline

from skasd._docstrings import fill
from skasd.augmentation import Mixup
from skasd.detectors import (
    CosineCenterDetector,
    FlowDetector,
    GaussianMixtureDetector,
    LocalOutlierFactorDetector,
)
from skasd.embedders import ClassificationEmbedder
from skasd.features import FrameStacker, LogMelSpectrogram
from skasd.losses import ArcFaceLoss
from skasd.networks import DualFeatureNetwork
from skasd.systems._presets import SYSTEM_TEXTS, choose

_DETECTORS = {
    "ToyTrain": LocalOutlierFactorDetector,
    "fan": GaussianMixtureDetector,
    "bearing": CosineCenterDetector,
    "gearbox": CosineCenterDetector,
    "slider": CosineCenterDetector,
    "valve": CosineCenterDetector,
}


@fill(**SYSTEM_TEXTS)
def mobilefacenet_arcface(machine, *, preset="full", device="auto", verbose=0, random_state=None):
    """MobileFaceNet on waveform and log-mel spectrogram, with the detector that suits the machine [S1]_.

    A log-mel spectrogram and a learned one are the two channels of a MobileFaceNet, trained with the ArcFace loss and
    mixup that favours the target domain. Its embeddings go to the local outlier factor (ToyTrain), a Gaussian mixture
    (fan), or the nearest of the centres of source and target domain (bearing, gearbox, slider, valve).

    Parameters
    ----------
    machine : str
        Name of the machine, which decides the detector.

    {preset}

    Returns
    -------
    system : Pipeline
        Unfitted. It needs clips of two or more sections and, for the mixup, the field ``domain``.

    Notes
    -----
    Open in the report: the detector for ToyCar (here, and for machines that it does not know: the cosine centre), the
    table of layers (here the narrow one that later teams credit to it), margin and scale (0.7 and 30, as these teams),
    learning rate and batch size (1e-4 and 64), the share of target clips in the mixup (a half), the number of Gaussians
    (1) and of neighbours (4). 30 epochs are the report's. Its frequency range of 100 to 8000 Hz is given for the flow,
    and also used here. The preset 'small' has 64 bands, 1024 samples from frame to frame, mixup with uniform weights,
    and trains at least 300 steps up to 3e-3 along one cycle.

    Examples
    --------
    >>> from skasd.systems import mobilefacenet_arcface
    >>> mobilefacenet_arcface("fan")["detector"]
    GaussianMixtureDetector()
    """
    few_steps = {"lr": 3e-3, "lr_schedule": "one_cycle", "max_epochs": 1, "min_steps": 300, "batch_size": 32}
    n_mels, hop_length, alpha, training = choose(
        preset,
        full=(128, 512, 0.5, {"lr": 1e-4, "max_epochs": 30, "batch_size": 64}),
        small=(64, 1024, 1.0, few_steps),
    )
    embedder = ClassificationEmbedder(
        DualFeatureNetwork,
        network__fmin=100.0,
        network__fmax=8000.0,
        network__n_mels=n_mels,
        network__hop_length=hop_length,
        loss=ArcFaceLoss,
        loss__margin=0.7,
        loss__scale=30.0,
        augmentations=(Mixup(alpha=alpha, target_share=0.5),),
        device=device,
        verbose=verbose,
        random_state=random_state,
        **training,
    )
    detector = _DETECTORS.get(machine, CosineCenterDetector)()
    if machine == "ToyTrain":
        detector.set_params(n_neighbors=4, metric="cosine")
    return Pipeline([("embedder", embedder), ("detector", detector)])


@fill(**SYSTEM_TEXTS)
def masked_autoregressive_flow(*, preset="full", device="auto", verbose=0, random_state=None):
    """A masked autoregressive flow on log-mel frames, conditioned on the section [S1]_.

    Mixed clips of the log-mel spectrogram, from 100 to 8000 Hz, train the flow; the score is the mean log-likelihood of
    the frames of a clip, given its one-hot encoded section. The report uses it for ToyCar, ToyTrain and fan.

    Parameters
    ----------
    {preset}

    Returns
    -------
    system : Pipeline
        Unfitted. For the mixup it needs the field ``domain``.

    Notes
    -----
    Open in the report: number of steps, width, frames in a vector, learning rate, epochs, the share of target clips in
    the mixup. Chosen: 5 steps of 100 hidden units, as in the flow's public implementations, single frames of 128 bands,
    1e-4, 30 epochs, a half. The report mentions mixup in one place and denies all augmentation in another; here, mixup
    is applied to the clips that train the flow, and the threshold comes from unmixed clips. The preset 'small' has 64
    bands, 1024 samples from frame to frame, 3 steps and 10 epochs at 1e-3.

    Examples
    --------
    >>> from skasd.systems import masked_autoregressive_flow
    >>> masked_autoregressive_flow()["detector"].transforms
    5
    """
    features, training = choose(
        preset,
        full=({"n_mels": 128, "hop_length": 512}, {"transforms": 5, "lr": 1e-4, "max_epochs": 30}),
        small=({"n_mels": 64, "hop_length": 1024}, {"transforms": 3, "lr": 1e-3, "max_epochs": 10}),
    )
    detector = FlowDetector(
        augmentation=Mixup(target_share=0.5), device=device, verbose=verbose, random_state=random_state, **training
    )
    return Pipeline(
        [
            ("log_mel", LogMelSpectrogram(fmin=100.0, fmax=8000.0, **features)),
            ("frames", FrameStacker(n_frames=1)),
            ("detector", detector),
        ]
    )


@fill(**SYSTEM_TEXTS)
def liu_ensemble(machine, *, preset="full", device="auto", verbose=0, random_state=None):
    """The first report's combined system: the flow for some machines, MobileFaceNet for the others [S1]_.

    The flow for ToyCar, ToyTrain and fan, MobileFaceNet for bearing, gearbox, slider and valve.

    Parameters
    ----------
    machine : str
        One of the seven machines of 2022.

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
    Table 5 of the report. Its authors chose on the labelled development set, so results on that set are too good.

    Examples
    --------
    >>> from skasd.systems import liu_ensemble
    >>> list(liu_ensemble("ToyCar").named_steps)
    ['log_mel', 'frames', 'detector']
    """
    options = {"preset": preset, "device": device, "verbose": verbose, "random_state": random_state}
    if machine in _OF_THE_FLOW:
        return masked_autoregressive_flow(**options)
    if machine in ("bearing", "gearbox", "slider", "valve"):
        return mobilefacenet_arcface(machine, **options)
    raise ValueError("The report chose a system for ToyCar, ToyTrain, bearing, fan, gearbox, slider and valve; got "
                     f"machine={machine!r}. Use masked_autoregressive_flow or mobilefacenet_arcface.")  # fmt: skip


_OF_THE_FLOW = ("ToyCar", "ToyTrain", "fan")
