"""Memory in which 6 000 ten-second clips train: `python tests/benchmarks/benchmark_memory.py`.

Each row is a fresh process that fits a `ClassificationEmbedder` and prints the most memory that it held at once (its
peak resident set size). The clips are a memory-mapped array of spectrograms, 16-bit waveforms in memory, or files read
by worker processes. A small network goes through all clips once, and then embeds them all: its rows show the memory of
the data. The default network trains on four batches, with the last pass for its batch norms: its maps take about 0.1 GB
for each clip of a training batch (on a GPU: of its memory), so there the size of the batch decides.

Pages of a mapped file count as the process's as long as the system leaves them in memory, and pages that workers share
with it count once for each: the sums are upper bounds. Needs Linux or macOS, and about 1.1 GB of disk.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

RATE, SECONDS = 16000, 10
LOG_MEL_SHAPE = (128, 313)
N_FILES = 200
N_WORKERS = 2
N_BATCHES = 4
SOURCES = {
    "log_mel": "log-mel, memory-mapped float32",
    "waveform": "waveforms, int16 in memory",
    "path": "files, read by two workers",
    "none": "no clips, nothing but the imports",
}
RUNS = [
    ("none", "small", 64),
    ("log_mel", "small", 64),
    ("waveform", "small", 64),
    ("path", "small", 64),
    ("log_mel", "MobileFaceNet", 16),
    ("waveform", "MobileFaceNet", 8),
    ("waveform", "MobileFaceNet", 16),
    ("path", "MobileFaceNet", 16),
    ("log_mel", "MobileFaceNet", 64),
]


def write_clips(folder, n_clips):
    """Spectrograms in one file, chunk by chunk, so that this process stays small; and some audio files."""
    import soundfile

    rng = np.random.default_rng(0)
    with open(folder / "log_mel.f32", "wb") as file:
        for start in range(0, n_clips, 100):
            rng.normal(-40, 10, size=(min(100, n_clips - start), *LOG_MEL_SHAPE)).astype(np.float32).tofile(file)
    for number in range(N_FILES):
        soundfile.write(folder / f"{number}.wav", rng.uniform(-0.3, 0.3, RATE * SECONDS), RATE, subtype="PCM_16")


def read_clips(field, folder, n_clips):
    if field == "log_mel":
        return np.memmap(folder / "log_mel.f32", np.float32, "r", shape=(n_clips, *LOG_MEL_SHAPE))
    if field == "waveform":
        return np.random.default_rng(0).integers(-(10**4), 10**4, size=(n_clips, RATE * SECONDS), dtype=np.int16)
    return np.array([str(folder / f"{number % N_FILES}.wav") for number in range(n_clips)])


def train(field, network, batch_size, folder, n_clips):
    from functools import partial

    from torch import nn

    from skasd.clips import Clips
    from skasd.embedders import ClassificationEmbedder
    from skasd.networks import LogMelLayer, MobileFaceNet, WithFrontEnd

    def small():
        convolutions = nn.Conv2d(1, 8, 5, stride=4), nn.ReLU(), nn.Conv2d(8, 16, 5, stride=4), nn.ReLU()
        return nn.Sequential(nn.Unflatten(1, (1, LOG_MEL_SHAPE[0])), *convolutions, nn.Flatten(), nn.LazyLinear(16))

    if field == "none":
        return
    network, n_trained = (small, n_clips) if network == "small" else (MobileFaceNet, N_BATCHES * batch_size)
    number = np.arange(n_clips)
    label = np.where(number < n_trained, 1, -1)  # what is labelled anomalous does not train
    clips = Clips({field: read_clips(field, folder, n_clips), "section": number % 6, "label": label})
    embedder = ClassificationEmbedder(
        network if field == "log_mel" else partial(WithFrontEnd, [LogMelLayer], network),
        max_epochs=1,
        batch_size=batch_size,
        iterator_train__num_workers=N_WORKERS if field == "path" else 0,
        device="cpu",
        random_state=0,
    )
    embedder.fit(clips)
    if network is small:
        embedder.transform(clips)


def peak(who):
    """Most memory held at once, in GB."""
    return resource.getrusage(who).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9


def report(field, network, batch_size, folder, n_clips):
    command = [sys.executable, __file__, "--clips", n_clips, "--run", field, network, batch_size, folder]
    output = subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE, text=True).stdout
    process, worker = json.loads(output)
    n_workers = N_WORKERS if field == "path" else 0
    what = ("", "") if field == "none" else (network, batch_size)
    workers = f"{n_workers} x {worker:.2f}" if n_workers else ""
    cells = SOURCES[field], *what, f"{process:.2f}", workers, f"{process + n_workers * worker:.2f}"
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=6000)
    parser.add_argument("--run", nargs=4, help=argparse.SUPPRESS)  # what a fresh process does
    options = parser.parse_args()
    if options.run:
        field, network, batch_size, folder = options.run
        train(field, network, int(batch_size), Path(folder), options.clips)
        print(json.dumps([peak(resource.RUSAGE_SELF), peak(resource.RUSAGE_CHILDREN)]))
        return
    print(f"{options.clips} clips of {SECONDS} s; peak memory in GB.\n")
    print("| clips | network | batch | process | workers | sum |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        write_clips(Path(folder), options.clips)
        for run in RUNS:
            report(*run, folder, options.clips)


if __name__ == "__main__":
    main()
