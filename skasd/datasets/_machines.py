"""Synthetic machines in the form of DCASE Task 2: as many clips as you like, with known faults."""

from dataclasses import dataclass
from itertools import cycle, islice, product
from numbers import Integral, Real
from typing import NamedTuple

import numpy as np
from joblib import Parallel, delayed
from scipy.fft import rfftfreq
from sklearn.utils import check_random_state

from skasd._sklearn import Interval, StrOptions, check_params
from skasd.clips import Clips
from skasd.datasets._machine_models import KINDS, Condition, Kind, Unit, draw_unit, machine_sound
from skasd.datasets._synthesis import draw_factory, factory_noise, unit_rms

_SHIFTS = ("speed", "load", "noise")
_DOMAINS = ("source", "target")
_SPEEDS = (0.9, 1.0, 1.1, 0.75, 1.3)  # the first three of these and of the next are those of the source domain
_LOADS = (0.8, 1.0, 1.25, 0.5, 2.0)
_HALLS = "ABCDE"
_LEVEL, _LEVEL_JITTER = -36.0, 3.0  # dB re full scale


class _Row(NamedTuple):
    section: int
    split: str
    domain: str
    label: int
    index: int

    @property
    def value(self):
        """Number of the value that the condition of its domain takes."""
        return self.index % 3 if self.domain == "source" else 3 + self.index % 2


@dataclass(frozen=True)
class _Section:
    kind: Kind
    unit: Unit
    halls: list
    shift: str
    seed: tuple

    def condition(self, value):
        """Condition number `value`, and how attributes have it."""
        if self.shift == "speed":
            label = self.kind.label.format(value=self.kind.nominal * _SPEEDS[value], index=value)
            return Condition(speed=_SPEEDS[value], pattern=value), label
        if self.shift == "load":
            return Condition(load=_LOADS[value]), f"wt_{100 * _LOADS[value]:.0f}"
        return Condition(hall=value), f"f-n_{_HALLS[value]}"

    def record(self, samples, row, *, severity, snr, sample_rate):
        """Fill `samples` with the clip of a row; the name of its fault."""
        rng = _generator(*self.seed, 2, row.split == "test", row.domain == "target", row.label == -1, row.index)
        fault = "healthy" if row.label == 1 else str(rng.choice(list(self.kind.faults)))
        condition, _ = self.condition(row.value)
        size = {"n_samples": len(samples), "sample_rate": sample_rate}
        machine = machine_sound(rng, self.kind, self.unit, condition, fault, severity, **size)
        samples[:] = mix(machine, factory_noise(rng, self.halls[condition.hall], **size), snr)
        samples *= 10 ** ((_LEVEL + rng.uniform(-_LEVEL_JITTER, _LEVEL_JITTER)) / 20)
        return fault


