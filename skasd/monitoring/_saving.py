"""Files that hold a fitted detector and no code: an archive of skops, from which only known types are made."""

import os
import stat
import sys
import warnings
from contextlib import contextmanager
from importlib import import_module
from inspect import isfunction
from pathlib import Path
from zipfile import ZipFile, is_zipfile

from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from skasd._drafts import draft_folder
from skasd._problems import first_ten

_ROOMS = ("audio", "augmentation", "clips", "detectors", "embedders", "ensemble", "features", "losses", "monitoring",
          "networks")  # fmt: skip
_WEIGHTS = "skasd.training._weights"
_WITH_FUNCTIONS = ("detectors", "embedders", "losses", "networks")  # which compute on arrays and tensors
_OF_OTHERS = ("functools.partial", "scipy.sparse._csr.csr_array", "sklearn.utils._bunch.Bunch")
_SLOW = ("sklearn.externals.array_api_compat.torch", "sklearn.externals.array_api_compat.dask")
_LAYERS = ("timm.", "torch.nn.modules.", "torch.optim.", "torchvision.models.", "torchvision.ops.", "zuko.")


def save_detector(detector, path):
    """Write a fitted detector to a file that is safe to load.

    The file, by convention with the suffix ``.skasd``, is a zip archive of arrays and names of types. It holds no code,
    and `load_detector` creates nothing from it but types of this package, scikit-learn, numpy, scipy and torch's
    layers. It is written under another name, read back, and moved into place in one step. A detector that was saved
    there before is replaced; any other file is left alone, and is an error.

    Parameters
    ----------
    detector : RecordingDetector or another estimator
        Fitted. A pipeline of skasd, or a single detector, will do as well.

    path : str or path-like
        The file. Its folder is created if necessary.

    Raises
    ------
    FileExistsError
        If the file exists and is not a saved detector.

    ValueError
        If the detector is not fitted (scikit-learn's NotFittedError), or holds something that cannot be stored like
        this, such as a function without a name.

    Warns
    -----
    UserWarning
        If it holds types of your own: whoever loads it has to name them in ``trusted``.

    See Also
    --------
    load_detector : Reads it.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from skasd.monitoring import RecordingDetector, load_detector, save_detector
    >>> rng = np.random.default_rng(0)
    >>> detector = RecordingDetector(sample_rate=16000, cv=5).fit(0.1 * rng.standard_normal((20, 16000)))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "pump.skasd")
    ...     save_detector(detector, path)
    ...     loaded = load_detector(path)
    >>> new = 0.1 * rng.standard_normal((3, 16000))
    >>> bool(np.all(loaded.score_samples(new) == detector.score_samples(new)))
    True
    """
    check_is_fitted(detector)
    path = Path(os.fsdecode(path))
    if os.path.lexists(path) and not _is_ours(path):
        raise FileExistsError(f"{str(path)!r} exists and is no saved detector. Give another name, or move it away.")
    data = _stored(detector)
    with draft_folder(path.parent) as folder:
        draft = folder / "detector"
        draft.write_bytes(data)
        os.replace(draft, path)


