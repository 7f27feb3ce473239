"""Several systems at once: their scores brought together, or the best of them chosen for each machine.

Conventions
-----------
- Scores are higher for more normal clips, of the members and of the ensemble.
- What brings scores to one scale comes from training clips alone. A choice between systems needs labelled development
  clips and a scorer, both given by the user, and the result says what each candidate reached.
"""

from skasd.ensemble._score_ensemble import ScoreEnsemble
from skasd.ensemble._selection import SystemSelection, select_systems

__all__ = ["ScoreEnsemble", "SystemSelection", "select_systems"]
