"""The untrained reference."""

from sklearn.pipeline import Pipeline

from skasd.detectors import GaussianMixtureDetector
from skasd.embedders import StatisticsEmbedder
from skasd.features import LogMelSpectrogram


def rank_pooled_gmm(*, decay=0.95, random_state=None):
    """Rank-pooled log-mel spectrogram and one Gaussian per section: no network, and a strong baseline.

    The frames of each band are sorted from loud to quiet and averaged with weights that decay along the ranks; one
    Gaussian per section is fitted to these vectors, after clips of the target domain have been oversampled by SMOTE to
    a fifth of the source clips.

    Parameters
    ----------
    decay : float, default=0.95
        How fast the weights decay, in [0, 1]: 1 takes the mean, 0 the maximum. Its authors choose it for each machine;
        `GridSearchCV` can do that here, with ``embedder__decay``.

    random_state : int, RandomState instance or None, default=None
        Randomness of SMOTE and of the mixture.

    Returns
    -------
    system : Pipeline
        Unfitted. SMOTE reads the field ``domain``, if there is one.

    References
    ----------
    .. [1] J. Guan et al., "Time-weighted frequency domain audio representation with GMM estimator for anomalous sound
       detection", ICASSP 2023, https://arxiv.org/abs/2305.03328.

    Examples
    --------
    >>> from skasd.systems import rank_pooled_gmm
    >>> rank_pooled_gmm()["detector"].target_ratio
    0.2
    """
    detector = GaussianMixtureDetector(density="component", target_ratio=0.2, random_state=random_state)
    return Pipeline(
        [
            ("log_mel", LogMelSpectrogram()),
            ("embedder", StatisticsEmbedder(statistics=("rank",), decay=decay)),
            ("detector", detector),
        ]
    )
