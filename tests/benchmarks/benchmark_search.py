"""What a search over detectors costs beside its parts: `python tests/benchmarks/benchmark_search.py`.

Twenty detectors, with the features made anew for each (a search over pipelines), kept by ``memory=``, and made once (a
search as the last step of a pipeline), each beside making the features once and searching over detectors of these.
A last line is one clip at a time through a fitted pipeline, beside its share in a batch.
"""

import argparse
import tempfile
import time

import numpy as np
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from skasd.clips import Clips
from skasd.detectors import MahalanobisDetector
from skasd.embedders import StatisticsEmbedder
from skasd.features import LogMelSpectrogram
from skasd.metrics import auc_scorer
from skasd.model_selection import NormalOnlyKFold

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def search(estimator, name=""):
    grid = {f"{name}contamination": np.linspace(0.01, 0.4, 20)}
    return GridSearchCV(estimator, grid, scoring=auc_scorer, cv=NormalOnlyKFold(3), refit=False)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: computing time, where others compute too")
    options = parser.parse_args()
    clock, rng = CLOCKS[options.clock], np.random.default_rng(0)

    def seconds(call):
        start = clock()
        call()
        return clock() - start

    waveform = rng.normal(0, 0.1, (options.clips, 160_000)).astype(np.float32)
    clips = Clips(waveform=waveform, label=np.where(np.arange(options.clips) % 5, 1, -1)).with_attrs(sample_rate=16000)
    features = make_pipeline(LogMelSpectrogram(), StatisticsEmbedder())
    embedded = features.fit_transform(clips)
    made = seconds(lambda: features.fit_transform(clips))
    alone = made + seconds(lambda: search(MahalanobisDetector()).fit(embedded, clips["label"]))
    with tempfile.TemporaryDirectory() as folder:
        steps = LogMelSpectrogram(), StatisticsEmbedder(), MahalanobisDetector()
        name = "mahalanobisdetector__"
        rows = {
            "features anew": lambda: search(make_pipeline(*steps), name).fit(clips, clips["label"]),
            "memory=": lambda: search(make_pipeline(*steps, memory=folder), name).fit(clips, clips["label"]),
            "search as last step": lambda: make_pipeline(*steps[:2], search(steps[2])).fit(clips, clips["label"]),
        }
        print(f"{options.clips} clips, {options.clock} clock; features {made:.2f} s, with the detectors {alone:.2f} s")
        for way, call in rows.items():
            spent = seconds(call)
            print(f"{way:<24}{spent:>8.2f} s{spent / alone:>8.2f}")
    system = make_pipeline(*steps).fit(clips)
    one = np.median([seconds(lambda row=row: system.score_samples(clips[row : row + 1])) for row in range(30)])
    share = np.median([seconds(lambda: system.score_samples(clips)) for _ in range(5)]) / options.clips
    print(f"one clip {1e3 * one:.2f} ms, its share in a batch {1e3 * share:.2f} ms, ratio {one / share:.2f}")


if __name__ == "__main__":
    main()
