"""How many threads the products of matrices take, in all libraries of linear algebra that are loaded."""

from functools import cache

from joblib import effective_n_jobs
from threadpoolctl import ThreadpoolController

_libraries = cache(ThreadpoolController)


def one_thread():
    """Context in which products take one thread.

    For small matrices, where several would wait for each other, and for products side by side in threads of joblib.
    """
    return _libraries().limit(limits=1, user_api="blas")


def n_jobs_of_products(n_jobs):
    """Number of jobs that compute products side by side; None is as many as one product would take threads."""
    if n_jobs is not None:
        return effective_n_jobs(n_jobs)
    libraries = _libraries().select(user_api="blas").lib_controllers
    return max(effective_n_jobs(None), *(library.num_threads for library in libraries))
