"""Time and memory of `LogMelSpectrogram` beside librosa: `python tests/benchmarks/benchmark_features.py`.

10 s clips at 16 kHz, one core for each library (threads of BLAS limited to one). All comparisons take turns, so that a
slow minute of the machine meets them alike; the ratio is the median over the turns. Run it on an idle machine: two
threads need two free cores, and the row of the bare Fourier transforms tells whether they had them.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import librosa
import numpy as np
import soundfile
from joblib import Parallel, delayed
from scipy.fft import rfft
from threadpoolctl import threadpool_limits

from skasd.features import LogMelSpectrogram

RATE, SECONDS = 16000, 10
N_PATHS = 1000
ROW = "{:<44} {:>14} {:>14} {:>8} {:>8}"

PEAK = """
import sys, tracemalloc
from skasd.features import LogMelSpectrogram
step = LogMelSpectrogram(n_jobs=2)
step.fit_transform(sys.argv[2:4])
paths = (sys.argv[2:] * int(sys.argv[1]))[:int(sys.argv[1])]
tracemalloc.start()
size = step.fit_transform(paths).nbytes
print(tracemalloc.get_traced_memory()[1], size)
"""


def librosa_log_mel(waveform):
    mel = librosa.feature.melspectrogram(y=waveform, sr=RATE, n_fft=1024, hop_length=512, n_mels=128)
    return librosa.power_to_db(mel, amin=np.finfo(float).eps, top_db=None)


def librosa_on_waveforms(waveforms):
    return np.stack([librosa_log_mel(waveform) for waveform in waveforms])


def librosa_on_paths(paths):
    return np.stack([librosa_log_mel(librosa.load(path, sr=RATE)[0]) for path in paths])


def seconds(call, X):
    start = time.perf_counter()
    call(X)
    return time.perf_counter() - start


def compare(rows, n_repetitions):
    """Print a line for each row (name, slow, fast, clips, wanted)."""
    for _, slow, fast, X, _ in rows:
        slow(X[:4]), fast(X[:4])
    turns = [[(seconds(slow, X), seconds(fast, X)) for _, slow, fast, X, _ in rows] for _ in range(n_repetitions)]
    for (name, _, _, X, wanted), pairs in zip(rows, zip(*turns, strict=True), strict=True):
        times = (f"{1e3 * median(column) / len(X):.3f} ms" for column in zip(*pairs, strict=True))
        print(ROW.format(name, *times, f"{median(a / b for a, b in pairs):.2f}", wanted))


def fourier_transforms(n_jobs):
    return lambda X: Parallel(n_jobs=n_jobs, require="sharedmem")(delayed(rfft)(x.reshape(-1, 100)) for x in X)


def memory(paths):
    command = [sys.executable, "-c", PEAK, str(N_PATHS), *paths]
    peak, size = map(int, subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    columns = (f"{value / 2**20:.0f} MiB" for value in (peak, size))
    print(ROW.format(f"peak memory of {N_PATHS} paths : output", *columns, f"{peak / size:.2f}", "< 2"), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n-clips", type=int, default=600)
    parser.add_argument("--n-repetitions", type=int, default=15)
    options = parser.parse_args()

    waveforms = np.random.default_rng(0).uniform(-0.3, 0.3, (options.n_clips, RATE * SECONDS)).astype(np.float32)
    one, two = (LogMelSpectrogram(n_jobs=n_jobs).fit(waveforms) for n_jobs in (1, 2))
    print(f"{options.n_clips} clips; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; times are for one clip")
    print(ROW.format("first : second", "first", "second", "ratio", "wanted"))
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1):
        paths = [str(Path(folder) / f"{row}.wav") for row in range(options.n_clips)]
        for path, waveform in zip(paths, waveforms, strict=True):
            soundfile.write(path, waveform, RATE)
        rows = [
            ("waveforms, librosa : n_jobs=1", librosa_on_waveforms, one.transform, waveforms, ">= 2.5"),
            ("waveforms, n_jobs=1 : n_jobs=2", one.transform, two.transform, waveforms, ">= 1.7"),
            ("paths, librosa : n_jobs=1", librosa_on_paths, one.transform, paths, ">= 2.5"),
            ("paths, n_jobs=1 : n_jobs=2", one.transform, two.transform, paths, ">= 1.7"),
            ("bare Fourier transforms, one thread : two", fourier_transforms(1), fourier_transforms(2), waveforms, ""),
        ]
        compare(rows, options.n_repetitions)
        memory(paths)
    print(f"load at the end {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
