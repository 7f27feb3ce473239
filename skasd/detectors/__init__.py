"""Detectors: from embeddings to scores, one model per section; higher = more normal."""

import importlib

from skasd.detectors._base import BaseDetector
from skasd.detectors._cosine_center import CosineCenterDetector
from skasd.detectors._gaussian_mixture import GaussianMixtureDetector
from skasd.detectors._level import empirical_point, n_independent, score_held_out
from skasd.detectors._local_outlier_factor import LocalOutlierFactorDetector
from skasd.detectors._mahalanobis import MahalanobisDetector
from skasd.detectors._nearest_neighbors import NearestNeighborsDetector
from skasd.detectors._outlier_exposure import OutlierExposureDetector
from skasd.detectors._threshold import ThresholdMixin

_WITH_TORCH = {"AutoencoderDetector": "_autoencoder", "FlowDetector": "_flow"}  # late, because they import torch

__all__ = [
    "AutoencoderDetector",
    "BaseDetector",
    "CosineCenterDetector",
    "FlowDetector",
    "GaussianMixtureDetector",
    "LocalOutlierFactorDetector",
    "MahalanobisDetector",
    "NearestNeighborsDetector",
    "OutlierExposureDetector",
]


def __dir__():
    return __all__


def __getattr__(name):
    if name in _WITH_TORCH:
        return getattr(importlib.import_module(f"skasd.detectors.{_WITH_TORCH[name]}"), name)
    raise AttributeError(f"module 'skasd.detectors' has no attribute {name!r}")
