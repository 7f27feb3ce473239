"""The folders of the DCASE Challenge's Task 2, 2020 to 2026, as `Clips`.

Conventions
-----------
- What is known about a clip is read from its file name, once, by one grammar. Of the folders above it, only the last
  two count: the machine's folder and, within it, ``train``, ``test`` (2021: ``source_test`` and ``target_test``) or
  ``supplemental``.
- Labels are +1 normal, -1 anomalous, 0 unknown. A domain or an attribute that is unknown is ``""``.
"""

import glob
import os
import re
import warnings
from collections import Counter
from pathlib import Path, PureWindowsPath
from typing import NamedTuple

import numpy as np

from skasd._problems import first_ten, printable
from skasd.audio.files import read_csv
from skasd.clips import Clips

_SUFFIXES = (".wav", ".flac")
_FOLDERS = {"train": ("train",), "test": ("test", "source_test", "target_test"), "supplemental": ("supplemental",)}
_LABELS = {"normal": 1, "anomaly": -1, None: 0}
_NAME = re.compile(
    r"""
    (?: section_(?P<section>\d\d)
        (?: (?:_(?P<domain>source|target))? (?:_(?P<split>train|test))? (?:_(?P<label>normal|anomaly))?
          | (?P<supplemental>(?:_[a-z]+)*?_(?:machine|noise)(?:_[a-z]+)*)
        )
        _(?P<number>\d{4}) (?:_(?:noAttribute|(?P<attribute>.+))?)?
      | (?:(?P<label_2020>normal|anomaly)_)? id_(?P<section_2020>\d\d) _(?P<number_2020>\d{8})
    ) \.(?:wav|flac)
    """,
    re.VERBOSE | re.ASCII,  # other digits are no numbers of a section
)
_GRAMMAR = """\
(or .flac in place of .wav)
    2021 to 2026   section_NN[_source|_target][_train|_test][_normal|_anomaly]_NNNN[_attribute|_].wav
    supplemental   section_NN_<words with "machine" or "noise" among them>_NNNN[_attribute].wav
    2020           [normal_|anomaly_]id_NN_NNNNNNNN.wav"""


class DcaseFilename(NamedTuple):
    """What the file name of a clip of DCASE Task 2 says, whatever its year.

    Parameters
    ----------
    section : str
        Two digits: the section, in 2020 the machine's id.

    domain : str
        ``source``, ``target``, or ``""`` if the name does not say.

    split : str
        ``train``, ``test``, ``supplemental``, or ``""`` if the name does not say.

    label : int
        +1 normal, -1 anomalous, 0 unknown.

    number : str
        The digits that count the clips.

    attribute : str
        The attributes as in the name, such as ``car_A2_spd_28V``; ``""`` if there are none.

    See Also
    --------
    parse_dcase_filename : Makes one from a file name.

    Examples
    --------
    >>> from skasd.datasets import DcaseFilename
    >>> DcaseFilename("00", "source", "train", 1, "0025", "vel_20").section
    '00'
    """

    section: str
    domain: str
    split: str
    label: int
    number: str
    attribute: str


def parse_dcase_filename(name):
    """What the file name of a clip of DCASE Task 2 says; one grammar for the years 2020 to 2026.

    Parameters
    ----------
    name : str or path-like
        File name. Folders in front of it are ignored.

    Returns
    -------
    record : DcaseFilename
        ``noAttribute`` becomes ``""``, and so does the ``_`` that 2026 has in its place. The supplemental clips of 2025
        are the machine without factory noise (label +1) or the noise without the machine (label 0: no machine that
        could be normal).

    Raises
    ------
    ValueError
        If the name does not fit; the message shows the grammar.

    Examples
    --------
    >>> from skasd.datasets import parse_dcase_filename
    >>> parse_dcase_filename("section_00_target_test_anomaly_0003_vel_20.wav")
    DcaseFilename(section='00', domain='target', split='test', label=-1, number='0003', attribute='vel_20')
    >>> parse_dcase_filename("normal_id_04_00000017.wav")
    DcaseFilename(section='04', domain='', split='', label=1, number='00000017', attribute='')
    """
    match = _NAME.fullmatch(Path(name).name)
    if match is None:
        raise ValueError(f"{Path(name).name!r} is not a file name of DCASE Task 2. Those are\n{_GRAMMAR}")
    section, label, number = (match[name] or match[f"{name}_2020"] for name in ("section", "label", "number"))
    domain, split, label = match["domain"] or "", match["split"] or "", _LABELS[label]
    if match["supplemental"]:
        words = match["supplemental"].split("_")
        domain = next((word for word in words if word in ("source", "target")), "")
        split, label = "supplemental", 0 if "noise" in words else 1
    return DcaseFilename(section, domain, split, label, number, match["attribute"] or "")


