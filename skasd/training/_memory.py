"""Memory that is kept from batch to batch, where the C library would give it back to the system each time."""

import ctypes
import os
import platform
from contextlib import contextmanager
from functools import cache
from threading import Lock

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # of glibc's malloc.h
_USUAL = {_TRIM_THRESHOLD: 128 * 1024, _MMAP_MAX: 65536}
_KEEPING = {_TRIM_THRESHOLD: 2**31 - 1, _MMAP_MAX: 0}
_lock, _n_users = Lock(), 0


@contextmanager
def keeping_memory():
    """Let glibc keep freed memory while this lasts; does nothing elsewhere, or where the user has set malloc's options.

    A batch frees large tensors and asks for the same at the next step. glibc maps such memory anew each time, and the
    system fills its pages with zeros, which can take as long as the arithmetic.
    """
    global _n_users
    libc = _glibc()
    with _lock:
        _n_users += 1
        _set(libc, _KEEPING)
    try:
        yield
    finally:
        with _lock:
            _n_users -= 1
            if not _n_users:
                _set(libc, _USUAL)
                if libc is not None:
                    libc.malloc_trim(0)


@cache
def _glibc():
    """The C library, if it is glibc and nobody has told its malloc how to work."""
    tunables = os.environ.get("GLIBC_TUNABLES", "")
    told = "glibc.malloc" in tunables or any(name.startswith("MALLOC_") for name in os.environ)
    return None if told or platform.libc_ver()[0] != "glibc" else ctypes.CDLL(None)


def _set(libc, options):
    if libc is not None:
        for option, value in options.items():
            libc.mallopt(option, value)
