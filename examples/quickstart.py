"""From recordings of real motors to scores, tuned and saved, with a picture: `python examples/quickstart.py`.

1. Tune a pipeline on motor M1: it learns from healthy recordings at four speeds, and is judged by the partial AUC on
   healthy and faulty recordings at speeds that it has not heard.
2. Save it, load it, and score M1 once more.
3. Let the chosen pipeline learn other motors from their healthy recordings alone, and measure it there, with the
   levels as recorded and with all clips brought to one level.
"""

import argparse
import time
from pathlib import Path

import joblib
import matplotlib
import numpy as np
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from skasd.audio import LevelNormalizer
from skasd.datasets import load_motors
from skasd.detectors import (
    GaussianMixtureDetector,
    LocalOutlierFactorDetector,
    MahalanobisDetector,
    NearestNeighborsDetector,
)
from skasd.embedders import StatisticsEmbedder
from skasd.features import LogMelSpectrogram
from skasd.metrics import anomaly_predictions, auc_score, bootstrap_interval, pauc_score, pauc_scorer
from skasd.model_selection import DevelopmentSplit
from skasd.plotting import PartialROCDisplay, ScoreHistogramDisplay, SpectrogramDisplay

STATISTICS = [("mean", "max", "diff"), ("mean",), ("rank",)]
GRID = [
    {"embedder__statistics": STATISTICS, "detector": [detector], **choices}
    for detector, choices in [
        (MahalanobisDetector(), {"detector__covariance": ["ledoit_wolf", "oas"]}),
        (GaussianMixtureDetector(covariance_type="diag", random_state=0), {"detector__n_components": [1, 2, 4]}),
        (LocalOutlierFactorDetector(), {"detector__n_neighbors": [5, 10, 20]}),
        (NearestNeighborsDetector(), {"detector__n_neighbors": [1, 4]}),
    ]
]
MEASURED = [
    ("propeller, motor M2, speeds not heard in training", {"fault": "propeller", "motor": "M2"}),
    ("bearing, motor M4, a motor not heard in training *", {"fault": "bearing"}),
]


def make_pipeline(level):
    return Pipeline(
        [
            ("level", level),
            ("log_mel", LogMelSpectrogram(n_mels=64)),
            ("embedder", StatisticsEmbedder()),
            ("detector", MahalanobisDetector()),
        ]
    )


def tune(clips):
    """The pipeline that ranks the development clips best; levels are normalised, so that loudness is no hint."""
    search = GridSearchCV(
        make_pipeline(LevelNormalizer()),
        GRID,
        scoring=pauc_scorer,
        cv=DevelopmentSplit(),
        n_jobs=2,
        verbose=1,
        error_score="raise",
    )
    search.fit(clips, clips["label"])
    print(f"  best partial AUC {search.best_score_:.3f} with {search.best_params_}")
    return search.best_estimator_


def measure(system, clips):
    """How well the scores rank the clips, beside loudness alone, and what the threshold does."""
    y_true, y_score = anomaly_predictions(system, clips)
    auc = bootstrap_interval(auc_score, y_true, y_score, groups=clips["recording"], random_state=0)
    loudness = np.mean(np.square(clips["waveform"], dtype=np.float64), axis=1)
    alarms = system.predict(clips) == -1
    return (
        f"{auc.value:.3f} [{auc.low:.3f}, {auc.high:.3f}]",
        f"{pauc_score(y_true, y_score):.3f}",
        f"{auc_score(y_true, loudness):.3f}",
        f"{alarms[y_true == 1].mean():.0%}",
        f"{alarms[y_true == 0].mean():.0%}",
        f"{len(clips)} ({len(np.unique(clips['recording']))})",
    )


def print_table(pipeline):
    """Fit and measure on each task and level; the fitted systems by task and level."""
    row, systems = "  {:<52}{:<13}{:<22}{:<7}{:<14}{:<7}{:<14}{}".format, {}
    print(
        row("fault", "levels", "AUC [95 % interval]", "pAUC", "loudness AUC", "found", "false alarms", "clips (rec.)")
    )
    for name, task in MEASURED:
        train, test = load_motors(**task, split="train"), load_motors(**task, split="test")
        for level_name, level in [("as recorded", "passthrough"), ("normalised", LevelNormalizer())]:
            system = systems[name, level_name] = clone(pipeline).set_params(level=level).fit(train)
            print(row(name, level_name, *measure(system, test)), flush=True)
    print("  The interval draws whole recordings, of which there are few. The threshold comes from the training clips:")
    print("  false alarms say what becomes of it at speeds or on motors that training has not heard.")
    print("  * Motor and fault are mixed: M4 has no healthy recording, so its sound alone may give it away.")
    return systems


def draw(system, test, path):
    """A healthy and a faulty spectrogram, the scores of both groups, and the ROC curve, in one picture."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 2, figsize=(11, 7.5), layout="constrained")
    log_mel = system[:-2].transform(test)["log_mel"]
    healthy = np.flatnonzero(test["label"] == 1)[0]
    faulty = np.flatnonzero((test["label"] == -1) & (test["speed"] == test["speed"][healthy]))[0]
    levels = {"vmin": np.quantile(log_mel, 0.01), "vmax": np.quantile(log_mel, 0.999)}
    for axis, row, name in [(axes[0, 0], healthy, "Healthy"), (axes[0, 1], faulty, "Damaged propeller")]:
        SpectrogramDisplay.from_log_mel(log_mel[row]).plot(ax=axis, **levels)
        axis.set_title(f"{name}, motor {test['motor'][row]}, {test['speed'][row]} rpm")
    ScoreHistogramDisplay.from_estimator(system, test, test["label"], ax=axes[1, 0])
    axes[1, 0].set_title("How normal the clips sound to the pipeline")
    PartialROCDisplay.from_estimator(system, test, test["label"], ax=axes[1, 1])
    axes[1, 1].set_title("How well the score separates them")
    figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "output", help="folder to write to")
    output = parser.parse_args().output
    output.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()

    print("1/4 Tune on motor M1: train on healthy clips, judge on healthy and damaged propellers at other speeds")
    development = load_motors(fault="propeller", motor="M1")
    best = tune(development)

    print("2/4 Save and load")
    joblib.dump(best, output / "motor.joblib")
    loaded = joblib.load(output / "motor.joblib")
    same = np.array_equal(loaded.score_samples(development), best.score_samples(development))
    print(f"  {output / 'motor.joblib'}: the loaded pipeline gives {'the same scores' if same else 'OTHER SCORES'}")

    print("3/4 Learn other motors from their healthy recordings alone, and measure")
    systems = print_table(loaded)

    print("4/4 Draw")
    name, task = MEASURED[0]
    draw(systems[name, "normalised"], load_motors(**task, split="test"), output / "quickstart.png")
    print(f"  {output / 'quickstart.png'}")
    print(f"Done in {time.perf_counter() - start:.0f} s.")


if __name__ == "__main__":
    main()
