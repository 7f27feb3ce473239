"""Compare a trained embedder with the untrained control, in two commands.

    python tests/benchmarks/compare_embedders.py choose
    python tests/benchmarks/compare_embedders.py report

`choose` tries settings of `ClassificationEmbedder`, two of its outputs, and detectors on the development tasks of
`embedder_tasks.py`, and prints the mean AUC over tasks and seeds. The best of each kind of data is written into
`CHOSEN`, below, by hand; the detector of the control, `StatisticsEmbedder`, is chosen in the same way. `report` prints
mean and standard deviation over seeds (of the network, and of the synthetic machines) on the reported tasks, in the
chosen setting, with all detectors; the chosen one is in bold. As Markdown, both.
"""

import argparse
import sys
import time

import numpy as np
from embedder_tasks import (
    DETECTORS,
    DEVELOPMENT,
    REPORTED,
    SETTINGS,
    SPECTRA,
    UNTRAINED,
    embedder,
    mean_and_std,
    print_head,
    print_row,
    probe,
    spectra,
    whole,
)
from sklearn.base import clone

from skasd.embedders import StatisticsEmbedder
from skasd.metrics import auc_scorer, pauc_scorer

CONTROL = "mean and deviation"
CHOSEN = {  # detector of the control; setting, output and detector of the network: the best mean of `choose`
    "motors, propeller": ("nearest neighbour", ("MobileFaceNet", "all stages", "Mahalanobis")),
    "motors, bearing": ("Mahalanobis", ("changes only", "all stages", "Mahalanobis")),
    "synthetic": ("Mahalanobis", ("MobileFaceNet", "all stages", "GMM")),
}


def embedded(setting, task, seed, **params):
    """Training and test clips, embedded, by name of the output: two of the network, or one of the control."""
    train, test = spectra(task, SPECTRA.get(setting, whole))
    if setting == CONTROL:
        return {"": [StatisticsEmbedder().fit(train).transform(clips) for clips in (train, test)]}
    start = time.perf_counter()
    fitted = embedder(setting, seed, **params).fit(train)
    stages = [fitted.transform(clips) for clips in (train, test)]
    print(f"  seed {seed}: {setting} in {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    last = fitted.stage_sizes_[-1]
    return {
        "embedding": [clips.with_fields(embedding=clips["embedding"][:, -last:]) for clips in stages],
        "all stages": stages,
    }


def fitted_detectors(train):
    return [clone(detector).fit(train) for detector in DETECTORS.values()]


def measure(train, test):
    """AUC and partial AUC with each detector."""
    return np.array([[auc_scorer(one, test), pauc_scorer(one, test)] for one in fitted_detectors(train)])


def section_aucs(train, test):
    """AUC with each detector, mean over the sections: the scorer's harmonic mean ends at 0 where one section does."""
    sections = [test[test["section"] == section] for section in np.unique(test["section"])]
    return [np.mean([auc_scorer(one, section) for section in sections]) for one in fitted_detectors(train)]


def choose(options):
    """The mean AUC of all settings on the development tasks."""
    print_head("data", "setting", "output", *DETECTORS)
    for data in options.data or DEVELOPMENT:
        for setting in [CONTROL, *(options.settings or SETTINGS)]:
            runs = [embedded(setting, make(seed), seed) for make in DEVELOPMENT[data] for seed in options.seeds]
            for output in runs[0]:
                aucs = np.array([section_aucs(*run[output]) for run in runs])
                print_row(data, setting, output, *map(mean_and_std, aucs.T))


def report(options):
    """The chosen settings on the reported tasks, and the same networks untrained."""
    print_head("data", "embedder", *DETECTORS, "pAUC of the chosen", "probe")
    for data in options.data or REPORTED:
        for name, (setting, output, detector, params) in compared("synthetic" if "synthetic" in data else data).items():
            runs = [embedded(setting, REPORTED[data](seed), seed, **params)[output] for seed in options.seeds]
            figures, chosen = np.array([measure(*run) for run in runs]), list(DETECTORS).index(detector)
            cells = [mean_and_std(column) for column in figures[:, :, 0].T]
            cells[chosen] = f"**{cells[chosen]}**"
            probed = mean_and_std([probe(test) for _, test in runs])
            print_row(data, name, *cells, mean_and_std(figures[:, chosen, 1]), probed)


def compared(kind):
    """Setting, output, detector and further parameters of each row of the report."""
    detector, network = CHOSEN[kind]
    name = f"{network[0]}, {network[1]}"
    return {
        CONTROL: (CONTROL, "", detector, {}),
        name: (*network, {}),
        f"{name}, untrained": (*network, UNTRAINED),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    for command, seeds, data in ((choose, [100], DEVELOPMENT), (report, [0, 1, 2, 3, 4], REPORTED)):
        one = commands.add_parser(command.__name__, description=command.__doc__)
        one.add_argument("--data", nargs="+", choices=data)
        one.add_argument("--seeds", nargs="+", type=int, default=seeds)
        one.set_defaults(run=command)
        if command is choose:
            one.add_argument("--settings", nargs="+", choices=SETTINGS)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
