"""What became of one input: a result, a clear error of the package, or a breach of its law."""

import dis
import os
import resource
import signal
import traceback
import warnings
from contextlib import contextmanager
from dataclasses import fields
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

import psutil

import skasd

SECONDS = 10  # far more than any input needs, so that a loaded machine is no hang
MEMORY = 2**31  # bytes above what the process has; inputs are a few kB
CLEAR_TYPES = (ValueError, TypeError, LookupError, OSError)

_TESTS = os.path.dirname(os.path.dirname(__file__)) + os.sep
_PACKAGE = os.path.dirname(skasd.__file__) + os.sep
_SKLEARN_CHECKS = tuple(
    os.path.join("sklearn", *parts)
    for parts in (("base.py",), ("utils", "validation.py"), ("utils", "_param_validation.py"),
                  ("utils", "_array_api.py"), ("utils", "metaestimators.py"), ("pipeline.py",))
)  # fmt: skip


class Sparing:
    """A dataclass whose repr leaves out what is as usual."""

    def __repr__(self):
        shown = {field.name: getattr(self, field.name) for field in fields(self)}
        usual = {field.name: field.default for field in fields(self)}
        words = [f"{name}={value!r}" for name, value in shown.items() if value != usual[name]]
        return f"{type(self).__name__}({', '.join(words)})"


class Broken(Exception):
    """The package gave a result, and it is wrong."""


class TooLong(BaseException):
    """An input took more than `SECONDS`; nothing that is meant for errors catches this."""


class Outcome(NamedTuple):
    """What became of one input."""

    name: str  # "result", "error" or "breach"
    what: str = ""  # what was raised, warned of or wrong
    where: str = ""  # the line that raised it

    @property
    def signature(self):
        """The same for breaches that have one cause."""
        return self.what.partition(":")[0], self.where


def judge(law, case):
    """Hold one case against its law."""
    try:
        with _limits(), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            law(case)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        what = f"{type(error).__name__}: {error}"
        return Outcome("error" if _is_clear(error, case) else "breach", what, _where(error))
    foreign = [warning for warning in caught if _is_foreign(warning)]
    if foreign:
        first = foreign[0]
        return Outcome("breach", f"{first.category.__name__}: {first.message}", f"{first.filename}:{first.lineno}")
    return Outcome("result")


def check(condition, words):
    """Raise `Broken` with these words where a condition does not hold."""
    if not condition:
        raise Broken(words)


@contextmanager
def must(succeed):
    """For what has to succeed: an error inside is a breach, however clear its words are."""
    try:
        yield
    except Exception as error:
        raise Broken(f"{succeed} failed: {type(error).__name__}: {error}") from error


@contextmanager
def _limits():
    """A limit on time and one on memory."""

    def stop(*_):
        raise TooLong(f"more than {SECONDS} s")

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    before = signal.signal(signal.SIGALRM, stop)
    resource.setrlimit(resource.RLIMIT_AS, (psutil.Process().memory_info().vms + MEMORY, hard))
    signal.setitimer(signal.ITIMER_REAL, SECONDS, 0.1)  # again and again, lest a callback of C swallows the first
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _is_clear(error, case):
    """Whether the package itself raised it, in words that name what they have to."""
    names, untrue = getattr(case, "names", ()), getattr(case, "untrue", ())
    words = "\n".join([str(error), *getattr(error, "__notes__", ())])
    return (
        isinstance(error, CLEAR_TYPES)
        and _is_own(error)
        and bool(words)
        and (not names or any(name in words for name in names))
        and not any(name in words for name in untrue)
    )


def _is_own(error):
    """Whether a raise statement of the package made it, or a check of scikit-learn that the package called."""
    files = [frame.f_code.co_filename for frame, _ in traceback.walk_tb(error.__traceback__)]
    if files[-1].startswith(_PACKAGE):
        return _has_raised(error)
    theirs = takewhile(lambda file: not file.startswith((_PACKAGE, _TESTS)), reversed(files))
    return not files[-1].startswith(_TESTS) and all(file.endswith(_SKLEARN_CHECKS) for file in theirs)


def _has_raised(error):
    """Whether the innermost frame raised it by a statement of its own, not by something that it called."""
    tb = error.__traceback__
    while tb.tb_next:
        tb = tb.tb_next
    return dis.opname[tb.tb_frame.f_code.co_code[tb.tb_lasti]] in ("RAISE_VARARGS", "RERAISE")


def _where(error):
    """The line that raised it; of a broken law, that which looked."""
    frames = traceback.extract_tb(error.__traceback__)
    if isinstance(error, Broken):
        frames = [frame for frame in frames if frame.filename.startswith(_TESTS) and frame.filename != __file__]
    return f"{Path(*Path(frames[-1].filename).parts[-3:])}:{frames[-1].lineno}" if frames else ""


def _is_foreign(warning):
    """Whether a warning comes from inside a library: of numbers that overflow, or of what is deprecated."""
    return not issubclass(warning.category, (UserWarning, ResourceWarning))
