"""Compare the published systems with an untrained control: `python tests/benchmarks/compare_systems.py FOLDER`.

Every system of `skasd.systems`, the control and random scores are trained and scored by `evaluate` on synthetic
machines in the layout of DCASE 2022 Task 2, and on the recordings of real motors. FOLDER keeps the data and the result
of every machine: started again, the command goes on where it was stopped. With ``--report docs/results.md`` tables are
written into that file, between two marks, and plots beside it, into ``images``.

On synthetic machines the seed draws machines, faults and clips, and all randomness of the system. On the motors it
draws the randomness of the system alone. Levels of the motors are normalised, so that loudness helps nobody.
"""

import argparse
import inspect
import shlex
import shutil
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from zlib import crc32

import numpy as np
import pandas
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.pipeline import make_pipeline
from sklearn.utils import check_random_state
from systems_report import CHANCE, CONTROL, WITHIN, write_report

from skasd import systems
from skasd.audio import LevelNormalizer
from skasd.datasets import load_motors, make_machine_sounds, write_dcase
from skasd.detectors import MahalanobisDetector, OutlierExposureDetector
from skasd.embedders import StatisticsEmbedder
from skasd.evaluation import evaluate
from skasd.features import LogMelSpectrogram
from skasd.metrics import auc_score

MACHINES = ["ToyCar", "ToyTrain", "bearing", "fan", "gearbox", "slider", "valve"]
DURATION = 3.0  # seconds, so that a window of 64 frames is shorter than a clip
SYNTHETIC = {"n_train_source": 95, "n_train_target": 5, "n_test": 20, "snr": 0.0, "severity": 1.0}
MOTORS = {
    "propeller": {"fault": "propeller"},
    **{f"bearing, {motor} held out": {"fault": "bearing", "held_out": motor} for motor in ("M1", "M2", "M3")},
}
PARTS = ["cnn_local", "cnn_global", "cnn_oe"]  # one of these is the ensemble of a machine


class RandomScores(OutlierMixin, BaseEstimator):
    """What scores tell that know nothing of a clip."""

    def __init__(self, random_state=None):
        self.random_state = random_state

    def fit(self, X, y=None):
        return self

    def score_samples(self, X):
        return check_random_state(self.random_state).uniform(size=len(X))

    def decision_function(self, X):
        return self.score_samples(X) - 0.1


def control():
    """Mean and deviation of log-mel bands, one Gaussian a section: the first thing that one would try."""
    return make_pipeline(LogMelSpectrogram(), StatisticsEmbedder(), MahalanobisDetector())


def make_system(name, machine, **options):
    """The system of that name for a machine, with those options that it has."""
    if name == CHANCE:
        return RandomScores(crc32(f"{options['random_state']} {machine}".encode()))
    if name == CONTROL:
        return control()
    build, options = getattr(systems, name), options | {"machine": machine}
    system = build(**{key: value for key, value in options.items() if key in inspect.signature(build).parameters})
    if options["epochs"] is None:
        return system
    return system.set_params(**{key: options["epochs"] for key in system.get_params() if key.endswith("max_epochs")})


def make_motor_system(name, task, **options):
    """The same for the motors; where a task has one section, embedders learn to tell its motors apart."""
    system = make_system(name, task, **options)
    if task == "propeller" or "embedder__targets" not in system.get_params():
        return system
    if isinstance(system["detector"], OutlierExposureDetector):
        raise ValueError("its score is how well sections are told apart, and this task has one section")
    targets = system["embedder"].targets
    return system.set_params(embedder__targets=tuple("motor" if one == "section" else one for one in targets))


def synthetic(folder, seed, machines):
    """Folders of machines, written where they are not there yet."""
    settings = "_".join(f"{name}_{value:g}" for name, value in (SYNTHETIC | {"duration": DURATION}).items())
    home = folder / "synthetic" / settings / f"seed_{seed}"
    for machine in machines:
        if not (home / machine).exists():
            print(f"seed {seed}: making {machine}", file=sys.stderr, flush=True)
            write_dcase(make_machine_sounds(machine, duration=DURATION, random_state=seed, **SYNTHETIC), home)
    return home


def motors():
    """For each task its clips: those that train overlap, so that there are more of them, those of the test do not."""
    return {task: _motor_clips(task, **which) for task, which in MOTORS.items()}


def _motor_clips(task, **which):
    train = load_motors(split="train", duration=2.5, hop=0.5, **which)
    clips = train + load_motors(split="test", duration=2.5, **which)
    # Without the path, which is that of a whole recording.
    return LevelNormalizer().fit_transform(clips.without("path").with_fields(machine=[task] * len(clips)))


