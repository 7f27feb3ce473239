"""Recordings of real motors with real faults, which come with the package."""

import re
from numbers import Real
from pathlib import Path

import numpy as np
import soundfile

from skasd._sklearn import Interval, StrOptions, check_params
from skasd.clips import Clips

_FOLDER = Path(__file__).parent / "data" / "bldc_a2212"
_NAME = re.compile(r"(?P<motor>M\d)_rpm(?P<speed>\d+)_(?P<fault>[a-z]+)")
_SAMPLE_RATE = 16000
_SHORTEST = 10.13  # seconds, of all recordings
_SPEEDS = {1400, 1450, 1550, 1650, 1750, 1850, 1950, 2000}  # of M1 and M2


@check_params(
    fault=[StrOptions({"propeller", "bearing"})],
    split=[StrOptions({"train", "test"}), None],
    motor=[StrOptions({"M1", "M2", "M3", "M4"}), None],
    held_out=[StrOptions({"M1", "M2", "M3"})],
    training_speeds=["array-like"],
    duration=[Interval(Real, 0, _SHORTEST, closed="right")],
    hop_duration=[Interval(Real, 0, None, closed="neither"), None],
)
def load_motors(
    fault="propeller",
    *,
    split=None,
    motor=None,
    held_out="M3",
    training_speeds=(1400, 1550, 1750, 1950),
    duration=1.0,
    hop_duration=None,
):
    """Recordings of four small brushless motors, healthy and with real faults, cut into clips.

    43 recordings of about 10 s, one for each motor, speed and state [1]_, come with the package. There are two
    one-class tasks, which train on healthy motors only:

    - ``fault="propeller"``: the sections are the motors M1 and M2. Healthy recordings at 1400, 1550, 1750 and 1950 rpm
      are for training (domain ``source``); the test has healthy recordings and ones with a damaged propeller at 1450,
      1650, 1850 and 2000 rpm (domain ``target``; M1 has no faulty one at 2000 rpm). The motor is known from training,
      but none of the test's speeds, which are between the known speeds and above them. Healthy and faulty test clips
      have the same speeds, so that speed alone does not tell them apart; that is why faulty recordings at the training
      speeds are left out.
    - ``fault="bearing"``: one section, ``00``. Two of the healthy motors M1 to M3 are for training (domain ``source``),
      at all their speeds; the test has the third, `held_out`, and M4, whose bearing is damaged (domain ``target``).
      Neither of these two is in training. M4 was never recorded healthy, so **motor and fault are confounded**: what
      sets M4 apart may be the motor rather than its bearing, and the speeds of the two groups differ as well. Report
      such a result as "a faulty motor among unknown motors", averaged over the three values of `held_out`.

    Parameters
    ----------
    fault : {"propeller", "bearing"}, default="propeller"
        The task.

    split : {"train", "test"}, default=None
        Clips to load. Default: both.

    motor : {"M1", "M2", "M3", "M4"}, default=None
        Load the clips of this motor only. Default: all motors of the task.

    held_out : {"M1", "M2", "M3"}, default="M3"
        The healthy motor that is kept for testing with ``fault="bearing"``. ``fault="propeller"`` does not use it.

    training_speeds : sequence of int, default=(1400, 1550, 1750, 1950)
        Speeds in rpm for training with ``fault="propeller"``; the other recordings are for testing. With fewer speeds,
        you can choose a setting on clips that are not in the default test: train without 1550 and look at the test
        clips at 1550. ``fault="bearing"`` does not use it.

    duration : float, default=1.0
        Length of a clip in seconds, up to 10.13, which is the shortest recording. A remainder at the end of a recording
        that is shorter than this is left out.

    hop_duration : float, default=None
        Seconds from the start of one clip to that of the next. Default: `duration`, so that clips do not overlap.

    Returns
    -------
    clips : Clips
        ``waveform`` holds float32 of shape (n_clips, 16000 * duration) at 16 kHz (the attribute ``sample_rate``), with
        the levels as recorded. Besides ``path``, ``machine`` (``bldc_a2212``), ``section``, ``domain``, ``attribute``
        (such as ``rpm_1450_state_healthy``), ``split`` and ``label``, there are ``recording`` (name of the file, by
        which clips of one recording stay on one side of every split), ``motor``, ``speed`` (int, rpm), ``fault``
        (``healthy``, ``propeller`` or ``bearing``) and ``start`` (float, seconds within the recording).

    Raises
    ------
    ValueError
        If a parameter has an unknown value, or if the task has no clip of this motor in this split.

    See Also
    --------
    load_dcase : Loads the folders of the DCASE Challenge.
    make_machine_sounds : Makes synthetic machines, as many clips as you like.

    Notes
    -----
    All clips of a recording are on the same side of the split, and clips of one recording are alike. The test therefore
    says much less than its number of clips suggests: 4 healthy recordings of each motor against 3 (M1) or 4 (M2) with a
    damaged propeller, and 6 to 8 against 7 for the bearing. Intervals must resample recordings, not clips.

    Some of the faults are simply louder. The level alone, as an anomaly score (root mean square of each 1 s clip, no
    training), reaches these areas under the ROC curve: propeller 1.00 on M1 and 0.88 on M2; bearing 0.39, 0.63 and 0.65
    with M1, M2 and M3 held out. Compare a detector with these numbers, or normalise the levels first.

    References
    ----------
    .. [1] "Dataset of audio signals from brushless DC motors for predictive maintenance", Universidad del Cauca,
       Colombia, Data in Brief (2023). Mendeley Data, j4yr5fmhv4, version 1. CC BY 4.0.
       https://data.mendeley.com/datasets/j4yr5fmhv4/1

    Examples
    --------
    >>> import numpy as np
    >>> from skasd.datasets import load_motors
    >>> train, test = load_motors(split="train"), load_motors(split="test")
    >>> train["waveform"].shape
    (80, 16000)
    >>> np.unique(train["speed"]), np.unique(test["speed"])
    (array([1400, 1550, 1750, 1950]), array([1450, 1650, 1850, 2000]))
    >>> np.unique(test["label"], return_counts=True)
    (array([-1,  1]), array([70, 80]))
    """
    speeds = _check_speeds(training_speeds)
    rows = [row for path in sorted(_FOLDER.glob("*.flac")) if (row := _place(path, fault, held_out, speeds))]
    chosen = [row for row in rows if split in (None, row["split"]) and motor in (None, row["motor"])]
    if not chosen:
        there = ", ".join(sorted({f"{row['motor']} ({row['split']})" for row in rows}))
        raise ValueError(f"fault={fault!r} has no clips of motor={motor!r} in split={split!r}. There are: {there}.")
    chosen.sort(key=lambda row: row["split"] != "train")
    return _cut(chosen, duration, duration if hop_duration is None else hop_duration)


