"""How many threads the products of matrices take, in all libraries of linear algebra that are loaded."""

from functools import cache

from joblib import effective_n_jobs
from threadpoolctl import ThreadpoolController

_LARGE = 2**33  # products, for which one thread takes some tenths of a second

_libraries = cache(ThreadpoolController)


def one_thread():
    """Context in which products take one thread: they are made side by side in threads of joblib."""
    return _libraries().limit(limits=1, user_api="blas")


def few_threads(X):
    """Context in which the products of few rows (n, d) take one thread.

    The libraries of numpy and of scipy have threads of their own, which wait for each other: where calls of both
    alternate, small matrices take longer by two threads than by one.
    """
    return _libraries().limit(limits=1 if X.size * X.shape[1] < _LARGE else None, user_api="blas")


def n_jobs_of_products(n_jobs):
    """Number of jobs that compute products side by side; None is as many as one product would take threads."""
    if n_jobs is not None:
        return effective_n_jobs(n_jobs)
    libraries = _libraries().select(user_api="blas").lib_controllers
    return max([effective_n_jobs(None), *(library.num_threads for library in libraries)])
