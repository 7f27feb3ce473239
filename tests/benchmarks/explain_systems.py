"""Why a system does no better than the control, one question a command.

    python tests/benchmarks/explain_systems.py synthetic   What if one thing about a system were different?
    python tests/benchmarks/explain_systems.py motors      The same on the motors.
    python tests/benchmarks/explain_systems.py stages      Where in a network are the faults, and where are they lost?
    python tests/benchmarks/explain_systems.py faults      Do faults move clips, or do they change how clips vary?

All print Markdown: mean ± standard deviation in percent over machines and seeds, or over seeds on the motors. Data are
those of `compare_systems.py`; on synthetic machines the seed draws the data as well, so choose seeds that are not
reported. *Own section* is the mean probability that a clip is given of being of its own section, where that is the
score.
"""

import argparse
import sys
from functools import partial
from itertools import product

import numpy as np
import pandas
import torch
from compare_systems import (
    DURATION,
    MACHINES,
    MOTORS,
    SYNTHETIC,
    control,
    make_motor_system,
    make_system,
    more_figures,
    motors,
)
from scipy.special import expit
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.pipeline import make_pipeline
from systems_report import OFFICIAL, WITHIN, spread
from torch.nn import functional as F

from skasd.augmentation import Mixup
from skasd.datasets import make_machine_sounds
from skasd.detectors import (
    BaseDetector,
    CosineCenterDetector,
    GaussianMixtureDetector,
    MahalanobisDetector,
    OutlierExposureDetector,
)
from skasd.embedders import StatisticsEmbedder
from skasd.evaluation import evaluate
from skasd.features import FrameStacker, LogMelSpectrogram
from skasd.metrics import auc_score

COARSER = {"n_mels": 64, "hop_length": 1024, "fmin": 100.0, "fmax": 8000.0}  # the flow's spectrogram
OPTIONS = {"preset": "small", "device": "cpu", "epochs": None}


def published(name, task, seed, **params):
    make = make_motor_system if task in MOTORS else make_system
    return make(name, task, random_state=seed, **OPTIONS).set_params(**params)


def changed_control(task, seed, **params):
    return control().set_params(**params)


def gaussian_of_frames(task, seed):
    """The flow's frames, with one Gaussian a section in the place of the flow."""
    return make_pipeline(
        LogMelSpectrogram(**COARSER), FrameStacker(n_frames=1), GaussianMixtureDetector(random_state=seed)
    )


def mixed_for_the_threshold_too(task, seed):
    """The flow with mixup as a step of the pipeline, before the detector."""
    system = published("masked_autoregressive_flow", task, seed, detector__augmentation=None)
    system.steps.insert(1, ("mixup", Mixup(target_share=0.5, random_state=seed)))
    return system


# What a model of frames leaves unexplained, and how it is brought to one number a clip


def whitened(detector, X):
    """Frames in coordinates in which the Gaussian of their section is standard."""
    errors = np.empty_like(X["embedding"])
    for section, mixture in detector.models_.items():
        own = X["section"] == section
        errors[own] = (X["embedding"][own] - mixture.means_[0]) @ mixture.precisions_cholesky_[0]
    return errors


def missed(detector, X):
    """What the autoencoder does not reconstruct."""
    return X["embedding"] - detector.reconstruct(X)


def gaussianized(detector, X):
    """Frames as the flow leaves them, which has learned to make a standard Gaussian of them."""
    flow = detector.network_
    section = torch.from_numpy(np.searchsorted(detector.sections_, X["section"]))
    context = F.one_hot(section, flow.n_sections).float()[:, None].expand(-1, X["embedding"].shape[1], -1)
    with torch.inference_mode():
        standard = (torch.tensor(X["embedding"])[..., flow.features] - flow.mean) / flow.scale
        return flow.transform(context)(standard).numpy()


class FrameErrors(TransformerMixin, BaseEstimator):
    """The errors (n_clips, n_frames, d) that a function finds with a detector, in the place of a spectrogram."""

    def __init__(self, detector, errors):
        self.detector = detector
        self.errors = errors

    def fit(self, X, y=None):
        self.detector_ = clone(self.detector).fit(X)
        return self

    def transform(self, X):
        return X.without("embedding").with_fields(log_mel=self.errors(self.detector_, X).swapaxes(1, 2))


