"""The baselines of DCASE Task 2."""

import torch
from sklearn.pipeline import Pipeline

from skasd._docstrings import fill
from skasd.detectors import AutoencoderDetector, OutlierExposureDetector
from skasd.embedders import ClassificationEmbedder
from skasd.features import FrameStacker, LogMelSpectrogram
from skasd.losses import SoftmaxLoss
from skasd.networks import MobileNetV2
from skasd.systems._presets import SYSTEM_TEXTS, choose


@fill(**SYSTEM_TEXTS)
def autoencoder_baseline(*, error="squared", preset="full", device="auto", verbose=0, random_state=None):
    """The autoencoder of the challenge's baseline [B]_: how badly stacked frames are reconstructed.

    Log-mel spectrograms of 128 bands, five frames per vector, a dense autoencoder with a bottleneck of 8, one for all
    sections of a machine. The score is the negative mean squared error over the vectors of a clip or, in the second
    mode of the baselines since 2023, their negative Mahalanobis distance, with the covariance of the nearer domain; the
    threshold is the 90 % point of a gamma distribution fitted to the training scores.

    Parameters
    ----------
    error : {'squared', 'selective_mahalanobis'}, default='squared'
        Which of these; see `AutoencoderDetector`.

    {preset}

    Returns
    -------
    system : Pipeline
        Unfitted.

    Notes
    -----
    The preset 'small' has 64 bands, half of the frames, and trains 30 epochs instead of 100. As in the baseline, a
    tenth of the clips is set aside and training does not stop early; here the threshold comes from that tenth. The
    output starts at the mean of the first vectors, not at zero, which is hundreds of steps away from a level of -60 dB.

    Examples
    --------
    >>> from skasd.systems import autoencoder_baseline
    >>> list(autoencoder_baseline().named_steps)
    ['log_mel', 'frames', 'detector']
    """
    features, training = choose(
        preset,
        full=({"n_mels": 128, "hop_length": 512}, {"max_epochs": 100}),
        small=({"n_mels": 64, "hop_length": 1024}, {"max_epochs": 30}),
    )
    stacker = FrameStacker(n_frames=5)
    detector = AutoencoderDetector(
        error=error, n_frames=stacker.n_frames, device=device, verbose=verbose, random_state=random_state, **training
    )
    return Pipeline([("log_mel", LogMelSpectrogram(**features)), ("frames", stacker), ("detector", detector)])


@fill(**SYSTEM_TEXTS)
def mobilenet_v2_baseline(*, preset="full", device="auto", verbose=0, random_state=None):
    """The MobileNetV2 of the challenge's baseline [B]_: a clip whose section is not recognised is anomalous.

    Windows of 64 frames of a log-mel spectrogram, MobileNetV2 of half width, trained to tell the sections apart. The
    score is the log-odds of the clip's own section, the mean over its windows.

    Parameters
    ----------
    {preset}

    Returns
    -------
    system : Pipeline
        Unfitted. It needs training clips of two or more sections.

    Notes
    -----
    The baseline trains for 20 epochs on windows 8 frames apart (32 in a clip of 10 s). Here each clip gives one random
    window per epoch, and 640 epochs see as many. The baseline's thresholds are computed by a formula with a misplaced
    parenthesis; here they are computed from the score itself. The preset 'small' has 64 bands, one input channel,
    windows 16 frames apart in scoring, a learning rate of 1e-3 and 20 epochs.

    Examples
    --------
    >>> from skasd.systems import mobilenet_v2_baseline
    >>> mobilenet_v2_baseline()["embedder"].window_frames
    64
    """
    features, training = choose(
        preset,
        full=({"n_mels": 128}, {"network__in_channels": 3, "hop_frames": 1, "lr": 1e-5, "max_epochs": 640}),
        small=({"n_mels": 64}, {"network__in_channels": 1, "hop_frames": 16, "lr": 1e-3, "max_epochs": 20}),
    )
    embedder = ClassificationEmbedder(
        MobileNetV2,
        network__width=0.5,
        loss=SoftmaxLoss,
        window_frames=64,
        output="logits",
        batch_size=32,
        optimizer=torch.optim.Adam,
        device=device,
        verbose=verbose,
        random_state=random_state,
        **training,
    )
    detector = OutlierExposureDetector(threshold="gamma")
    return Pipeline([("log_mel", LogMelSpectrogram(**features)), ("embedder", embedder), ("detector", detector)])
