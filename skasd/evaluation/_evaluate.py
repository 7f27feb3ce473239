"""A system over the machines of a data set."""

import inspect
import sys
from collections.abc import Mapping
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext
from functools import partial
from numbers import Integral
from pathlib import Path
from typing import NamedTuple

import numpy as np
from joblib import Parallel, delayed
from sklearn.pipeline import Pipeline

from skasd._docstrings import documented
from skasd._progress import progress_bar
from skasd._sklearn import Interval, StrOptions, check_params
from skasd.clips import Clips
from skasd.datasets import list_test_clips, load_dcase, tell_year
from skasd.evaluation._evaluation import Evaluation
from skasd.evaluation._figures import machine_figures
from skasd.evaluation._run import Failure, attempt_machine
from skasd.evaluation._seeds import evaluate_seeds
from skasd.evaluation._shared import SharedSteps
from skasd.evaluation._store import ResultsFolder
from skasd.metrics import MAX_FPR, PROTOCOL, YEAR, Rules

_HIDDEN = ("label", "domain", "attribute")  # what no system is told of the clips that it scores
_KEPT = ("path", "machine", "section", "domain", "attribute", "recording", "label")


@check_params(
    data=[str, Path, Mapping, Clips],
    machines=["array-like", None],
    year=[YEAR, None],
    protocol=[PROTOCOL],
    max_fpr=[MAX_FPR],
    ground_truth=[str, Path, None],
    results=[str, Path, None],
    seeds=["array-like", None],
    shared=[str, None],
    name=[str, None],
    n_jobs=[Integral, None],
    n_resamples=[Interval(Integral, 0, None, closed="left")],
    random_state=["random_state"],
    on_error=[StrOptions({"record", "raise"})],
    verbose=[Integral, "boolean"],
)
@documented
def evaluate(
    system,
    data,
    *,
    machines=None,
    year=None,
    protocol="official",
    max_fpr=0.1,
    ground_truth=None,
    results=None,
    seeds=None,
    shared=None,
    name=None,
    n_jobs=None,
    n_resamples=1000,
    random_state=None,
    on_error="record",
    verbose=1,
):
    """Train and score a system on every machine of a data set, by the rules of the challenge.

    For each machine, a clone of the system learns from the training clips and scores the test clips, without seeing
    their labels, domains or attributes. A machine that fails does not stop the others.

    Parameters
    ----------
    system : estimator or callable
        An unfitted detector, or pipeline that ends in one, or a function that returns one for the name of a machine,
        such as the result of `skasd.ensemble.select_systems`.

    data : path-like, mapping of str to Clips, or Clips
        A folder with the folders of machines, such as ``dev_data``; or the clips of each machine; or the clips of all
        machines with the field ``machine`` (without it, they are one machine). Clips have the fields ``split``
        (``train`` and ``test``), ``label``, ``section`` (else they are one section) and, but for ``year=2020``,
        ``domain``. If no test clip of a machine has a label, the clips are scored, but there is no official score.

    machines : sequence of str, default=None
        The machines, in this order. None means all.

    year : int, default=None
        Year of the challenge, 2020 to 2026, whose rules count, see `skasd.metrics.official_score`; 2022 to 2026 have
        the same rules. The rules of 2020 know no domains, so use them for data without domains. None takes the year
        from the names and folders of the test clips, and is an error if these are not the challenge's.

    {rule}

    ground_truth : path-like, default=None
        Labels of an evaluation set, see `skasd.datasets.load_dcase`. Only for a folder of data.

    results : path-like, default=None
        Folder in which the scores of each machine are stored as soon as they are computed, in one JSON file per
        machine. If called again with the same folder, machines that are there are not repeated. Results of another
        system, other parameters, other data or another version of the package are an error, and are not overwritten.
        Whether the folder can be written is checked before anything is trained; scores that cannot be written later,
        for instance because the disk is full, are in the result all the same, and a warning names the machines.

    seeds : sequence of int, default=None
        Seeds to train the system with: every parameter ``random_state`` of its parts is set to each in turn. At least
        two, all different. The result is a `RepeatedEvaluation`, with mean and standard deviation over the seeds. In
        ``results`` each seed has a folder, such as ``seed_0``.

    shared : str, default=None
        Name of a step of the pipeline, such as ``"embedder"``, that is fitted once, with the steps before it, on the
        training clips of all machines together, which have the field ``machine``; each machine then fits the steps
        after it. So one network learns to tell all machines apart, which suits the years since 2023, whose machines
        have one section each. None fits all steps for each machine.

    name : str, default=None
        Name of the system in tables. None makes one from the parts of the system.

    n_jobs : int, default=None
        Number of machines that are worked on in parallel. With ``joblib.parallel_config(backend="dask")`` around the
        call, a cluster works on as many as it has worker threads, whatever `n_jobs` says.

    {resamples}

    on_error : {"record", "raise"}, default="record"
        What to do at the end if a machine has failed: ``"record"`` keeps the error in the result, and raises only if
        all have failed. ``"raise"`` raises if any has.

    verbose : int, default=1
        Whether to show progress and the time left, on the error stream: a bar on a terminal or in a notebook, else a
        line for each machine.

    Returns
    -------
    evaluation : Evaluation or RepeatedEvaluation
        Results with intervals for each machine, section and domain, time and memory; ``to_frame``, ``to_markdown``,
        ``to_html``. With ``seeds``, their means, and the evaluation with each seed.

    Raises
    ------
    ValueError
        If there are no such machines, if ``shared`` names no step before the last or the machines' systems differ
        until there, if ``year`` is not given and cannot be told, if ``protocol`` does not fit
        ``year``, or if ``results`` has those of another system or other data, or another process is about to write
        such, or if ``seeds`` are not different numbers, or nothing in the system depends on them.

    OSError
        If ``results`` cannot be made, read or written to.

    RuntimeError
        If all machines have failed, or one and ``on_error="raise"``.

    See Also
    --------
    write_submission : Writes the files for the challenge.
    read_submission : The same results from such files.

    Notes
    -----
    The intervals are those of `skasd.metrics.bootstrap_interval`: clips are drawn with replacement among those of the
    same section, label and domain, all results of a machine from the same draws. If clips have the field ``recording``,
    whole recordings are drawn. They say how much the results would vary with other test clips, but not with other
    training runs: ``seeds`` are for that.

    Files are identified by name, size and time of their last change, and parts of a system by name and parameters:
    after changing the code of a part of your own, use another results folder.

    A shared step belongs to its machines: with other ``machines`` it is a different step, and stored ``results`` are
    refused. If some machines are still missing in ``results``, it is fitted again, and is the same only if the
    ``random_state`` of all its parts is a number. Training clips go through it by `transform`, and their embeddings are
    those that test clips would have. The time for it is ``shared_seconds`` of each `MachineRun`.

    Ctrl-C ends the program; the machine that is being trained does not count as failed, and nothing of it is kept. If a
    worker process is killed, for instance because memory runs out, all unfinished machines fail.

    The file of a machine has its name, followed by a number if the name has capitals or other characters that not every
    file system supports or tells apart.

    Memory is the peak of the process so far: with threads, or ``n_jobs=1`` after other work, it is not that of the
    machine alone.

    Examples
    --------
    >>> import numpy as np
    >>> from skasd.clips import Clips
    >>> from skasd.detectors import MahalanobisDetector
    >>> from skasd.evaluation import evaluate
    >>> embedding = np.random.default_rng(0).normal(size=(100, 2))
    >>> embedding[90:] += 2.0  # anomalies
    >>> clips = Clips(embedding=embedding, split=np.repeat(["train", "test"], 50), label=np.repeat([1, -1], [90, 10]),
    ...               domain=np.tile(["source", "target"], 50))
    >>> evaluation = evaluate(MahalanobisDetector(), {"fan": clips}, year=2022, random_state=0, verbose=0)
    >>> evaluation
    Evaluation of MahalanobisDetector on fan: official score 0.8509 [0.6729, 0.9755]
    """
    arguments = locals()
    _check_system(system)
    name = name or _describe(system)
    if seeds is not None:
        return evaluate_seeds(evaluate, **arguments | {"name": name})
    data = _by_machine(data) if isinstance(data, Clips) else data
    machines = _find_machines(data, machines)
    rules = Rules(_told_year(data, machines) if year is None else year, protocol, max_fpr)
    store = None if results is None else ResultsFolder(results)
    jobs, failures = _prepare_all(machines, system, data, ground_truth, rules, store)
    steps = _shared_steps(shared, jobs) if shared is not None and jobs else None
    jobs = _told_of(steps, jobs) if steps and store else jobs
    runs = {machine: store.read(machine, job.fingerprints, len(job.test)) for machine, job in jobs.items() if store}
    runs = {machine: run for machine, run in runs.items() if run is not None}
    waiting = {machine: job for machine, job in jobs.items() if machine not in runs}
    for machine, outcome in _run_all(waiting, steps, store, len(runs), n_jobs, verbose).items():
        (failures if isinstance(outcome, Failure) else runs)[machine] = outcome
    _raise_failures(failures, machines, on_error)
    return Evaluation(
        {machine: _with_scores(jobs[machine].test, runs[machine]) for machine in machines if machine in runs},
        name=name,
        shared=shared,
        rules=rules,
        runs={machine: runs[machine] for machine in machines if machine in runs},
        failures={machine: failures[machine] for machine in machines if machine in failures},
        n_resamples=n_resamples,
        random_state=random_state,
    )


