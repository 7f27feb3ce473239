"""Recordings from a folder to alarms, as a user has them: `python tests/benchmarks/benchmark_recordings.py`.

For each seed and each of three machines 30 healthy recordings train, 48 kHz and stereo, 3 to 40 s long (see
`tests/recordings.py`). Scored are 12 healthy ones, three of each of six kinds of fault, and more fresh healthy ones for
the share of false alarms. Prints a Markdown table: the area under the ROC curve of recordings for each kind of fault,
its mean over all kinds, over those that last and over those that are short; false alarms asked for and found on all
fresh healthy recordings, hits (faulty recordings that alarm), and seconds to score a file. The first two rows are what
users did before: clips of 4 s at 16 kHz, and cut into 0.5 s, of which the worst counts.

The motors that come with the package follow, by recording and at one level: a damaged propeller at speeds that training
has not heard. Four healthy recordings of each motor train, which is too few for a threshold.
"""

import argparse
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from sklearn.pipeline import make_pipeline

from skasd.audio import AudioLoader, LevelNormalizer
from skasd.clips import Clips
from skasd.datasets import load_motors
from skasd.detectors import MahalanobisDetector
from skasd.embedders import StatisticsEmbedder
from skasd.features import LogMelSpectrogram
from skasd.metrics import auc_score
from skasd.monitoring import RecordingDetector, statistics_pipeline
from skasd.systems import statistics_ensemble

sys.path.insert(0, str(Path(__file__).parents[1]))
from recordings import FAULTS, MACHINES, SHORT, write_recordings

N_TRAIN, N_JUDGED, RATE = 30, 12, 0.05
OF_OLD = {"sample_rate": 16000, "hop_duration": 0.5}


def pipeline(n_mels=32, hop_length=256):
    return statistics_pipeline(n_mels=n_mels, hop_length=hop_length)


def whole():
    loader, detector = AudioLoader(duration=4.0, pad_mode="wrap"), MahalanobisDetector(contamination=RATE)
    return make_pipeline(LogMelSpectrogram(loader=loader), StatisticsEmbedder(), detector)


def ensemble():
    return statistics_ensemble().set_params(log_mel__n_mels=32, log_mel__hop_length=256, detector__cv=5)


SYSTEMS = {
    "4 s, 16 kHz, 128 bands": whole,
    "0.5 s, 16 kHz, 128 bands": lambda: RecordingDetector(pipeline(128, 512), **OF_OLD),
    "RecordingDetector": lambda: RecordingDetector(),
    "16 bands": lambda: RecordingDetector(pipeline(16)),
    "64 bands": lambda: RecordingDetector(pipeline(64)),
    "128 bands": lambda: RecordingDetector(pipeline(128)),
    "hop 512": lambda: RecordingDetector(pipeline(32, 512)),
    "clips of 1 s": lambda: RecordingDetector(clip_duration=1.0, hop_duration=0.5),
    "mean of the 3 worst": lambda: RecordingDetector(summary=3),
    "mean of all clips": lambda: RecordingDetector(summary="mean"),
    "ensemble": lambda: RecordingDetector(ensemble()),
}


def aucs(healthy, faulty):
    """The area under the curve for each kind of fault, whose scores are in a dict."""
    return [auc_score(np.repeat([0, 1], [len(healthy), len(one)]), -np.r_[healthy, one]) for one in faulty.values()]


def judge(make, folder, n_fresh):
    """AUC of each kind of fault, shares of false alarms and hits, and seconds a file."""
    healthy = sorted((folder / "healthy").glob("*.wav"), key=lambda path: int(path.stem.split()[-1]))
    faulty = {fault: sorted((folder / "faulty" / fault).glob("*.wav")) for fault in FAULTS}
    system = make().fit(Clips(path=healthy[:N_TRAIN]))
    threshold = system.offsets_[""] if hasattr(system, "offsets_") else system[-1].offset_
    start = time.perf_counter()
    fresh = system.score_samples(Clips(path=healthy[N_TRAIN:]))
    seconds = (time.perf_counter() - start) / len(fresh)
    scores = {fault: system.score_samples(Clips(path=paths)) for fault, paths in faulty.items()}
    hits = np.mean(np.concatenate(list(scores.values())) < threshold)
    return [*aucs(fresh[:N_JUDGED], scores), np.mean(fresh < threshold), hits, seconds]


def row(numbers):
    """A row of the table, from the mean over machines and seeds."""
    by_fault, (false_alarms, hits, seconds) = numbers[: len(FAULTS)], numbers[len(FAULTS) :]
    short = np.isin(FAULTS, SHORT)
    ranks = [*by_fault, by_fault.mean(), by_fault[~short].mean(), by_fault[short].mean()]
    return [*(f"{value:.2f}" for value in ranks), f"{false_alarms:.1%}", f"{hits:.0%}", f"{seconds:.2f}"]


def motors():
    """AUC of the recordings of each motor, level left out, and the shares of false alarms and hits."""
    clips = load_motors()
    _, first = np.unique(clips["path"], return_index=True)
    files = clips[first].without("waveform", "recording", "domain")
    train, test = (files[files["split"] == name] for name in ("train", "test"))
    system = make_pipeline(LevelNormalizer(), *(step for _, step in statistics_pipeline().steps))
    detector = RecordingDetector(system).fit(train)
    scores, calls, faulty = detector.score_samples(test), detector.predict(test) == -1, test["label"] == -1
    ranks = {
        str(motor): auc_score(faulty[own].astype(int), -scores[own])
        for motor in np.unique(test["section"])
        if (own := test["section"] == motor).any()
    }
    return ranks, calls[~faulty].mean(), calls[faulty].mean()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--systems", nargs="+", choices=list(SYSTEMS), default=list(SYSTEMS)[:3])
    parser.add_argument("--machines", nargs="+", choices=MACHINES, default=MACHINES)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--fresh", type=int, default=40, help="healthy recordings that are scored, at least 12")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    found = {name: [] for name in options.systems}
    for seed in options.seeds:
        for machine in options.machines:
            with tempfile.TemporaryDirectory() as folder:
                write_recordings(folder, machine, N_TRAIN + options.fresh, seed=seed)
                for name, numbers in found.items():
                    numbers.append(judge(SYSTEMS[name], Path(folder), options.fresh))
    head = ["system", *FAULTS, "mean", "lasting", "short", f"false alarms, {RATE:.0%} asked", "hits", "s per file"]
    print("| " + " | ".join(head) + " |\n|---|" + "---:|" * (len(head) - 1))
    for name, numbers in found.items():
        print("| " + " | ".join([name, *row(np.mean(numbers, axis=0))]) + " |")
    ranks, false_alarms, hits = motors()
    print("\nmotors by recording: " + ", ".join(f"AUC {auc:.2f} of {motor}" for motor, auc in ranks.items())
          + f"; false alarms {false_alarms:.0%}, hits {hits:.0%}")  # fmt: skip


if __name__ == "__main__":
    main()
