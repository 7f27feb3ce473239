"""Why a system does no better than the control: `python tests/benchmarks/explain_systems.py`.

Systems that differ in one thing from a published one or from the control, on synthetic machines as in
`compare_systems.py`, of other seeds. Printed is the official score in percent, mean and standard deviation over seeds
and machines, with the AUC of each domain and the mean time of training.
"""

import argparse
import sys
from functools import partial
from itertools import product

import numpy as np
from compare_systems import DURATION, MACHINES, SYNTHETIC, control
from sklearn.pipeline import make_pipeline

from skasd import systems
from skasd.datasets import make_machine_sounds
from skasd.detectors import GaussianMixtureDetector
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


RANKS = StatisticsEmbedder(statistics=("rank",), decay=0.95)
FINER = {"log_mel__n_mels": 128, "log_mel__hop_length": 512}
VARIANTS = {
    "control": changed_control,
    "control, rank pooling": partial(changed_control, statisticsembedder=RANKS),
    "control, mean alone": partial(changed_control, statisticsembedder__statistics=("mean",)),
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
        for name in ("cnn_global", "mobilefacenet_arcface", "mobilenet_v2_baseline")
        for what, params in {
            "not trained": NOT_TRAINED,
            "as it is": {},
            "5 x as many epochs": {"embedder__max_epochs": 50 if name == "mobilefacenet_arcface" else 100},
        }.items()
    },
}


def measure(name, machine, seed, clips):
    """Official score, mean AUC in each domain, and seconds of training."""
    evaluation = evaluate(VARIANTS[name](machine, seed), {machine: clips}, n_resamples=0, on_error="raise", verbose=0)
    aucs = [
        np.mean([figure.value for figure in evaluation.figures if (figure.metric, figure.domain) == ("AUC", domain)])
        for domain in ("source", "target")
    ]
    print(f"seed {seed}, {machine}: {name} {100 * evaluation.official_score.value:.1f}", file=sys.stderr, flush=True)
    return [evaluation.official_score.value, *aucs, evaluation.runs[machine].fit_seconds]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--machines", nargs="+", choices=MACHINES, default=["fan", "gearbox", "valve"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[100, 101])
    options = parser.parse_args()
    rows = {name: [] for name in options.variants}
    for seed, machine in product(options.seeds, options.machines):
        clips = make_machine_sounds(machine, duration=DURATION, random_state=seed, **SYNTHETIC)
        for name, measured in rows.items():
            measured.append(measure(name, machine, seed, clips))
    print("| variant | official score | AUC source | AUC target | training [s] |\n|---|---:|---:|---:|---:|")
    for name, measured in rows.items():
        (score, *aucs, seconds), spread = np.mean(measured, axis=0), np.std(measured, axis=0, ddof=1)[0]
        cells = [f"{100 * score:.1f} ± {100 * spread:.1f}", *(f"{100 * auc:.1f}" for auc in aucs), f"{seconds:.1f}"]
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