class _Job(NamedTuple):
    """What a machine needs."""

    system: object
    train: Clips
    test: Clips
    fingerprints: dict
    shared_seconds: float = 0.0


def _shared_steps(name, jobs):
    systems, training = ({machine: getattr(job, what) for machine, job in jobs.items()} for what in ("system", "train"))
    return SharedSteps(name, systems, training)


def _told_of(steps, jobs):
    """The jobs, whose fingerprints tell of the shared steps too."""
    shared = steps.fingerprint({machine: job.fingerprints["training data"] for machine, job in jobs.items()})
    return {machine: job._replace(fingerprints=job.fingerprints | {"shared step": shared})
            for machine, job in jobs.items()}  # fmt: skip


def _with_shared(steps, jobs):
    """The jobs with the shared steps fitted in their systems; or failures of all of them."""
    try:
        systems, seconds = steps.fit()
    except Exception as error:
        return {}, dict.fromkeys(jobs, Failure.of(error))
    return {machine: job._replace(system=systems[machine], shared_seconds=seconds) for machine, job in jobs.items()}, {}


def _run_all(jobs, steps, store, n_known, n_jobs, verbose):
    """The outcome of each machine; a run is stored as soon as it is there."""
    if n_known and verbose:
        message = f"{n_known} of {n_known + len(jobs)} machines are in the results folder already."
        print(message, file=sys.stderr, flush=True)
    fingerprints = {machine: job.fingerprints for machine, job in jobs.items()}
    shown = {"desc": "evaluate", "unit": " machines", "verbose": bool(verbose), "miniters": 1, "mininterval": 0}
    with store.open(fingerprints) if store else nullcontext(), progress_bar(len(jobs), **shown) as bar:
        jobs, outcomes = _with_shared(steps, jobs) if steps and jobs else (jobs, {})
        for machine, outcome in _work(jobs, n_jobs):
            outcomes[machine] = outcome
            if store and not isinstance(outcome, Failure):
                store.keep(machine, fingerprints[machine], outcome)
            bar.set_postfix_str(f"{machine} {_say(outcome)}", refresh=False)
            bar.update()
    return outcomes


