"""Why a trained embedder does worse than the control, one question a command.

    python tests/benchmarks/explain_embedders.py stages     Where in the network are the faults found, and lost?
    python tests/benchmarks/explain_embedders.py classes    Do the classes that it learns need to hear the faults?
    python tests/benchmarks/explain_embedders.py informed   Would it find the faults if it were shown some?
    python tests/benchmarks/explain_embedders.py plenty     And if it were shown five times as many?
    python tests/benchmarks/explain_embedders.py strangers  Is it the fault that is found, or the unknown motor?
    python tests/benchmarks/explain_embedders.py norms      What if batch norms keep their running means?

All print means and standard deviations over seeds, as Markdown. Tasks and settings are those of `embedder_tasks.py`.
"""

import argparse
from contextlib import nullcontext
from unittest import mock

import numpy as np
import torch
from compare_embedders import CONTROL, embedded, fitted_detectors
from embedder_tasks import (
    DETECTORS,
    DEVELOPMENT,
    REPORTED,
    bearing,
    embedder,
    mean_and_std,
    print_head,
    print_row,
    probe,
    spectra,
    standardized,
    synthetic,
    whole,
)
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skasd.datasets import load_motors
from skasd.embedders import StatisticsEmbedder
from skasd.metrics import auc_score

NETWORKS = ("untrained", "first")
OUTPUT = {CONTROL: "", "untrained": "embedding", "first": "embedding"}
UNHEARD = (1650, 1850)  # rpm
SYNTHETIC = ("gearbox", "valve")


def stages(seeds):
    """The probe of stages of the network, before and after training, averaged over bands and frames or frames alone."""
    shown = (1, 3, 5, 7, 9)
    print_head("data", "embedder", "bands", *(f"stage {number}" for number in shown))
    for data, make in REPORTED.items():
        tasks = [spectra(make(seed)) for seed in seeds]
        control = [probe(StatisticsEmbedder().fit(train).transform(test)) for train, test in tasks]
        print_row(data, CONTROL, "kept", mean_and_std(control), *[""] * 4)
        for setting in NETWORKS:
            runs = [_probes(*task, setting, seed) for task, seed in zip(tasks, seeds, strict=True)]
            for bands, figures in zip(("averaged", "kept"), np.moveaxis(runs, 0, -1), strict=True):
                print_row(data, setting, bands, *(mean_and_std(figures[number - 1]) for number in shown))


def _probes(train, test, setting, seed):
    model, means = embedder(setting, seed).fit(train).network_.model, []
    for stage in (model.bn1, *model.blocks, model.bn2):
        stage.register_forward_hook(lambda module, args, maps: means.append(maps.mean(3).numpy()))
    with torch.inference_mode():
        model(torch.from_numpy(test["log_mel"])[:, None])
    pooled = ([mean.mean(2) for mean in means], [mean.reshape(len(mean), -1) for mean in means])
    return [[probe(test.with_fields(embedding=mean)) for mean in way] for way in pooled]


def classes(seeds):
    """The share of test clips that the trained network gives to the right individual, after one epoch and after ten."""
    print_head("data", "epochs", "healthy clips", "faulty clips")
    for data in ("motors, propeller", *(f"synthetic {machine}" for machine in SYNTHETIC)):
        for max_epochs in (1, 10):
            shares = [_shares_told_apart(REPORTED[data](seed), max_epochs, seed) for seed in seeds]
            print_row(data, str(max_epochs), *map(mean_and_std, np.transpose(shares)))


def _shares_told_apart(task, max_epochs, seed):
    train, test = spectra(task)
    fitted = embedder("first", seed, max_epochs=max_epochs).fit(train).set_params(output="logits")
    right = fitted.classes_[0][fitted.transform(test)["logits"].argmax(axis=1)] == test["individual"]
    return [right[test["label"] == label].mean() for label in (1, -1)]


def informed(seeds):
    """AUC on the reported test clips of classifiers that were shown 480 other clips, half of them faulty."""
    _print_informed(seeds, 40, ("first", "30 epochs"))


def plenty(seeds):
    """The same for 2400 clips."""
    _print_informed(seeds, 200, ("first",))