@check_params(
    machine=[StrOptions(set(KINDS))],
    n_sections=[Interval(Integral, 1, 100, closed="both")],
    n_train_source=[Interval(Integral, 0, 10000, closed="both")],
    n_train_target=[Interval(Integral, 0, 10000, closed="both")],
    n_test=[Interval(Integral, 0, 10000, closed="both")],
    duration=[Interval(Real, 0.5, 600, closed="both")],
    sample_rate=[Interval(Integral, 8000, 192000, closed="both")],
    snr=[Interval(Real, -60, 60, closed="both")],
    severity=[Interval(Real, 0, 100, closed="both")],
    domain_shift=[StrOptions(set(_SHIFTS)), list, tuple],
    random_state=["random_state"],
    n_jobs=[Integral, None],
)
def make_machine_sounds(
    machine="fan",
    *,
    n_sections=3,
    n_train_source=95,
    n_train_target=5,
    n_test=20,
    duration=10.0,
    sample_rate=16000,
    snr=6.0,
    severity=1.0,
    domain_shift=("speed", "load", "noise"),
    random_state=None,
    n_jobs=None,
):
    """Synthetic machines in factory noise, in the form of the DCASE Challenge's Task 2 of 2022.

    They are for tests, documentation and trying out a program, and **say nothing about how good a detector or a network
    is**: what ranks well here may fail on real recordings. Choose and compare systems on recordings, such as those of
    `load_motors` and `fetch_dcase`.

    Each section is a different unit of the machine, with its own speed, tones and resonances. Training clips are
    healthy, most of them from the source domain and a few from the target domain; the test has healthy and faulty clips
    of both. Which fault a clip has is known, and you can choose how clear it is.

    Parameters
    ----------
    machine : {"ToyCar", "ToyTrain", "bearing", "fan", "gearbox", "slider", "valve"}, default="fan"
        Kind of machine; see the notes.

    n_sections : int, default=3
        Number of units, 1 to 100.

    n_train_source : int, default=95
        Training clips of a section in the source domain. The challenge has 990.

    n_train_target : int, default=5
        Training clips of a section in the target domain. The challenge has 10.

    n_test : int, default=20
        Test clips of a section for each domain and label, so four times as many in all. The challenge has 50.

    duration : float, default=10.0
        Length of a clip in seconds, 0.5 to 600. A clip of 10 s at 16 kHz takes 0.64 MB, the default set 346 MB.

    sample_rate : int, default=16000
        In Hz, at least 8000.

    snr : float, default=6.0
        Power of the machine (with its fault) over that of the factory noise, in dB, in every clip.

    severity : float, default=1.0
        How severe the faults are: 0 is no fault at all, 1 is clear to a simple detector in the source domain, 2 is
        obvious. Each clip has 0.6 to 1.4 times that.

    domain_shift : {"speed", "load", "noise"} or sequence of these, default=("speed", "load", "noise")
        How the target domain differs from the source domain; if a sequence is given, the sections take one each in
        turn. There are three conditions in the source domain and two others in the target domain, in ``attribute``:
        ``speed`` is named as in the challenge (``vel_18``, ``spd_27V``, for the valve the rhythm ``pat_00``), ``load``
        is ``wt_80`` to ``wt_125`` in the source domain and ``wt_50`` or ``wt_200`` in the target domain, ``noise`` is
        another factory hall, ``f-n_A`` to ``f-n_C`` and ``f-n_D`` or ``f-n_E``.

    random_state : int, RandomState instance or None, default=None
        An int makes the clips repeatable. Each clip has a seed of its own, so that it stays the same when the numbers
        of sections and clips change.

    n_jobs : int, default=None
        Number of threads that make clips; see joblib.

    Returns
    -------
    clips : Clips
        ``waveform`` holds float32 of shape (n_clips, duration * sample_rate) in [-1, 1]. Besides ``machine``,
        ``section``, ``domain``, ``attribute``, ``split`` and ``label`` there is ``fault``: ``healthy``, ``bearing``,
        ``imbalance``, ``loose``, ``leak`` or ``stroke``. The order is that in which `load_dcase` would give them. The
        attribute ``sample_rate`` is that of the waveforms.

    Raises
    ------
    ValueError
        If a parameter is out of range, or if there is no clip to make.

    See Also
    --------
    write_dcase : Writes the clips as a folder of WAV files.
    load_motors : Recordings of real motors.

    Notes
    -----
    ========  =====================================================  ==========================
    machine   healthy sound                                          faults
    ========  =====================================================  ==========================
    ToyCar    start, motor and gear whine, tyres, stop               bearing, imbalance, loose
    ToyTrain  motor, wheels on rail joints, passing the microphone   bearing, loose
    bearing   shaft, motor slots, rolling                            bearing, imbalance, loose
    fan       blade-pass tones, flow noise that they modulate        bearing, imbalance, loose
    gearbox   meshing with sidebands, shaft                          bearing, imbalance, loose
    slider    strokes with a screw's whine, friction, end stops      loose, stroke
    valve     clicks in a rhythm, flow while it is open              leak, stroke
    ========  =====================================================  ==========================

    - ``bearing``: impacts at a defect frequency that no harmonic of the speed has, each ringing a resonance.
    - ``imbalance``: the tone of the rotation grows, and the whole sound is modulated by it.
    - ``loose``: a part rattles about once a turn, for a while, then is silent again.
    - ``leak``: a hiss.
    - ``stroke``: some strokes or clicks are missing, others late. In a short clip there may be none.

    Every clip has a random level between -39 and -33 dB re full scale, whatever its fault, so that loudness does not
    tell the groups apart. Speeds, tones, noises and their mixture vary from clip to clip.

    Examples
    --------
    >>> from skasd.datasets import make_machine_sounds
    >>> clips = make_machine_sounds("gearbox", n_sections=1, n_train_source=4, n_test=1, duration=1.0, random_state=0)
    >>> clips["waveform"].shape
    (13, 16000)
    >>> clips["attribute"][:5]
    array(['volt_1.8', 'volt_2.0', 'volt_2.2', 'volt_1.8', 'volt_1.5'], dtype='<U8')
    >>> clips["domain"][-4:], clips["label"][-4:]
    (array(['source', 'source', 'target', 'target'], dtype='<U6'), array([-1,  1, -1,  1]))
    """
    shifts = _check_shifts(domain_shift)
    rows = _plan(n_sections, {"source": n_train_source, "target": n_train_target}, n_test)
    waveform = np.empty((len(rows), round(duration * sample_rate)), dtype=np.float32)
    frequencies = rfftfreq(waveform.shape[1], 1 / sample_rate)
    entropy = int(check_random_state(random_state).randint(2**31 - 1))
    shift_of = islice(cycle(shifts), n_sections)
    sections = [_draw_section(machine, shift, (entropy, n), frequencies) for n, shift in enumerate(shift_of)]
    faults = Parallel(n_jobs=n_jobs, require="sharedmem")(
        delayed(sections[row.section].record)(samples, row, severity=severity, snr=snr, sample_rate=sample_rate)
        for row, samples in zip(rows, waveform, strict=True)
    )
    return Clips(
        waveform=waveform,
        machine=[machine] * len(rows),
        section=[f"{row.section:02d}" for row in rows],
        domain=[row.domain for row in rows],
        attribute=[sections[row.section].condition(row.value)[1] for row in rows],
        split=[row.split for row in rows],
        label=[row.label for row in rows],
        fault=np.array(faults, dtype=str),
    ).with_attrs(sample_rate=int(sample_rate))


