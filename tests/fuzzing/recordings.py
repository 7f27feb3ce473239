"""Recordings of any length, level and form, for the detector whose rows are recordings."""

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from fuzzing.drawing import mostly
from fuzzing.judging import Sparing, check, must
from skasd.clips import Clips
from skasd.monitoring import RecordingDetector

RATE = 4000
LENGTHS = {"usual": (1.0, 2.0), "alike": (1.5, 1.5), "one clip": (0.5, 0.5), "short": (0.1, 1.0), "long": (2.0, 8.0)}
SOUNDS = {
    "noise": lambda rng, n: 0.1 * rng.standard_normal(n),
    "silence": lambda rng, n: np.zeros(n),
    "constant": lambda rng, n: np.full(n, 0.25),
    "copies": lambda rng, n: 0.1 * np.sin(np.arange(n)),
    "loud": lambda rng, n: 1e3 * rng.standard_normal(n),
    "beyond": lambda rng, n: 1e300 * rng.standard_normal(n),
    "faint": lambda rng, n: 1e-9 * rng.standard_normal(n),
    "nan": lambda rng, n: np.where(np.arange(n) == n // 2, np.nan, rng.standard_normal(n)),
    "gaps": lambda rng, n: rng.standard_normal(n) * (np.arange(n) % 1500 < 1000),
}  # fmt: skip
FORMS = {
    "list": lambda sounds: sounds,
    "tuple": tuple,
    "integers": lambda sounds: [(3e4 * np.clip(sound, -1, 1)).astype("int16") for sound in sounds],
    "single": lambda sounds: [sound.astype("float32") for sound in sounds],
    "nested": lambda sounds: [sound.tolist() for sound in sounds],
    "stereo": lambda sounds: [np.stack([sound, sound]) for sound in sounds],
    "clips": lambda sounds: Clips(waveform=_even(sounds)).with_attrs(sample_rate=RATE),
    "array": lambda sounds: _even(sounds),
    "one": lambda sounds: sounds[0],
    "none": lambda sounds: [],
    "with nothing": lambda sounds: [*sounds[:-1], np.zeros(0)],
    "numbers": lambda sounds: [1.0, 2.0, 3.0],
    "missing": lambda sounds: [*sounds[:-1], None],
}  # fmt: skip
PARAMS = {
    "usual": {},
    "mean": {"summary": "mean"},
    "many worst": {"summary": 100},
    "few parts": {"cv": 2},
    "long clips": {"clip_duration": 100.0},
    "tiny clips": {"clip_duration": 1e-6, "hop_duration": 1e-6},
    "gaps between clips": {"clip_duration": 0.5, "hop_duration": 1.0},
    "native": {"sample_rate": "native"},
    "low": {"sample_rate": 1},
    "rare alarms": {"false_alarm_rate": 1e-9},
}


@dataclass(frozen=True, repr=False)
class Case(Sparing):
    """Recordings, and a detector."""

    lengths: str = "usual"
    sound: str = "noise"
    form: str = "list"
    params: str = "usual"
    n_recordings: int = 6
    label: tuple = ()
    seed: int = 0


def cases():
    """Recordings that are strange in one or two ways."""
    return st.builds(
        Case,
        mostly(["usual"], LENGTHS, 0.8),
        mostly(["noise"], SOUNDS, 0.75),
        mostly(["list"], FORMS, 0.7),
        mostly(["usual"], PARAMS, 0.8),
        mostly([6], [0, 1, 2, 3, 12], 0.8),
        mostly([()], [(-1,), (1, -1), (0, 1), ("bad", "good")], 0.8),
        st.integers(0, 99),
    )


def law(case):
    """Scores and thresholds are finite, and a recording scores the same alone."""
    rng = np.random.default_rng(case.seed)
    n_samples = [round(RATE * rng.uniform(*LENGTHS[case.lengths])) for _ in range(case.n_recordings)]
    given = FORMS[case.form]([SOUNDS[case.sound](rng, n) for n in n_samples] or [np.zeros(0)][:0])
    y = list(np.resize(case.label, len(given))) if case.label else None
    params = {"sample_rate": RATE, "clip_duration": 0.5, "hop_duration": 0.25, "cv": 3} | PARAMS[case.params]
    detector = RecordingDetector(**params).fit(given, y)
    scores = detector.score_samples(given)
    check(scores.shape == (len(given),), f"scores of shape {scores.shape} for {len(given)} recordings")
    check(np.isfinite([*scores, *detector.offsets_.values()]).all(), f"{scores[:5]}, {detector.offsets_}")
    with must("scoring in other ways"):
        called, alone = detector.predict(given), detector.score_samples(given[:1])
    check(set(called.tolist()) <= {1, -1}, f"called {called}")
    check(alone[0] == scores[0], f"alone {alone[0]}, with others {scores[0]}")


def _even(sounds):
    return np.stack([np.resize(sound, RATE) for sound in sounds]) if sounds else np.zeros((0, RATE))
