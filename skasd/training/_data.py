"""Data sets that read whole batches at once, by the numbers of their rows."""

import numpy as np
import torch
from torch.utils.data import default_collate


class RowDataset(torch.utils.data.Dataset):
    """Some rows of clips or windows, as ``{"x": values, ...}`` with what else the module takes, and their targets.

    ``read`` makes a new tensor of the rows with these numbers, so that the data are never copied as a whole. The
    targets y, (n_all,) or (n_all, n_targets), and the columns that the module takes, (n_all,), are those of all rows,
    whether they belong to the data set or not.
    """

    def __init__(self, read, rows, y, **columns):
        self.read = read
        self.rows = rows
        self.y = y
        self.columns = columns

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        X, y = self.__getitems__([index])
        return {name: values[0] for name, values in X.items()}, y[0]

    def __getitems__(self, indices):
        rows = self.rows[indices]
        others = {name: torch.from_numpy(values[rows]) for name, values in self.columns.items()}
        return {"x": self.read(rows), **others}, torch.from_numpy(self.y[rows])


def read_rows(values, rows, loader):
    """These rows as a new tensor; paths are read."""
    if values.dtype.kind == "U":
        return torch.from_numpy(loader.transform(values[rows]))
    own = values.dtype.newbyteorder("=")
    return torch.from_numpy(values[rows].astype(np.float64 if own == np.longdouble else own, copy=False))


def whole_batches(batch):
    """A batch (X, y): as a data set that reads whole batches gives it, or put together of single clips."""
    return batch if isinstance(batch, tuple) else default_collate(batch)
