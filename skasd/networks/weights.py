"""Weights from files: read safely, compared with a checksum, and put into the network that they belong to."""

import hashlib
import io
import os
from pathlib import Path

import torch

__all__ = ["load_weights", "set_weights"]

_LEAST_DIGITS = 8  # of a checksum; file names of torch.hub have as many
_ENTRIES = ("state_dict_ema", "model_ema", "state_dict", "model")  # of checkpoints, as timm prefers them


def load_weights(network, path, *, sha256=None, adapt=None, name=None):
    """Put the state dict of a ``.pth`` or ``.safetensors`` file into a network; the SHA-256 of the file in hex.

    `sha256` is the beginning of the checksum that the file must have, `adapt` changes a state dict to the names and
    shapes of the network, `name` is what a message calls it. No pickle of anyone's is opened.
    """
    content = _content(Path(path))
    digest = hashlib.sha256(content).hexdigest()
    _check_digest(path, digest, sha256)
    state = _state_dict(path, content)
    state = state if adapt is None else adapt(state)
    set_weights(network, state, source=path, name=name)
    return digest


def set_weights(network, state, *, source, name=None):
    """Put a state dict into a network; an error of a few words, by where it is from, where the two do not fit."""
    _check_fits(network, state, source, name or type(network).__name__)
    network.load_state_dict(state)


def _content(path):
    if not path.is_file():
        raise FileNotFoundError(f"There is no file of weights {path}. weights must be the path of a .pth or "
                                ".safetensors file.")  # fmt: skip
    return path.read_bytes()


def _check_digest(path, digest, wanted):
    if wanted is None:
        return
    start = str(wanted).lower()
    if len(start) < _LEAST_DIGITS or set(start) - set("0123456789abcdef"):
        raise ValueError(f"sha256 must be at least {_LEAST_DIGITS} hexadecimal digits of a checksum; got {wanted!r}.")
    if not digest.startswith(start):
        raise ValueError(f"{path} has the SHA-256 {digest}, and sha256={wanted!r} is wanted: the file is damaged, or "
                         "another one. Get it again.")  # fmt: skip


def _state_dict(path, content):
    try:
        if os.fspath(path).endswith(".safetensors"):
            from safetensors.torch import load

            state = load(content)
        else:
            state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except ImportError:
        raise
    except Exception as error:  # what is none of these can fail in any way
        raise ValueError(f"{path} is not a state dict that can be read as .pth or .safetensors: {error}") from error
    return _without_wrapping(_found_in(path, state))


def _found_in(path, content):
    """The state dict itself, or the one that a checkpoint has beside other things."""
    if _is_state_dict(content):
        return content
    inside = {key: value for key, value in content.items() if _is_state_dict(value)} if _is_dict(content) else {}
    known = [name for name in _ENTRIES if name in inside] or list(inside)
    if not known or (len(known) > 1 and known[0] not in _ENTRIES):
        raise ValueError(f"{path} does not hold a state dict, names and tensors, but {_shown(content)}; write one with "
                         "torch.save(network.state_dict(), path).")  # fmt: skip
    return inside[known[0]]


def _is_dict(value):
    return isinstance(value, dict)


def _is_state_dict(value):
    return _is_dict(value) and len(value) > 0 and all(isinstance(one, torch.Tensor) for one in value.values())


def _shown(content):
    return f"a dict of {', '.join(map(repr, list(content)[:5]))}" if _is_dict(content) else type(content).__name__


def _without_wrapping(state):
    """Names as they are without the wrapper for several GPUs."""
    wrapped = all(name.startswith("module.") for name in state)
    return {name.removeprefix("module."): value for name, value in state.items()} if wrapped else state


def _check_fits(network, state, source, name):
    here = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    there = {key: tuple(value.shape) for key, value in state.items()}
    wrong = [f"{key} ({there.get(key, 'not there')}, wanted {here.get(key, 'none')})"
             for key in dict.fromkeys([*here, *there]) if here.get(key) != there.get(key)]  # fmt: skip
    if wrong:
        raise ValueError(f"{source} does not hold the weights of {name}: {len(wrong)} of its tensors differ, such as "
                         f"{', '.join(wrong[:3])}. They must come from the same network, with the same parameters."
                         )  # fmt: skip
