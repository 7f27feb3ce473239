"""Detectors: from embeddings to scores, one model a section; higher = more normal."""

from skasd.detectors._base import BaseDetector
from skasd.detectors._cosine_center import CosineCenterDetector
from skasd.detectors._gaussian_mixture import GaussianMixtureDetector
from skasd.detectors._local_outlier_factor import LocalOutlierFactorDetector
from skasd.detectors._mahalanobis import MahalanobisDetector
from skasd.detectors._nearest_neighbors import NearestNeighborsDetector

__all__ = [
    "BaseDetector",
    "CosineCenterDetector",
    "GaussianMixtureDetector",
    "LocalOutlierFactorDetector",
    "MahalanobisDetector",
    "NearestNeighborsDetector",
]