def in_fresh_process(call, *arguments):
    """What a call returns, from a process whose memory is its own; not a fork, which waits for threads for ever."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
        return fresh.submit(call, *arguments).result()


def run(name, data_name, seed, options):
    """All figures of one system on one set, as `Evaluation.to_frame` gives them."""
    if data_name == "synthetic":
        data = synthetic(options.folder, seed, options.machines)
        build, how = make_system, {"machines": options.machines, "year": 2022, "n_resamples": 1000}
    else:
        data, build, how = motors(), make_motor_system, {"year": 2020, "n_resamples": 0}
    weights = None if options.weights == "none" else options.weights
    build = partial(build, name, preset=options.preset, device=options.device, weights=weights, epochs=options.epochs,
                    random_state=seed)  # fmt: skip
    results = options.folder / "results" / options.variant / data_name / f"seed_{seed}"
    if name == "narita_ensemble":
        take_over(build, options.machines, results)
    evaluation = evaluate(build, data, results=results / name, name=name, random_state=seed, **how)
    frame = pandas.concat([evaluation.to_frame(), pandas.DataFrame(more_figures(evaluation))], ignore_index=True)
    return frame.assign(system=name, data=data_name, seed=seed)


def take_over(build, machines, results):
    """Copy the results of the systems of which the ensemble takes one for each machine, so that none trains twice.

    `evaluate` knows whether a result is that of the very same system; if not, it refuses it.
    """
    for machine, part in product(machines, PARTS):
        same = repr(build(machine)) == repr(partial(make_system, part, **build.keywords)(machine))
        source, target = results / part / f"{machine}.json", results / "narita_ensemble" / f"{machine}.json"
        if same and source.exists() and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)


def more_figures(evaluation):
    """Number of test clips, share of the normal ones that raise an alarm, and AUC within each domain."""
    for machine, clips in evaluation.clips.items():
        row = {"machine": machine, "source": "measured"}
        yield row | {"metric": "test clips", "value": len(clips)}
        for domain in np.unique(clips["domain"]).tolist():
            part = clips[clips["domain"] == domain]
            anomalous = part["label"] == -1
            yield row | {"domain": domain, "metric": "false alarms", "value": part["decision"][~anomalous].mean()}
            for section in np.unique(part["section"]).tolist():
                own = part["section"] == section
                auc = auc_score(anomalous[own].astype(int), part["anomaly_score"][own])
                yield row | {"section": section, "metric": WITHIN, "value": auc}


def parse(arguments):
    names = [CHANCE, CONTROL, "rank_pooled_gmm"]
    names += [name for name in systems.__all__ if name not in (*names, "narita_ensemble")] + ["narita_ensemble"]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="keeps data and results; about 0.4 GB a seed")
    parser.add_argument("--data", nargs="+", choices=["synthetic", "motors"], default=["synthetic", "motors"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--machines", nargs="+", choices=MACHINES, default=MACHINES, help="synthetic machines")
    parser.add_argument("--systems", nargs="+", choices=names, default=names)
    parser.add_argument("--preset", choices=["small", "full"], default="small")
    parser.add_argument("--epochs", type=int, help="of every network; default: those of the preset")
    parser.add_argument("--device", default="auto", help="cpu, cuda, or auto, which takes a GPU where there is one")
    parser.add_argument("--weights", choices=["imagenet", "none"], default="imagenet", help="start of the full CNNs; "
                        "imagenet is downloaded")  # fmt: skip
    parser.add_argument("--report", type=Path, help="Markdown file for tables and plots; default: in FOLDER")
    options = parser.parse_args(arguments)
    options.systems = list(dict.fromkeys([CONTROL, *options.systems]))  # beside which the report sets the others
    options.variant = options.preset + (f"_{options.epochs}_epochs" if options.epochs else "")
    options.report = options.report or options.folder / f"results_{options.variant}.md"
    return options


def main(arguments):
    options = parse(arguments)
    jobs = list(product(options.seeds, options.data, options.systems))
    frames = []
    for number, (seed, data_name, name) in enumerate(jobs, start=1):
        if data_name == "motors" and name == "narita_ensemble":
            continue  # its report has no choice for other machines
        print(f"[{number}/{len(jobs)}] {name} on {data_name}, seed {seed}", file=sys.stderr, flush=True)
        frames.append(in_fresh_process(run, name, data_name, seed, options))
    frame = pandas.concat(frames, ignore_index=True).fillna({"section": "", "domain": ""})
    frame.to_csv(options.folder / f"figures_{options.variant}.csv", index=False)
    write_report(frame, options.report, f"python tests/benchmarks/compare_systems.py {shlex.join(arguments)}")
    print(f"Report: {options.report}", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