class SquaredNorm(BaseDetector):
    """How large the errors are."""

    def __init__(self, *, contamination=0.1, threshold="quantile"):
        self.contamination = contamination
        self.threshold = threshold

    def _fit(self, X, domain, section):
        return None

    def _score(self, model, X):
        return -np.square(X).sum(axis=1)


class ClipGaussian(MahalanobisDetector):
    """A Gaussian of the means of clips, which scores their frames."""

    def _fit_shared(self, X, windows, clips):
        self.n_frames_ = windows.shape[1]

    def _fit(self, X, domain, section):
        means = X.reshape(-1, self.n_frames_, X.shape[1]).mean(axis=1)
        return super()._fit(means, domain[:: self.n_frames_], section)


def of_errors(build, errors, end, task, seed):
    system = build(task, seed)
    return make_pipeline(*system[:-1], FrameErrors(system[-1], errors), *map(clone, end))


FRAMES, MEAN = FrameStacker(n_frames=1), StatisticsEmbedder(statistics=("mean",))
ENDS = {  # the mean of distances or the distance of the mean, as the model weighs errors or as clips differ in them
    "squares of frames": (FRAMES, SquaredNorm()),
    "square of the mean": (MEAN, SquaredNorm()),
    "Mahalanobis distances of frames": (FRAMES, ClipGaussian()),
    "Mahalanobis distance of the mean": (MEAN, MahalanobisDetector()),
}
MODELS = {
    "one Gaussian of frames": (gaussian_of_frames, whitened),
    "masked_autoregressive_flow": (partial(published, "masked_autoregressive_flow"), gaussianized),
    "autoencoder_baseline": (partial(published, "autoencoder_baseline"), missed),
}
RANKS = StatisticsEmbedder(statistics=("rank",), decay=0.95)
NOT_TRAINED = {"embedder__max_epochs": 1, "embedder__lr": 1e-12}
TRAININGS = {
    f"{name}, {what}": partial(published, name, **params)
    for name in ("cnn_global", "cnn_local", "cnn_oe", "mobilefacenet_arcface", "mobilenet_v2_baseline")
    for what, params in {
        "not trained": NOT_TRAINED,
        "as it is": {},
        "5 times the epochs": {"embedder__max_epochs": 50 if name == "mobilefacenet_arcface" else 100},
    }.items()
}
SHARED = {
    "control": changed_control,
    "control, rank pooling": partial(changed_control, statisticsembedder=RANKS),
    "control, mean alone": partial(changed_control, statisticsembedder__statistics=("mean",)),
    "rank_pooled_gmm": partial(published, "rank_pooled_gmm"),
    "rank_pooled_gmm, decay 1": partial(published, "rank_pooled_gmm", embedder__decay=1.0),
    "rank_pooled_gmm, mean and deviation": partial(published, "rank_pooled_gmm", embedder=StatisticsEmbedder()),
    "rank_pooled_gmm, no SMOTE": partial(published, "rank_pooled_gmm", detector__target_ratio=None),
}
VARIANTS = {
    **SHARED,
    "control, mean alone, the flow's spectrogram": partial(
        changed_control,
        statisticsembedder__statistics=("mean",),
        **{f"logmelspectrogram__{name}": value for name, value in COARSER.items()},
    ),
    **{
        f"control, bands: {n_mels}": partial(changed_control, logmelspectrogram__n_mels=n_mels)
        for n_mels in (16, 8, 4, 2, 1)
    },
    "masked_autoregressive_flow": partial(published, "masked_autoregressive_flow"),
    "masked_autoregressive_flow, no mixup": partial(
        published, "masked_autoregressive_flow", detector__augmentation=None
    ),
    "masked_autoregressive_flow, mixup before the threshold": mixed_for_the_threshold_too,
    "autoencoder_baseline": partial(published, "autoencoder_baseline"),
    "autoencoder_baseline, Mahalanobis error": partial(
        published, "autoencoder_baseline", detector__error="mahalanobis", detector__n_frames=5
    ),
    **{
        f"{name}: {what}": partial(of_errors, build, errors, end)
        for (name, (build, errors)), (what, end) in product(MODELS.items(), ENDS.items())
    },
    **TRAININGS,
}
FAULTS = ("control", "cnn_global, not trained", "cnn_global, as it is")
MOTOR_VARIANTS = {
    **SHARED,
    "control, cosine centre": partial(changed_control, mahalanobisdetector=CosineCenterDetector()),
    **TRAININGS,
    "mobilefacenet_arcface, Mahalanobis": partial(published, "mobilefacenet_arcface", detector=MahalanobisDetector()),
    "mobilefacenet_arcface, told motors and speeds apart": partial(
        published, "mobilefacenet_arcface", embedder__targets=("motor", "attribute")
    ),
    "mobilenet_v2_baseline, Mahalanobis": partial(
        published, "mobilenet_v2_baseline", embedder__output="embedding", detector=MahalanobisDetector()
    ),
    **{
        f"{name}, told {what} apart": partial(published, name, embedder__targets=targets)
        for name in ("cnn_global", "cnn_local")
        for what, targets in {"motors alone": ("motor",), "speeds alone": ("attribute",)}.items()
    },
}


