from sklearn.pipeline import make_pipeline

from skasd import audio, datasets, detectors, embedders, features, plotting

motors = datasets.load_motors(training_speeds=(), duration=2.0).without("recording")
train = motors[
    (motors["label"] == 1) & (motors["start"] < 6)
]  # healthy, the first six seconds at each speed
test = motors[motors["start"] == 8]  # healthy and damaged, two seconds later
detector = make_pipeline(
    audio.LevelNormalizer(),
    features.LogMelSpectrogram(n_mels=64, hop_length=256),
    embedders.StatisticsEmbedder(),
    detectors.MahalanobisDetector(
        contamination=0.05
    ),  # a false alarm for one healthy clip in twenty
)
margin = detector.fit(train).decision_function(test)  # below 0: an alarm

damaged = test[test["label"] == -1]
plotting.AnomalyMapDisplay.from_estimator(
    detector, damaged, 9, reference=train, patch_shape=(8, 8)
)
plotting.ScoreHistogramDisplay.from_predictions(test["label"], margin, threshold=0)
