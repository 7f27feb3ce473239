"""What a training depends on, in words that are the same in every process."""

import functools
import hashlib
import os

import joblib
import numpy as np
import torch
from sklearn.base import BaseEstimator
from skorch.callbacks import EarlyStopping, GradientNormClipping, LRScheduler, ParamMapper

_NO_MATTER = ("callbacks", "checkpoint", "random_state", "verbose")
_TRAINING_CALLBACKS = (EarlyStopping, GradientNormClipping, LRScheduler, ParamMapper)  # others watch


def describe(estimator, seed, **data):
    """What a training depends on: versions, parameters, seed and data, each with a name and a text of its own."""
    params = estimator.get_params(deep=False)
    callbacks = [one[1] if isinstance(one, (tuple, list)) else one for one in params.get("callbacks") or []]
    given = estimator.random_state if isinstance(estimator.random_state, (int, np.integer)) else "another"
    found = {"versions": estimator._versions(), "random_state": f"{given} (seed {seed})"}
    found |= {name: _described(value) for name, value in params.items() if name not in _NO_MATTER}
    found["callbacks"] = _described([one for one in callbacks if isinstance(one, _TRAINING_CALLBACKS)])
    return found | {name: _described(np.asarray(value)) for name, value in data.items()}


def _described(value):
    """A text for a parameter, whatever it is: by what it holds and not by where it is in memory."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray):
        return f"{value.dtype} of shape {value.shape}, {joblib.hash(value, coerce_mmap=True)}"
    if isinstance(value, (dict, list, tuple)):
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        return f"{type(value).__name__}({', '.join(f'{name}: {_described(part)}' for name, part in parts)})"
    if isinstance(value, functools.partial):
        return f"partial({_described([value.func, *value.args])}, {_described(value.keywords)})"
    if isinstance(value, type) or hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}{_code_of(value)}"
    if isinstance(value, (str, bytes, int, float, np.generic, os.PathLike, type(None))):
        return repr(value)
    held = value.get_params(deep=False) if isinstance(value, BaseEstimator) else getattr(value, "__dict__", {})
    return f"{_described(type(value))}({_described({k: v for k, v in held.items() if not k.endswith('_')})})"


def _code_of(value):
    """What tells one function from another of the same name, such as two that have none."""
    code = getattr(value, "__code__", None)
    return f" {hashlib.md5(code.co_code).hexdigest()[:8]}" if code else ""
