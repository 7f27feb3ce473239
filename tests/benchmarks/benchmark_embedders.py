"""Speed of `ClassificationEmbedder` beside a plain torch loop: `python tests/benchmarks/benchmark_embedders.py`.

Both sides have the same network, loss, optimizer, precision and batch size, and the same clips in host memory: random
numbers, for the speed does not depend on them. The plain loop leaves maps as torch lays them out, where the networks of
skasd keep their channels last on a CPU. The plain loop keeps no history and looks at the loss once an epoch.

Training speed is that of the epochs after the first, which warms up caches, allocator and compiler; the clock runs
from the beginning of an epoch to its end, for skasd when skorch tells its callbacks of them. What `fit` does once
(checks, one batch through the network to learn its sizes, the optimizer, one pass over the clips at the end for the
statistics of the batch norms) is in a column of its own. Embedding speed is
that of a whole call of `transform`, checks included. The two sides take turns; a speed is the median over the turns, a
ratio the median of the ratios of neighbouring turns.

Each side of the first table has a process of its own: what the C library does with memory depends on what ran before.
Run it on an idle machine. On a CPU that others use as well, ``--clock cpu`` counts the seconds that the process spent
computing in place of those that went by; set ``OMP_NUM_THREADS=1`` with it, for it adds up all threads.
"""

import argparse
import os
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import numpy as np
import torch
from skorch.callbacks import Callback

from skasd import networks
from skasd.embedders import ClassificationEmbedder
from skasd.features import LogMelSpectrogram
from skasd.losses import ArcFaceLoss
from skasd.networks import inputs

RATE = 16000
N_CLASSES = 6
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
INPUTS = {
    "MobileFaceNet": "log_mel",
    "DualFeatureNetwork": "waveform",
    "MobileNetV2": "log_mel",
    "EfficientNet": "log_mel",  # B1
}


class PlainLoop:
    """What one would write without skasd, with maps as torch lays them out."""

    def __init__(self, network, device, options):
        self.network, self.device, self.options = network, device, options

    def fit(self, X, y):
        inputs.channels_last = lambda x: x  # in this process
        X, y = torch.from_numpy(X), torch.from_numpy(y)
        self.model = self.network().eval()
        with torch.no_grad():
            embedding_size = self.model(X[:2]).shape[1]
        self.model.to(self.device).train()
        loss = ArcFaceLoss(embedding_size, N_CLASSES).to(self.device)
        optimizer = torch.optim.AdamW([*self.model.parameters(), *loss.parameters()], lr=1e-3)
        self.durations = []
        for _ in range(self.options.epochs):
            start, total = self.options.clock(), torch.zeros((), device=self.device)
            for rows in torch.randperm(len(X)).split(self.options.batch_size):
                optimizer.zero_grad()
                value = loss(self.model(X[rows].to(self.device)), y[rows].to(self.device))
                value.backward()
                optimizer.step()
                total += value.detach()
            total.item()
            self.durations.append(self.options.clock() - start)
        return self

    @torch.inference_mode()
    def transform(self, X):
        self.model.eval()
        parts = [self.model(x.to(self.device)).cpu() for x in torch.from_numpy(X).split(self.options.batch_size)]
        return torch.cat(parts).numpy()


class Stopwatch(Callback):
    """The durations of skasd's epochs."""

    def __init__(self, clock):
        self.clock = clock

    def on_train_begin(self, net, **kwargs):
        self.durations = []

    def on_epoch_begin(self, net, **kwargs):
        self.start = self.clock()

    def on_epoch_end(self, net, **kwargs):
        self.durations.append(self.clock() - self.start)


def make_embedder(network, device, options, **params):
    return ClassificationEmbedder(
        network,
        max_epochs=options.epochs,
        batch_size=options.batch_size,
        callbacks=[Stopwatch(options.clock)],
        device=device,
        random_state=0,
        **params,
    )


