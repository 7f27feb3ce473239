"""From spectrograms (or waveforms) to one vector per clip, or one per window."""

import importlib

from skasd.embedders._loader import EmbeddingLoader
from skasd.embedders._pseudo_attributes import PseudoAttributes
from skasd.embedders._statistics import StatisticsEmbedder

_WITH_TORCH = {"ClassificationEmbedder": "_classification", "PretrainedEmbedder": "_pretrained"}

__all__ = ["ClassificationEmbedder", "EmbeddingLoader", "PretrainedEmbedder", "PseudoAttributes", "StatisticsEmbedder"]


def __dir__():
    return __all__


def __getattr__(name):
    if name in _WITH_TORCH:  # late, because they import torch
        return getattr(importlib.import_module(f"skasd.embedders.{_WITH_TORCH[name]}"), name)
    raise AttributeError(f"module 'skasd.embedders' has no attribute {name!r}")
