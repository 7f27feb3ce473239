"""Files and folders that appear whole or not at all, whatever other processes do, and after a kill as well."""

import errno
import os
import re
import secrets
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock

_DRAFT = r"[a-z0-9_]{8}"  # what follows the prefix in the name of a draft
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)
_PATIENCE = 10.0  # s
_MAX_BYTES = 255  # of a file name, on all usual file systems
_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]|[. ]$|^\.\.?$|^ *$')
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # by Windows


def folder_to_write(folder, parameter):
    """The path of a folder; the empty name, which pathlib takes for the current folder, is refused, and so is NUL."""
    if not os.fspath(folder) or "\0" in str(folder):
        raise ValueError(f"{parameter} must name a folder; got {folder!r}. Write '.' for the current folder.")
    return Path(folder)


@contextmanager
def locked(path, *, timeout=-1):
    """Keep other processes and threads away from ``path``, by a lock file beside it; a kill frees the lock.

    Yields whether there is a lock: on a file system that knows none, all go on without. Raises `TimeoutError` after so
    many seconds; -1 waits for ever.
    """
    lock = FileLock(f"{path}.lock")
    try:
        lock.acquire(timeout)
    except (OSError, NotImplementedError) as error:
        if getattr(error, "errno", errno.ENOSYS) not in _NO_LOCKS:
            raise
    try:
        yield lock.is_locked
    finally:
        if lock.is_locked:  # whoever waits notices that the file is gone, and makes another
            with suppress(OSError):  # Windows does not remove a file that is open; it removes the lock file by itself
                os.unlink(lock.lock_file)
        lock.release()


@contextmanager
def draft_folder(parent, prefix=".writing-"):
    """A new folder beside the place of what is to be written, which goes with all that has not been moved out of it."""
    parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(parent, prefix)
    draft = parent / f"{prefix}{secrets.token_hex(4)}"
    with locked(draft, timeout=_PATIENCE):  # nobody else has it: a file system without files, as /proc, gives none
        draft.mkdir()
        try:
            yield draft
        except OSError as error:
            if error.errno is not None and error.filename is None:  # a full disk does not say where
                error.filename = str(parent)
            raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def refuse_existing(target, error=None):
    """Raise `FileExistsError` if anything has this path: nothing is overwritten."""
    if os.path.lexists(target):
        raise FileExistsError(f"{str(target)!r} exists, and is not overwritten. Give another folder, or move it "
                              "away.") from error  # fmt: skip


def move_new(draft, target):
    """Move a file or folder to its place, or raise `FileExistsError`, even if it is there since a moment ago."""
    refuse_existing(target)
    is_folder = draft.is_dir()
    try:
        (os.rename if is_folder else os.link)(draft, target)  # unlike a rename, a link never replaces a file
    except OSError as error:
        refuse_existing(target, error)
        if is_folder:
            raise
        os.rename(draft, target)  # where there are no links


def check_file_name(name, what):
    """Raise ValueError unless ``name`` can name one file on every usual system; ``what`` says whose name it is."""
    try:
        too_long = len(name.encode()) > _MAX_BYTES
    except UnicodeEncodeError:
        raise ValueError(f"{what} cannot name a file: {name!r} is not Unicode text. Rename it.") from None
    if too_long or _UNSAFE.search(name) or _RESERVED.fullmatch(name):
        raise ValueError(f"{what} cannot name a file: {name!r} is too long, is reserved, or has characters that some "
                         "systems do not allow, such as / or :. Rename it.")  # fmt: skip


def remove_abandoned(parent, prefix=".writing-"):
    """Remove the drafts of processes that were killed: those whose locks are free."""
    names = {path.name.removesuffix(".lock") for path in parent.iterdir()}
    for name in filter(re.compile(re.escape(prefix) + _DRAFT).fullmatch, sorted(names)):
        with suppress(OSError), locked(parent / name, timeout=0) as has_lock:  # of others, or somebody writes it
            if has_lock:
                shutil.rmtree(parent / name, ignore_errors=True)
