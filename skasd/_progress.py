"""How far long work is: a bar where somebody watches, a few lines where it goes to a log file or is one of several."""

import multiprocessing
import sys
import threading
import time
import warnings

from tqdm import TqdmWarning

__all__ = ["Progress", "make_bar"]

_PAUSE = 30.0  # seconds that lie between two lines at least
_LINE = "{desc}: {n_fmt}/{total_fmt}{unit}{postfix}, {elapsed} gone, {remaining} left"


class Progress:
    """A bar on a terminal or in a notebook; in a log file a line a tenth of the work, but none within 30 seconds.

    The last line comes with `close`, wherever the work has ended. Parallel work has lines on a terminal too, with the
    name of the process or thread in each.

    Parameters
    ----------
    total : int
        Number of steps.

    desc : str
        What is going on.

    unit : str
        What the steps are, with a blank before it if there is to be one.

    initial : int, default=0
        Number of steps that were done before.

    verbose : bool, default=True
        Whether to show anything.

    **options : dict
        For `tqdm.tqdm`, such as ``unit_scale``.
    """

    def __init__(self, total, *, desc, unit, initial=0, verbose=True, **options):
        self._bar = make_bar(total=total, desc=desc, unit=unit, initial=initial, verbose=verbose, **options)
        self._has_lines = verbose and self._bar.disable
        self._format = {
            "total": total,
            "prefix": f"{desc} ({_worker()})" if _worker() else desc,
            "unit": unit,
            "initial": initial,
            "bar_format": _LINE,
            **options,
        }
        self._done = self._said = initial
        self._start = self._said_at = time.monotonic()
        self._note = ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def update(self, n=1, note=""):
        """Go on by ``n`` steps; the note stands at the end of bar or line."""
        self._bar.set_postfix_str(note, refresh=False)
        self._bar.update(n)
        self._done, self._note = self._done + n, note
        tenths = (10 * steps // self._format["total"] for steps in (self._said, self._done))
        if self._has_lines and len(set(tenths)) == 2 and time.monotonic() - self._said_at >= _PAUSE:
            self._say()

    def close(self):
        """Leave the bar as it is, or say how far things are, if that has not been said."""
        self._bar.close()
        if self._has_lines and self._done > self._said:
            self._say()

    def _say(self):
        self._said, self._said_at = self._done, time.monotonic()
        elapsed = self._said_at - self._start
        line = self._bar.format_meter(self._done, elapsed=elapsed, postfix=self._note, **self._format)
        print(f"{line}\n", end="", file=sys.stderr, flush=True)  # in one piece, for others may write at the same time


def make_bar(*, verbose=True, **arguments):
    """A bar of tqdm on the error stream; disabled without `verbose`, where nobody watches, and in parallel work."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TqdmWarning)  # without ipywidgets a notebook has a bar of text
        from tqdm.auto import tqdm
    is_shown = verbose and not _worker() and (sys.stderr.isatty() or _in_notebook())
    return tqdm(disable=not is_shown, **arguments)


def _worker():
    """Name of this process and of this thread, if not the main ones: two bars would be drawn over each other."""
    names = []
    if multiprocessing.parent_process():
        names.append(multiprocessing.current_process().name)
    if threading.current_thread() is not threading.main_thread():
        names.append(threading.current_thread().name)
    return ", ".join(names)


def _in_notebook():
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")
