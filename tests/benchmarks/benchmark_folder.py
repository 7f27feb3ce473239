"""From a folder of recordings to scores: `python tests/benchmarks/benchmark_folder.py`.

Half of the clips of 10 s train, all are scored; reading and features count, in every row. Ours is `LogMelSpectrogram`,
`StatisticsEmbedder` and `MahalanobisDetector`. "Plainly" is the same by librosa and scikit-learn, file by file: mean
and standard deviation of log-mel bands, Ledoit-Wolf. PyOD, where it is installed, is its audio encoder and its
detector, as they come. Prints a Markdown table with medians and the ratios to ours, on one processor and on all of
them, of FLAC and of WAV files.
"""

import argparse
import os
import tempfile
import time
from functools import partial
from pathlib import Path

import librosa
import numpy as np
import soundfile
from sklearn.covariance import LedoitWolf
from sklearn.pipeline import make_pipeline

from skasd.detectors import MahalanobisDetector
from skasd.embedders import StatisticsEmbedder
from skasd.features import LogMelSpectrogram

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def ours(train, paths, n_jobs=None):
    system = make_pipeline(LogMelSpectrogram(n_jobs=n_jobs), StatisticsEmbedder(), MahalanobisDetector())
    return system.fit(train).score_samples(paths)


def plainly(train, paths):
    covariance = LedoitWolf().fit(np.stack(list(map(embed, train))))
    return -covariance.mahalanobis(np.stack(list(map(embed, paths))))


def embed(path):
    waveform, sample_rate = librosa.load(path, sr=None)
    mel = librosa.feature.melspectrogram(y=waveform, sr=sample_rate, n_fft=1024, hop_length=512, n_mels=128)
    log_mel = librosa.power_to_db(mel, top_db=None)
    return np.r_[log_mel.mean(axis=1), log_mel.std(axis=1)]


def pyod(train, paths):
    from pyod.models.embedding import EmbeddingOD

    return EmbeddingOD.for_audio().fit(train.tolist()).decision_function(paths.tolist())


OURS = "skasd", "skasd, n_jobs=-1"
WAYS = {
    **dict(zip(OURS, (ours, partial(ours, n_jobs=-1)), strict=True)),
    "librosa + scikit-learn": plainly,
    "PyOD, for_audio": pyod,
}


def write_clips(folder, kind, n_clips):
    """Hum in noise, as machines have, which FLAC makes about half as long."""
    rng, seconds = np.random.default_rng(0), np.arange(160_000) / 16_000
    for number in range(n_clips):
        hum = np.sin(2 * np.pi * rng.uniform(90, 110) * seconds)
        soundfile.write(Path(folder) / f"{number:05d}.{kind}", 0.1 * hum + 0.02 * rng.normal(size=160_000), 16_000)
    return np.array(sorted(map(str, Path(folder).iterdir())))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=1000)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: computing time, where others compute too")
    options = parser.parse_args()
    clock, ways = CLOCKS[options.clock], dict(WAYS)
    try:
        import pyod.models.embedding  # noqa: F401
    except ImportError as error:
        print(f"PyOD is left out: {error}")
        ways.popitem()
    print(f"{options.clips} clips of 10 s, {options.clock} clock, medians of {options.turns} turns, load average "
          f"{os.getloadavg()[0]:.1f}\n")  # fmt: skip
    print("| files | way | ms per file | ratio to skasd | with n_jobs=-1 |\n|---|---|---:|---:|---:|")
    for kind in ("flac", "wav"):
        with tempfile.TemporaryDirectory() as folder:
            paths, spent = write_clips(folder, kind, options.clips), {way: [] for way in ways}
            for turn in range(options.turns + 1):
                for way, run in ways.items():
                    start = clock()
                    scores = run(paths[::2], paths)
                    spent[way].append(clock() - start)
                    if not turn:  # in which caches are filled and modules loaded
                        assert scores.shape == paths.shape and np.isfinite(scores).all()
                        spent[way].clear()
        for way, times in spent.items():
            each = 1e3 * np.median(times) / (1.5 * options.clips)
            ratios = [np.median(np.divide(times, spent[own])) for own in OURS]
            print(f"| {kind.upper()} | {way} | {each:.2f} |", *(f"{ratio:.2f} |" for ratio in ratios), flush=True)


if __name__ == "__main__":
    main()
