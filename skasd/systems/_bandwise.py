"""Nearest neighbours, looked for in each band by itself."""

import numpy as np
from sklearn.pipeline import Pipeline

from skasd.detectors import NearestNeighborsDetector
from skasd.embedders import StatisticsEmbedder
from skasd.features import LogMelSpectrogram

_N_MELS, _N_GROUPS = 64, 16


def bandwise_neighbors(*, n_jobs=None):
    """Nearest normal clips in each band by itself: no network, and a hard reference to beat under a domain shift.

    Mean, maximum and roughness of 64 log-mel bands sum a clip up. In each of 16 groups of neighbouring bands the
    nearest normal clip is looked for by itself, its distance is divided by that from there to the next, and the mean
    over the groups is the score. So a clip may be like one normal clip at low and like another at high frequencies, and
    clips of a noisier or rarer domain may lie farther apart.

    Parameters
    ----------
    n_jobs : int or None, default=None
        Number of threads that make spectrograms.

    Returns
    -------
    system : Pipeline
        Unfitted. It needs no fields but ``waveform`` or ``path``, and uses ``section``, ``domain`` and ``recording``
        where they are there.

    Notes
    -----
    The authors of [1]_ look for neighbours in the bands of a frozen network, or of a spectrogram, by cosine. Distances
    in units of standard deviations, their division by the local density [2]_ and the statistics are ours.

    References
    ----------
    .. [1] P. Saengthong and T. Shinozaki, "Sub-band spectral matching with localized score aggregation for robust
       anomalous sound detection", 2026, https://arxiv.org/abs/2603.13749.
    .. [2] K. Wilkinghoff et al., "Keeping the balance: anomaly score calculation for domain generalization", ICASSP
       2025.

    Examples
    --------
    >>> from skasd.systems import bandwise_neighbors
    >>> groups = bandwise_neighbors()["detector"].feature_groups
    >>> len(groups), groups["bands0"].tolist()
    (16, [0, 1, 2, 3, 64, 65, 66, 67, 128, 129, 130, 131])
    """
    embedder = StatisticsEmbedder(statistics=("mean", "max", "diff"))
    columns = np.arange(len(embedder.statistics) * _N_MELS).reshape(len(embedder.statistics), _N_GROUPS, -1)
    groups = {f"bands{group}": columns[:, group].ravel() for group in range(_N_GROUPS)}
    detector = NearestNeighborsDetector(normalization="local_density", n_local_neighbors=1, feature_groups=groups)
    return Pipeline(
        [("log_mel", LogMelSpectrogram(n_mels=_N_MELS, n_jobs=n_jobs)), ("embedder", embedder), ("detector", detector)]
    )