def measure(system, task, clips, year):
    """Means of the figures by metric and domain, of the AUC by section too, and of the own section's probability."""
    evaluation = evaluate(system, {task: clips}, year=year, n_resamples=0, on_error="raise", verbose=0)
    frame = pandas.concat([evaluation.to_frame(), pandas.DataFrame(more_figures(evaluation))])
    means = frame.fillna({"domain": ""}).groupby(["metric", "domain"])["value"].mean().to_dict()
    tested, aucs = evaluation.clips[task], frame[(frame["metric"] == "AUC") & frame["section"].ne("")]
    means |= {("AUC", section): value for section, value in aucs.groupby("section")["value"].mean().items()}
    if isinstance(system.steps[-1][1], OutlierExposureDetector):  # whose score are the log-odds of the section
        for name, label in (("normal", 1), ("anomalous", -1)):
            means["own section", name] = expit(-tested["anomaly_score"][tested["label"] == label]).mean()
    return means


SYNTHETIC_FIGURES = {
    "official score": (OFFICIAL, ""),
    "AUC source": ("AUC", "source"),
    "AUC target": ("AUC", "target"),
    "AUC within a domain": (WITHIN, ""),
    "false alarms source": ("false alarms", "source"),
    "own section, normal": ("own section", "normal"),
    "own section, anomalous": ("own section", "anomalous"),
}


def explain_synthetic(options):
    names = options.variants or VARIANTS
    for (task, clips, seed), name in product(list(synthetic_tasks(options)), names):
        means = measure(VARIANTS[name](task, seed), task, clips, 2022)
        print(f"seed {seed}, {task}: {name} {100 * means[OFFICIAL, '']:.1f}", file=sys.stderr, flush=True)
        yield from ((name, column, means.get(figure)) for column, figure in SYNTHETIC_FIGURES.items())


def synthetic_tasks(options):
    for seed, machine in product(options.seeds, options.machines):
        yield machine, make_machine_sounds(machine, duration=DURATION, random_state=seed, **SYNTHETIC), seed


def explain_motors(options):
    names = options.variants or MOTOR_VARIANTS
    for (task, clips), name, seed in product(motors().items(), names, options.seeds):
        try:
            system = MOTOR_VARIANTS[name](task, seed)
        except ValueError:  # one that tells sections apart, and there is one section
            continue
        means = measure(system, task, clips, 2020)
        print(f"seed {seed}, {task}: {name} {100 * means['AUC', '']:.1f}", file=sys.stderr, flush=True)
        yield name, task, means["AUC", ""]
        if task == "propeller":
            more = {"AUC": ("M1", "M2"), "own section": ("normal", "anomalous")}
            yield from ((name, f"{what}, {of}", means.get((what, of))) for what, parts in more.items() for of in parts)


class Gaussian(MahalanobisDetector):
    """Without the models of other clips, which make a threshold: the ranking alone counts here."""

    _score_training = BaseDetector._score_training


def explain_stages(options):
    """Every stage by itself: its maps averaged over time and bands, as the systems do, or over time alone."""
    tasks, year, figure = synthetic_tasks(options), 2022, (OFFICIAL, "")
    if options.data == "motors":
        tasks, year, figure = motor_tasks(options), 2020, ("AUC", "")
    for (task, clips, seed), name in product(tasks, options.networks):
        for training, params in {"not trained": NOT_TRAINED, "trained": {}}.items():
            for number, means in enumerate(stage_means(published(name, task, seed, **params), clips), start=1):
                for bands, made in {"averaged": means.mean(axis=2), "kept": means.reshape(len(means), -1)}.items():
                    made = clips.without("waveform").with_fields(embedding=made)
                    value = measure(make_pipeline(Gaussian()), task, made, year)[figure]
                    yield f"{name}, {training}, bands {bands}", f"stage {number}", value
            print(f"seed {seed}, {task}: {name}, {training}", file=sys.stderr, flush=True)


