"""Seven kinds of machines: how they sound when healthy, and what their faults change.

A `Unit` is one individual of a kind (its speed, teeth, resonances), a `Take` is one clip in the making, and the sound
of a kind is a function of both. A fault enters in proportion to its amount: with 0, nothing changes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from skasd.datasets._synthesis import (
    body_response,
    cycle,
    hits,
    lowpass,
    passages,
    ring,
    shape,
    unit_rms,
    wander,
    white,
)

_VARIATION = 0.2  # of tones and noises from take to take, in natural logarithms
PATTERNS = ((1, 1, 1, 3), (1, 2), (1, 1, 2), (2, 1, 1, 1, 3), (1.5,))


@dataclass(frozen=True)
class Unit:
    """One individual of a kind of machines."""

    speed: float  # turns, strokes or beats a second under nominal conditions
    order: int  # blades, teeth or motor slots: tones of `order` times the speed
    tones: np.ndarray  # complex amplitudes of the harmonics, the first with magnitude 1
    corner: float  # corner frequency of the noise of friction or flow
    defect: float  # impacts of a damaged bearing for each turn
    ringing: float  # frequency of the resonance that impacts excite
    body: np.ndarray  # response of its housing, (n_frequencies,)


@dataclass(frozen=True)
class Condition:
    """Under which conditions a machine runs."""

    speed: float = 1.0  # as a factor on that of the unit
    load: float = 1.0  # as a factor on the nominal one
    pattern: int = 0  # rhythm of a valve
    hall: int = 0  # the factory around it


@dataclass(frozen=True)
class Take:
    """One clip in the making."""

    rng: np.random.Generator
    sample_rate: int
    turns: np.ndarray  # of the shaft, or strokes, since the beginning, (n_samples,)
    motion: np.ndarray | float  # share of the full speed at each time
    speed: float  # full speed in turns a second
    condition: Condition
    fault: str  # "healthy" if nothing is wrong
    amount: float  # how bad the fault is: 0 is nothing

    def tone(self, amplitudes, order=1):
        """A tone of `order` times the speed with harmonics, as far as the sample rate can hold them."""
        highest = int(0.45 * self.sample_rate / (order * self.speed))
        numbers = np.arange(1, len(amplitudes) + 1)
        louder = numbers ** (0.5 * np.log2(self.condition.load))  # load brings the higher harmonics out
        today = self.rng.lognormal(0, _VARIATION, len(numbers))
        return cycle(order * self.turns, (amplitudes * louder * today)[:highest])

    def noise(self, corner):
        """Noise of friction or flow, with about unit power."""
        corner, today = self.rng.lognormal(np.log([corner, 1]), _VARIATION)
        return unit_rms(lowpass(white(self.rng, len(self.turns)), corner, self.sample_rate)) * np.float32(today)

    def knocks(self, positions, strengths, frequency, decay):
        """Blows at these samples that ring at a frequency."""
        return ring(hits(positions, strengths, len(self.turns)), frequency, decay, self.sample_rate)


# Healthy sounds: (unit, take) -> signal before the housing.


def _bearing(unit, take):
    rolling = take.noise(unit.corner) * (1 + 0.2 * take.tone(unit.tones[:1]))
    return (
        0.5 * take.tone(unit.tones) + 0.35 * take.tone(unit.tones[:4], unit.order) + take.condition.load**0.5 * rolling
    )


def _fan(unit, take):
    blades = take.tone(unit.tones[:6], unit.order)
    flow = take.noise(unit.corner) * (1 + 0.3 * take.tone(unit.tones[:1], unit.order))
    return 0.7 * blades + 0.15 * take.tone(unit.tones[:3]) + take.condition.load * flow


def _gearbox(unit, take):
    sidebands = 1 + 0.4 * take.tone(unit.tones[:2])
    meshing = take.tone(unit.tones[:5], unit.order) * sidebands
    return take.condition.load**0.7 * meshing + 0.2 * take.tone(unit.tones) + 0.6 * take.noise(unit.corner)


def _slider(unit, take):
    strokes = 2 * take.turns
    numbers = strokes.astype(np.int64)
    moves, delays = _disturb(take, numbers[-1] + 1, latest=0.4)
    within = np.clip((strokes - numbers - delays[numbers]) / (1 - delays[numbers]), 0, 1)
    velocity = np.clip(1.6 * np.sin(np.pi * within), 0, 1) * moves[numbers]
    screw = cycle(np.cumsum(velocity) * (unit.order * take.condition.speed / take.sample_rate), unit.tones)
    friction = take.noise(unit.corner) * take.condition.load**0.5
    ends = np.flatnonzero(np.diff(numbers)) + 1
    knocks = take.knocks(ends, 4 * moves[numbers[ends]], unit.ringing / 4, 0.01)
    return (velocity * (0.5 * screw + friction) + knocks).astype(np.float32)


def _valve(unit, take):
    gaps = np.array(PATTERNS[take.condition.pattern]) / take.speed
    n_gaps = int(len(take.turns) / take.sample_rate / gaps.min()) + 2
    beats = np.cumsum(np.resize(gaps, n_gaps)) - take.rng.uniform(0, gaps.sum())
    moves, delays = _disturb(take, n_gaps, latest=0.5)
    opens = (beats + 0.003 * take.rng.standard_normal(n_gaps) + delays * gaps.min()) * take.sample_rate
    closes = opens + 0.3 / unit.speed * take.sample_rate
    strengths = moves * take.rng.normal(1, 0.05, n_gaps)
    clicks = take.knocks(opens, strengths, unit.ringing, 0.004)
    clicks += take.knocks(closes, -0.5 * strengths, unit.ringing, 0.003)
    passing = np.cumsum(hits(opens, moves, len(take.turns)) - hits(closes, moves, len(take.turns)))
    flow = 0.04 * take.condition.load * passing * take.noise(3 * unit.corner)
    return clicks * take.condition.load**0.5 + flow + 0.012 * take.tone(unit.tones, unit.order)


def _toy_car(unit, take):
    gears = take.tone(unit.tones[:6], unit.order) * (1 + 0.3 * take.tone(unit.tones[:1]))
    tyres = take.noise(unit.corner) * take.motion
    return take.motion * (take.condition.load**0.5 * gears + 0.3 * take.tone(unit.tones) + 0.8 * tyres)


def _toy_train(unit, take):
    lap = take.turns * (0.25 / unit.speed) + take.rng.uniform()
    nearness = 1 / np.sqrt(1 + 12 * np.sin(np.pi * lap) ** 2)
    joints = passages(take.rng, take.turns, 3 / unit.speed, 0.002)
    axles = np.concatenate([joints, joints + 0.08 / take.condition.speed * take.sample_rate])
    clacks = take.knocks(axles, take.rng.lognormal(0, 0.1, len(axles)), unit.ringing / 2, 0.006)
    wheels = take.noise(unit.corner) * (1 + 0.15 * take.tone(unit.tones[:1]))
    rolling = nearness * (0.8 * wheels + 2.5 * take.condition.load**0.5 * clacks)
    return (rolling + 0.3 * take.tone(unit.tones[:6], unit.order)).astype(np.float32)


def _disturb(take, n_events, latest):
    """For each event of a sequence whether it takes place (1 or 0), and its delay as a share of its time."""
    moves, delays = np.ones(n_events), np.zeros(n_events)
    wrong = take.rng.uniform(size=n_events) < take.amount * (take.fault == "stroke")
    missing = wrong & (take.rng.uniform(size=n_events) < 0.5)
    moves[missing] = 0
    delays[wrong & ~missing] = take.rng.uniform(0.3, 1, np.count_nonzero(wrong & ~missing)) * latest
    return moves, delays


# Faults: (signal with unit power, unit, take) -> signal. The missing and late strokes are `_disturb`, above.


def _bearing_impacts(signal, unit, take):
    """A damaged race: impacts as the balls pass it, stronger where the load presses, ringing a resonance."""
    positions = passages(take.rng, take.turns, unit.defect, 0.015)
    pressed = 1 + 0.6 * np.cos(2 * np.pi * np.interp(positions, np.arange(len(take.turns)), take.turns))
    strengths = pressed * take.rng.lognormal(0, 0.2, len(positions))
    return signal + take.amount * unit_rms(take.knocks(positions, strengths, unit.ringing, 0.002))


def _imbalance(signal, unit, take):
    """An unbalanced shaft: its own frequency grows, and all that it drives is modulated."""
    once = take.tone(unit.tones[:1])
    return signal * (1 + min(take.amount, 1) * once) + take.amount * take.motion * once


def _rattle(signal, unit, take):
    """A loose part: now and then, for a while, it is thrown about once a turn and bounces."""
    positions = passages(take.rng, take.turns, 1, 0.08)
    bouts = wander(take.rng, len(take.turns), take.sample_rate, correlation=1.0)
    thrown = np.interp(positions, np.arange(len(bouts)), bouts)
    loose = positions[thrown >= np.median(thrown)] if len(positions) else positions
    delays = take.sample_rate * take.rng.uniform([0, 0.006], [0.004, 0.02])
    bounces = np.concatenate([loose + delay for delay in delays])
    strengths = take.rng.lognormal(0, 0.5, len(bounces))
    return signal + take.amount * unit_rms(take.knocks(bounces, strengths, unit.ringing / 3, 0.006))


def _leak(signal, unit, take):
    """Air that escapes: a hiss at high frequencies that breathes slowly."""
    rush = white(take.rng, len(signal))
    rush -= lowpass(rush, 2500, take.sample_rate)
    breath = 1 + 0.2 * wander(take.rng, len(signal), take.sample_rate)
    return signal + (take.amount * breath * unit_rms(rush)).astype(np.float32)


_FAULTS = {"bearing": _bearing_impacts, "imbalance": _imbalance, "loose": _rattle, "leak": _leak}


@dataclass(frozen=True)
class Kind:
    """A kind of machines."""

    sound: Callable  # its healthy sound
    speeds: tuple  # between which its individuals differ, as are the next two
    orders: tuple
    corners: tuple
    faults: dict  # what severity 1 means: size relative to the own sound, for "stroke" the share of wrong strokes
    label: str  # its speed, as attributes have it
    nominal: float
    starts: bool = False  # whether it starts and stops within a clip


KINDS = {
    "ToyCar": Kind(_toy_car, (22, 30), (9, 15), (900, 1800), {"bearing": 0.15, "imbalance": 0.3, "loose": 0.2},
                   "spd_{value:.0f}V", 30, starts=True),
    "ToyTrain": Kind(_toy_train, (5, 8), (24, 36), (900, 1800), {"bearing": 0.15, "loose": 0.2},
                     "spd_{value:.1f}", 10),
    "bearing": Kind(_bearing, (15, 25), (24, 48), (500, 1200), {"bearing": 0.2, "imbalance": 0.15, "loose": 0.15},
                    "vel_{value:.0f}", 20),
    "fan": Kind(_fan, (16, 24), (5, 9), (400, 900), {"bearing": 0.15, "imbalance": 0.2, "loose": 0.15},
                "spd_{value:.0f}", 1200),
    "gearbox": Kind(_gearbox, (10, 16), (19, 31), (500, 1200), {"bearing": 0.15, "imbalance": 0.15, "loose": 0.15},
                    "volt_{value:.1f}", 2),
    "slider": Kind(_slider, (0.35, 0.6), (160, 260), (700, 1600), {"loose": 0.3, "stroke": 0.15},
                   "vel_{value:.0f}", 600),
    "valve": Kind(_valve, (2.2, 3.2), (20, 40), (700, 1400), {"leak": 0.08, "stroke": 0.4}, "pat_{index:02d}", 0),
}  # fmt: skip


def draw_unit(rng, kind, frequencies):
    """An individual of a kind."""
    numbers = np.arange(1, 13)
    magnitudes = numbers ** -rng.uniform(0.6, 1.2) * rng.lognormal(0, 0.4, len(numbers))
    modes = np.column_stack([np.exp(rng.uniform(np.log(250), np.log(6000), 5)), rng.uniform(8, 25, 5),
                             rng.choice([-1, 1], 5) * rng.uniform(1, 4, 5)])  # fmt: skip
    return Unit(
        speed=rng.uniform(*kind.speeds),
        order=int(rng.integers(*kind.orders, endpoint=True)),
        tones=magnitudes / magnitudes[0] * np.exp(2j * np.pi * rng.uniform(size=len(numbers))),
        corner=rng.uniform(*kind.corners),
        defect=rng.uniform(3.1, 5.4),
        ringing=rng.uniform(2500, 4500),
        body=body_response(modes, frequencies),
    )


def machine_sound(rng, kind, unit, condition, fault, severity, *, n_samples, sample_rate):
    """One take of a unit, with unit power: its sound, its fault, its housing."""
    speed = unit.speed * condition.speed * (1 - 0.02 * (condition.load - 1)) * rng.normal(1, 0.005)
    motion = _start_and_stop(rng, n_samples, sample_rate) if kind.starts else 1.0
    jitter = 1 + 0.003 * wander(rng, n_samples, sample_rate)
    turns = np.cumsum(speed / sample_rate * motion * jitter)
    amount = severity * kind.faults.get(fault, 0) * rng.uniform(0.6, 1.4)
    take = Take(rng, sample_rate, turns, motion, speed, condition, fault, amount)
    signal = unit_rms(kind.sound(unit, take))
    if fault in _FAULTS:
        signal = _FAULTS[fault](signal, unit, take)
    return unit_rms(shape(signal, unit.body))


def _start_and_stop(rng, n_samples, sample_rate):
    """From rest to full speed and back, near the ends of the clip."""
    share = np.array([0.04, 0.1, 0.88, 0.94]) + rng.uniform(-0.03, 0.03, 4)
    return np.interp(np.arange(n_samples) / n_samples, share, [0.0, 1.0, 1.0, 0.0]).astype(np.float32)