def _work(jobs, n_jobs):
    unfinished = dict(jobs)
    try:
        for machine, outcome in Parallel(n_jobs=n_jobs, return_as="generator_unordered")(
            delayed(attempt_machine)(machine, job.system, job.train, _blind(job.test)) for machine, job in jobs.items()
        ):
            del unfinished[machine]
            failed = isinstance(outcome, Failure)
            yield machine, outcome if failed else outcome._replace(shared_seconds=jobs[machine].shared_seconds)
    except BrokenProcessPool as error:  # the work of the other processes is lost with it
        killed = RuntimeError("A worker process was killed, perhaps because memory ran out. Not finished were "
                              f"{', '.join(unfinished)}: evaluate these again, with fewer n_jobs.")  # fmt: skip
        killed.__cause__ = error
        yield from ((machine, Failure.of(killed)) for machine in list(unfinished))


def _told_year(data, machines):
    """The year that the test clips tell by their names and folders."""
    year = tell_year([path for machine in machines for path in _test_paths(data, machine)])
    if year is None:
        raise ValueError("The names and folders of the test clips do not tell of which year of the challenge they are, "
                         "and so not which rule counts. Set year=2022, whose rule is that of all years since, for data "
                         "of a source and a target domain, year=2021 or year=2020, whose rule knows no domains."
                         )  # fmt: skip
    return year


def _test_paths(data, machine):
    if not isinstance(data, Mapping):
        return list_test_clips(Path(data) / machine)
    clips = data[machine]
    if not isinstance(clips, Clips) or "path" not in clips or "split" not in clips:
        return [""]
    return clips["path"][clips["split"] == "test"].tolist()


def _by_machine(clips):
    if "machine" not in clips:
        return {"machine": clips}
    return {machine: clips[clips["machine"] == machine] for machine in np.unique(clips["machine"]).tolist()}


def _find_machines(data, machines):
    if isinstance(data, Mapping):
        there, lacking = list(data), "data holds no clips of any machine. Look at how they were chosen."
    elif Path(data).is_dir():
        there = sorted(path.parent.name for path in Path(data).glob("[!.]*/train") if path.is_dir())
        lacking = f"No machine in {str(data)!r}: none of its folders has a folder 'train' in it."
    else:
        raise FileNotFoundError(f"There is no folder {str(data)!r}. Give a folder with the folders of machines in it, "
                                "or clips by machine.")  # fmt: skip
    if not there:
        raise ValueError(lacking)
    unnamed = [machine for machine in there if not isinstance(machine, str) or not machine]
    if unnamed:
        raise ValueError(f"Each machine needs a name, a text that is not empty; got {', '.join(map(repr, unnamed))}.")
    wanted = there if machines is None else list(machines)
    unknown = [machine for machine in wanted if machine not in there]
    if unknown or not wanted or isinstance(machines, str):
        raise ValueError(f"machines must be a list of some of {', '.join(there)}; got {machines!r}.")
    return list(dict.fromkeys(wanted))


