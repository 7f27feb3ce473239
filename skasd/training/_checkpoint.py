"""The state of a training, kept in a folder after every epoch, so that a killed one goes on."""

import hashlib
import io
import json
import os
from contextlib import suppress

import numpy as np
import torch

from skasd._drafts import folder_to_write
from skasd.training._fingerprint import describe
from skasd.training._randomness import random_states, set_random_states

_NAME = "training.pt"
_N_DIGITS = 64  # of the checksum at its end


class TrainingCheckpoint:
    """The file in a folder, made if it is not there, that holds a training as it was after its last complete epoch."""

    def __init__(self, folder):
        self.path = folder_to_write(folder, "checkpoint") / _NAME
        self.state = self._read()

    @property
    def seed(self):
        """The seed of the training that was begun, or None."""
        return None if self.state is None else self.state["seed"]

    def begin(self, estimator, seed, generator, **data):
        """Say which training this is, by what the estimator learns from; an error where the folder holds another one.

        The generator is that of the order of the clips and of augmentation, unless the net has been given another one.
        """
        given = estimator.get_params(deep=False).get("iterator_train__generator")
        self.generators, self._seed = [generator] if given is None else [generator, given], seed
        self.fingerprint = fingerprint = describe(estimator, seed, **data)
        saved = fingerprint if self.state is None else self.state["fingerprint"]
        names = [name for name in fingerprint | saved if fingerprint.get(name) != saved.get(name)]
        if names:
            differ = "; ".join(f"{name}: {_short(saved.get(name))} there, {_short(fingerprint.get(name))} here"
                               for name in names[:3])  # fmt: skip
            raise ValueError(
                f"The checkpoint {self.path} is of another training. What differs is {', '.join(names)} ({differ}). "
                "Give the same parameters and clips, or another folder as checkpoint."
            )

        for part in self.path.parent.glob(f"{_NAME}.*.part"):  # what a kill has left behind
            part.unlink(missing_ok=True)

    def restore(self, net):
        """Bring a net that begins to train to where the last one was; whether there is anything left to train."""
        if self.state is None:
            self.save(net, has_ended=False)
            return True
        try:
            for name, state in self.state["net"].items():
                getattr(net, name).load_state_dict(state)
        except (AttributeError, RuntimeError, ValueError, KeyError) as error:
            raise ValueError(f"The checkpoint {self.path} is of another network or optimizer: {error} Give the one "
                             "that it was begun with, or another folder as checkpoint.") from error  # fmt: skip
        for name, callback in net.callbacks_:
            _restore_callback(callback, self.state["callbacks"].get(name, {}))
        net.history.extend(json.loads(self.state["history"]))
        set_random_states(self.state["random"], net.device, self.generators)
        has_ended, self.state = self.state["has_ended"], None
        return not has_ended

    def save(self, net, has_ended):
        """Write the state of the net in one step, so that a kill leaves this state or the one before."""
        names = [f"{name}_" for name in (*net._modules, *net._criteria, *net._optimizers)]
        self._write(
            {
                "fingerprint": self.fingerprint,
                "seed": self._seed,
                "net": {name: getattr(net, name).state_dict() for name in names},
                "callbacks": {name: _state_of(callback) for name, callback in net.callbacks_},
                "history": json.dumps(net.history.to_list(), default=_as_list),
                "random": random_states(net.device, self.generators),
                "has_ended": has_ended,
            }
        )

    def _read(self):
        try:
            content = self.path.read_bytes()
            body, digest = content[:-_N_DIGITS], content[-_N_DIGITS:]
            if hashlib.sha256(body).hexdigest().encode() != digest:  # torch reads changed weights without a word
                raise ValueError("it is damaged or no checkpoint: its checksum is not that of what it holds.")
            return torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except Exception as error:  # whatever a file that is none makes of torch's unpickler
            raise ValueError(f"The checkpoint {self.path} cannot be read: {error} Delete it to train from the "
                             "beginning, or give another folder as checkpoint.") from error  # fmt: skip

    def _write(self, state):
        part = self.path.with_name(f"{_NAME}.{os.getpid()}.part")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            body = io.BytesIO()
            torch.save(state, body)
            with open(part, "wb") as file:
                file.write(body.getbuffer())
                file.write(hashlib.sha256(body.getbuffer()).hexdigest().encode())
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, self.path)
        except OSError as error:
            with suppress(OSError):
                part.unlink()
            raise OSError(f"The checkpoint {self.path} cannot be written: {error}. Give a folder that can, or "
                          "checkpoint=None.") from error  # fmt: skip


def _state_of(callback):
    """What a callback keeps from one epoch to the next: numbers, texts, weights, and the state of what has one."""
    state = {}
    for name, value in vars(callback).items():
        if hasattr(value, "state_dict") and not isinstance(value, type):
            state[name] = _plain(value.state_dict())
        elif _is_plain(value):
            state[name] = _plain(value)
    return state


def _restore_callback(callback, state):
    for name, value in state.items():
        held = getattr(callback, name, None)
        if hasattr(held, "load_state_dict"):
            held.load_state_dict(value)
        else:
            setattr(callback, name, value)


def _is_plain(value):
    if isinstance(value, dict):
        return all(isinstance(one, torch.Tensor) or _is_plain(one) for one in value.values())
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return isinstance(value, (bool, int, float, str, np.number, np.bool_, type(None)))


def _plain(value):
    """The same in types that torch loads safely, which those of numpy are not."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(_plain, value))
    return value.item() if isinstance(value, np.generic) else value


def _as_list(value):
    return value.tolist() if hasattr(value, "tolist") else str(value)


def _short(text):
    return text if text is None or len(text) < 100 else f"{text[:97]}..."