def load_dcase(folder, *, split=("train", "test"), section=None, domain=None, ground_truth=None):
    """The clips of one machine's folder as the zips of DCASE Task 2 unpack it, 2020 to 2026.

    No audio is opened and nothing is renamed, linked or copied: the clips hold the paths, and what is known about them.
    The files may be compressed, with the suffix ``.flac`` instead of ``.wav``.

    Parameters
    ----------
    folder : path-like
        Folder of one machine, such as ``dev_data/fan``, with ``train`` or ``test`` in it.

    split : {"train", "test", "supplemental"} or sequence of these, default=("train", "test")
        Clips to load; of several splits, some may be missing. The ``supplemental`` clips of 2025 (the machine alone,
        labelled +1, or the noise alone, labelled 0) are only loaded if you ask for them.

    section : str or sequence of str, default=None
        Sections to load, such as ``"00"``. Default: all.

    domain : str or sequence of str, default=None
        Domains to load: ``"source"``, ``"target"``. Default: all, including unknown ones.

    ground_truth : path-like, default=None
        If the names of an evaluation set's test clips do not contain their labels: the folder of the organisers'
        evaluator of that year (2021 to 2024), with ``ground_truth_<machine>_section_<NN>_test.csv`` in it or in its
        ``ground_truth_data``, and the domains in its ``ground_truth_domain``; or the CSV file ``eval_data_list*.csv``
        (2020 and 2025), which gives each clip its full name.

    Returns
    -------
    clips : Clips
        With ``path``, ``machine`` (the folder's name), ``section``, ``domain``, ``attribute``, ``split`` and ``label``;
        ordered by split (train, test, supplemental), then by file name.

    Raises
    ------
    FileNotFoundError
        If the folder does not exist.

    ValueError
        If the folder is not that of one machine, if a file name does not fit, if a clip is there as ``.wav`` and as
        ``.flac``, if a CSV file cannot be read, if the ground truth and the test clips do not belong together, or if no
        clip is left.

    Warns
    -----
    UserWarning
        If something with the name of a clip is not a file, such as a folder or a broken link: it is left out.

    See Also
    --------
    fetch_dcase : Downloads a machine's folder.
    parse_dcase_filename : The grammar of the file names.

    Notes
    -----
    The attribute of a clip is that of its file name. A clip without one takes it from ``attributes_<NN>.csv`` in the
    folder, if there is a row for it: parameters and values joined by ``_``, as the file names have them. Rows of
    missing clips are skipped, since the CSV comes with the first of several zips.

    Labels come from ``ground_truth_data`` alone. The evaluator of 2022 also holds full names for ToyCar and ToyTrain,
    in ``ground_truth_attributes``, and the baseline of 2023 repeats them in its ``eval_data_list_2022.csv``; both
    contradict ``ground_truth_data`` there.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from skasd.datasets import load_dcase
    >>> with tempfile.TemporaryDirectory() as data:
    ...     fan = Path(data, "fan")
    ...     for name in ["train/section_00_source_train_normal_0000_m-n_W", "test/section_00_target_test_anomaly_0000"]:
    ...         file = fan / f"{name}.wav"
    ...         file.parent.mkdir(parents=True)
    ...         file.touch()
    ...     clips = load_dcase(fan)
    >>> clips["domain"]
    array(['source', 'target'], dtype='<U6')
    >>> clips["label"]
    array([ 1, -1])
    """
    folder = Path(folder)
    machine = Path(os.path.abspath(folder)).name
    records = _fill_attributes(_read_names(_list_files(folder, split)), folder)
    if ground_truth is not None:
        records = _fill_ground_truth(records, Path(ground_truth), machine)
    columns = dict(zip(DcaseFilename._fields, zip(*records.values(), strict=True), strict=True))
    clips = Clips(path=list(records), machine=[machine] * len(records), **columns).without("number")
    return _select(clips, folder, section=section, domain=domain)


