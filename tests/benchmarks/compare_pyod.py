"""PyOD's audio detectors and skasd on the motors that come with the package: `python tests/benchmarks/compare_pyod.py`.

It needs `pip install "pyod[audio]"`. Both learn from the same healthy clips of one second, all brought to one level,
and rank the same test clips; each motor has a detector of its own.
"""

import numpy as np
from sklearn.pipeline import make_pipeline

import skasd
from skasd.audio import LevelNormalizer
from skasd.datasets import load_motors
from skasd.metrics import auc_score, auc_scorer
from skasd.systems import bandwise_ensemble, statistics_ensemble

TASKS = {
    "propeller": [{"motor": motor} for motor in ("M1", "M2")],
    "bearing": [{"fault": "bearing", "held_out": motor} for motor in ("M1", "M2", "M3")],
}
SPLITS = ("train", "test")


def pyod_auc(train, test, quality):
    """AUC of PyOD's handcrafted features and the detector of a preset."""
    from pyod.models.embedding import EmbeddingOD  # which nothing else here needs

    to_pairs = [[(waveform, 16000) for waveform in clips["waveform"]] for clips in (train, test)]
    detector = EmbeddingOD.for_audio(quality=quality).fit(to_pairs[0])
    return auc_score(test["label"] == -1, detector.decision_function(to_pairs[1]))


def skasd_auc(train, test, make_system):
    return auc_scorer(make_system().fit(train), test)


def main():
    ways = {f'PyOD, EmbeddingOD.for_audio("{name}")': (pyod_auc, name) for name in ("fast", "balanced")}
    ways |= {f"skasd, {make.__name__}": (skasd_auc, make) for make in (statistics_ensemble, bandwise_ensemble)}
    print("| AUC in percent | propeller | bearing |\n|---|---:|---:|")
    level = make_pipeline(LevelNormalizer())
    for name, (measure, choice) in ways.items():
        means = []
        for tasks in TASKS.values():
            splits = [
                [level.fit_transform(load_motors(**task, split=part)) for part in ("train", "test")] for task in tasks
            ]
            means.append(np.mean([measure(*split, choice) for split in splits]))
        print(f"| {name} | " + " | ".join(f"{100 * mean:.1f}" for mean in means) + " |", flush=True)
    print(f"skasd {skasd.__version__}")


if __name__ == "__main__":
    main()
