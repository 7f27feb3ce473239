"""Anomalous sound detection for scikit-learn users."""

import importlib

__version__ = "0.1.0"

_submodules = (
    "audio",
    "augmentation",
    "clips",
    "datasets",
    "detectors",
    "embedders",
    "ensemble",
    "evaluation",
    "features",
    "losses",
    "metrics",
    "model_selection",
    "monitoring",
    "networks",
    "plotting",
    "systems",
)

__all__ = [*_submodules, "Clips"]


def __dir__():
    return __all__


def __getattr__(name):
    if name in _submodules:
        return importlib.import_module(f"skasd.{name}")
    if name == "Clips":
        return importlib.import_module("skasd.clips").Clips
    raise AttributeError(f"module 'skasd' has no attribute {name!r}")