def _list_files(folder, split):
    """The audio files of the splits, as {path: split}, ordered."""
    splits = _as_list("split", split)
    if not splits or not set(splits) <= set(_FOLDERS):
        raise ValueError(f"split must be one or several of {', '.join(map(repr, _FOLDERS))}; got {split!r}.")
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {str(folder)!r}. Give the folder of one machine, with train/ or "
                                "test/ in it, or download one with fetch_dcase.")  # fmt: skip
    found = {name: [path for sub in _FOLDERS[name] for path in _audio_files(folder / sub)] for name in _FOLDERS}
    files = {path: name for name in _FOLDERS if name in splits for path in sorted(found[name], key=lambda p: p.name)}
    if not files:
        raise ValueError(_describe_empty(folder, splits, found))
    counts = Counter((split, challenge_name(path)) for path, split in files.items())
    twice = [name for (_, name), count in counts.items() if count > 1]
    if twice:
        raise ValueError(f"{len(twice)} clips in {str(folder)!r} are there twice, as .wav and .flac or in two folders: "
                         f"{_names(twice)}. Move one of each away.")  # fmt: skip
    others = [printable(path) for path in files if not path.is_file()]
    if others:  # they may never begin to be read, or never end
        warnings.warn(f"{len(others)} of {len(files)} names of clips are no files but folders, pipes or broken links, "
                      f"and are left out:\n{first_ten(others)}", stacklevel=3)  # fmt: skip
        files = {path: split for path, split in files.items() if path.is_file()}
    if not files:
        raise ValueError(f"{str(folder)!r} has names of clips of {' or '.join(splits)}, but none of them is a file.")
    return files


def _as_list(name, values):
    values = [values] if isinstance(values, str) else values
    if not isinstance(values, (list, tuple, set, frozenset, np.ndarray)) or not all(isinstance(v, str) for v in values):
        raise ValueError(f"{name} must be a text or a sequence of texts, such as '00'; got {values!r}.")
    return list(values)


def list_test_clips(folder):
    """Paths of the test clips of one machine's folder."""
    return [path for sub in _FOLDERS["test"] for path in _audio_files(Path(folder) / sub)]


def _audio_files(folder):
    paths = folder.iterdir() if folder.is_dir() else ()
    return [path for path in paths if path.suffix.lower() in _SUFFIXES and not path.name.startswith(".")]


def _describe_empty(folder, splits, found):
    there = [f"{name} ({len(paths)} files)" for name, paths in found.items() if paths]
    if there:
        return f"{str(folder)!r} has no .wav or .flac files of {' or '.join(splits)}. There are {', '.join(there)}."
    subs = {sub for subs in _FOLDERS.values() for sub in subs}
    inside = sorted(path for path in folder.iterdir() if any(_audio_files(path / sub) for sub in subs))
    there = f"It holds {_names(sorted(path.name for path in folder.iterdir())) or 'nothing'}."
    if inside:
        there = f"Machines' folders are inside: {_names(inside)}. Give one of these."
    return (f"{str(folder)!r} is not the folder of one machine: it has no .wav or .flac files in train/ or test/. "
            f"{there}")  # fmt: skip


def _read_names(files):
    """{path: split} to {path: DcaseFilename}, with the split of the folder."""
    records, strays = {}, []
    for path, split in files.items():
        record = parse_dcase_filename(path) if _NAME.fullmatch(path.name) else None
        if record and record.split in ("", split):
            records[path] = record._replace(split=split)
        else:
            strays.append(path)
    if strays:
        raise ValueError(f"{len(strays)} of {len(files)} audio files have a name that does not fit DCASE Task 2 or the "
                         f"folder that they are in: {_names(strays)}. Move them away, or rename them to\n{_GRAMMAR}"
                         )  # fmt: skip
    return records


def _fill_attributes(records, folder):
    table = {}
    for path in sorted(folder.glob("attributes_*.csv")):
        table |= _read_attributes(path)
    return {path: r._replace(attribute=r.attribute or table.get(path.stem, "")) for path, r in records.items()}


def _read_attributes(path):
    """{file name without suffix: attribute} of a CSV with the columns file_name, d1p, d1v, d2p, d2v, ..."""
    header, *rows = read_csv(path) or [[""]]
    if header[0] != "file_name":
        raise ValueError(f"{str(path)!r} must begin with the header 'file_name,d1p,d1v,...'; got {','.join(header)!r}.")
    table = {}
    for row in rows:
        stem = challenge_name(PureWindowsPath(row[0]).name).removesuffix(".wav")  # of fan/train/x.wav, or of x
        cells = [cell for title, cell in zip(header, row, strict=False) if re.fullmatch(r"d\d+[pv]", title)]
        table[stem] = "_".join(filter(None, cells))
    return table


def is_challenge_name(name):
    """Whether the file name of a clip fits the grammar of the challenge."""
    return _NAME.fullmatch(name) is not None


def challenge_name(path):
    """The file name of a clip as the challenge has it, whose clips are not compressed."""
    name = Path(path).name
    return f"{name.removesuffix('.flac')}.wav" if name.endswith(".flac") else name


