"""Any system of skasd on DCASE Task 2: `python examples/dcase.py DATA --system rank_pooled_gmm`.

DATA is the folder with the folders of machines, such as `dev_data`; each has `train` and `test` in it. With
`--fetch --year 2022` the development set is downloaded into DATA first. `--additional FOLDER` trains on the additional
training data as well, as the teams of 2022 did: sections 00 to 05, of which those with labelled test clips are judged.
The rules are those of the year that the names of the files tell; `--year` says it where they do not. With
`--shared embedder` one network is fitted to all machines, and a detector to each, as suits the years since 2023, in
which a machine has one section.
"""

import argparse
import inspect
import sys
from functools import partial
from pathlib import Path

from skasd import systems
from skasd.datasets import fetch_dcase, load_dcase
from skasd.evaluation import evaluate, write_submission


def make_system(name, machine, **options):
    """The system of that name for a machine, with those options that it has."""
    build = getattr(systems, name)
    options["machine"] = machine
    return build(**{key: value for key, value in options.items() if key in inspect.signature(build).parameters})


def fetch(year, machines, home, part):
    """The folder that holds the machines of this part, downloaded where they are not there yet."""
    folders = [fetch_dcase(year, machine, part=part, data_home=home) for machine in machines or [None]]
    return folders[0].parent if machines else folders[0]


def with_additional(data, additional, machines):
    """For each machine its clips in one folder, and the training clips in another."""
    names = machines or sorted(folder.parent.name for folder in data.glob("[!.]*/train") if folder.is_dir())
    if not names:
        raise ValueError(f"{str(data)!r} holds no folder of a machine, with 'train' in it.")
    clips = {}
    for name in names:
        own, more = load_dcase(data / name), load_dcase(additional / name, split="train")
        twice = {Path(path).name for path in own["path"]} & {Path(path).name for path in more["path"]}
        if twice:
            raise ValueError(f"{len(twice)} clips of {name} are in DATA and in the folder of --additional, such as "
                             f"{min(twice)}. Give the additional training data there.")  # fmt: skip
        clips[name] = own + more
    return clips


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with the folders of machines")
    parser.add_argument(
        "--year", type=int, help="of the challenge, 2020 to 2026; default: what the names of the files tell"
    )
    parser.add_argument(
        "--fetch", action="store_true", help="download the development set into DATA where it is not there"
    )
    parser.add_argument(
        "--additional",
        type=Path,
        help="folder with additional training clips of the machines, which train too; with "
        "--fetch they are downloaded into it",
    )
    parser.add_argument("--system", choices=systems.__all__, default="rank_pooled_gmm", help="default: %(default)s")
    parser.add_argument(
        "--machines", nargs="+", metavar="MACHINE", help="such as fan ToyCar; default: all that are there"
    )
    parser.add_argument("--shared", metavar="STEP", help="step that is fitted once for all machines, such as embedder")
    parser.add_argument("--preset", choices=["full", "small"], default="full", help="size of systems with a network; "
                        "small suits a CPU")  # fmt: skip
    parser.add_argument("--device", default="auto", help="cpu, cuda, or auto, which takes a GPU where there is one")
    parser.add_argument("--n-jobs", type=int, help="machines side by side; on one GPU leave it at one")
    parser.add_argument("--random-state", type=int, default=0, help="seed of all randomness; default: %(default)s")
    parser.add_argument("--results", type=Path, help="folder that keeps finished machines, to go on after a stop")
    parser.add_argument("--submission", type=Path, help="new folder for the files that the challenge wants")
    parser.add_argument("--html", type=Path, help="file for the report with plots")
    options = parser.parse_args(arguments)
    if not options.fetch and not options.data.is_dir():
        parser.error(f"there is no folder {str(options.data)!r}; give the one with the folders of machines in it")
    if options.fetch and options.year is None:
        parser.error("--fetch: of which year? Give it by --year")
    if options.submission and options.submission.exists():
        parser.error(f"--submission: {options.submission} exists, and is not overwritten; give another folder")
    return options


def run(options):
    """The evaluation of the system on the machines that are asked for."""
    data, additional = options.data, options.additional
    if options.fetch:
        data = fetch(options.year, options.machines, data, "development")
        additional = additional and fetch(options.year, options.machines, additional, "additional")
    if additional:
        data = with_additional(data, additional, options.machines)
    own = {"preset": options.preset, "device": options.device, "random_state": options.random_state}
    return evaluate(
        partial(make_system, options.system, **own),
        data,
        machines=options.machines,
        year=options.year,
        results=options.results,
        shared=options.shared,
        name=options.system,
        n_jobs=options.n_jobs,
        random_state=options.random_state,
    )


def main(arguments=None):
    options = parse(arguments)
    try:
        evaluation = run(options)
    except (OSError, ValueError, RuntimeError) as error:
        sys.exit(f"error: {error}")
    print(evaluation.to_markdown())
    if options.html:
        options.html.parent.mkdir(parents=True, exist_ok=True)
        options.html.write_text(evaluation.to_html(), encoding="utf-8")
        print(f"Report: {options.html}")
    if evaluation.failures:
        sys.exit(f"No submission while machines fail: {', '.join(evaluation.failures)}")
    if options.submission:
        print(f"Submission: {len(write_submission(evaluation, options.submission))} files in {options.submission}")


if __name__ == "__main__":
    main()
