"""How far long work is: a bar where somebody watches, a few lines where it goes to a log file or is one of several."""

import multiprocessing
import sys
import threading
import warnings

from tqdm import TqdmWarning, std

_LINE = "{desc}: {n_fmt}/{total_fmt}{unit}{postfix}, {elapsed} gone, {remaining} left"


def progress_bar(total, *, desc, verbose=True, **options):
    """A bar of tqdm on the error stream; a line for each tenth, 30 seconds apart at least, where a bar cannot be.

    Parallel work has lines on a terminal too, with the name of the process or thread in each. The options are those of
    `tqdm.tqdm`, such as ``unit``, ``initial``, ``miniters`` and ``mininterval``.
    """
    worker = _worker()
    if verbose and (worker or not (sys.stderr.isatty() or _in_notebook())):
        desc = f"{desc} ({worker})" if worker else desc
        few = {"mininterval": 30.0, "miniters": max(1, total // 10), "smoothing": 0, "bar_format": _LINE}
        return _Lines(total=total, desc=desc, delay=1e-9, **few | options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TqdmWarning)  # without ipywidgets a notebook has a bar of text
        from tqdm.auto import tqdm
    return tqdm(total=total, desc=desc, disable=not verbose, **options)


class _Lines(std.tqdm):
    """Whole lines, the last of them wherever the work has ended."""

    monitor_interval = 0  # no thread that would show what nothing new has happened to

    def display(self, *_, **__):
        print(f"{self}\n", end="", file=self.fp, flush=True)  # in one piece, for others may write at the same time

    def close(self):
        if not self.disable and self.n > self.last_print_n:
            self.display()
        self.disable = True
        self._decr_instances(self)


def _worker():
    """Name of this process and of this thread, if not the main ones: two bars would be drawn over each other."""
    process = multiprocessing.parent_process() and multiprocessing.current_process().name
    thread = threading.current_thread() is not threading.main_thread() and threading.current_thread().name
    return ", ".join(filter(None, [process, thread]))


def _in_notebook():
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")
