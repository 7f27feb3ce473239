"""Pictures of clips and scores, in the style of scikit-learn's displays.

Conventions
-----------
- A display holds the numbers that it shows; its class methods compute and draw them, `plot` draws them again.
- Drawing leaves what was drawn in attributes: ``ax_``, ``figure_`` and the artists.
- Normal is blue and anomalous is orange, from Okabe and Ito's palette, which colour-blind people can distinguish. Text
  and axes keep matplotlib's own colours, so that dark styles work.
- matplotlib (``pip install skasd[plot]``) is loaded when something is drawn, not before.
"""

from skasd.plotting._anomaly_map import AnomalyMapDisplay
from skasd.plotting._embedding import EmbeddingDisplay
from skasd.plotting._histogram import ScoreHistogramDisplay
from skasd.plotting._roc import PartialROCDisplay
from skasd.plotting._spectrogram import SpectrogramDisplay
from skasd.plotting._training_history import TrainingHistoryDisplay

__all__ = [
    "AnomalyMapDisplay",
    "EmbeddingDisplay",
    "PartialROCDisplay",
    "ScoreHistogramDisplay",
    "SpectrogramDisplay",
    "TrainingHistoryDisplay",
]
