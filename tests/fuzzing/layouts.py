"""The same numbers in every type, order and container in which they may come."""

import numpy as np
import pandas as pd
import scipy.sparse
import torch

LAYOUTS = {
    "c": np.ascontiguousarray,
    "fortran": np.asfortranarray,
    "reversed": lambda X: np.ascontiguousarray(X[::-1])[::-1],
    "strided": lambda X: np.repeat(X, 2, axis=-1)[..., ::2],
    "offset": lambda X: np.concatenate([X[:1], X])[1:],
    "readonly": lambda X: _readonly(X.copy()),
    "view": lambda X: np.moveaxis(np.moveaxis(X, 0, -1).copy(), -1, 0),
    "list": lambda X: X.tolist(),
    "tuple": lambda X: tuple(map(tuple, X.tolist())) if X.ndim == 2 else X.tolist(),
    "object": lambda X: X.astype(object),
    "frame": lambda X: pd.DataFrame(X) if X.ndim == 2 else X,
    "named frame": lambda X: pd.DataFrame(X, columns=[f"x{i}" for i in range(X.shape[1])]) if X.ndim == 2 else X,
    "tensor": lambda X: torch.from_numpy(X.copy()),
    "masked": lambda X: np.ma.masked_array(X, mask=np.zeros(X.shape, bool)),
    "half masked": lambda X: np.ma.masked_array(X, mask=np.indices(X.shape).sum(axis=0) % 2 == 0),
    "sparse": lambda X: scipy.sparse.csr_array(X) if X.ndim == 2 else X,
    "strings": lambda X: X.astype(str),
}
DTYPES = ("float64", "float32", "float16", ">f8", ">f4", "longdouble", "int64", "int32", "int16", "int8", ">i2", ">i4",
          "uint8", "uint16", "uint32", "uint64", "bool", "complex128", "timedelta64[ns]")  # fmt: skip
KEEPS = ("c", "fortran", "reversed", "strided", "offset", "readonly", "view", "list", "tuple", "frame", "named frame")


def lay_out(X, layout):
    """The array in another layout or container; as it is where a container cannot hold its type."""
    try:
        return LAYOUTS[layout](X)
    except (TypeError, ValueError, IndexError):
        return X


def _readonly(X):
    X.flags.writeable = False
    return X
