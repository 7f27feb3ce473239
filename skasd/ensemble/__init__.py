"""Several systems at once: their scores combined, or the best of them chosen for each machine.

Conventions
-----------
- Scores are higher for more normal clips, of the members and of the ensemble.
- The scales of the scores come from training clips alone. A choice between systems needs a scorer, usually with
  labelled development clips, and the result says what each candidate reached.
"""

from skasd.ensemble._score_ensemble import ScoreEnsemble
from skasd.ensemble._selection import SystemSelection, select_systems

__all__ = ["ScoreEnsemble", "SystemSelection", "select_systems"]
