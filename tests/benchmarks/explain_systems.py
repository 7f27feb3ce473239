"""Why a system does no better than the control: `python tests/benchmarks/explain_systems.py`.

Systems that differ in one thing from a published one or from the control, on synthetic machines as in
`compare_systems.py`, of other seeds. Printed is the official score in percent, mean and standard deviation over seeds
and machines, and means of the figures that `compare_systems.py` has too. Where the score is how well sections are told
apart, the last columns have the mean probability that it gives to a clip's own section, of normal and anomalous clips.
Then, the AUC of systems that differ in one thing on the bearing task of the motors.
"""

import argparse
import sys
from functools import partial
from itertools import product

import numpy as np
import pandas
from compare_systems import DURATION, MACHINES, SYNTHETIC, control, make_motor_system, more_figures, motors
from scipy.special import expit
from sklearn.pipeline import make_pipeline
from systems_report import WITHIN

from skasd import systems
from skasd.datasets import make_machine_sounds
from skasd.detectors import (
    CosineCenterDetector,
    GaussianMixtureDetector,
    MahalanobisDetector,
    OutlierExposureDetector,
)
from skasd.embedders import StatisticsEmbedder
from skasd.evaluation import evaluate
from skasd.features import FrameStacker, LogMelSpectrogram

NOT_TRAINED = {"embedder__max_epochs": 1, "embedder__lr": 1e-12}


def small(name, machine, seed, **params):
    build = getattr(systems, name)
    options = {"preset": "small", "device": "cpu", "random_state": seed}
    system = build(machine, **options) if name == "mobilefacenet_arcface" else build(**options)
    return system.set_params(**params)


def rank_pooled(machine, seed, **params):
    return systems.rank_pooled_gmm(random_state=seed).set_params(**params)


def changed_control(machine, seed, **params):
    return control().set_params(**params)


def frames(machine, seed, **params):
    """The flow's frames, with one Gaussian a section in the place of the flow."""
    features = LogMelSpectrogram(n_mels=64, hop_length=1024, fmin=100.0, fmax=8000.0)
    return make_pipeline(features, FrameStacker(n_frames=1), GaussianMixtureDetector(random_state=seed))


def motor_system(**params):
    options = {"preset": "small", "device": "cpu", "epochs": None, "random_state": 100}
    return make_motor_system("mobilefacenet_arcface", "bearing", **options).set_params(**params)


RANKS = StatisticsEmbedder(statistics=("rank",), decay=0.95)
FINER = {"log_mel__n_mels": 128, "log_mel__hop_length": 512}
VARIANTS = {
    "control": changed_control,
    "control, rank pooling": partial(changed_control, statisticsembedder=RANKS),
    "control, mean alone": partial(changed_control, statisticsembedder__statistics=("mean",)),
    "control, 16 bands": partial(changed_control, logmelspectrogram__n_mels=16),
    "control, 4 bands": partial(changed_control, logmelspectrogram__n_mels=4),
    "rank_pooled_gmm": rank_pooled,
    "rank_pooled_gmm, mean and deviation": partial(rank_pooled, embedder=StatisticsEmbedder()),
    "rank_pooled_gmm, no SMOTE": partial(rank_pooled, detector__target_ratio=None),
    "masked_autoregressive_flow": partial(small, "masked_autoregressive_flow"),
    "masked_autoregressive_flow, no mixup": partial(small, "masked_autoregressive_flow", mixup="passthrough"),
    "masked_autoregressive_flow, 128 bands": partial(small, "masked_autoregressive_flow", **FINER),
    "one Gaussian of the flow's frames": frames,
    "autoencoder_baseline": partial(small, "autoencoder_baseline"),
    "autoencoder_baseline, 128 bands": partial(small, "autoencoder_baseline", **FINER),
    "autoencoder_baseline, Mahalanobis error": partial(
        small, "autoencoder_baseline", detector__error="mahalanobis", detector__n_frames=5
    ),
    **{
        f"{name}, {what}": partial(small, name, **params)
        for name in ("cnn_global", "cnn_oe", "mobilefacenet_arcface", "mobilenet_v2_baseline")
        for what, params in {
            "not trained": NOT_TRAINED,
            "as it is": {},
            "5 times the epochs": {"embedder__max_epochs": 50 if name == "mobilefacenet_arcface" else 100},
        }.items()
    },
}


