"""What `Clips` cost beside bare arrays: `python tests/benchmarks/benchmark_clips.py`.

A mask of 100 000 clips with six text fields, and a transformer that hands these on. Both sides take turns; times are
CPU time, and medians over the turns.
"""

import argparse
import time
from statistics import median

import numpy as np
from sklearn.preprocessing import StandardScaler

from skasd.clips import Clips
from skasd.features import FieldTransformer

N_FEATURES = 16
ROW = "| {} | {:.1f} | {:.1f} | {:.2f} |"


def make_fields(n_clips):
    number = np.arange(n_clips)
    text = {name: np.char.add(name, (number % count).astype(str)) for name, count in (
        ("machine", 7), ("section", 6), ("domain", 2), ("attribute", 40), ("recording", 2000), ("path", n_clips),
    )}  # fmt: skip
    return text | {"embedding": np.random.default_rng(0).normal(size=(n_clips, N_FEATURES)), "label": number % 2}


def milliseconds(call):
    start = time.process_time()
    call()
    return 1000 * (time.process_time() - start)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=100_000)
    parser.add_argument("--turns", type=int, default=15)
    options = parser.parse_args()
    fields = make_fields(options.clips)
    clips, mask = Clips(fields), np.random.default_rng(1).random(options.clips) < 0.5
    scaler = StandardScaler().fit(fields["embedding"])
    step = FieldTransformer(StandardScaler()).fit(clips)
    pairs = {
        "mask": (lambda: {name: values[mask] for name, values in fields.items()}, lambda: clips[mask]),
        "transform": (lambda: fields | {"embedding": scaler.transform(fields["embedding"])},
                      lambda: step.transform(clips)),
    }  # fmt: skip
    print("| operation | bare arrays [ms] | Clips [ms] | ratio |\n|---|---:|---:|---:|")
    for name, calls in pairs.items():
        times = [[milliseconds(call) for call in calls] for _ in range(options.turns)]
        bare, ours = map(median, zip(*times, strict=True))
        print(ROW.format(name, bare, ours, median(b / a for a, b in times)))


if __name__ == "__main__":
    main()
