"""How well anomaly scores separate anomalous clips from normal ones.

Conventions
-----------
- Functions that take ``y_true`` and ``y_score`` follow `sklearn.metrics.roc_auc_score`: ``y_true`` is 1 for anomalous
  and 0 for normal clips, and a higher ``y_score`` means more anomalous.
- Scorers take ``(estimator, X, y)`` with scikit-learn's outlier labels, +1 normal and -1 anomalous, and an estimator
  whose ``score_samples`` is higher for more normal clips. `anomaly_predictions` converts from these to the former.
- A section is one machine in one setting; scores of different sections are never ranked against each other.
- All metrics lie between 0 and 1, 0.5 is chance. The partial AUC is standardised after McClish [1]_: chance is 0.5 and
  the lowest value is ``0.5 * (1 - max_fpr / (2 - max_fpr))``, 0.474 for ``max_fpr=0.1``.

Metrics
-------
`auc_score`, `pauc_score`, `domain_scores`, `official_score`, with intervals from `bootstrap_interval`; for
``GridSearchCV(scoring=...)`` and ``cross_validate(scoring=...)`` `auc_scorer`, `pauc_scorer`, `official_scorer`, and
`PseudoAnomalyScorer` if there are no labels.

References
----------
.. [1] D. K. McClish, "Analyzing a portion of the ROC curve", Medical Decision Making 9(3), 1989.
"""

from skasd.metrics._bootstrap import (
    BootstrapInterval,
    bootstrap_interval,
    draw_counts,
    group_numbers,
    interval_of,
    resampled_pauc,
    resampling_units,
)
from skasd.metrics._official import PROTOCOL, YEAR, DomainScores, Rules, domain_scores, official_score
from skasd.metrics._pseudo import PseudoAnomalyScorer
from skasd.metrics._scorers import anomaly_predictions, auc_scorer, find_threshold, official_scorer, pauc_scorer
from skasd.metrics._scores import MAX_FPR, auc_score, kinds_of, pauc_score

__all__ = [
    "BootstrapInterval",
    "DomainScores",
    "PseudoAnomalyScorer",
    "Rules",
    "anomaly_predictions",
    "auc_score",
    "auc_scorer",
    "bootstrap_interval",
    "domain_scores",
    "official_score",
    "official_scorer",
    "pauc_score",
    "pauc_scorer",
]