def _print_informed(seeds, n_shown, settings):
    print_head("data", f"{CONTROL}, linear", *(f"network, {setting}" for setting in settings))
    for machine in SYNTHETIC:
        runs = [_informed_aucs(*_shown_and_tested(machine, seed, n_shown), seed, settings) for seed in seeds]
        print_row(f"synthetic {machine}", *map(mean_and_std, np.transpose(runs)))


def _shown_and_tested(machine, seed, n_shown, n_tested=20):
    """Spectra of healthy and faulty clips; those that are tested are the clips of the reported task."""
    _, test = synthetic(machine, seed, n_test=n_tested + n_shown)
    tested = np.arange(len(test)) % (n_tested + n_shown) < n_tested
    return spectra([test[~tested], test[tested]])


def _informed_aucs(shown, tested, seed, settings):
    linear = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
    statistics = StatisticsEmbedder().fit(shown)
    linear.fit(statistics.transform(shown)["embedding"], shown["label"])
    scores = [linear.decision_function(statistics.transform(tested)["embedding"])]
    shown = shown.without("label").with_fields(state=np.where(shown["label"] == 1, "healthy", "faulty"))
    for setting in settings:
        network = embedder(setting, seed, targets=("state",)).fit(shown).set_params(output="logits")
        faulty, healthy = network.transform(tested)["logits"].T  # the classes are in alphabetical order
        scores.append(healthy - faulty)
    sections = [tested["section"] == section for section in np.unique(tested["section"])]
    return [np.mean([roc_auc_score(tested["label"][one], score[one]) for one in sections]) for score in scores]


def strangers(seeds):
    """AUC between three groups: known motors at unheard speeds, the unknown healthy motor, the unknown faulty one."""
    print_head("embedder", "detector", "known / unknown", "known / faulty", "unknown / faulty")
    train, test = bearing(None)
    known = load_motors("bearing", split="train")
    train, known = train[~np.isin(train["speed"], UNHEARD)], known[np.isin(known["speed"], UNHEARD)]
    task = [train, known.with_fields(individual=known["motor"]) + test]
    for setting in (CONTROL, *NETWORKS):
        runs = [_strangeness(*embedded(setting, task, seed)[OUTPUT[setting]]) for seed in seeds]
        for detector, cells in zip(DETECTORS, np.moveaxis(runs, 0, 2), strict=True):
            print_row(setting, detector, *map(mean_and_std, cells))


def _strangeness(train, test):
    """For each detector, the AUC of a group against one that should be less strange."""
    faulty = test["label"] == -1
    known = np.isin(test["motor"], np.unique(train["motor"]))
    pairs = ((known, ~known & ~faulty), (known, faulty), (~known & ~faulty, faulty))
    scores = [-one.score_samples(test) for one in fitted_detectors(train)]
    return [[auc_score(more[less | more], score[less | more]) for less, more in pairs] for score in scores]


def norms(seeds):
    """How far embeddings of training clips by MobileFaceNet lie apart, relative to their size."""
    epochs = (1, 10)
    print_head("batch norms", "input", *(f"epochs: {n}" for n in epochs))
    task = DEVELOPMENT["motors, propeller"][1](None)
    for name, statistics in (("running means", _running_means), ("computed anew", nullcontext)):
        for alter in (whole, standardized):
            train, _ = spectra(task, alter)
            with statistics():
                spreads = [[_spread(train, max_epochs, seed) for max_epochs in epochs] for seed in seeds]
            print_row(name, alter.__name__, *map(mean_and_std, np.transpose(spreads)))
    print(f"\n{len(train)} clips in batches of {embedder('first', 0).batch_size}.")


def _running_means():
    return mock.patch("skasd.embedders._classification.settle_batch_norms", lambda module, batches: None)


def _spread(train, max_epochs, seed):
    fitted = embedder("MobileFaceNet", seed, max_epochs=max_epochs).fit(train).set_params(output="embedding")
    embedding = fitted.transform(train)["embedding"]
    return np.mean(embedding.std(axis=0)) / np.mean(np.abs(embedding))


QUESTIONS = {one.__name__: one for one in (stages, classes, informed, plenty, strangers, norms)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("question", choices=QUESTIONS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    options = parser.parse_args()
    QUESTIONS[options.question](options.seeds)


if __name__ == "__main__":
    main()
