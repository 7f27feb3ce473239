"""A report on recordings: one HTML file for somebody who was not there."""

import os
from datetime import datetime
from pathlib import Path

import numpy as np
from scipy.stats import binomtest

import skasd
from skasd._drafts import draft_folder, move_new, refuse_existing
from skasd._problems import printable
from skasd.monitoring._detector import check_detector
from skasd.monitoring._judged import judged, shown
from skasd.monitoring._recordings import Recordings

_N_SHOWN = 10
_CONFIDENCE = 0.9


def write_report(detector, recordings, path):
    """Write what a detector says about recordings to one HTML file, to be read on a phone, on a screen or on paper.

    The page says what the detector has learned from; which recordings raise an alarm and where in them, with a
    spectrogram, the sound, and the score among those of healthy recordings; the false-alarm rate that was asked for and
    the estimated one, with its interval; which recordings cannot be judged, and why; and what to do next. Pictures and
    sounds are in the file, which loads nothing from elsewhere and runs no scripts.

    Parameters
    ----------
    detector : RecordingDetector
        Fitted.

    recordings : path-like, sequence of paths, Clips, or array-like of shape (n_recordings, n_samples)
        Recordings to judge, as `RecordingDetector.score_samples` takes them. One that cannot be read, or is useless, is
        not an error, but is listed as not judged.

    path : str or path-like
        The file to write, such as ``report.html``; its folder is created if necessary.

    Raises
    ------
    FileExistsError
        If the file exists: nothing is overwritten.

    ImportError
        If jinja2, matplotlib or pandas are not installed: ``pip install "skasd[report]"``.

    ValueError
        If there are no recordings.

    See Also
    --------
    RecordingDetector.locate : The same spans, for a program.
    skasd.audio.check_recordings : Finds recordings that are useless.

    Notes
    -----
    The ten worst alarms have a picture and a sound of at most 30 s around the worst part, all equally loud. The
    estimated false-alarm rate is the share of the healthy recordings held out in training that score below the
    threshold; its interval (Clopper and Pearson, 90 %) treats these as independent.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from skasd.monitoring import RecordingDetector, write_report
    >>> rng = np.random.default_rng(0)
    >>> healthy = 0.1 * rng.standard_normal((20, 16000))
    >>> detector = RecordingDetector(sample_rate=16000, cv=5).fit(healthy)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "report.html")
    ...     write_report(detector, 0.1 * rng.standard_normal((2, 16000)), path)
    ...     os.path.exists(path)
    True
    """
    check_detector(detector, "write_report")
    path = Path(os.fsdecode(path))
    refuse_existing(path)
    recordings = Recordings(recordings, detector)
    page = _template().render(_content(detector, recordings))
    with draft_folder(path.parent) as folder:
        (folder / "report.html").write_text(page, encoding="utf-8")
        move_new(folder / "report.html", path)


def _template():
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError as error:
        raise ImportError('write_report needs jinja2: pip install "skasd[report]"') from error
    loader = PackageLoader("skasd.monitoring", "")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined).get_template("report.html")


def _content(detector, recordings):
    """All that the template shows."""
    if not len(recordings):
        raise ValueError("There are no recordings to report on.")
    rows = [judged(detector, recordings, row) for row in range(len(recordings))]
    folder = _shorten(rows) if recordings.are_files else ""
    alarms = sorted((row for row, one in enumerate(rows) if one.alarms), key=lambda row: rows[row].decision)
    return {
        "made": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
        "folder": folder,
        "version": skasd.__version__,
        "rows": sorted(rows, key=lambda one: np.inf if one.decision is None else one.decision),
        "alarms": [_alarm(detector, recordings, row, rows[row]) for row in alarms[:_N_SHOWN]],
        "n_alarms": len(alarms),
        "unjudged": [one for one in rows if one.problems],
        "remarks": [one for one in rows if one.remarks and not one.problems],
        "learned": _learned(detector),
        "rates": [_rate(detector, section) for section in detector.offsets_],
        "has_sections": list(detector.offsets_) != [""],
        "asked": detector._learned.false_alarm_rate,
    }


def _shorten(rows):
    """Leave the folder that all recordings are in out of their names, and give it."""
    try:
        folder = os.path.commonpath([os.path.dirname(one.name) for one in rows])
    except ValueError:  # of several drives, or relative and absolute
        return ""
    for one in rows if folder else ():
        one.name = os.path.relpath(one.name, folder)
    return folder


def _alarm(detector, recordings, row, one):
    return {"one": one, "strip": _strip(detector, one), **shown(detector, recordings, row, one.spans)}


def _learned(detector):
    log = [entry | {"date": entry["time"][:10]} for entry in detector.log_]
    return {
        "n_recordings": log[-1]["n_recordings"],
        "hours": sum(entry["seconds"] for entry in log) / 3600,
        "log": log,
        "rate": detector.sample_rate_,
        "names": [printable(name) for name in detector.calibration_["recording"]],
    }


def _rate(detector, section):
    """How often healthy recordings of a section that were held out would have raised an alarm."""
    calibration = detector.calibration_
    scores = calibration["score"][calibration["section"] == section]
    n_below = int(np.count_nonzero(scores < detector.offsets_[section]))
    interval = binomtest(n_below, len(scores)).proportion_ci(_CONFIDENCE)
    needed = int(np.ceil(1 / detector._learned.false_alarm_rate)) - 1
    return {"section": section, "n": len(scores), "n_below": n_below, "estimate": n_below / len(scores),
            "low": interval.low, "high": interval.high, "needed": max(0, needed - len(scores))}  # fmt: skip


def _strip(detector, one):
    """Places from 0 (unusual) to 100 (usual) of the scores of healthy recordings, the threshold and this recording."""
    calibration, offset = detector.calibration_, detector.offsets_[one.section]
    scores = calibration["score"][calibration["section"] == one.section]
    high = max(scores.max(), offset)
    low = high - 2 * max(high - min(scores.min(), offset), 1e-9 * (1 + abs(high)))
    healthy, threshold, own = (
        np.interp(values, [low, high], [4.0, 96.0]).tolist() for values in (scores, offset, one.score)
    )
    return {"healthy": healthy, "threshold": threshold, "own": own, "is_outside": one.score < low,
            "n_below": int(np.count_nonzero(scores <= one.score))}  # fmt: skip