BEARING = {
    "control": control,
    "control, cosine centre": lambda: control().set_params(mahalanobisdetector=CosineCenterDetector()),
    "mobilefacenet_arcface": motor_system,
    "mobilefacenet_arcface, Mahalanobis": partial(motor_system, detector=MahalanobisDetector()),
    "mobilefacenet_arcface, told motors and speeds apart": partial(
        motor_system, embedder__targets=("motor", "attribute")
    ),
}


def measure(name, machine, seed, clips):
    """Official score, AUC by and within domains, false alarms, and probability of the own section."""
    system = VARIANTS[name](machine, seed)
    evaluation = evaluate(system, {machine: clips}, n_resamples=0, on_error="raise", verbose=0)
    frame = pandas.concat([evaluation.to_frame(), pandas.DataFrame(more_figures(evaluation))])
    means = frame.fillna({"domain": ""}).groupby(["metric", "domain"])["value"].mean()
    print(f"seed {seed}, {machine}: {name} {100 * means['official score', '']:.1f}", file=sys.stderr, flush=True)
    tested, share = evaluation.clips[machine], [np.nan, np.nan]
    if isinstance(system.steps[-1][1], OutlierExposureDetector):  # whose score are the log-odds of the section
        share = [expit(-tested["anomaly_score"][tested["label"] == label]).mean() for label in (1, -1)]
    figures = [("official score", ""), ("AUC", "source"), ("AUC", "target"), (WITHIN, ""), ("false alarms", "source")]
    return [*(means[figure] for figure in figures), *share]


def explain_synthetic(options):
    rows = {name: [] for name in options.variants}
    for seed, machine in product(options.seeds, options.machines):
        clips = make_machine_sounds(machine, duration=DURATION, random_state=seed, **SYNTHETIC)
        for name, measured in rows.items():
            measured.append(measure(name, machine, seed, clips))
    header = ["official score", "AUC source", "AUC target", WITHIN, "false alarms source", "own section, normal",
              "own section, anomalous"]  # fmt: skip
    print(f"| variant | {' | '.join(header)} |\n|---|{'---:|' * len(header)}")
    for name, measured in rows.items():
        means, spread = 100 * np.mean(measured, axis=0), 100 * np.std(measured, axis=0, ddof=1)[0]
        cells = [f"{means[0]:.1f} ± {spread:.1f}", *("" if np.isnan(mean) else f"{mean:.1f}" for mean in means[1:])]
        print(f"| {name} | {' | '.join(cells)} |")


def explain_bearing():
    tasks = {task: clips for task, clips in motors().items() if task != "propeller"}
    print(f"| variant | {' | '.join(tasks)} |\n|---|{'---:|' * len(tasks)}")
    for name, build in BEARING.items():
        figures = evaluate(build(), tasks, year=2020, n_resamples=0, on_error="raise", verbose=0).figures
        aucs = [figure.value for figure in figures if figure.metric == "AUC"]
        print(f"| {name} | {' | '.join(f'{100 * auc:.1f}' for auc in aucs)} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", choices=["synthetic", "bearing"], default=["synthetic", "bearing"])
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS), help="of synthetic")
    parser.add_argument("--machines", nargs="+", choices=MACHINES, default=["fan", "gearbox", "valve"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[100, 101])
    options = parser.parse_args()
    if "synthetic" in options.data:
        explain_synthetic(options)
    if "bearing" in options.data:
        explain_bearing()


if __name__ == "__main__":
    main()
