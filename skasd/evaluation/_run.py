"""One machine: train, score, and measure what it takes."""

import sys
import time
import traceback
from typing import NamedTuple

import numpy as np
import psutil
from sklearn.base import clone

from skasd._problems import first_ten
from skasd.metrics import anomaly_predictions, find_threshold


class MachineRun(NamedTuple):
    """Scores, time and memory of training and scoring on one machine.

    Parameters
    ----------
    anomaly_score : ndarray of shape (n_test,)
        Higher = more anomalous.

    threshold : float
        Clips with a higher anomaly score are alarms.

    n_train : int
        Number of training clips.

    fit_seconds : float
        Time for `fit`.

    score_seconds : float
        Time for scoring.

    peak_memory : int
        Peak memory of the process until then, in bytes, other work of the same process included.

    peak_gpu_memory : int
        Peak memory of torch on its current CUDA device, in bytes; 0 without one.

    shared_seconds : float, default=0.0
        Time for fitting the steps that all machines share, once for all of them; not part of `fit_seconds`.

    See Also
    --------
    Evaluation : Has one for each machine in ``runs``.

    Examples
    --------
    >>> import numpy as np
    >>> from skasd.evaluation import MachineRun
    >>> run = MachineRun(np.zeros(200), 0.5, n_train=1000, fit_seconds=60.0, score_seconds=4.0, peak_memory=2**30,
    ...                  peak_gpu_memory=0)
    >>> len(run.anomaly_score) / run.score_seconds  # clips per second
    50.0
    """

    anomaly_score: np.ndarray
    threshold: float
    n_train: int
    fit_seconds: float
    score_seconds: float
    peak_memory: int
    peak_gpu_memory: int
    shared_seconds: float = 0.0

    def costs(self):
        """What training and scoring took.

        Returns
        -------
        costs : dict of str to float
            By the names of the columns in tables.
        """
        shared = {"shared fit seconds": self.shared_seconds} if self.shared_seconds else {}
        return {
            "training clips": self.n_train,
            "test clips": len(self.anomaly_score),
            "fit seconds": self.fit_seconds,
            "score seconds": self.score_seconds,
            "clips scored per second": len(self.anomaly_score) / max(self.score_seconds, 1e-9),
            "peak memory MiB": self.peak_memory / 2**20,
            "peak GPU memory MiB": self.peak_gpu_memory / 2**20,
            **shared,
        }


class Failure(NamedTuple):
    """Why there are no results for a machine.

    Parameters
    ----------
    error : str
        Kind and message of the error.

    traceback : str
        Where it was raised.

    See Also
    --------
    Evaluation : Has one for each machine that failed in ``failures``.

    Examples
    --------
    >>> from skasd.evaluation import Failure
    >>> Failure.of(ValueError("no clips")).error
    'ValueError: no clips'
    """

    error: str
    traceback: str

    @classmethod
    def of(cls, error):
        """What is kept of an exception, so that it goes through any pipe.

        Parameters
        ----------
        error : Exception
            The exception.

        Returns
        -------
        failure : Failure
        """
        return cls("".join(traceback.format_exception_only(error)).strip(), "".join(traceback.format_exception(error)))


def attempt_machine(machine, system, train, test):
    """The machine's name with its `MachineRun`, or with the `Failure`."""
    try:
        return machine, run_machine(system, train, test)
    except Exception as error:
        return machine, Failure.of(error)


def run_machine(system, train, test):
    """Fit a clone of the system to the training clips, and score the test clips."""
    if _cuda() is not None:
        _cuda().reset_peak_memory_stats()
    start = time.perf_counter()
    system = clone(system).fit(train)
    trained = time.perf_counter()
    # The metrics' function turns the sign of scores; it asks for labels, which play no part in this.
    _, anomaly_score = anomaly_predictions(system, test, np.ones(len(test), dtype=int))
    scored = time.perf_counter()
    _check_scores(anomaly_score, test)
    threshold = -find_threshold(system, test, -anomaly_score)
    if not np.isfinite(threshold):
        raise ValueError(f"The threshold of the system is {threshold}: its decision_function must give finite numbers.")
    return MachineRun(
        anomaly_score=np.asarray(anomaly_score, dtype=float),
        threshold=threshold,
        n_train=len(train),
        fit_seconds=trained - start,
        score_seconds=scored - trained,
        peak_memory=_peak_memory(),
        peak_gpu_memory=_cuda().max_memory_allocated() if _cuda() is not None else 0,
    )


def _check_scores(scores, test):
    if scores.shape != (len(test),):
        raise ValueError(f"score_samples must give one score per clip, shape ({len(test)},); got shape {scores.shape}.")
    wrong = np.flatnonzero(~np.isfinite(scores))
    if wrong.size:
        names = test["path"][wrong] if "path" in test else wrong
        raise ValueError(f"{wrong.size} of {len(test)} clips have a score that is NaN or infinite: "
                         f"{first_ten(names.tolist(), ', ')}.")  # fmt: skip


def _peak_memory():
    """Most memory that this process has ever had, in bytes."""
    memory = psutil.Process().memory_info()
    if hasattr(memory, "peak_wset"):  # Windows
        return memory.peak_wset
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def _cuda():
    """torch.cuda where it is in use already; torch is not loaded for this."""
    torch = sys.modules.get("torch")
    return torch.cuda if torch is not None and torch.cuda.is_initialized() else None
