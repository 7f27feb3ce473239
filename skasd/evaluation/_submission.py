"""Submission files for the challenge: writing them, and reading and scoring them."""

import csv
import re
from collections import Counter
from contextlib import suppress
from numbers import Integral
from pathlib import Path

import numpy as np

from skasd._docstrings import documented
from skasd._drafts import check_file_name, draft_folder, move_new, refuse_existing
from skasd._problems import first_ten
from skasd._sklearn import Interval, check_params
from skasd.audio.files import read_csv
from skasd.clips import Clips
from skasd.datasets import challenge_name, parse_dcase_filename, read_ground_truth
from skasd.evaluation._evaluation import Evaluation
from skasd.metrics import PROTOCOL, YEAR, Rules

_FIELDS = {"anomaly_score": "anomaly_score", "decision_result": "decision"}
_FILE = re.compile(
    r"(?P<kind>anomaly_score|decision_result)_(?P<machine>.+)_(?:section|id)_(?P<section>\d\d)"
    r"(?:_(?P<domain>source|target))?(?:_test)?\.csv",
    re.ASCII,
)


@check_params(evaluation=[Evaluation], folder=[str, Path])
def write_submission(evaluation, folder):
    """Write the files that the organisers' evaluator reads.

    For each machine and section ``anomaly_score_<machine>_section_<NN>_test.csv`` with a file name and its anomaly
    score in each row, higher = more anomalous, and ``decision_result_<machine>_section_<NN>_test.csv`` with a file name
    and 1 for an alarm or 0. In 2020 they are named ``..._id_<NN>.csv``, in 2021 ``..._section_<NN>_<domain>_test.csv``.

    Parameters
    ----------
    evaluation : Evaluation
        What `evaluate` or `read_submission` returned. Its test clips need no labels.

    folder : str or pathlib.Path
        Where the files go. It is created, and must not exist before.

    Returns
    -------
    paths : list of pathlib.Path
        The files.

    Raises
    ------
    FileExistsError
        If the folder exists: nothing is ever overwritten.

    ValueError
        If a machine has failed, if clips have no file names, no finite scores, no decisions or, in 2021, no domain, or
        if no unique file name can be made from the name of a machine or section.

    See Also
    --------
    read_submission : Reads such files.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from pathlib import Path
    >>> from skasd.clips import Clips
    >>> from skasd.detectors import MahalanobisDetector
    >>> from skasd.evaluation import evaluate, write_submission
    >>> names = [f"section_00_source_train_normal_{i:04d}.wav" for i in range(9)] + ["section_00_0000.wav"]
    >>> clips = Clips(embedding=np.arange(20).reshape(10, 2) ** 2, path=names, section=["00"] * 10, label=[1] * 9 + [0],
    ...               split=["train"] * 9 + ["test"])
    >>> evaluation = evaluate(MahalanobisDetector(), {"fan": clips}, year=2022, verbose=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for path in write_submission(evaluation, Path(folder, "team")):
    ...         print(path.name, path.read_text().strip())
    anomaly_score_fan_section_00_test.csv section_00_0000.wav,2.862...
    decision_result_fan_section_00_test.csv section_00_0000.wav,0
    """
    _check_complete(evaluation)
    files = _files_of(evaluation)
    folder = Path(folder)
    refuse_existing(folder)
    with draft_folder(folder.parent) as scratch:
        draft = scratch / "submission"
        draft.mkdir()
        for name, rows in files.items():
            with (draft / name).open("w", newline="", encoding="utf-8") as file:
                csv.writer(file, lineterminator="\n").writerows(rows)
        move_new(draft, folder)
    return [folder / name for name in files]