def _check_speeds(training_speeds):
    speeds = set(np.asarray(training_speeds).tolist())
    if not speeds <= _SPEEDS:
        raise ValueError(f"training_speeds must be among {sorted(_SPEEDS)}, the speeds in rpm at which M1 and M2 were "
                         f"recorded; got {list(training_speeds)}.")  # fmt: skip
    return speeds


def _place(path, fault, held_out, training_speeds):
    """The fields of a recording in a task, or False where it has no place there."""
    motor, speed, state = _NAME.fullmatch(path.stem).groups()
    if fault == "propeller":
        tests = int(speed) not in training_speeds
        has_place = motor in ("M1", "M2") and (tests or state == "healthy")
    else:
        tests = state == "bearing" or motor == held_out
        has_place = state != "propeller"
    return has_place and {
        "path": str(path),
        "machine": "bldc_a2212",
        "section": motor if fault == "propeller" else "00",
        "domain": "target" if tests else "source",
        "attribute": f"rpm_{speed}_state_{state}",
        "split": "test" if tests else "train",
        "label": 1 if state == "healthy" else -1,
        "recording": path.stem,
        "motor": motor,
        "speed": int(speed),
        "fault": state,
    }


def _cut(rows, duration, hop):
    """Clips of the recordings, in windows of `duration` that begin `hop` seconds apart."""
    n_window, n_hop = (max(1, round(seconds * _SAMPLE_RATE)) for seconds in (duration, hop))
    windows = []
    for row in rows:
        samples, _ = soundfile.read(row["path"], dtype="float32")
        windows.append(np.lib.stride_tricks.sliding_window_view(samples, n_window)[::n_hop])
    counts = [len(window) for window in windows]
    fields = {name: np.repeat([row[name] for row in rows], counts) for name in rows[0]}
    start = np.concatenate([np.arange(count) * n_hop / _SAMPLE_RATE for count in counts])
    return Clips(fields, waveform=np.concatenate(windows), start=start).with_attrs(sample_rate=_SAMPLE_RATE)