def _check_system(system):
    if inspect.isclass(system) or not (hasattr(system, "fit") or callable(system)):
        raise TypeError("system must be an estimator instance, or a function that gives one for the name of a machine; "
                        f"got {system!r}.")  # fmt: skip


def _prepare_all(machines, *how):
    jobs, failures = {}, {}
    for machine in machines:
        try:
            jobs[machine] = _prepare(machine, *how)
        except Exception as error:
            failures[machine] = Failure.of(error)
    return jobs, failures


def _prepare(machine, system, data, ground_truth, rules, store):
    if isinstance(data, Mapping):
        clips = _complete(data[machine], machine)
    else:
        clips = load_dcase(Path(data) / machine, ground_truth=ground_truth)
    train, test = (clips[clips["split"] == split] for split in ("train", "test"))
    if not len(train) or not len(test):
        raise ValueError(f"{machine} has {len(train)} training and {len(test)} test clips; both are needed.")
    n_unknown = np.count_nonzero(test["label"] == 0)
    if 0 < n_unknown < len(test):
        raise ValueError(f"{n_unknown} of {len(test)} test clips of {machine} have no label, the others have. "
                         "Leave these clips out, or give their ground_truth.")  # fmt: skip
    unknown = np.setdiff1d(test["domain"], ["source", "target"]).tolist() if rules.has_domains else []
    if unknown and not n_unknown:
        raise ValueError(f"The rule of {rules.year} needs the domain of each test clip, 'source' or 'target'; those of "
                         f"{machine} have {', '.join(map(repr, unknown[:5]))} in the field 'domain'. Give it, or take "
                         "year=2020, whose rule knows no domains.")  # fmt: skip
    if not n_unknown:  # wrong labels or domains shall come up now, not after hours of training
        machine_figures(test.with_fields(anomaly_score=np.zeros(len(test))), rules, 0, np.random)
    system = system if hasattr(system, "fit") else _system_for(machine, system)
    return _Job(system, train, test, store and store.fingerprints(system, train, _blind(test)))


def _system_for(machine, make):
    system = make(machine)
    if inspect.isclass(system) or not hasattr(system, "fit"):
        raise TypeError(f"The function that was given as system must give an estimator instance for {machine!r}; it "
                        f"gave {system!r}.")  # fmt: skip
    return system


def _complete(clips, machine):
    """The clips with all fields that are counted by."""
    missing = [name for name in ("split", "label") if name not in clips]
    if missing:
        raise ValueError(f"The clips of {machine} need the fields 'split' and 'label'; they have {', '.join(clips)}.")
    others = sorted(set(clips["machine"].tolist()) - {machine}) if "machine" in clips else ()
    if others:
        raise ValueError(f"Among the clips of {machine} are some of {', '.join(others)}. Take clips[clips['machine'] "
                         "== ...] for each machine.")  # fmt: skip
    absent = {"machine": machine, "section": "", "domain": ""}
    return clips.with_fields({name: [value] * len(clips) for name, value in absent.items() if name not in clips})


def _blind(test):
    """The test clips as a system sees them."""
    return test.without(*(name for name in _HIDDEN if name in test))


def _with_scores(test, run):
    kept = {name: test[name] for name in _KEPT if name in test}
    return Clips(kept, anomaly_score=run.anomaly_score, decision=(run.anomaly_score > run.threshold).astype(int))


def _say(outcome):
    if isinstance(outcome, Failure):
        return f"failed, {' '.join(outcome.error.splitlines())}"
    return f"trained in {outcome.fit_seconds:.1f} s, scored in {outcome.score_seconds:.1f} s"


def _raise_failures(failures, machines, on_error):
    if failures and (on_error == "raise" or len(failures) == len(machines)):
        errors = "\n".join(f"{machine}: {failure.error}" for machine, failure in failures.items())
        first = next(iter(failures.values()))
        raise RuntimeError(f"{len(failures)} of {len(machines)} machines failed:\n{errors}\n\n"
                           f"The first of them:\n{first.traceback}")  # fmt: skip


def _describe(system):
    if isinstance(system, Pipeline):
        return " + ".join(type(step).__name__ for _, step in system.steps)
    system = system.func if isinstance(system, partial) else system
    return system.__name__ if inspect.isroutine(system) else type(system).__name__
