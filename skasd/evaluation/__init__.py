"""Evaluation of a system on the machines of a data set: official scores, time and memory, and submission files.

Conventions
-----------
- Anomaly scores are higher for more anomalous clips here, as in the challenge's files: the negative of
  ``score_samples``.
- Figures (scores and metrics) are between 0 and 1; tables for people show them in percent.
- Intervals cover 95 %, and come from resampled test clips.
- If a machine failed, or its labels are unknown, it is named in place of the official score of all machines.
"""

from skasd.evaluation._evaluate import evaluate
from skasd.evaluation._evaluation import Evaluation
from skasd.evaluation._figures import Figure
from skasd.evaluation._run import Failure, MachineRun
from skasd.evaluation._seeds import Difference, RepeatedEvaluation
from skasd.evaluation._submission import read_submission, write_submission

__all__ = [
    "Difference",
    "Evaluation",
    "Failure",
    "Figure",
    "MachineRun",
    "RepeatedEvaluation",
    "evaluate",
    "read_submission",
    "write_submission",
]