def load_detector(path, *, trusted=()):
    """Read a detector that `save_detector` has written, without running any code that the file may hold.

    Parameters
    ----------
    path : str or path-like
        The file.

    trusted : sequence of str, default=()
        Full names of types of your own that the file may hold, such as ``"my_networks.Net"``. Their modules are
        imported. Do not name any that you do not know.

    Returns
    -------
    detector : RecordingDetector or another estimator
        It gives the same scores as the one that was saved, bit for bit on the same machine.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.

    ValueError
        If it is not such a file, is damaged, or holds types that are not trusted, which are named. Nothing is created
        from it then.

    Warns
    -----
    UserWarning
        If it was saved by other versions of skasd, scikit-learn or torch.

    See Also
    --------
    save_detector : Writes it.

    Examples
    --------
    >>> from skasd.monitoring import load_detector
    >>> load_detector("pump.skasd")  # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
    FileNotFoundError: ...
    """
    path = Path(os.fsdecode(path))
    if not stat.S_ISREG(path.stat().st_mode) or not _is_ours(path):
        raise ValueError(f"{str(path)!r} is no file that save_detector has written. If it is a pickle, joblib.load "
                         "reads it; that can run code, so do it only if you trust whoever made it.")  # fmt: skip
    data, trusted = path.read_bytes(), [trusted] if isinstance(trusted, str) else list(trusted)
    with _telling(f"{str(path)!r} is damaged"):
        names = _type_names(data)
    strange = [name for name in names if name not in trusted and not _is_known(name)]
    if strange:
        raise ValueError(f"{str(path)!r} holds what is not trusted, and was not loaded:\n"
                         f"{first_ten(strange)}\nIf these are types of your own, or of somebody whom you trust, give "
                         "trusted=[...].")  # fmt: skip
    with _telling(f"{str(path)!r} is damaged"):
        detector = _loaded(data, names)
    if not isinstance(detector, BaseEstimator):
        raise ValueError(f"{str(path)!r} holds no detector, but an object of type {type(detector).__name__}.")
    return detector


def _stored(detector):
    """The archive, from which the detector can be made again."""
    with _telling(f"This {type(detector).__name__} cannot be stored without code"):
        data = _skops().dumps(detector)
        names = _type_names(data)
        _loaded(data, names)
    strange = [name for name in names if not _is_known(name)]
    if strange:
        warnings.warn(f"The file holds types that are not of skasd:\n{first_ten(strange)}\nTo load it, name them: "
                      f"load_detector(..., trusted={strange}).", stacklevel=3)  # fmt: skip
    return data


@contextmanager
def _telling(what):
    try:
        yield
    except Warning:
        raise
    except Exception as error:
        raise ValueError(f"{what}: {type(error).__name__}: {error}") from error


def _is_ours(path):
    if not is_zipfile(path):
        return False
    with ZipFile(path) as archive:
        return "schema.json" in archive.namelist()


def _type_names(data):
    """Full names of the types and functions in an archive that skops does not know."""
    return _skops().get_untrusted_types(data=data)


def _loaded(data, trusted):
    return _skops().loads(data, trusted=trusted)


def _skops():
    """skops.io, without torch and dask, which scikit-learn imports when skops asks it for all of its estimators."""
    absent = [name for name in _SLOW if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # None, which scikit-learn takes for a library that is not installed
    try:
        import skops.io
    finally:
        for name in absent:
            sys.modules.pop(name, None)
    return skops.io


def _is_known(full_name):
    """Whether a name is that of a type that is defined there, and that makes nothing but objects in memory."""
    place, _, name = full_name.rpartition(".")
    if full_name in _OF_OTHERS:
        return True
    package, room = [*place.split("."), ""][:2]
    is_ours = package == "skasd" and (room in _ROOMS or place == _WEIGHTS)
    if not is_ours and not place.startswith(_LAYERS):
        return False
    found = getattr(_module(place), name, None)
    if (getattr(found, "__module__", None), getattr(found, "__qualname__", None)) != (place, name):
        return False  # such as what a module of ours has imported
    if is_ours:
        return isinstance(found, type) or (isfunction(found) and room in _WITH_FUNCTIONS)
    return _is_layer(found)


def _is_layer(found):
    """Whether it is a layer or an optimizer; graphs of torch.fx are not, since they are made by running code."""
    from torch.fx import GraphModule
    from torch.nn import Module
    from torch.optim import Optimizer

    return isinstance(found, type) and issubclass(found, (Module, Optimizer)) and not issubclass(found, GraphModule)


def _module(name):
    """A module of this package, or of another if importing that as a whole loads it."""
    package = name.partition(".")[0]
    try:
        import_module(name if package == "skasd" else package)
    except ImportError:
        return None
    return sys.modules.get(name)
