"""Speed of `ClassificationEmbedder` beside a plain torch loop: `python tests/benchmarks/benchmark_embedders.py`.

Both sides have the same network, loss, optimizer, precision and batch size, and the same clips in host memory: random
numbers, for the speed does not depend on them. The plain loop keeps no history and looks at the loss once an epoch.

Training speed is that of the epochs after the first, which warms up caches, allocator and compiler: by ``history_``
for skasd, by the clock around an epoch for the plain loop. What `fit` does once (checks, one batch through the network
to learn its sizes, the optimizer) is in a column of its own. Embedding speed is that of a whole call of `transform`,
checks included. The two sides take turns; a speed is the median over the turns, a ratio the median of the ratios of
neighbouring turns. Run it on an idle machine; ``OMP_NUM_THREADS=1`` makes it less sensitive to one that is not.
"""

import argparse
import os
import time
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import torch

from skasd.embedders import ClassificationEmbedder
from skasd.features import LogMelSpectrogram
from skasd.losses import ArcFaceLoss
from skasd.networks import DualFeatureNetwork, EfficientNet, LogMelLayer, MobileFaceNet, MobileNetV2, WithFrontEnd

RATE = 16000
N_CLASSES = 6
NETWORKS = {
    "MobileFaceNet": (MobileFaceNet, "log_mel"),
    "DualFeatureNetwork": (DualFeatureNetwork, "waveform"),
    "MobileNetV2": (MobileNetV2, "log_mel"),
    "EfficientNet-B1": (EfficientNet, "log_mel"),
}
ON_THE_DEVICE = partial(WithFrontEnd, [LogMelLayer], MobileFaceNet)


class PlainLoop:
    """What one would write without skasd."""

    def __init__(self, network, device, options):
        self.network, self.device, self.options = network, device, options

    def fit(self, X, y):
        X, y = torch.from_numpy(X), torch.from_numpy(y)
        self.model = self.network().eval()
        with torch.no_grad():
            embedding_size = self.model(X[:2]).shape[1]
        self.model.to(self.device).train()
        loss = ArcFaceLoss(embedding_size, N_CLASSES).to(self.device)
        optimizer = torch.optim.AdamW([*self.model.parameters(), *loss.parameters()], lr=1e-3)
        self.durations = []
        for _ in range(self.options.epochs):
            start, total = time.perf_counter(), torch.zeros((), device=self.device)
            for rows in torch.randperm(len(X)).split(self.options.batch_size):
                optimizer.zero_grad()
                value = loss(self.model(X[rows].to(self.device)), y[rows].to(self.device))
                value.backward()
                optimizer.step()
                total += value.detach()
            total.item()
            self.durations.append(time.perf_counter() - start)
        return self

    @torch.inference_mode()
    def transform(self, X):
        self.model.eval()
        parts = [self.model(x.to(self.device)).cpu() for x in torch.from_numpy(X).split(self.options.batch_size)]
        return torch.cat(parts).numpy()


def make_embedder(network, device, options, **params):
    return ClassificationEmbedder(
        network, max_epochs=options.epochs, batch_size=options.batch_size, device=device, random_state=0, **params
    )


def make_clips(options):
    """Waveforms, their log-mel spectrograms, and classes."""
    rng = np.random.default_rng(0)
    waveform = rng.uniform(-0.3, 0.3, size=(options.clips, int(RATE * options.seconds))).astype(np.float32)
    log_mel = LogMelSpectrogram().fit_transform(waveform)
    return {"waveform": waveform, "log_mel": log_mel}, np.arange(options.clips) % N_CLASSES


def seconds(call, *arguments):
    start = time.perf_counter()
    call(*arguments)
    return time.perf_counter() - start


def take_turn(side, X, y):
    """Clips per second in training and embedding, and the seconds that fit spends besides its epochs."""
    whole = seconds(side.fit, X, y)
    durations = side.durations if isinstance(side, PlainLoop) else [epoch["dur"] for epoch in side.history_]
    side.transform(X[:2])
    return len(X) / median(durations[1:]), len(X) / seconds(side.transform, X), whole - sum(durations)


