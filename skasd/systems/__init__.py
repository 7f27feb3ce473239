"""Whole systems, most of them published, each as a short function that returns an unfitted pipeline.

Conventions
-----------
- A system learns one machine from `Clips` with the field ``waveform`` or ``path`` at 16 kHz, and ``section``; its notes
  say what else it uses in `fit` (``domain``, ``attribute``). Scores are higher for more normal clips.
- The steps, if a system has them, are called ``log_mel``, ``frames``, ``embedder`` and ``detector``:
  ``system.set_params(detector__contamination=0.05)``, and the same names in `GridSearchCV`.
- ``preset="full"`` is the published size, ``"small"`` suits a laptop's CPU.
- `statistics_ensemble` is the one to begin with: it trains no network and needs no choices.
- Neither report gives everything that is needed to build its systems. The notes of each system say what is open, and
  what was chosen here.

References
----------
.. [S1] G. Liu, Y. Liu, S. Cai and M. Chen, "Unsupervised anomalous sound detection under domain shift conditions based
   on MobileFaceNets and masked autoregressive flow", DCASE2022 Challenge, technical report, 2022.
.. [S2] H. Narita and A. Tamamori, "CNN-based anomalous sound detection system for domain generalization", DCASE2022
   Challenge, technical report, 2022.
.. [B] K. Dohi et al., "Description and discussion on DCASE 2022 challenge task 2", DCASE 2022 Workshop,
   https://arxiv.org/abs/2206.05876.
"""

from skasd.systems._bandwise import bandwise_ensemble, bandwise_neighbors
from skasd.systems._baselines import autoencoder_baseline, mobilenet_v2_baseline
from skasd.systems._discriminative import multi_resolution, spectrogram_resnet
from skasd.systems._liu import liu_ensemble, masked_autoregressive_flow, mobilefacenet_arcface
from skasd.systems._narita import cnn_global, cnn_local, cnn_oe, narita_ensemble
from skasd.systems._pretrained import audioset_mobilenet, audioset_statistics_ensemble, imagenet_efficientnet
from skasd.systems._rank_pooling import rank_pooled_gmm
from skasd.systems._statistics import statistics_ensemble

__all__ = [
    "audioset_mobilenet",
    "audioset_statistics_ensemble",
    "autoencoder_baseline",
    "bandwise_ensemble",
    "bandwise_neighbors",
    "cnn_global",
    "cnn_local",
    "cnn_oe",
    "imagenet_efficientnet",
    "liu_ensemble",
    "masked_autoregressive_flow",
    "mobilefacenet_arcface",
    "mobilenet_v2_baseline",
    "multi_resolution",
    "narita_ensemble",
    "rank_pooled_gmm",
    "spectrogram_resnet",
    "statistics_ensemble",
]