@check_params(
    folder=[str, Path],
    ground_truth=[str, Path, None],
    machines=["array-like", None],
    year=[YEAR],
    protocol=[PROTOCOL],
    name=[str, None],
    n_resamples=[Interval(Integral, 0, None, closed="left")],
    random_state=["random_state"],
)
@documented
def read_submission(
    folder,
    *,
    ground_truth=None,
    machines=None,
    year=2022,
    protocol="official",
    name=None,
    n_resamples=1000,
    random_state=None,
):
    r"""Read a team's score files, or your own, and compute the scores of the challenge.

    Parameters
    ----------
    folder : path-like
        With ``anomaly_score_<machine>_section_<NN>_test.csv`` (``_test`` may be missing), and perhaps
        ``decision_result_<machine>_section_<NN>_test.csv``, as `write_submission` writes them.

    ground_truth : path-like, default=None
        Labels of an evaluation set: the organisers' evaluator of that year, or its ``eval_data_list*.csv``, see
        `skasd.datasets.load_dcase`. None takes the labels from the file names, which contain them in development sets.

    machines : sequence of str, default=None
        The machines to score. None means all in the ground truth, or else all for which there are files.

    year : int, default=2022
        Year of the challenge, 2020 to 2026, whose rules count.

    {protocol}

    name : str, default=None
        Name of the system in tables. None takes that of the folder.

    {resamples}

    Returns
    -------
    evaluation : Evaluation
        With precision, recall and F1 if there are decision files.

    Raises
    ------
    ValueError
        If a file or a clip is missing, duplicated or unexpected, if a score is not finite or a decision neither 0 nor
        1, or if a clip has no label.

    See Also
    --------
    evaluate : Computes the scores as well.

    Notes
    -----
    Without ``ground_truth`` nobody tells which clips there are: that a section is missing is seen where other machines
    have it (but in 2020, when each had its own); that a machine or a single clip is missing is not.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from skasd.evaluation import read_submission
    >>> rows = ["source_test_normal_0000.wav,1", "target_test_normal_0000.wav,3", "target_test_anomaly_0000.wav,2"]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     text = "".join(f"section_00_{row}\n" for row in rows)
    ...     _ = Path(folder, "anomaly_score_fan_section_00_test.csv").write_text(text)
    ...     evaluation = read_submission(folder, name="team", n_resamples=0)
    >>> [(figure.metric, figure.domain, round(figure.value, 3)) for figure in evaluation.figures]
    [('AUC', 'source', 1.0), ('AUC', 'target', 0.0), ('pAUC', '', 0.474), ('official score', '', 0.0)]
    """
    rules = Rules(year, protocol)
    if machines is None and ground_truth is not None:
        machines = _machines_of(Path(ground_truth))
    tables = _read_tables(Path(folder), machines)
    clips = {}
    for machine, fields in tables.items():
        names = list(fields["anomaly_score"])
        truth = _read_truth(machine, names, ground_truth, rules)
        told = {field: [truth[name][field] for name in names] for field in ("section", "domain", "label")}
        found = {field: np.array([table[name] for name in names]) for field, table in fields.items()}
        clips[machine] = Clips(path=names, machine=[machine] * len(names), **told, **found)
    if year > 2020:
        _check_sections(clips, folder)
    name = name or Path(folder).resolve().name
    return Evaluation(clips, name=name, rules=rules, n_resamples=n_resamples, random_state=random_state)


def _check_complete(evaluation):
    if evaluation.failures:
        raise ValueError(f"A submission needs all machines; {', '.join(evaluation.failures)} failed. Evaluate again "
                         "until all are there.")  # fmt: skip
    for machine, clips in evaluation.clips.items():
        missing = [field for field in ("path", "decision") if field not in clips]
        if missing:
            raise ValueError(f"The clips of {machine} lack {' and '.join(map(repr, missing))}: a submission needs the "
                             "file name of each clip, and whether it is an alarm.")  # fmt: skip
        counts = Counter(zip(clips["section"].tolist(), map(challenge_name, clips["path"]), strict=True))
        twice = [name for (_, name), count in counts.items() if count > 1]
        if twice:
            raise ValueError(f"Several clips of {machine} have one file name: {first_ten(twice, ', ')}.")
        no_text = [repr(name) for _, name in counts if not name or name != name.encode(errors="replace").decode()]
        if no_text:
            raise ValueError(f"File names of clips of {machine} are empty or no Unicode text: "
                             f"{first_ten(no_text, ', ')}. Rename them.")  # fmt: skip
        wrong = ~np.isfinite(clips["anomaly_score"]) | ~np.isin(clips["decision"], (0, 1))
        if wrong.any():
            names = first_ten(list(map(challenge_name, clips["path"][wrong])), ", ")
            raise ValueError(f"{wrong.sum()} clips of {machine} have a score that is NaN or infinite, or a decision "
                             f"that is neither 0 nor 1: {names}.")  # fmt: skip
        if evaluation.rules.year == 2021 and (clips["domain"] == "").any():
            raise ValueError(f"The files of 2021 are by domain, and clips of {machine} have none.")