def motor_tasks(options):
    for (task, clips), seed in product(motors().items(), options.seeds):
        yield task, clips, seed


def stage_means(system, clips):
    """Mean over time of the maps of each stage of the trained network, (n_clips, channels, bands)."""
    *before, embedder = system[:-1]
    given = make_pipeline("passthrough", *before).fit_transform(clips)
    embedder.fit(given[given["split"] == "train"])
    network, means = embedder.network_, {}
    hooks = [
        stage.register_forward_hook(lambda stage, _, maps: means.setdefault(stage, []).append(maps.mean(3).numpy()))
        for stage in stages_of(network)
    ]
    embedder.transform(given)
    for hook in hooks:
        hook.remove()
    return [np.concatenate(means[stage]) for stage in stages_of(network)]


def stages_of(network):
    if hasattr(network, "backbone"):
        return list(network.backbone.stages)
    return [network.model.bn1, *network.model.blocks, network.model.bn2]


def explain_faults(options):
    """Of each fault the AUC within a domain, and how its clips lie about the normal ones of their section and domain.

    Both in percent of the variance of the normal clips, all in the metric of the Mahalanobis detector: the squared
    distance between the means, and the variance of the faulty clips about their own mean.
    """
    for (task, clips, seed), name in product(synthetic_tasks(options), options.variants or FAULTS):
        system = VARIANTS[name](task, seed).fit(clips[clips["split"] == "train"])
        tested = clips[clips["split"] == "test"]
        tested = system[:-1].transform(tested.with_fields(score=-system.score_samples(tested)))
        print(f"seed {seed}, {task}: {name}", file=sys.stderr, flush=True)
        for section, domain in product(np.unique(tested["section"]), np.unique(tested["domain"])):
            own = tested[(tested["section"] == section) & (tested["domain"] == domain)]
            precision = system[-1].models_[str(section)][""][""].get_precision()
            for fault in np.unique(own["fault"][own["label"] == -1]):
                yield from about_fault(f"{name}, {fault}", own, fault, precision)


def about_fault(name, clips, fault, precision):
    normal, faulty = clips[clips["label"] == 1], clips[clips["fault"] == fault]
    both = normal + faulty
    yield name, WITHIN, auc_score(both["label"] == -1, both["score"])
    variance, changed = (_variance(part["embedding"], precision) for part in (normal, faulty))
    difference = faulty["embedding"].mean(axis=0) - normal["embedding"].mean(axis=0)
    by_chance = changed / len(faulty) + variance / len(normal)
    yield name, "squared shift of the mean", (difference @ precision @ difference - by_chance) / variance
    yield name, "variance", changed / variance


def _variance(X, precision):
    centered = X - X.mean(axis=0)
    return np.einsum("ij,jk,ik", centered, precision, centered) / (len(X) - 1)


def print_table(rows):
    """A line a variant, a column a figure."""
    frame = pandas.DataFrame(rows, columns=["variant", "figure", "value"]).dropna()
    columns = list(dict.fromkeys(frame["figure"]))
    print(f"| variant | {' | '.join(columns)} |\n|---|{'---:|' * len(columns)}")
    for name, part in frame.groupby("variant", sort=False):
        cells = [spread(part.loc[part["figure"] == column, "value"]) for column in columns]
        print(f"| {name} | {' | '.join(cells)} |")


QUESTIONS = {
    "synthetic": explain_synthetic,
    "motors": explain_motors,
    "stages": explain_stages,
    "faults": explain_faults,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("question", choices=QUESTIONS)
    parser.add_argument("--variants", nargs="+", choices=[*VARIANTS, *MOTOR_VARIANTS], metavar="VARIANT")
    parser.add_argument("--networks", nargs="+", default=["cnn_global", "mobilefacenet_arcface"], help="of stages")
    parser.add_argument("--data", choices=["synthetic", "motors"], default="synthetic", help="of stages")
    parser.add_argument("--machines", nargs="+", choices=MACHINES, default=["fan", "gearbox", "valve"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[100, 101])
    options = parser.parse_args()
    print_table(QUESTIONS[options.question](options))


if __name__ == "__main__":
    main()
