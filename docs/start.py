from sklearn.pipeline import make_pipeline

from skasd import audio, datasets, detectors, embedders, features, plotting

train, test = datasets.load_motors(split="train"), datasets.load_motors(split="test")
detector = make_pipeline(
    audio.LevelNormalizer(),
    features.LogMelSpectrogram(n_mels=64),
    embedders.StatisticsEmbedder(),
    detectors.MahalanobisDetector(),
)
scores = detector.fit(train).score_samples(test)  # higher = more normal

plotting.ScoreHistogramDisplay.from_predictions(test["label"], scores)
plotting.PartialROCDisplay.from_estimator(detector, test)