def _files_of(evaluation):
    """{file name: rows} of all files of a submission."""
    year, files = evaluation.rules.year, {}
    for machine, clips in evaluation.clips.items():
        columns = [clips[field].tolist() for field in ("section", "domain", "path", *_FIELDS.values())]
        for section, domain, path, *values in zip(*columns, strict=True):
            for kind, value in zip(_FIELDS, values, strict=True):
                place = (kind, machine, section, domain if year == 2021 else "")
                files.setdefault(place, []).append((challenge_name(path), value))
    names = {place: _name_file(*place, year) for place in files}
    _check_file_names(names)
    return {names[place]: rows for place, rows in files.items()}


def _check_file_names(names):
    """Each file must be read back as that of its machine and section, and be another one on every system."""
    seen = {}
    for (_, machine, section, _), name in names.items():
        owner = f"Machine {machine!r}, section {section!r}"
        check_file_name(name, owner)
        match = _FILE.fullmatch(name)
        if not match or (match["machine"], match["section"]) != (machine, section):
            raise ValueError(f"{owner} cannot be told by the name of a file, {name!r}: sections are two digits there. "
                             "Rename it.")  # fmt: skip
        if seen.setdefault(name.casefold(), name) != name:
            raise ValueError(f"{name!r} and {seen[name.casefold()]!r} are one file where capitals do not count. "
                             f"{owner} needs another name.")  # fmt: skip


def _name_file(kind, machine, section, domain, year):
    if year == 2020:
        return f"{kind}_{machine}_id_{section}.csv"
    return f"{kind}_{machine}_section_{section}_{f'{domain}_' if domain else ''}test.csv"


def _machines_of(source):
    """The machines that a ground truth names."""
    if source.is_file():
        return [row[0] for row in read_csv(source) if not any(row[1:])]
    files = sorted(source.glob("ground_truth_data/*.csv")) or sorted(source.glob("*.csv"))
    matches = [re.fullmatch(r"ground_truth_(.+)_section_\d\d(?:_source|_target)?_test\.csv", f.name) for f in files]
    machines = list(dict.fromkeys(match[1] for match in matches if match))
    if not machines:
        raise ValueError(f"There is no ground_truth_<machine>_section_NN_test.csv in {str(source)!r} or in its "
                         "ground_truth_data. Give the folder of the evaluator of that year.")  # fmt: skip
    return machines


def _read_tables(folder, machines):
    """{machine: {field: {file name: value}}} of all files in a folder."""
    found = {path: match for path in sorted(folder.glob("*.csv")) if (match := _FILE.fullmatch(path.name))}
    tables = {}
    for path, match in found.items():
        if machines is None or match["machine"] in machines:
            table = tables.setdefault(match["machine"], {}).setdefault(_FIELDS[match["kind"]], {})
            rows = _read_values(path, match)
            twice = sorted(set(rows) & set(table))
            if twice:
                raise ValueError(f"Clips in {str(path)!r} are in another file too: {first_ten(twice, ', ')}.")
            table |= rows
    absent = [machine for machine in (() if machines is None else machines) if machine not in tables]
    if absent or not tables:
        there = ", ".join(sorted({match["machine"] for match in found.values()})) or "none"
        raise ValueError(f"{str(folder)!r} has no anomaly_score_<machine>_section_<NN>_test.csv of "
                         f"{', '.join(absent) or 'any machine'}. Machines with files: {there}.")  # fmt: skip
    for machine, fields in tables.items():
        _check_pairs(machine, fields, folder, decided=any("decision" in other for other in tables.values()))
    return tables


