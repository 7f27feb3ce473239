"""What every estimator that holds a network shares, whether it trains it or not."""

import re

import torch

from skasd._versions import VersionsMixin
from skasd.training._ready import ready
from skasd.training._weights import as_arrays, as_tensors


class NetworkMixin(VersionsMixin):
    """An estimator with the parameters `network` and `device`, which keeps the modules named in `_modules`.

    It saves them on the CPU, and tells when it is loaded by another version of torch.
    """

    _modules = ("network_",)

    def _dry(self, module, x):
        """The output for one batch, which gives lazy modules their sizes.

        What is said of shapes becomes an error that names the network and the shape of the clips; any other fault is
        the network's own, and left as it is.
        """
        shape = tuple(x.shape[1:])
        try:
            return module(x)
        except Exception as error:
            if isinstance(error, (RuntimeError, ValueError)) and _OF_SHAPES.search(str(error)):
                raise ValueError(f"The network {self.network!r} cannot take clips of shape {shape}: "
                                 f"{type(error).__name__}: {error}") from error  # fmt: skip
            error.add_note(f"This is from the network {self.network!r}, given clips of shape {shape}.")
            raise

    def _device(self):
        if self.device == "auto":
            return "cuda" if torch.cuda.is_available() else "cpu"
        try:
            torch.empty(0, device=self.device)
        except (RuntimeError, AssertionError) as error:
            raise ValueError(f"device={self.device!r} cannot be used here: {error} Give 'auto', 'cpu', or a device "
                             "that torch finds.") from error  # fmt: skip
        return self.device

    def _ready(self, name, dtype=None):
        """A fitted module on the device, in evaluation mode."""
        return ready(self, name, self._device(), dtype)

    def _versions(self):
        return f"{super()._versions()}, torch {torch.__version__.partition('+')[0]}"

    def __getstate__(self):
        state = super().__getstate__()
        return state | {name: as_arrays(state[name]) for name in self._modules if state.get(name) is not None}

    def __setstate__(self, state):
        stored = {name: as_tensors(state[name]) for name in self._modules if state.get(name) is not None}
        super().__setstate__(state | stored)


_OF_SHAPES = re.compile(r"shape|size|dimension|channel|samples|frames|\b\dD\b")
