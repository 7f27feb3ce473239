"""Nearest neighbours, found separately in each band."""

import numpy as np
from sklearn.pipeline import Pipeline, make_pipeline

from skasd.detectors import GaussianMixtureDetector, NearestNeighborsDetector
from skasd.embedders import StatisticsEmbedder
from skasd.ensemble import ScoreEnsemble
from skasd.features import LogMelSpectrogram

_N_MELS, _N_GROUPS = 64, 16


def bandwise_neighbors(*, n_jobs=None):
    """Nearest normal clips, separately in each band: no network, and a strong baseline.

    Mean, maximum and roughness of 64 log-mel bands summarise a clip. In each of 16 groups of neighbouring bands, the
    nearest normal clip is found separately, and its distance is divided by the distance from that clip to its own
    nearest neighbour; the mean over the groups is the score. So a clip may be like one normal clip at low frequencies
    and like another at high ones, and clips of a noisier or rarer domain may be farther apart.

    Parameters
    ----------
    n_jobs : int or None, default=None
        Number of threads that compute spectrograms.

    Returns
    -------
    system : Pipeline
        Unfitted. It needs only the field ``waveform`` or ``path``, and uses ``section``, ``domain`` and ``recording``
        if they are there.

    See Also
    --------
    bandwise_ensemble : Adds a Gaussian of loud frames, for domains that sound different.

    Notes
    -----
    The authors of [1]_ match bands, too. Distances in units of standard deviations, their division by the local density
    [2]_ and the statistics are ours. The numbers of groups and of local neighbours were chosen with the slide rails of
    MIMII, a domain shift simulated with them, and the motors that come with the package in view.

    References
    ----------
    .. [1] Sub-band spectral matching, 2026, https://arxiv.org/abs/2603.13749.
    .. [2] K. Wilkinghoff et al., "Keeping the balance: anomaly score calculation for domain generalization", ICASSP
       2025.

    Examples
    --------
    >>> from skasd.systems import bandwise_neighbors
    >>> groups = bandwise_neighbors()["detector"].feature_groups
    >>> len(groups), groups["bands0"].tolist()
    (16, [0, 1, 2, 3, 64, 65, 66, 67, 128, 129, 130, 131])
    """
    log_mel = LogMelSpectrogram(n_mels=_N_MELS, n_jobs=n_jobs)
    return Pipeline([("log_mel", log_mel), *_by_band()])


def bandwise_ensemble(*, n_jobs=None, random_state=None):
    """Nearest clips in each band and a Gaussian of the loud frames: for domain shifts, without training a network.

    The score is the mean of two, each in units of its scores of training clips that it has not learned from: that of
    `bandwise_neighbors`, and that of a Gaussian of rank-pooled bands, for which clips of the target domain are
    oversampled by SMOTE to a fifth of the source clips, as in `rank_pooled_gmm`.

    Parameters
    ----------
    n_jobs : int or None, default=None
        Number of threads that compute spectrograms.

    random_state : int, RandomState instance or None, default=None
        Randomness of SMOTE and of the mixture.

    Returns
    -------
    system : Pipeline
        Unfitted. It needs only the field ``waveform`` or ``path``, and uses ``section``, ``domain`` and ``recording``
        if they are there.

    Notes
    -----
    Chosen with the slide rails of MIMII, the motors that come with the package, and a domain shift simulated with the
    slide rails in view.

    Examples
    --------
    >>> from skasd.systems import bandwise_ensemble
    >>> [name for name, member in bandwise_ensemble()["detector"].estimators]
    ['density', 'bands']
    """
    log_mel = LogMelSpectrogram(n_mels=_N_MELS, n_jobs=n_jobs)
    return Pipeline([("log_mel", log_mel), ("detector", ScoreEnsemble(bandwise_members(random_state)))])


def bandwise_members(random_state):
    """The two of the ensemble: names and detectors of log-mel spectrograms of 64 bands."""
    density = GaussianMixtureDetector(density="component", target_ratio=0.2, random_state=random_state)
    return [
        ("density", make_pipeline(StatisticsEmbedder(statistics=("rank",), decay=0.95), density)),
        ("bands", Pipeline(_by_band())),
    ]


def _by_band():
    """The steps behind the spectrogram: statistics, and the nearest clips in each group of bands."""
    embedder = StatisticsEmbedder(statistics=("mean", "max", "diff"))
    columns = np.arange(len(embedder.statistics) * _N_MELS).reshape(len(embedder.statistics), _N_GROUPS, -1)
    groups = {f"bands{group}": columns[:, group].ravel() for group in range(_N_GROUPS)}
    detector = NearestNeighborsDetector(normalization="local_density", n_local_neighbors=1, feature_groups=groups)
    return [("embedder", embedder), ("detector", detector)]
