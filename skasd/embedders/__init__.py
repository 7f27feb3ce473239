"""From spectrograms (or waveforms) to one vector a clip, or one a window."""

import importlib

from skasd.embedders._statistics import StatisticsEmbedder

__all__ = ["ClassificationEmbedder", "StatisticsEmbedder"]


def __dir__():
    return __all__


def __getattr__(name):
    if name == "ClassificationEmbedder":  # late, because it imports torch
        return importlib.import_module("skasd.embedders._classification").ClassificationEmbedder
    raise AttributeError(f"module 'skasd.embedders' has no attribute {name!r}")