def _fill_ground_truth(records, source, machine):
    truth = read_ground_truth(source, machine)
    tests = {challenge_name(path): record for path, record in records.items() if record.split == "test"}
    sections = {record.section for record in tests.values()}
    asked = {path: challenge_name(path) for path, r in records.items() if (r.split, r.label) == ("test", 0)}
    untold = [name for name in asked.values() if name not in truth]
    if untold:
        raise ValueError(f"The ground truth in {str(source)!r} lacks {len(untold)} of {len(tests)} test clips of "
                         f"{machine}: {_names(untold)}. Is it of another year?")  # fmt: skip
    absent = [name for name in truth if parse_dcase_filename(name).section in sections and name not in tests]
    if absent:
        raise ValueError(f"{len(absent)} clips of {machine} that the ground truth in {str(source)!r} names are not in "
                         f"the folder: {_names(absent)}. Unpack the zip again.")  # fmt: skip
    return records | {path: records[path]._replace(**truth[name]) for path, name in asked.items()}


def read_ground_truth(source, machine):
    """{file name: what is known of the clip} of the folder of an evaluator, or of its list of the evaluation set."""
    return _read_evaluation_list(source, machine) if source.is_file() else _read_flags(source, machine)


def _read_flags(folder, machine):
    """{file name: {"label": ..., "domain": ...}} of the folder of an evaluator."""
    data = folder / "ground_truth_data"
    labels = _read_flag_files(data if data.is_dir() else folder, machine, {"0": 1, "1": -1})
    if not labels:
        raise ValueError(f"There is no ground_truth_{machine}_section_NN_test.csv in {str(folder)!r} or in its "
                         "ground_truth_data. Give the folder of the evaluator of that year.")  # fmt: skip
    domains = _read_flag_files(folder / "ground_truth_domain", machine, {"0": "source", "1": "target"})
    differing = sorted(set(labels) ^ set(domains)) if domains else ()
    if differing:
        raise ValueError(f"The labels and domains of {machine} in {str(folder)!r} are not of the same clips: "
                         f"{len(differing)} are in one only: {_names(differing)}.")  # fmt: skip
    return {name: {"label": label} | ({"domain": domains[name]} if domains else {}) for name, label in labels.items()}


def _read_flag_files(folder, machine, meanings):
    flags = {}
    for path in sorted(folder.glob(f"ground_truth_{glob.escape(machine)}_section_*_test.csv")):
        for row in read_csv(path):
            if len(row) != 2 or row[1] not in meanings or not _NAME.fullmatch(row[0]):
                raise ValueError(f"{str(path)!r} must have rows 'file name,0' or 'file name,1'; got {','.join(row)!r}.")
            if flags.setdefault(row[0], meanings[row[1]]) != meanings[row[1]]:
                raise ValueError(f"{str(path)!r} has {row[0]!r} twice, with 0 and with 1.")
    return flags


def _read_evaluation_list(path, machine):
    """{file name: {"label", "domain", "attribute"}} of a CSV with a row for each machine, followed by its clips."""
    rows = read_csv(path)
    starts = [i for i, row in enumerate(rows) if not any(row[1:])]
    blocks = {rows[i][0]: rows[i + 1 : end] for i, end in zip(starts, [*starts[1:], None], strict=True)}
    if machine not in blocks:
        raise ValueError(f"{str(path)!r} has no clips of {machine}; its machines are {', '.join(blocks) or 'none'}.")
    strays = [name for row in blocks[machine] for name in row[:2] if not _NAME.fullmatch(Path(name).name)]
    if strays:
        raise ValueError(f"{str(path)!r} must have rows 'file name,full file name'; got {_names(strays)} for "
                         f"{machine}.")  # fmt: skip
    full = {name: parse_dcase_filename(full_name) for name, full_name, *_ in blocks[machine]}
    return {name: {"label": r.label, "domain": r.domain, "attribute": r.attribute} for name, r in full.items()}


def _select(clips, folder, **wanted):
    wanted = {field: _as_list(field, values) for field, values in wanted.items() if values is not None}
    kept = np.ones(len(clips), dtype=bool)
    for field, values in wanted.items():
        kept &= np.isin(clips[field], values)
    if not kept.any():
        asked = " and ".join(f"{field} in {values}" for field, values in wanted.items())
        there = "; ".join(f"{field} {_count(clips[field])}" for field in wanted)
        raise ValueError(f"No clip of {str(folder)!r} has {asked}. There are: {there}.")
    return clips[kept]


def _count(values):
    return ", ".join(f"{value!r} ({count} clips)" for value, count in sorted(Counter(values.tolist()).items()))


def _names(names):
    return first_ten(list(map(printable, names)), ", ")
