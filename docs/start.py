from sklearn.pipeline import make_pipeline

from skasd import audio, datasets, detectors, embedders, features, plotting

motors = datasets.load_motors(training_speeds=(), duration=2.0).without("recording")
healthy, damaged = motors[motors["label"] == 1], motors[motors["label"] == -1]
detector = make_pipeline(
    audio.LevelNormalizer(),
    features.LogMelSpectrogram(n_mels=64, hop_length=256),
    embedders.StatisticsEmbedder(),
    detectors.MahalanobisDetector(contamination=0.05),  # share of false alarms
)
detector.fit(healthy[healthy["start"] < 6])  # the first seconds of each recording

test = motors[motors["start"] == 8]  # the last ones, healthy and damaged
margin = detector.decision_function(test)  # below 0: an alarm
plotting.ScoreHistogramDisplay.from_predictions(test["label"], margin, threshold=0)
plotting.AnomalyMapDisplay.from_estimator(
    detector, damaged[damaged["start"] == 8], 9, reference=healthy, patch_shape=(8, 8)
)
