"""What happens to clips: the default pipeline, and which steps of a pipeline learn nothing from them."""

from sklearn.base import clone
from sklearn.pipeline import Pipeline

from skasd.audio import AudioLoader, LevelNormalizer
from skasd.detectors import MahalanobisDetector
from skasd.embedders import StatisticsEmbedder
from skasd.features import FrameStacker, LogMelSpectrogram, LogSTFT

_BY_RULE = (AudioLoader, FrameStacker, LevelNormalizer, LogMelSpectrogram, LogSTFT, StatisticsEmbedder)


def statistics_pipeline(*, n_mels=32, hop_length=256, n_jobs=None):
    """Statistics of a log-mel spectrogram with few bands and short steps, and a Gaussian.

    It is the default of `RecordingDetector`. It learns in seconds, and finds steady faults by the mean of each band,
    and short ones by its maximum and roughness.

    Parameters
    ----------
    n_mels : int, default=32
        Number of mel bands. With many bands, each has little of a click, which contains all frequencies at once.

    hop_length : int, default=256
        Samples from one frame to the next; a frame has 1024 samples.

    n_jobs : int, default=None
        Number of threads that compute spectrograms.

    Returns
    -------
    pipeline : Pipeline
        Unfitted, with the steps ``log_mel``, ``embedder`` and ``detector``.

    See Also
    --------
    RecordingDetector : Applies it to recordings of any length.
    skasd.systems.statistics_ensemble : Statistics of more bands, scored in three ways.

    Examples
    --------
    >>> from skasd.monitoring import statistics_pipeline
    >>> list(statistics_pipeline().named_steps)
    ['log_mel', 'embedder', 'detector']
    """
    steps = [
        ("log_mel", LogMelSpectrogram(n_mels=n_mels, hop_length=hop_length, n_jobs=n_jobs)),
        ("embedder", StatisticsEmbedder()),
        ("detector", MahalanobisDetector()),
    ]
    return Pipeline(steps)


def prepared(estimator, sample_rate):
    """A clone of the estimator as a pipeline, whose steps have the sample rate in Hz of waveforms to come."""
    pipeline = clone(statistics_pipeline() if estimator is None else estimator)
    if not isinstance(pipeline, Pipeline):
        pipeline = Pipeline([("detector", pipeline)])
    rates = [name for name in pipeline.get_params() if name.rpartition("__")[2] == "sample_rate"]
    return pipeline.set_params(**dict.fromkeys(rates, sample_rate))


def n_steps_by_rule(steps):
    """How many of the first steps learn nothing from clips, so that they can be taken recording by recording."""
    return next((n for n, step in enumerate(steps) if not isinstance(step, _BY_RULE)), len(steps))
