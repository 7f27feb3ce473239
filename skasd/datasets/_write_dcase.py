"""Clips as a folder of WAV files in the layout of DCASE Task 2."""

import csv
import io
from collections import Counter
from numbers import Integral
from pathlib import Path

import numpy as np
import soundfile

from skasd._drafts import check_file_name, draft_folder, move_new, refuse_existing
from skasd._problems import first_ten
from skasd._reading import check_sample_rate
from skasd._sklearn import Interval, check_params
from skasd.audio.samples import as_dtype, scale_of
from skasd.clips import Clips
from skasd.datasets._dcase import DcaseFilename, parse_dcase_filename

_LABELS = {1: "normal", -1: "anomaly", 0: "unknown"}


@check_params(clips=[Clips], folder=[str, Path], sample_rate=[Interval(Integral, 1, None, closed="left")])
def write_dcase(clips, folder, *, sample_rate=16000):
    """Write clips of one machine as a folder of WAV files, named as in DCASE Task 2 of 2022.

    `load_dcase` reads it back. The folder appears when it is complete, or not at all.

    Parameters
    ----------
    clips : Clips
        With ``waveform`` (floats in [-1, 1], or integers of 8, 16 or 32 bits), ``machine``, ``section`` (two digits),
        ``domain`` (``source`` or ``target``), ``attribute``, ``split`` (``train`` or ``test``) and ``label`` (+1 or
        -1). Other fields are not written.

    folder : str or pathlib.Path
        Where the machine's folder is created. Missing folders are created as well.

    sample_rate : int, default=16000
        Sample rate of the waveforms in Hz. Clips with another one are an error.

    Returns
    -------
    machine_folder : pathlib.Path
        ``<folder>/<machine>``, with ``train`` and ``test`` of 16-bit files such as
        ``section_00_source_train_normal_0000_vel_18.wav``, counted within section, domain, split and label, and
        ``attributes_<section>.csv``.

    Raises
    ------
    FileExistsError
        If ``<folder>/<machine>`` exists: nothing is ever overwritten.

    ValueError
        If there are no clips or clips of several machines, if a field is missing or has a value that cannot be part of
        such a file name, if a waveform is empty, is not finite or exceeds [-1, 1], or if ``sample_rate`` is not that of
        the clips.

    See Also
    --------
    load_dcase : Reads such a folder.
    make_machine_sounds : Makes such clips.

    Examples
    --------
    >>> import tempfile
    >>> from skasd.datasets import load_dcase, make_machine_sounds, write_dcase
    >>> clips = make_machine_sounds("valve", n_sections=1, n_train_source=2, n_test=1, duration=1.0, random_state=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     machine_folder = write_dcase(clips, folder)
    ...     print(machine_folder.name, sorted(path.name for path in machine_folder.iterdir()))
    ...     print((load_dcase(machine_folder)["attribute"] == clips["attribute"]).all())
    valve ['attributes_00.csv', 'test', 'train']
    True
    """
    _check_writable(clips)
    check_sample_rate(clips, sample_rate, "write_dcase")
    names = _name_files(clips)
    target = Path(folder, clips["machine"][0])
    refuse_existing(target)
    with draft_folder(target.parent) as scratch:
        draft = scratch / target.name
        _write_audio(draft, clips, names, sample_rate)
        _write_attributes(draft, clips, names)
        move_new(draft, target)
    return target


def _check_writable(clips):
    needed = ("waveform", "machine", "section", "domain", "attribute", "split", "label")
    missing = [name for name in needed if name not in clips]
    if missing:
        raise ValueError(f"write_dcase needs the fields {', '.join(missing)} as well; the clips have "
                         f"{', '.join(clips)}.")  # fmt: skip
    machines = np.unique(clips["machine"]).tolist()
    if len(machines) != 1:
        raise ValueError(f"write_dcase writes clips of one machine; got {machines}.")
    check_file_name(machines[0], "The machine")
    if not clips["waveform"].shape[-1]:
        raise ValueError("write_dcase needs waveforms with at least one sample; the clips have none.")
    scale_of(clips["waveform"].dtype, "write_dcase")
    if clips["waveform"].dtype.kind == "f":
        loud = ~(np.abs(clips["waveform"]).reshape(len(clips), -1).max(axis=1) <= 1)
        _report(clips, loud, "have samples that are not finite or exceed [-1, 1]")


def _report(clips, bad, problem):
    if bad.any():
        rows = first_ten(np.flatnonzero(bad).tolist(), ", ")
        raise ValueError(f"{bad.sum()} of {len(clips)} clips {problem}, in rows {rows}.")


def _name_files(clips):
    """The path of each clip within the machine's folder."""
    counts, names, wrong = Counter(), [], np.zeros(len(clips), dtype=bool)
    columns = [clips[name].tolist() for name in ("section", "domain", "split", "label", "attribute")]
    for row, (section, domain, split, label, attribute) in enumerate(zip(*columns, strict=True)):
        group = (section, domain, split, label)
        number = f"{counts[group]:04d}"
        counts[group] += 1
        name = "_".join(filter(None, ["section", section, domain, split, _LABELS[label], number, attribute])) + ".wav"
        wrong[row] = not _fits(name, DcaseFilename(*group, number, attribute))
        names.append(f"{split}/{name}")
    _report(clips, wrong, "have a section, domain, split, label or attribute that does not fit into a file name "
                          "such as section_00_source_train_normal_0000_vel_18.wav")  # fmt: skip
    return names


def _fits(name, record):
    try:
        return parse_dcase_filename(name) == record and record.domain != "" and record.label != 0
    except ValueError:
        return False


def _write_audio(folder, clips, names, sample_rate):
    for split in np.unique(clips["split"]).tolist():
        (folder / split).mkdir(parents=True)
    for name, samples in zip(names, clips["waveform"], strict=True):
        content = io.BytesIO()  # soundfile does not tell of a full disk
        soundfile.write(content, as_dtype(samples, "int16").T, sample_rate, format="WAV", subtype="PCM_16")
        (folder / name).write_bytes(content.getbuffer())


def _write_attributes(folder, clips, names):
    """One CSV per section: file name, then parameter and value of each attribute in turn."""
    machine = folder.name
    cells = [attribute.split("_") if attribute else [] for attribute in clips["attribute"].tolist()]
    for section in np.unique(clips["section"]).tolist():
        rows = [[f"{machine}/{names[row]}", *cells[row]] for row in np.flatnonzero(clips["section"] == section)]
        n_pairs = max(len(row) // 2 for row in rows)
        header = ["file_name", *(f"d{number}{kind}" for number in range(1, n_pairs + 1) for kind in "pv")]
        rows = [row + [""] * (len(header) - len(row)) for row in rows]
        with (folder / f"attributes_{section}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([header, *rows])
