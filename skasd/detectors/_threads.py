"""How many threads the products of matrices take, in all libraries of linear algebra that are loaded."""

from contextlib import nullcontext
from functools import cache
from threading import current_thread, main_thread

from joblib import effective_n_jobs
from threadpoolctl import ThreadpoolController

_LARGE = 2**33  # products, for which one thread takes some tenths of a second

_libraries = cache(ThreadpoolController)


def one_thread():
    """Context in which products take one thread: they are made side by side in threads of joblib."""
    return _limit(1)


def few_threads(X):
    """Context in which the products of few rows (n, d) take one thread.

    The libraries of numpy and of scipy have threads of their own, which wait for each other: where calls of both
    alternate, small matrices take longer by two threads than by one.
    """
    return _limit(1 if X.size * X.shape[1] < _LARGE else None)


def n_jobs_of_products(n_jobs):
    """Number of jobs that compute products side by side; None is as many as one product would take threads."""
    if n_jobs is not None or not _may_limit():
        return effective_n_jobs(n_jobs)
    libraries = _libraries().select(user_api="blas").lib_controllers
    return max([effective_n_jobs(None), *(library.num_threads for library in libraries)])


def _limit(limits):
    return _libraries().limit(limits=limits, user_api="blas") if _may_limit() else nullcontext()


def _may_limit():
    """A limit holds for the whole process: of two threads that overlap, the last would give back that of the first."""
    return current_thread() is main_thread()
