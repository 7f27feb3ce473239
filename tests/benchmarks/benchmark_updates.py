"""A machine that begins to run at another speed: `python tests/benchmarks/benchmark_updates.py`.

For each seed and each of three machines (see `tests/recordings.py`) a `RecordingDetector` learns from 30 healthy
recordings at the usual speed. Then the machine runs a quarter faster, and the detector is updated with 5, 10 or 20
healthy recordings of the new speed. Prints a Markdown table with the shares of false alarms and hits on fresh
recordings of each speed, and how often `drift` says so of ten fresh healthy recordings of each (p below 0.05).
"""

import argparse
import sys
import tempfile
import warnings
from copy import deepcopy
from pathlib import Path

import numpy as np

from skasd.monitoring import RecordingDetector

sys.path.insert(0, str(Path(__file__).parents[1]))
from recordings import FAULTS, MACHINES, write_recordings

N_TRAIN, N_DRIFT, RATE = 30, 10, 0.05
UPDATES = (0, 5, 10, 20)


def healthy_and_faulty(folder, machine, n_healthy, seed, speed):
    """Paths of the healthy recordings of a machine at a speed, in order, and of the faulty ones."""
    folder = write_recordings(folder, machine, n_healthy, FAULTS, 3, seed, speed=speed)
    healthy = sorted((folder / "healthy").glob("*.wav"), key=lambda path: int(path.stem.split()[-1]))
    return healthy, sorted(folder.glob("faulty/*/*.wav"))


def alarm_rate(detector, paths):
    return np.mean(detector.predict(paths) == -1)


def drift_rate(detector, paths):
    """How often ten recordings at a time have moved."""
    parts = [paths[first : first + N_DRIFT] for first in range(0, len(paths) - N_DRIFT + 1, N_DRIFT)]
    return np.mean([detector.drift(part).has_moved for part in parts])


def measure(machine, seed, n_fresh, speed):
    """For each number of recordings in the update false alarms, hits and drift at both speeds."""
    with tempfile.TemporaryDirectory() as folder:
        usual, usual_faulty = healthy_and_faulty(Path(folder, "usual"), machine, N_TRAIN + n_fresh, seed, 1.0)
        other, other_faulty = healthy_and_faulty(
            Path(folder, "other"), machine, UPDATES[-1] + n_fresh, seed + 500, speed
        )
        first, rows = RecordingDetector().fit(usual[:N_TRAIN]), []
        for n_new in UPDATES:
            detector = deepcopy(first)
            if n_new:
                detector.update(other[:n_new])
            fresh = [usual[N_TRAIN:], other[UPDATES[-1] :]]
            rows.append([
                *(alarm_rate(detector, paths) for paths in (*fresh, usual_faulty, other_faulty)),
                *(drift_rate(detector, paths) for paths in fresh),
            ])  # fmt: skip
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--fresh", type=int, default=40, help="healthy recordings of each speed that are scored")
    parser.add_argument("--speed", type=float, default=1.25, help="the new one, in units of the usual one")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    found = [measure(machine, seed, options.fresh, options.speed) for seed in options.seeds for machine in MACHINES]
    parts = ["false alarms", "hits", "drift"]
    print(f"| recordings in the update | {' | '.join(f'{part}, usual speed | new speed' for part in parts)} |")
    print("|---:|" + "---:|" * 2 * len(parts))
    for n_new, numbers in zip(UPDATES, np.mean(found, axis=0), strict=True):
        print(f"| {n_new} | " + " | ".join(f"{value:.1%}" for value in numbers) + " |")


if __name__ == "__main__":
    main()
