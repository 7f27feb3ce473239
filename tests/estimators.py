"""One of every estimator, small enough to fit in no time: for the laws that hold for all of them."""

from functools import partial

import torch
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.nn import LazyLinear

from skasd.audio import AudioLoader, LevelNormalizer
from skasd.augmentation import Mixup
from skasd.detectors import (
    AutoencoderDetector,
    CosineCenterDetector,
    FlowDetector,
    GaussianMixtureDetector,
    LocalOutlierFactorDetector,
    MahalanobisDetector,
    NearestNeighborsDetector,
    OutlierExposureDetector,
)
from skasd.embedders import (
    ClassificationEmbedder,
    EmbeddingLoader,
    PretrainedEmbedder,
    PseudoAttributes,
    StatisticsEmbedder,
)
from skasd.ensemble import ScoreEnsemble
from skasd.features import FieldTransformer, FrameStacker, LogMelSpectrogram, LogSTFT
from skasd.losses import SoftmaxLoss
from skasd.monitoring import RecordingDetector

TRAINING = {"max_epochs": 3, "batch_size": 64, "device": "cpu", "threshold": "quantile", "validation_fraction": 0.0}


class OneLayer(nn.Module):
    """Maps (n, 3, n_samples) of waveforms of any length, the same in every batch to the last bit."""

    def __init__(self):
        super().__init__()
        self.map = nn.Identity()

    def forward(self, x):
        return self.map(torch.stack([x, 2 * x, -x], dim=1))


ESTIMATORS = [
    AudioLoader(),
    LevelNormalizer(),
    LogSTFT(sample_rate=8, n_fft=2, hop_length=1),
    LogMelSpectrogram(sample_rate=8, n_fft=2, hop_length=1, n_mels=1, fmax=8.0),
    FrameStacker(n_frames=1),
    FieldTransformer(StandardScaler()),
    Mixup(),
    ClassificationEmbedder(partial(LazyLinear, 3), loss=SoftmaxLoss, max_epochs=2, device="cpu"),
    EmbeddingLoader(),
    PretrainedEmbedder(OneLayer, layers=["map"], axes="ct", statistics=("max",), device="cpu"),
    PseudoAttributes(),
    StatisticsEmbedder(),
    CosineCenterDetector(),
    GaussianMixtureDetector(),
    LocalOutlierFactorDetector(n_neighbors=2),
    MahalanobisDetector(),
    NearestNeighborsDetector(metric="euclidean"),
    AutoencoderDetector(network__n_hidden=(4,), network__n_bottleneck=2, **TRAINING),
    FlowDetector(transforms=2, hidden_features=(8,), **TRAINING),
    OutlierExposureDetector(),
    RecordingDetector(
        make_pipeline(
            LogMelSpectrogram(n_fft=2, hop_length=1, n_mels=1, fmax=8.0), StatisticsEmbedder(), MahalanobisDetector()
        ),
        clip_duration=0.25,
        hop_duration=0.125,
        sample_rate=8,
        false_alarm_rate=0.2,
    ),
    ScoreEnsemble([("density", MahalanobisDetector()), ("distance", LocalOutlierFactorDetector(n_neighbors=2))]),
]
