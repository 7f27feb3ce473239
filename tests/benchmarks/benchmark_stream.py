"""Hours of sound through a `StreamMonitor`: `python tests/benchmarks/benchmark_stream.py --hours 1`.

A file at 16 kHz is made, noise of a machine with a short fault every ten minutes, and streamed in blocks of a second by
`soundfile.blocks`. Prints how many times faster than real time that was, by the wall clock and by processor time, the
memory (resident set) after each tenth of the file, and the events. With OMP_NUM_THREADS=1 it is one core.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import soundfile

from skasd.monitoring import RecordingDetector, StreamMonitor

RATE = 16000
FAULT_EVERY = 600  # s


def minute(rng, has_fault):
    made = 0.05 * rng.standard_normal(60 * RATE, dtype=np.float32)
    made += 0.1 * np.sin(2 * np.pi * 120 / RATE * np.arange(60 * RATE, dtype=np.float32))
    if has_fault:
        made[30 * RATE : 31 * RATE] *= 3
    return made


def write(path, hours, rng):
    with soundfile.SoundFile(path, "w", RATE, 1, "PCM_16") as file:
        for number in range(round(60 * hours)):
            file.write(minute(rng, number % (FAULT_EVERY // 60) == FAULT_EVERY // 60 - 1))


def watched(path, block_duration, memory):
    """Blocks of a file, with the memory of this process noted now and then."""
    size = round(block_duration * RATE)
    n_blocks = soundfile.info(path).frames // size
    for number, block in enumerate(soundfile.blocks(path, size, dtype="float32")):
        if number % (n_blocks // 10) == 0:
            memory.append(psutil.Process().memory_info().rss / 2**20)
        yield block


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=0.2)
    parser.add_argument("--block-duration", type=float, default=1.0, help="in seconds")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    healthy = [minute(rng, False)[: 10 * RATE] for _ in range(30)]
    monitor = StreamMonitor(RecordingDetector(sample_rate=RATE).fit(healthy))
    with tempfile.TemporaryDirectory() as folder:
        path, memory, kinds = Path(folder, "stream.wav"), [], []
        write(path, options.hours, rng)
        wall, cpu = time.perf_counter(), time.process_time()
        kinds = [event.kind for event in monitor.events(watched(path, options.block_duration, memory))]
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    seconds = 3600 * options.hours
    print(f"{options.hours:g} h in {wall:.1f} s ({cpu:.1f} s of processor time): "
          f"{seconds / wall:.0f} times real time, {seconds / cpu:.0f} by processor time")  # fmt: skip
    print("memory [MiB]:", *(f"{value:.1f}" for value in memory))
    print({kind: kinds.count(kind) for kind in sorted(set(kinds))})


if __name__ == "__main__":
    main()