def make_clips(options):
    """Waveforms, their log-mel spectrograms, and classes."""
    rng = np.random.default_rng(0)
    waveform = rng.uniform(-0.3, 0.3, size=(options.clips, int(RATE * options.seconds))).astype(np.float32)
    log_mel = LogMelSpectrogram().fit_transform(waveform)
    return {"waveform": waveform, "log_mel": log_mel}, np.arange(options.clips) % N_CLASSES


def seconds(clock, call, *arguments):
    start = clock()
    call(*arguments)
    return clock() - start


def take_turn(side, X, y, clock):
    """Clips per second in training and embedding, and the seconds that fit spends besides its epochs."""
    whole = seconds(clock, side.fit, X, y)
    durations = side.durations if isinstance(side, PlainLoop) else dict(side.net_.callbacks_)["Stopwatch"].durations
    side.transform(X[:2])
    return len(X) / median(durations[1:]), len(X) / seconds(clock, side.transform, X), whole - sum(durations)


def medians(turns):
    return [median(column) for column in zip(*turns, strict=True)]


def print_row(*cells):
    print(f"| {' | '.join(f'{cell:.3g}' if isinstance(cell, float) else str(cell) for cell in cells)} |", flush=True)


def print_head(*names):
    print()
    print_row(*names)
    print_row(*["---"] * len(names))


def own_process():
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"))


def compare_with_plain_loop(clips, y, device, options):
    speeds = [f"{what}, {side}" for what in ("training", "embedding") for side in ("plain", "skasd")]
    print_head("network", *speeds[:2], "ratio", *speeds[2:], "ratio", "fit, once (s)")
    for name in options.networks:
        network, X = getattr(networks, name), clips[INPUTS[name]]
        sides = PlainLoop(network, device, options), make_embedder(network, device, options)
        with own_process() as one, own_process() as other:
            turns = [
                [process.submit(take_turn, side, X, y, options.clock).result()
                 for process, side in zip((one, other), sides, strict=True)]
                for _ in range(options.turns)
            ]  # fmt: skip
        plain, skasd = (medians(side) for side in zip(*turns, strict=True))
        ratios = medians([ours / theirs for ours, theirs in zip(b, a, strict=True)] for a, b in turns)
        print_row(name, plain[0], skasd[0], ratios[0], plain[1], skasd[1], ratios[1], skasd[2])


def compare_log_mel(clips, y, device, options):
    """Spectrograms by the network, anew in each epoch, or once by the CPU."""
    print_head("log-mel of MobileFaceNet", "once", "training", "embedding, log-mel included")
    whole = partial(networks.WithFrontEnd, [networks.LogMelLayer], networks.MobileFaceNet)
    turns = [
        (
            take_turn(make_embedder(whole, device, options), clips["waveform"], y, options.clock),
            take_turn(make_embedder(networks.MobileFaceNet, device, options), clips["log_mel"], y, options.clock),
            len(y) / seconds(options.clock, LogMelSpectrogram().fit_transform, clips["waveform"]),
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
        network, X = getattr(networks, name), clips[INPUTS[name]]
        for variant, params in variants.items():
            torch.cuda.reset_peak_memory_stats()
            turns = [
                take_turn(make_embedder(network, device, options, **params), X, y, options.clock)
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
    parser.add_argument("--networks", nargs="+", choices=INPUTS, default=list(INPUTS))
    parser.add_argument("--clips", type=int, default=256)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of a clip")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=3, help="of a turn, at least 2; the first does not count")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="seconds that go by, or of computing")
    options = parser.parse_args()
    clock, options.clock = options.clock, CLOCKS[options.clock]

    device = options.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    print(f"{machine(device)}; load {os.getloadavg()[0]:.1f} at the start. Clips per second by the {clock} clock: "
          f"{options.clips} clips of {options.seconds:g} s, batches of {options.batch_size}, float32; median of "
          f"{options.turns} turns of {options.epochs} epochs.")  # fmt: skip
    clips, y = make_clips(options)
    compare_with_plain_loop(clips, y, device, options)
    compare_log_mel(clips, y, device, options)
    if device == "cuda":
        compare_precisions(clips, y, device, options)
    print(f"\nLoad at the end: {os.getloadavg()[0]:.1f}.")


if __name__ == "__main__":
    main()
