"""Why a trained embedder does worse than the control, or better, one question a command.

    python tests/benchmarks/explain_embedders.py stages       Where in the network are the faults found, and lost?
    python tests/benchmarks/explain_embedders.py halvings     Is it the halving of the maps that loses them?
    python tests/benchmarks/explain_embedders.py differences  Why is one network so much better on the propeller?
    python tests/benchmarks/explain_embedders.py classes      Do the classes that it learns need to hear the faults?
    python tests/benchmarks/explain_embedders.py informed     Would it find the faults if it were shown some?
    python tests/benchmarks/explain_embedders.py plenty       And if it were shown five times as many?
    python tests/benchmarks/explain_embedders.py norms        What if batch norms keep their running means?

All print means and standard deviations over seeds, as Markdown. Tasks and settings are those of `embedder_tasks.py`.
"""

import argparse
from contextlib import nullcontext
from unittest import mock

import numpy as np
from altered_networks import halving, networks
from compare_embedders import CHOSEN, CONTROL
from embedder_tasks import (
    DEVELOPMENT,
    REPORTED,
    SPECTRA,
    UNTRAINED,
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
from scipy.stats import hmean
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skasd.embedders import StatisticsEmbedder
from skasd.networks import MobileFaceNet

SYNTHETIC = ("gearbox", "valve")
BANDS = (64, 32, 16, 8, 4, 2, 1)
COLUMNS = (*BANDS, "all stages")
READERS = {  # and what of each network they are shown
    "The probe, which knows labels": ("spectrogram", "each stage"),
    "The Mahalanobis distance, which knows none": ("spectrogram", "each stage", "first stage"),
}
ALSO_PROBED = {"motors, bearing": ("first", "MobileFaceNet")}  # the same network on whole spectra, and the other one


def stages(seeds):
    """AUC of two readers of the stages, which see mean and deviation over the frames of each band and channel.

    "Spectrogram" is the control, its bands averaged until there are so many; "each stage" the last map with so many
    bands, and all stages as the network hands them on; "first stage" the first of these maps, its bands averaged.
    """
    rows = [row for data in REPORTED for row in _stage_rows(data, seeds)]
    for number, (reader, shown) in enumerate(READERS.items()):
        print(f"\n{reader}:")
        print_head("data", "embedder", "read", f"{BANDS[0]} bands", *map(str, COLUMNS[1:]))
        for names, figures in rows:
            if names[2] in shown:
                print_row(*names, *(mean_and_std(figures[key][number]) if key in figures else "" for key in COLUMNS))


def _stage_rows(data, seeds):
    """Names of each row, and by column the figures of each reader over the seeds."""
    for name, setting, params in _probed(data):
        runs = [_observed(setting, REPORTED[data](seed), seed, **params) for seed in seeds]
        ways = {"spectrogram": _averaged} if setting == CONTROL else {"each stage": _kept, "first stage": _averaged}
        for way, statistics in ways.items():
            read = [_read(*(statistics(*one) for one in run), *(clips for clips, _ in run)) for run in runs]
            yield (data, name, way), {key: np.transpose([one[key] for one in read]) for key in read[0]}


def _probed(data):
    yield CONTROL, CONTROL, {}
    chosen = CHOSEN["synthetic" if "synthetic" in data else data][1][0]
    for setting in dict.fromkeys([chosen, *ALSO_PROBED.get(data, ())]):
        yield f"{setting}, untrained", setting, UNTRAINED
        yield setting, setting, {}


def _observed(setting, task, seed, **params):
    """Training and test clips, each with its maps by number of bands; the map of the control is the spectrogram."""
    task = spectra(task, SPECTRA.get(setting, whole))
    if setting == CONTROL:
        return [(clips, {clips["log_mel"].shape[1]: clips["log_mel"][:, None]}) for clips in task]
    fitted = embedder(setting, seed, **params).fit(task[0])
    return [_with_maps(fitted, clips) for clips in task]


def _with_maps(fitted, clips):
    """All stages of the clips, and the last map of each number of bands."""
    network = fitted.network_
    is_face = isinstance(network, MobileFaceNet)
    parts = network.stages if is_face else (network.model.bn1, *network.model.blocks, network.model.bn2)
    stages, maps = _maps(fitted, clips, parts)
    return stages, {one.shape[2]: one for one in maps}


def _maps(fitted, clips, parts):
    """What the embedder makes of the clips, and what parts of its network do, (n_clips, channels, bands, frames)."""
    kept = [[] for _ in parts]
    hooks = [
        part.register_forward_hook(lambda module, args, output, batches=batches: batches.append(output.numpy()))
        for part, batches in zip(parts, kept, strict=True)
    ]
    made = fitted.transform(clips)
    for hook in hooks:
        hook.remove()
    return made, [np.concatenate(batches) for batches in kept]


def _averaged(clips, maps):
    first = max(maps)
    return {bands: _statistics(maps[first], bands) for bands in BANDS if bands <= first}


def _kept(clips, maps):
    return {bands: _statistics(one, bands) for bands, one in maps.items()} | {"all stages": clips["embedding"]}


def _statistics(maps, bands):
    """Mean and deviation over the frames, of bands that are averaged until there are so many."""
    n_clips, n_channels, _, n_frames = maps.shape
    maps = maps.reshape(n_clips, n_channels, bands, -1, n_frames).mean(axis=3)
    return np.concatenate([maps.mean(axis=3), maps.std(axis=3)], axis=1).reshape(n_clips, -1)


def _read(known, asked, train, test):
    """By column, what each reader makes of it."""
    return {
        key: [
            probe(test.with_fields(embedding=asked[key])),
            hmean(mahalanobis_aucs(train, known[key], test, asked[key])),
        ]
        for key in known
    }


def mahalanobis_aucs(train, known, test, asked):
    """AUC of each section by the distance of `MahalanobisDetector`, which would fit ten models more for a threshold."""
    sections = [(train["section"] == name, test["section"] == name) for name in np.unique(test["section"])]
    return [roc_auc_score(test["label"][b] == -1, _distances(known[a], asked[b])) for a, b in sections]


def _distances(known, asked):
    """Squared Mahalanobis distances under the covariance of Ledoit and Wolf, which is not made: it can be too large."""
    center = known.mean(axis=0, dtype=np.float64)
    known, asked = known - center, asked - center
    shrinkage, mean_variance = ledoit_wolf_shrinkage(known, assume_centered=True), np.mean(known**2)
    _, singular, axes = np.linalg.svd(known, full_matrices=False)
    inside = (asked @ axes.T) ** 2
    variances = (1 - shrinkage) * singular**2 / len(known) + shrinkage * mean_variance
    outside = np.sum(asked**2, axis=1) - inside.sum(axis=1)  # where no training clip is
    return (inside / variances).sum(axis=1) + outside / (shrinkage * mean_variance)


def halvings(seeds):
    """AUC with the Mahalanobis distance, as in `stages`, of the last bottleneck's map of untrained MobileFaceNets."""
    shown = (32, 16, 8, 4, 1)
    print_head("data", "bottlenecks halve", f"{shown[0]} bands", *map(str, shown[1:]))
    for machine in SYNTHETIC:
        for name, network in halving().items():
            runs = [_last_map_aucs(synthetic(machine, seed), network, seed, shown) for seed in seeds]
            cells = [mean_and_std([run[bands] for run in runs]) if bands in runs[0] else "" for bands in shown]
            print_row(f"synthetic {machine}", name, *cells)


def _last_map_aucs(task, network, seed, shown):
    train, test = spectra(task)
    fitted = embedder("untrained", seed, network=network).fit(train)
    known, asked = (_maps(fitted, clips, fitted.network_.stages[4:5])[1][0] for clips in (train, test))
    return {
        bands: hmean(mahalanobis_aucs(train, _statistics(known, bands), test, _statistics(asked, bands)))
        for bands in shown
        if bands <= known.shape[2]
    }


def differences(seeds):
    """AUC with the Mahalanobis distance of untrained networks between MobileNetV2 and MobileFaceNet.

    On the development tasks of the motors; means over the tasks.
    """
    kinds = [[spectra(make(None)) for make in DEVELOPMENT[f"motors, {name}"]] for name in ("propeller", "bearing")]
    shown = [f"{task}, {output}" for task in ("new speeds", "new motors") for output in ("embedding", "all stages")]
    print_head("network", "numbers", *shown)
    for name, network in networks().items():
        runs = [[[_untrained_aucs(network, *task, seed) for task in tasks] for tasks in kinds] for seed in seeds]
        figures = np.array([np.concatenate([np.mean(tasks, axis=0)[1:] for tasks in run]) for run in runs])
        print_row(name, f"{runs[0][0][0][0]}", *map(mean_and_std, figures.T))


def _untrained_aucs(network, train, test, seed):
    """How many numbers all stages give; AUC with the embedding, and with all stages."""
    fitted = embedder("untrained", seed, network=network).fit(train)
    known, asked = (fitted.transform(clips)["embedding"] for clips in (train, test))
    starts = -fitted.stage_sizes_[-1], 0
    aucs = [np.mean(mahalanobis_aucs(train, known[:, start:], test, asked[:, start:])) for start in starts]
    return [known.shape[1], *aucs]


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


QUESTIONS = {one.__name__: one for one in (stages, halvings, differences, classes, informed, plenty, norms)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("question", choices=QUESTIONS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    options = parser.parse_args()
    QUESTIONS[options.question](options.seeds)


if __name__ == "__main__":
    main()
