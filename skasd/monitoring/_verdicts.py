"""The verdict on one recording: normal, an alarm, or not judged."""

import os
from typing import NamedTuple

from skasd._problems import printable
from skasd.clips import Clips
from skasd.monitoring._detector import check_detector
from skasd.monitoring._recordings import what_spoils
from skasd.monitoring._spans import in_words


class Verdict(NamedTuple):
    """What a detector says about one recording.

    Parameters
    ----------
    path : str
        The file.

    section : str
        Its section; ``""`` if there are none.

    kind : {"normal", "alarm", "not judged"}
        The verdict.

    score, threshold : float or None
        The score, higher = more normal, and the least score that is normal; None if the recording was not judged.

    p_value : float or None
        Share of healthy recordings that are as unusual; None if the recording was not judged.

    spans : tuple of Span
        Where it is unusual, the worst part first; empty for a normal recording.

    reason : str
        Why, in words; empty for a normal recording.

    See Also
    --------
    judge_recording : Makes it.

    Examples
    --------
    >>> from skasd.monitoring import Verdict
    >>> print(Verdict("day 3.wav", "", "not judged", None, None, None, (), "silent: all samples are 0"))
    not judged  day 3.wav: silent: all samples are 0
    """

    path: str
    section: str
    kind: str
    score: float | None
    threshold: float | None
    p_value: float | None
    spans: tuple
    reason: str

    def __str__(self):
        said = [*([] if self.p_value is None else [f"p = {self.p_value:.2g}"]), *([self.reason] if self.reason else [])]
        return f"{self.kind:<10}  {printable(self.path)}: {', '.join(said)}"


def judge_recording(detector, path, section=""):
    """Judge one file, and say so if it cannot be judged, instead of calling it normal.

    Parameters
    ----------
    detector : RecordingDetector
        Fitted.

    path : path-like
        The file.

    section : str, default=""
        Its section, if the detector knows sections.

    Returns
    -------
    verdict : Verdict
        An "alarm" is what `RecordingDetector.predict` calls -1. A file that cannot be read, is shorter than a clip, is
        of an unknown section, or is useless (see `skasd.audio.check_recordings`), is "not judged".

    See Also
    --------
    RecordingDetector.predict : Judges many, without saying why.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> import soundfile
    >>> from skasd.monitoring import RecordingDetector, judge_recording
    >>> rng = np.random.default_rng(0)
    >>> detector = RecordingDetector(sample_rate=16000).fit([0.1 * rng.standard_normal(48000) for _ in range(20)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "new.wav")
    ...     soundfile.write(path, 0.1 * rng.standard_normal(48000), 16000)
    ...     one = judge_recording(detector, path)
    ...     soundfile.write(path, np.zeros(48000), 16000)
    ...     other = judge_recording(detector, path)
    >>> one.kind, other.kind
    ('normal', 'not judged')
    """
    check_detector(detector, "judge_recording")
    path = os.fsdecode(path)
    try:
        useless = what_spoils(path, detector.clip_duration)
        if useless:
            return _not_judged(path, section, useless)
        score, threshold, p_value, spans = detector._judge_one(Clips(path=[path], section=[section]))
    except ValueError as error:
        return _not_judged(path, section, str(error).removeprefix(f"{printable(path)}: "))
    if score >= threshold:
        return Verdict(path, section, "normal", score, threshold, p_value, (), "")
    worst = spans[0]
    reason = f"{worst.start:.2f} to {worst.end:.2f} s: {in_words(worst.bands)}"
    return Verdict(path, section, "alarm", score, threshold, p_value, tuple(spans), reason)


def _not_judged(path, section, reason):
    return Verdict(path, section, "not judged", None, None, None, (), reason)