def _read_values(path, match):
    """{file name: value} of one file."""
    values, problems = {}, []
    for number, row in enumerate(read_csv(path), start=1):
        try:
            name, value = row
            _check_name(name, match, values)
            values[name] = _as_number(value, match["kind"])
        except ValueError as error:
            problems.append(f"row {number} {','.join(row)!r}: {error}")
    if problems or not values:
        what = f"{len(problems)} are wrong:\n{first_ten(problems)}" if problems else "It is empty."
        raise ValueError(f"{str(path)!r} must have rows 'file name,value'. {what}")
    return values


def _check_name(name, match, seen):
    record = parse_dcase_filename(name)
    for field in ("section", "domain"):
        told, wanted = getattr(record, field), match[field]
        if told and wanted and told != wanted:
            raise ValueError(f"the clip is of {field} {told}, the file of {field} {wanted}")
    if name in seen:
        raise ValueError("the clip is there twice")


def _as_number(text, kind):
    if kind == "decision_result":
        if text not in ("0", "1"):
            raise ValueError("the decision must be 0 (normal) or 1 (anomalous)")
        return int(text)
    with suppress(ValueError):
        if np.isfinite(float(text)) and text.isascii() and "_" not in text:  # Python reads 1_0 as 10
            return float(text)
    raise ValueError("the score must be a finite number")


def _check_pairs(machine, fields, folder, *, decided):
    """Scores and decisions must be of the same clips, where there are decisions."""
    scores, decisions = fields.get("anomaly_score", {}), fields.get("decision", {})
    without = sorted(set(decisions) - set(scores))
    undecided = sorted(set(scores) - set(decisions)) if decided else ()
    if without or undecided:
        raise ValueError(f"The scores and decisions of {machine} in {str(folder)!r} are not of the same clips: "
                         f"{len(without)} have no score, {len(undecided)} have no decision: "
                         f"{first_ten([*without, *undecided], ', ')}.")  # fmt: skip


def _read_truth(machine, names, ground_truth, rules):
    """{file name: {"section", "domain", "label"}} of the clips of a machine."""
    records = {name: parse_dcase_filename(name) for name in names}
    if ground_truth is not None:
        truth = read_ground_truth(Path(ground_truth), machine)
        _check_same_clips(machine, names, truth, ground_truth)
        records = {name: record._replace(**truth[name]) for name, record in records.items()}
    unknown = [name for name, record in records.items() if record.label == 0]
    if unknown:
        raise ValueError(f"The names of {len(unknown)} of {len(names)} clips of {machine} do not tell whether they are "
                         f"normal: {first_ten(unknown, ', ')}. Give ground_truth.")  # fmt: skip
    unknown = [name for name, record in records.items() if record.domain == ""]
    if unknown and rules.has_domains:
        raise ValueError(f"Of {len(unknown)} of {len(names)} clips of {machine} nothing tells the domain, by which the "
                         f"rule of {rules.year} counts: {first_ten(unknown, ', ')}. Give the ground_truth of an "
                         "evaluator with its ground_truth_domain, or year=2020.")  # fmt: skip
    return {name: record._asdict() for name, record in records.items()}


def _check_same_clips(machine, names, truth, ground_truth):
    missing, extra = sorted(set(truth) - set(names)), sorted(set(names) - set(truth))
    if missing:
        raise ValueError(f"{len(missing)} of {len(truth)} clips of {machine} that the ground truth in "
                         f"{str(ground_truth)!r} names have no score: {first_ten(missing, ', ')}.")  # fmt: skip
    if extra:
        raise ValueError(f"{len(extra)} scores of {machine} are of clips that the ground truth in "
                         f"{str(ground_truth)!r} does not name: {first_ten(extra, ', ')}.")  # fmt: skip


def _check_sections(clips, folder):
    found = {machine: set(part["section"].tolist()) for machine, part in clips.items()}
    wanted = set().union(*found.values())
    lacking = [f"section {section} of {machine}" for machine, own in found.items() for section in sorted(wanted - own)]
    if lacking:
        raise ValueError(f"Other machines have sections of which there are no scores in {str(folder)!r}: "
                         f"{first_ten(lacking, ', ')}.")  # fmt: skip
