"""A system over the machines of a data set: figures as the challenge counts them, what it took, files to hand in.

Conventions
-----------
- Anomaly scores are higher for more anomalous clips here, as in the challenge's files: minus ``score_samples``.
- Figures lie between 0 and 1; tables for people have them in percent.
- Intervals cover 95 %, and come from resampled test clips.
- A machine that failed, or whose labels are unknown, is named wherever an official score of all machines would stand.
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
