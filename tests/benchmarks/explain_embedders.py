"""Why a trained embedder does worse than the control, one question a command.

    python tests/benchmarks/explain_embedders.py norms      What if batch norms keep their running means?

All print means and standard deviations over seeds, as Markdown. Tasks and settings are those of `embedder_tasks.py`.
"""

import argparse
from contextlib import nullcontext
from unittest import mock

import numpy as np
from embedder_tasks import DEVELOPMENT, embedder, mean_and_std, print_head, print_row, spectra, standardized, whole


def _running_means():
    return mock.patch("skasd.embedders._classification.settle_batch_norms", lambda module, batches: None)


def norms(seeds):
    """How far embeddings of training clips lie apart, relative to their size, and the steps of training."""
    print_head("batch norms", "input", *(f"{n} epochs" for n in (1, 3, 10)))
    task = DEVELOPMENT["motors, propeller"][1](None)
    for name, statistics in (("running means", _running_means), ("computed anew", nullcontext)):
        for alter in (whole, standardized):
            train, _ = spectra(task, alter)
            cells = []
            for max_epochs in (1, 3, 10):
                with statistics():
                    fitted = [embedder("first", seed, max_epochs=max_epochs).fit(train) for seed in seeds]
                embedded = [one.transform(train)["embedding"] for one in fitted]
                cells.append(mean_and_std([np.mean(one.std(axis=0)) / np.mean(np.abs(one)) for one in embedded]))
            print_row(name, alter.__name__, *cells)
    steps = len(train) / embedder("first", 0).batch_size
    print(f"\n{len(train)} clips, {steps:.1f} steps an epoch.")


QUESTIONS = {one.__name__: one for one in (norms,)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("question", choices=QUESTIONS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    options = parser.parse_args()
    QUESTIONS[options.question](options.seeds)


if __name__ == "__main__":
    main()