def mix(machine, noise, snr):
    """Machine and noise at a signal-to-noise ratio in dB; the sum has unit power."""
    return unit_rms(10 ** (snr / 20) * unit_rms(machine) + unit_rms(noise))


def _check_shifts(domain_shift):
    shifts = (domain_shift,) if isinstance(domain_shift, str) else tuple(domain_shift)
    if not shifts or not set(shifts) <= set(_SHIFTS):
        raise ValueError(f"domain_shift must be one of {', '.join(map(repr, _SHIFTS))}, or a sequence of these, one "
                         f"for each section in turn; got {domain_shift!r}.")  # fmt: skip
    return shifts


def _plan(n_sections, n_train, n_test):
    """One row per clip, in the order in which `load_dcase` gives the clips."""
    parts = product(range(n_sections), _DOMAINS)
    rows = [_Row(section, "train", domain, 1, index) for section, domain in parts for index in range(n_train[domain])]
    tests = product(range(n_sections), ["test"], _DOMAINS, [-1, 1], range(n_test))
    rows += [_Row(*test) for test in tests]
    if not rows:
        raise ValueError("There are no clips to make: n_train_source, n_train_target and n_test are all 0.")
    return rows


def _draw_section(machine, shift, seed, frequencies):
    seed = (*seed, sorted(KINDS).index(machine))
    kind = KINDS[machine]
    unit = draw_unit(_generator(*seed, 0), kind, frequencies)
    halls = [draw_factory(_generator(*seed, 1, hall), frequencies) for hall in range(len(_HALLS))]
    return _Section(kind, unit, halls, shift, seed)


def _generator(*seed):
    # One stream for each clip, so that it does not depend on how many others are made.
    entropy, *key = map(int, seed)
    return np.random.default_rng(np.random.SeedSequence(entropy, spawn_key=key))
