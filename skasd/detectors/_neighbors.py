"""The search for the nearest training rows, which several detectors share: fast, and exact to the last digits."""

import math
from contextlib import nullcontext

import numpy as np
from joblib import Parallel, delayed
from scipy.sparse import csr_array
from sklearn.utils import gen_batches

from skasd.detectors._numbers import VALUES_AT_ONCE, numbered
from skasd.detectors._threads import n_jobs_of_products, one_thread

_N_SPARE = 2  # groups looked into beyond the rows asked for, which make it certain that none nearer was missed
_IN_CACHE = 2**17  # 1 MiB in float64: steps that leave the cache take three times as long
_N_QUERIES = 512
_N_PRODUCTS = 2**18  # 1 MiB in float32: a matrix product that is fast, and in the cache when it is read
_LARGE_GROUP = 8  # smaller groups do not save what it takes to look for them
_EUCLIDEAN = {"euclidean": 2, "sqeuclidean": 1}  # the power of a scale that a squared distance is divided by


class Neighbors:
    """Training rows, as coordinates of a space, among which the nearest are found.

    The distance to a row is divided by its `scale` and less its `offset`, where these are given.

    Euclidean distances are bounded from below by matrix products in single precision, of which only the lowest bound in
    each group of rows is kept. The distances to the rows of the lowest groups are then computed without rounding error
    to speak of. Where the bounds do not prove that the nearest are among these, the search is repeated in double
    precision, and then among all distances.
    """

    def __init__(self, space, rows, scale=None, offset=None, *, n_jobs=None):
        self.space, self.rows, self.scale, self.offset, self.n_jobs = space, rows, scale, offset, n_jobs
        self._bounds = _LowerBounds(rows, self._weight(), np.float32) if self._is_euclidean() else None

    def __len__(self):
        return len(self.rows)

    def _is_euclidean(self):
        return self.space.kind.metric in _EUCLIDEAN

    def _weight(self):
        """What the squared distance to each row is multiplied with."""
        scale = np.ones(len(self.rows)) if self.scale is None else self.scale
        return scale ** -_EUCLIDEAN[self.space.kind.metric]

    def nearest(self, X, n_nearest, left_out=None):
        """Distances (n, n_nearest) of coordinates to the nearest rows, and the numbers of these, from near to far.

        Those to rows that are `left_out` are infinite.
        """
        if self._is_euclidean():
            search, n_queries, n_jobs = self._search_by_products, _N_QUERIES, n_jobs_of_products(self.n_jobs)
            n_jobs = min(n_jobs, -(-len(X) // n_queries))
        else:
            search, n_queries, n_jobs = self._search_all, max(1, VALUES_AT_ONCE // len(self.rows)), self.n_jobs
        blocks = list(gen_batches(len(X), n_queries))
        with one_thread() if len(blocks) > 1 else nullcontext():
            parts = Parallel(n_jobs=n_jobs, require="sharedmem")(
                delayed(search)(X, np.arange(block.start, block.stop), n_nearest, left_out) for block in blocks
            )
        return tuple(map(np.concatenate, zip(*parts, strict=True)))

    def _search_all(self, X, queries, n_nearest, left_out):
        with numbered(queries):
            distances = self.space.distances(X[queries], self.rows)
        if self.scale is not None:
            distances /= self.scale
        return self._nearest_of_all(distances, queries, n_nearest, left_out)

    def _nearest_of_all(self, distances, queries, n_nearest, left_out):
        """The nearest rows, by the distances to all of them before the offset."""
        if self.offset is not None:
            distances -= self.offset
        if left_out is not None:
            left_out.mask(distances, queries)
        found, _ = _smallest(distances, n_nearest)
        return _in_order(_taken(distances, found), found, n_nearest)

    def _search_by_products(self, X, queries, n_nearest, left_out):
        distances, found, certain = self._search_by_bounds(self._bounds, X, queries, n_nearest, left_out)
        if not certain.all():
            bounds, again = _LowerBounds(self.rows, self._weight(), np.float64), np.flatnonzero(~certain)
            distances[again], found[again], certain[again] = self._search_by_bounds(
                bounds, X, queries[again], n_nearest, left_out
            )
        again, n_at_once = np.flatnonzero(~certain), max(1, VALUES_AT_ONCE // len(self.rows))
        for rows in (again[start : start + n_at_once] for start in range(0, len(again), n_at_once)):
            distances[rows], found[rows] = self._search_by_steps(X, queries[rows], n_nearest, left_out)
        return distances, found

    def _search_by_steps(self, X, queries, n_nearest, left_out):
        every = np.broadcast_to(np.arange(len(self.rows)), (len(queries), len(self.rows)))
        return self._nearest_of_all(self._distances_of(self._squared(X[queries], every)), queries, n_nearest, left_out)

    @np.errstate(over="ignore", invalid="ignore")
    def _search_by_bounds(self, bounds, X, queries, n_nearest, left_out):
        """Distances to the nearest rows, their numbers, and whether no other row can be nearer."""
        n_wanted = n_nearest + _N_SPARE
        size = max(1, math.isqrt(len(self.rows) // (n_wanted * X.shape[1])))  # a distance costs n_features bounds
        lowest, holds = self._lowest(bounds, X, queries, size, left_out)
        groups, others = _smallest(lowest, n_wanted)
        n_groups = lowest.shape[1]
        found = (groups[:, np.newaxis] + np.arange(0, len(self.rows), n_groups)[:, np.newaxis]).reshape(len(groups), -1)
        out = found >= len(self.rows)
        found[out] = 0
        distances = self._distances_of(self._squared(X[queries], found))
        if self.offset is None:
            others = self._distances_of(np.maximum(others, 0))
        else:
            distances -= self.offset[found]
        if left_out is not None:
            out |= left_out.among(found, queries)
        distances[out] = np.inf
        distances, found = _in_order(distances, found, n_nearest)
        return distances, found, holds & (distances[:, -1] <= others)

    def _lowest(self, bounds, X, queries, size, left_out):
        """The lowest bound of each group (n, n_groups) of rows g, g + n_groups, ..., and whether bounds hold."""
        extended, holds = bounds.extended(X[queries])
        n_rows, n_groups = len(self.rows), -(-len(self.rows) // size)
        n_block = min(n_groups, _N_PRODUCTS // len(queries))
        mask = left_out and left_out.masker(queries)
        products = np.empty((len(queries), n_block), bounds.dtype)
        dtype = bounds.dtype if self.offset is None else np.float64
        lowest, least = np.empty((len(queries), n_groups), dtype), np.empty(products.shape, dtype)
        for block in gen_batches(n_groups, n_block):
            least.fill(np.inf)
            for start in range(0, n_rows, n_groups):
                columns = slice(start + block.start, min(start + block.stop, n_rows))
                part = slice(0, max(columns.stop - columns.start, 0))
                values = np.matmul(extended, bounds.columns[:, columns], out=products[:, part])
                if self.offset is not None:  # which may change the order
                    values = self._distances_of(np.maximum(values, 0)) - self.offset[columns]
                if mask is not None:
                    mask(values, columns)
                np.minimum(least[:, part], values, out=least[:, part])
            lowest[:, block] = least[:, : block.stop - block.start]
        return lowest, holds

    def _distances_of(self, squared):
        return np.sqrt(squared) if self.space.kind.metric == "euclidean" else squared

    def _squared(self, X, found):
        squared = np.empty(found.shape)
        for block in gen_batches(len(X), max(1, _IN_CACHE // (found.shape[1] * X.shape[1]))):
            steps = self.rows.take(found[block], axis=0)
            steps -= X[block, np.newaxis]
            np.einsum("ijk,ijk->ij", steps, steps, out=squared[block])
        return squared if self.scale is None else squared * self._weight()[found]


class LeftOut:
    """Which rows do not count for which: those that belong to one of its groups.

    The groups of the queries are an array (n, n_groups), and so are those of the rows (n_rows, n_groups).
    """

    def __init__(self, groups, owners):
        self.groups, self.owners = groups, owners
        numbers = np.repeat(np.arange(len(owners)), owners.shape[1])
        shape = (max(owners.max(), groups.max()) + 1, len(owners))
        self.members = csr_array((np.ones(owners.size, dtype=bool), (owners.ravel(), numbers)), shape=shape)

    def mask(self, values, queries):
        """Make the values (n_queries, n_rows) infinite where the row does not count for the query."""
        self.masker(queries)(values, slice(0, values.shape[1]))

    def masker(self, queries):
        """What makes the values (n_queries, n_columns) of some columns infinite where the row does not count."""
        queries, rows = np.hstack([self.members[group].nonzero() for group in self.groups[queries].T])
        order = np.argsort(rows)
        queries, rows = queries[order], rows[order]

        def mask(values, columns):
            part = slice(*np.searchsorted(rows, [columns.start, columns.stop]))
            values[queries[part], rows[part] - columns.start] = np.inf

        return mask

    def among(self, found, queries):
        """Which of the rows (n_queries, n_found) do not count."""
        owners, groups = self.owners[found], self.groups[queries][:, np.newaxis]
        return np.any([(owners == group[..., np.newaxis]).any(axis=2) for group in np.moveaxis(groups, 2, 0)], axis=0)


class _LowerBounds:
    """Lower bounds of weighted squared distances to rows: w (|x|² + |y|² - 2xy), less what rounding can add to it.

    That is one product, of (x, |x|², 1) and w (-2y, 1, |y|²); the error of a sum of n products is at most about n
    times the precision times the sum of their magnitudes, which is at most 2 w (|x|² + |y|²).
    """

    def __init__(self, rows, weight, dtype):
        self.dtype, self.limit = dtype, np.finfo(dtype).max / 16
        less = 1 - (rows.shape[1] + 8) * np.finfo(dtype).eps
        squares = np.einsum("ij,ij->i", rows, rows)
        self.largest, self.heaviest = squares.max(), weight.max()
        self.columns = np.empty((rows.shape[1] + 2, len(rows)), dtype)
        with np.errstate(over="ignore", invalid="ignore"):
            np.multiply(rows.T, -2 * weight, out=self.columns[:-2], casting="same_kind")
            self.columns[-2:] = less * weight, less * weight * squares

    def extended(self, X):
        """Rows of X, whose products with the columns are the bounds, and for each whether these can be held."""
        squares = np.einsum("ij,ij->i", X, X)[:, np.newaxis]
        holds = (squares[:, 0] + self.largest) * max(self.heaviest, 1.0) < self.limit
        return np.hstack([X, squares, np.ones_like(squares)]).astype(self.dtype), holds


def _smallest(values, n_wanted):
    """Numbers of the smallest values of each row (n, n_wanted), and the smallest of the other values.

    The smallest lie in the groups whose own smallest value is least; only these are looked into.
    """
    n_rows, n_values = values.shape
    size = math.isqrt(max(1, n_values // n_wanted))
    if size < _LARGE_GROUP:
        return _partitioned(values, n_wanted)
    n_groups = n_values // size
    lowest = values[:, : size * n_groups].reshape(n_rows, size, n_groups).min(axis=1)
    groups, others = _partitioned(lowest, n_wanted)
    inside = groups[:, np.newaxis] + n_groups * np.arange(size)[:, np.newaxis]
    rest = np.broadcast_to(np.arange(size * n_groups, n_values), (n_rows, n_values - size * n_groups))
    candidates = np.hstack([inside.reshape(n_rows, -1), rest])
    chosen, left = _partitioned(_taken(values, candidates), n_wanted)
    return _taken(candidates, chosen), np.minimum(others, left)


def _partitioned(values, n_wanted):
    """Numbers of the smallest values of each row, and the smallest of the others, infinite where there is none."""
    if values.shape[1] <= n_wanted:
        return np.broadcast_to(np.arange(values.shape[1]), values.shape), np.full(len(values), np.inf)
    order = np.argpartition(values, n_wanted, axis=1)
    return order[:, :n_wanted], _taken(values, order[:, n_wanted : n_wanted + 1])[:, 0]


def _taken(values, numbers):
    """The values with these numbers in each row, as `numpy.take_along_axis` gives them more slowly."""
    return values.ravel().take(numbers + values.shape[1] * np.arange(len(values))[:, np.newaxis])


def _in_order(distances, found, n_nearest):
    order = np.argsort(distances, axis=1, kind="stable")[:, :n_nearest]
    return _taken(distances, order), _taken(found, order)