def medians(turns):
    return [median(column) for column in zip(*turns, strict=True)]


def print_row(*cells):
    print(f"| {' | '.join(f'{cell:.3g}' if isinstance(cell, float) else str(cell) for cell in cells)} |", flush=True)


def print_head(*names):
    print()
    print_row(*names)
    print_row(*["---"] * len(names))


def compare_with_plain_loop(clips, y, device, options):
    speeds = [f"{what}, {side}" for what in ("training", "embedding") for side in ("plain", "skasd")]
    print_head("network", *speeds[:2], "ratio", *speeds[2:], "ratio", "fit, once (s)")
    for name in options.networks:
        network, field = NETWORKS[name]
        turns = [
            [take_turn(side, clips[field], y) for side in
             (PlainLoop(network, device, options), make_embedder(network, device, options))]
            for _ in range(options.turns)
        ]  # fmt: skip
        plain, skasd = (medians(side) for side in zip(*turns, strict=True))
        ratios = medians([ours / theirs for ours, theirs in zip(b, a, strict=True)] for a, b in turns)
        print_row(name, plain[0], skasd[0], ratios[0], plain[1], skasd[1], ratios[1], skasd[2])


def compare_log_mel(clips, y, device, options):
    """Spectrograms by the network, anew in each epoch, or once by the CPU."""
    print_head("log-mel of MobileFaceNet", "once", "training", "embedding, log-mel included")
    turns = [
        (
            take_turn(make_embedder(ON_THE_DEVICE, device, options), clips["waveform"], y),
            take_turn(make_embedder(MobileFaceNet, device, options), clips["log_mel"], y),
            len(y) / seconds(LogMelSpectrogram().fit_transform, clips["waveform"]),
        )
        for _ in range(options.turns)
    ]
    inside, before, once = zip(*turns, strict=True)
    (training, embedding, _), (training_before, embedding_before, _) = medians(inside), medians(before)
    print_row(f"by the network, on {device}", "", training, embedding)
    both = 1 / (1 / median(once) + 1 / embedding_before)
    print_row("precomputed on one CPU core", median(once), training_before, both)


def compare_precisions(clips, y, device, options):
    print_head("network", "precision", "training", "embedding", "peak memory (GiB)")
    variants = {
        "float32": {},
        "mixed_precision": {"mixed_precision": True},
        "compile": {"compile": True},
        "mixed_precision and compile": {"mixed_precision": True, "compile": True},
    }
    for name in options.networks:
        network, field = NETWORKS[name]
        for variant, params in variants.items():
            torch.cuda.reset_peak_memory_stats()
            turns = [
                take_turn(make_embedder(network, device, options, **params), clips[field], y)
                for _ in range(options.turns)
            ]
            print_row(name, variant, *medians(turns)[:2], torch.cuda.max_memory_allocated() / 2**30)


def machine(device):
    """What the numbers were measured on."""
    info = Path("/proc/cpuinfo")
    model = next((line for line in info.read_text().splitlines() if "model name" in line), "") if info.exists() else ""
    name = torch.cuda.get_device_name() if device == "cuda" else model.partition(": ")[2] or "CPU"
    return f"{name}, {os.cpu_count()} CPU cores, torch {torch.__version__}, {torch.get_num_threads()} threads"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--clips", type=int, default=256)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of a clip")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=3, help="of a turn, at least 2; the first does not count")
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()

    device = options.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    print(f"{machine(device)}; load {os.getloadavg()[0]:.1f} at the start. Clips per second: {options.clips} clips of "
          f"{options.seconds:g} s, batches of {options.batch_size}, float32; median of {options.turns} turns of "
          f"{options.epochs} epochs.")  # fmt: skip
    clips, y = make_clips(options)
    compare_with_plain_loop(clips, y, device, options)
    compare_log_mel(clips, y, device, options)
    if device == "cuda":
        compare_precisions(clips, y, device, options)
    print(f"\nLoad at the end: {os.getloadavg()[0]:.1f}.")


if __name__ == "__main__":
    main()
