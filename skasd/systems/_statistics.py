"""The default: statistics of the log-mel spectrogram, scored in three ways."""

from sklearn.pipeline import Pipeline, make_pipeline

from skasd.detectors import MahalanobisDetector, NearestNeighborsDetector
from skasd.embedders import StatisticsEmbedder
from skasd.ensemble import ScoreEnsemble
from skasd.features import LogMelSpectrogram


def statistics_ensemble(*, n_jobs=None):
    """Statistics of the log-mel spectrogram, scored in three ways: where to begin, without training a network.

    Faults may be steady or short, and you do not know which in advance. Mean, maximum and roughness of each band are
    scored by a Gaussian and by the distance to the nearest normal clips, divided by the local density; the means alone,
    which show steady faults best, by another Gaussian. The score is the mean of the three, each scaled by its scores of
    training clips that it has not learned from.

    Parameters
    ----------
    n_jobs : int or None, default=None
        Number of threads that compute spectrograms.

    Returns
    -------
    system : Pipeline
        Unfitted. It needs only the field ``waveform`` or ``path``, and uses ``section`` and ``recording`` if they are
        there.

    Notes
    -----
    Statistics, bands, detectors and their combination were chosen together, on two of the four slide rails of MIMII, on
    the motors that come with the package, and on steady and short sounds that were added to normal clips of both. It
    needs about ten clips of each section, from at least two recordings if these are known. Training clips are scored in
    20 parts, since a clip unlike all others, such as a silent one, spoils the scores of its part.

    Examples
    --------
    >>> from skasd.datasets import load_motors
    >>> from skasd.metrics import auc_scorer
    >>> from skasd.systems import statistics_ensemble
    >>> system = statistics_ensemble().fit(load_motors(motor="M2", split="train", fault="propeller"))
    >>> [name for name, member in system["detector"].estimators]
    ['gaussian', 'neighbors', 'steady']
    """
    return Pipeline(
        [
            ("log_mel", LogMelSpectrogram(n_mels=64, n_jobs=n_jobs)),
            ("detector", ScoreEnsemble(_members(), cv=20)),
        ]
    )


def _members():
    """Names and detectors of log-mel spectrograms: the three ways."""
    return [
        ("gaussian", make_pipeline(StatisticsEmbedder(), MahalanobisDetector())),
        (
            "neighbors",
            make_pipeline(
                StatisticsEmbedder(), NearestNeighborsDetector(normalization="local_density", n_local_neighbors=8)
            ),
        ),
        ("steady", make_pipeline(StatisticsEmbedder(statistics=("mean",)), MahalanobisDetector())),
    ]
