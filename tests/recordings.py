"""Recordings such as a user makes of machines by phone: healthy, with six kinds of fault, and useless in every way.

Three machines, each a stereo recording at 48 kHz of 3 to 40 s. Level, distance, room, speed and the noise around differ
from recording to recording; how strong a fault is does too, so that some are found and some are not.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import butter, fftconvolve, lfilter, sosfilt

RATE = 48000
MACHINES = ("pump", "fan", "motor")
FAULTS = ("bearing clicks", "imbalance", "rub", "leak hiss", "cavitation", "missing beat")
SHORT = ("bearing clicks", "rub", "missing beat")
USELESS = (
    "clipped",
    "silent",
    "too short",
    "1-bit noise",
    "telephone band",
    "upsampled",
    "DC",
    "dead channel",
    "inverted channel",
    "drop-outs",
    "wind",
)


@dataclass(frozen=True)
class Machine:
    """How a machine sounds: turns a second, tones as multiples of these, and the noise of what flows or rubs in it."""

    speed: float
    orders: tuple
    tones: tuple
    noise_band: tuple
    noise: float
    beat: int  # strokes for each turn that can be heard one by one, 0 for none
    ringing: float  # Hz


KINDS = {
    "pump": Machine(24.7, (1, 2, 7, 14, 21), (0.3, 0.2, 1.0, 0.5, 0.2), (200, 6000), 0.8, 0, 6200.0),
    "fan": Machine(16.3, (1, 5, 10, 15), (0.2, 1.0, 0.4, 0.2), (100, 3000), 1.2, 0, 4700.0),
    "motor": Machine(9.1, (1, 2, 36, 72), (0.3, 0.2, 0.6, 0.5), (400, 9000), 0.4, 1, 8100.0),
}


def noise(rng, n_samples, low, high, order=2):
    """Noise of unit power in a band."""
    made = sosfilt(butter(order, [low, high], "bandpass", fs=RATE, output="sos"), rng.standard_normal(n_samples))
    return made / made.std()


def ticks(rng, turns, marks, jitter, frequency, decay):
    """Blows that ring, at these turns, each a little early or late; the usual one has a peak of about one."""
    at = np.searchsorted(turns, np.maximum(marks + jitter * rng.standard_normal(len(marks)), 0))
    impulses = np.zeros(len(turns))
    impulses[np.minimum(at, len(turns) - 1)] = rng.lognormal(0, 0.3, len(at))
    time = np.arange(int(6 * decay * RATE)) / RATE
    return fftconvolve(impulses, np.exp(-time / decay) * np.sin(2 * np.pi * frequency * time))[: len(turns)]


def bursts(rng, n_samples, rate, duration):
    """A gate, 0 to 1, that opens `rate` times a second on average, for about `duration` seconds."""
    gate = np.zeros(n_samples)
    for start in rng.integers(0, n_samples, max(1, rng.poisson(rate * n_samples / RATE))):
        length = int(duration * RATE * rng.uniform(0.5, 1.5))
        gate[start : start + length] += np.hanning(length)[: len(gate[start : start + length])]
    return np.minimum(gate, 1)


def machine_sound(rng, kind, n_samples, fault, amount):
    """The sound of a machine at its surface, with about unit power."""
    times = np.arange(0, n_samples + RATE, RATE // 4)
    slow = np.interp(np.arange(n_samples), times, rng.standard_normal(len(times)))
    turns = np.cumsum(kind.speed * rng.normal(1, 0.01) * (1 + 0.002 * slow)) / RATE
    levels = np.array(kind.tones) * rng.lognormal(0, 0.15, len(kind.tones))
    sway = 0.15
    if fault == "imbalance":
        levels[0] *= 1 + 2 * amount
        sway += 0.25 * amount
    tones = sum(level * np.sin(2 * np.pi * (order * turns + rng.random()))
                for order, level in zip(kind.orders, levels, strict=True))  # fmt: skip
    flow = kind.noise * rng.lognormal(0, 0.1) * noise(rng, n_samples, *kind.noise_band)
    sound = tones + flow * (1 + sway * np.sin(2 * np.pi * turns))
    if kind.beat:
        beats = np.arange(0.5, turns[-1] - 0.5, 1 / kind.beat)
        if fault == "missing beat":
            beats = beats[rng.random(len(beats)) > min(0.8, 0.3 * amount)]
        sound += 1.5 * ticks(rng, turns, beats, 0.01, kind.ringing / 3, 0.02)
    elif fault == "missing beat":
        sound *= 1 - min(0.95, 0.6 * amount) * bursts(rng, n_samples, 0.4, 0.25)
    return (sound + FAULT_SOUNDS.get(fault, _nothing)(rng, kind, turns, amount)) / 1.5


def _nothing(rng, kind, turns, amount):
    return 0.0


def _bearing_clicks(rng, kind, turns, amount):
    marks = np.arange(0.5, turns[-1] - 0.5, 1 / 3.57)
    return 1.6 * amount * ticks(rng, turns, marks, 0.005, kind.ringing, 0.0012)


def _rub(rng, kind, turns, amount):
    return 0.4 * amount * bursts(rng, len(turns), 0.5, 0.3) * noise(rng, len(turns), 3000, 12000)


def _leak_hiss(rng, kind, turns, amount):
    return 0.055 * amount * noise(rng, len(turns), 9000, 20000)


def _cavitation(rng, kind, turns, amount):
    crackle = rng.standard_normal(len(turns)) * (rng.random(len(turns)) < 0.0005)
    return 1.2 * amount * lfilter([1], [1, -0.6, 0.3], crackle) * (1 + bursts(rng, len(turns), 2, 0.2))


FAULT_SOUNDS = {
    "bearing clicks": _bearing_clicks,
    "rub": _rub,
    "leak hiss": _leak_hiss,
    "cavitation": _cavitation,
}


def room(rng):
    """The response of a room at two microphones: direct sound, a few reflections, and a tail."""
    length = int(0.12 * RATE)
    tail = rng.standard_normal((2, length)) * np.exp(-np.arange(length) / (rng.uniform(0.01, 0.03) * RATE))
    tail *= rng.uniform(0.01, 0.03)
    tail[:, 0] = 1.0
    return tail


def record(rng, sound):
    """What a phone records of a machine in a room: two channels, at a level of their own, with noise around."""
    heard = np.stack([fftconvolve(sound, response)[: len(sound)] for response in room(rng)])
    tilt = butter(1, rng.uniform(12000, 20000), fs=RATE)
    heard = lfilter(*tilt, heard, axis=1)
    around = rng.lognormal(np.log(0.05), 0.4) * noise(rng, len(sound), 30, 1500, 1)
    hiss = 0.004 * rng.standard_normal(heard.shape)
    steps = np.zeros(len(sound))
    for start in rng.integers(0, len(sound), rng.poisson(len(sound) / RATE * 0.05)):  # somebody, somewhere
        length = min(int(0.3 * RATE), len(sound) - start)
        steps[start : start + length] += 0.15 * noise(rng, int(0.3 * RATE), 80, 900)[:length] * np.hanning(length)
    return (0.08 * rng.lognormal(0, 0.25) * (heard + around + hiss + steps)).T.astype(np.float32)


def make_recording(machine, fault="", amount=1.0, seed=0, duration=None, speed=1.0):
    """One recording (n_samples, 2) at `RATE`; `fault` is one of `FAULTS` or empty, `amount` how bad it is.

    `speed` is that of the machine in units of its usual one.
    """
    rng = np.random.default_rng([MACHINES.index(machine), FAULTS.index(fault) + 1 if fault else 0, seed])
    seconds = duration or np.clip(rng.lognormal(np.log(7), 0.6), 3, 40)
    kind = replace(KINDS[machine], speed=speed * KINDS[machine].speed)
    return record(rng, machine_sound(rng, kind, int(seconds * RATE), fault, amount))


def spoil(samples, how, seed=0):
    """A recording as somebody made it who did not look: one of `USELESS`."""
    rng, samples = np.random.default_rng(seed), samples.copy()
    match how:
        case "clipped":
            return np.clip(samples * 0.9 / np.quantile(np.abs(samples), 0.9), -0.9, 0.9)
        case "silent":
            return np.zeros_like(samples)
        case "too short":
            return samples[: RATE // 20]
        case "1-bit noise":
            return rng.choice([0.0, 1 / 32768], samples.shape)
        case "telephone band":
            return sosfilt(butter(8, [300, 3400], "bandpass", fs=RATE, output="sos"), samples, axis=0)
        case "upsampled":
            return sosfilt(butter(12, 3900, fs=RATE, output="sos"), samples, axis=0)
        case "DC":
            return samples * 0.5 + 0.4
        case "dead channel":
            return samples * [1, 0]
        case "inverted channel":
            return samples[:, :1] * [1, -1]
        case "drop-outs":
            for start in rng.integers(0, len(samples) - RATE // 20, max(3, len(samples) // RATE * 2)):
                samples[start : start + RATE // 20] = 0
            return samples
        case "wind":
            gusts = np.stack([bursts(rng, len(samples), 0.5, 1.5) * noise(rng, len(samples), 2, 40) for _ in range(2)])
            return samples + 8 * samples.std() * gusts.T


def write_recordings(folder, machine, n_healthy, faults=FAULTS, n_faulty=3, seed=0, amounts=(0.6, 1.0, 1.8), **how):
    """Write recordings into ``healthy`` and ``faulty/<kind>`` of a folder; names have blanks. Returns the folder."""
    folder = Path(folder)
    for kind in ("healthy", *(f"faulty/{fault}" for fault in faults)):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    for number in range(n_healthy):
        samples = make_recording(machine, seed=1000 * seed + number, **how)
        soundfile.write(folder / "healthy" / f"{machine} day {number + 1}.wav", samples, RATE)
    for fault in faults:
        for number in range(n_faulty):
            samples = make_recording(machine, fault, amounts[number % len(amounts)], 1000 * seed + number, **how)
            soundfile.write(folder / "faulty" / fault / f"{machine} {fault} {number + 1}.wav", samples, RATE)
    return folder


def write_useless(folder, machine="pump", seed=0):
    """Write one recording of each useless kind into a folder. Returns their paths by kind."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = {how: folder / f"{machine} {how}.wav" for how in USELESS}
    for number, (how, path) in enumerate(paths.items()):
        soundfile.write(path, spoil(make_recording(machine, seed=seed + number, duration=4), how, seed), RATE)
    return paths
