"""A table of what is wrong with recordings."""

import os
from numbers import Integral, Real

import numpy as np

from skasd._folders import possible_recordings
from skasd._problems import names_of, printable, raise_problems
from skasd._reading import read_field
from skasd._sklearn import Interval, check_params
from skasd.audio.measuring import measure_file, measure_samples
from skasd.audio.quality import Finding, Reference, find, make_reference
from skasd.audio.rows import as_paths, run_rows
from skasd.clips import Clips

_COLUMNS = ("file", *Finding._fields)
_UNREADABLE = "Record it again, or convert it to WAV or FLAC."


@check_params(min_duration=[Interval(Real, 0, None, closed="both")], n_jobs=[Integral, None])
def check_recordings(recordings, reference=None, *, min_duration=0.5, n_jobs=None):
    """Find recordings that are useless, or unlike the others, before anything learns from them or judges them.

    Parameters
    ----------
    recordings : path, sequence of paths, or Clips
        A folder, with the audio files in it and in its subfolders; one file, or several; `Clips` with the field
        ``waveform`` and a known sample rate, or else with the field ``path``. Files are checked at their own sample
        rate, with all channels.

    reference : like recordings, default=None
        Healthy recordings, made with the same recorder in the same place. Spoiled ones among them are ignored.

    min_duration : float, default=0.5
        Shortest duration in seconds that can be judged.

    n_jobs : int or None, default=None
        Number of threads that read files. None means 1 unless in a `joblib.parallel_config` context, -1 all processors.

    Returns
    -------
    findings : pandas.DataFrame
        One row for each problem, in the order of the recordings; a good recording has none. Its columns:

        - ``file``: the path, or ``row 3`` where clips have no paths;
        - ``finding``: what is wrong, one of "unreadable", "too short", "silent", "dead channel", "inverted channel",
          "few values", "clipped", "drop-outs", "DC offset", "wind", "narrow band", "other level", "other spectrum";
        - ``detail``: what was measured, and on which channel, counted from 0;
        - ``sure``: "possible", "likely" or "certain";
        - ``advice``: what to do;
        - ``usable``: False if the recording is certainly spoiled, so that its score would mean nothing.

    Raises
    ------
    ValueError
        If there are no recordings, if the sample rate of waveforms is not known, or if a recording of the reference
        cannot be read or none of them is usable. A recording that cannot be read is not an error, but a row.

    See Also
    --------
    load_audio : Reads one file, and raises an error if that fails.

    Notes
    -----
    Files are read once, in blocks, so memory does not grow with their length.

    Sound in addition to that of the reference is never a finding: it may be the fault. "other level" means that all
    frequencies are equally louder or fainter, "other spectrum" that an octave is fainter than in every recording of the
    reference, which should cover several days, speeds and loads. Two things cannot be detected: samples that were
    dropped without a trace, and clipping that was compressed or filtered later.

    Examples
    --------
    >>> import numpy as np
    >>> from skasd.audio import check_recordings
    >>> from skasd.clips import Clips
    >>> noise = np.random.default_rng(0).normal(scale=0.1, size=(3, 16000))
    >>> noise[1] = np.clip(noise[1], -0.15, 0.15)
    >>> noise[2] = 0.0
    >>> check_recordings(Clips(waveform=noise).with_attrs(sample_rate=16000))[["file", "finding", "sure", "usable"]]
        file  finding     sure  usable
    0  row 1  clipped  certain   False
    1  row 2   silent  certain   False
    """
    from pandas import DataFrame

    reference = _as_reference(reference, n_jobs)
    names, measure = _read(recordings)

    def check(row):
        return find(measure(row), reference, min_duration)

    rows = []
    for name, found in zip(names, run_rows(lambda: check, len(names), n_jobs), strict=True):
        rows += [(name, *finding) for finding in (_unreadable(name, found) if isinstance(found, ValueError) else found)]
    return DataFrame(rows, columns=_COLUMNS).astype({"usable": bool})


def _unreadable(name, error):
    reason = str(error).removeprefix(f"{printable(name)}: ")
    return [Finding("unreadable", reason, "certain", _UNREADABLE, False)]


def _as_reference(reference, n_jobs):
    if reference is None or isinstance(reference, Reference):
        return reference
    names, measure = _read(reference)
    measured = run_rows(lambda: measure, len(names), n_jobs)
    raise_problems(measured, len(names))
    return make_reference(measured)


def _read(recordings):
    """Names of recordings, and a function that measures one of them by its row."""
    if isinstance(recordings, Clips) and "waveform" in recordings:
        return _read_waveforms(recordings)
    if isinstance(recordings, (str, bytes, os.PathLike)):
        path = os.fsdecode(recordings)
        paths = possible_recordings(path) if os.path.isdir(path) else [path]
        if not paths:
            raise ValueError(f"{printable(path)}: holds no audio files, nor do its subfolders. Look whether this is "
                             "the right folder.")  # fmt: skip
    else:
        _, values = read_field(recordings, "waveform", "path", owner="check_recordings")
        paths = as_paths(values)
    if paths is None:
        raise ValueError("check_recordings takes paths or Clips, and was given an array. Of waveforms make "
                         "Clips(waveform=...).with_attrs(sample_rate=...).")  # fmt: skip
    if not len(paths):
        raise ValueError("There are no recordings to check.")
    return [str(path) for path in paths], lambda row: measure_file(paths[row])


def _read_waveforms(clips):
    rate = clips.attrs.get("sample_rate")
    if rate is None:
        raise ValueError("check_recordings needs the sample rate of these waveforms. Tell it by "
                         "clips.with_attrs(sample_rate=...).")  # fmt: skip
    names = clips["path"].tolist() if "path" in clips else names_of(clips, range(len(clips)))
    return names, lambda row: measure_samples(np.asarray(clips["waveform"][row]), rate)
