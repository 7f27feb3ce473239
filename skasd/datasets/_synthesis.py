"""What machine sounds are made of: turning parts, impacts, noise, bodies that resonate, and the factory around.

Conventions
-----------
- A signal is a float32 array of shape (n_samples,). Frequencies are in Hz, times in seconds.
- ``turns`` counts the turns of the shaft (or the strokes) since the beginning, one value a sample, never falling.
- Amplitudes of tones are complex: magnitude and angle of the harmonics 1, 2, 3, ...
"""

from dataclasses import dataclass

import numpy as np
from scipy.fft import irfft, rfft
from scipy.signal import lfilter

_TABLE_SIZE = 8192
_N_HUMS = 3


def unit_rms(signal):
    """The signal with a root mean square of 1; silence stays silence."""
    rms = np.sqrt(np.mean(np.square(signal)))
    return signal / rms if rms > 0 else signal


def wander(rng, n_samples, sample_rate, correlation=0.5):
    """A slow random walk that returns to 0: standard deviation 1, correlation time in seconds."""
    step = 0.05
    n_steps = int(n_samples / sample_rate / step) + 2
    keep = np.exp(-step / correlation)
    kicks = rng.standard_normal(n_steps) * np.sqrt(1 - keep**2)
    kicks[0] = rng.standard_normal()
    return np.interp(np.arange(n_samples), np.arange(n_steps) * step * sample_rate, lfilter([1.0], [1.0, -keep], kicks))


def white(rng, n_samples):
    """White noise with standard deviation 1."""
    return rng.standard_normal(n_samples, dtype=np.float32)


def cycle(turns, amplitudes):
    """A waveform that repeats with each turn and has these harmonics."""
    spectrum = np.zeros(_TABLE_SIZE // 2 + 1, dtype=np.complex128)
    spectrum[1 : len(amplitudes) + 1] = np.asarray(amplitudes) * (_TABLE_SIZE / 2)
    table = irfft(spectrum).astype(np.float32)
    return table[(turns * _TABLE_SIZE).astype(np.int64) & (_TABLE_SIZE - 1)]


def passages(rng, turns, per_turn, slip):
    """Samples at which a part comes round, `per_turn` times a turn, early or late by `slip` of its period."""
    n_events = int(turns[-1] * per_turn)
    marks = np.arange(n_events) + rng.uniform() + slip * rng.standard_normal(n_events)
    return np.interp(marks / per_turn, turns, np.arange(len(turns)))


def hits(positions, strengths, n_samples):
    """Impulses at these samples; what lies outside the signal is left out."""
    positions = np.asarray(positions).astype(np.int64)
    inside = (positions >= 0) & (positions < n_samples)
    signal = np.zeros(n_samples, dtype=np.float32)
    np.add.at(signal, positions[inside], np.broadcast_to(strengths, positions.shape)[inside])
    return signal


def ring(signal, frequency, decay, sample_rate):
    """What a resonance answers: each impulse starts a tone of this frequency that falls to 1/e within `decay`."""
    angle = 2 * np.pi * min(frequency, 0.4 * sample_rate) / sample_rate
    radius = np.exp(-1 / (decay * sample_rate))
    feedback = np.array([1.0, -2 * radius * np.cos(angle), radius**2], dtype=np.float32)
    return lfilter(np.array([0.0, radius * np.sin(angle)], dtype=np.float32), feedback, signal)


def lowpass(signal, corner, sample_rate):
    """The signal below a corner frequency; 6 dB an octave."""
    keep = np.exp(-2 * np.pi * corner / sample_rate)
    return lfilter(np.array([1 - keep], dtype=np.float32), np.array([1.0, -keep], dtype=np.float32), signal)


def shape(signal, response):
    """The signal through a filter that is given by its response at the frequencies of `rfft`."""
    return irfft(rfft(signal) * response, len(signal))


def body_response(modes, frequencies):
    """Response of a body with modes (frequency, quality, gain), beside what goes through it unchanged."""
    response = np.ones(len(frequencies), dtype=np.complex64)
    for frequency, quality, gain in modes:
        ratio = frequencies / frequency
        response += gain / quality / (1 - ratio**2 + 1j * ratio / quality)
    return response


@dataclass(frozen=True)
class Factory:
    """The noise of one hall."""

    colours: np.ndarray  # (2, n_frequencies): amplitudes of its steady noise, which changes between these two
    hums: np.ndarray  # (n_hums, 2): frequency and amplitude of the tones of other machines
    rate: float  # distant events a second: something falls, a door, a hammer
    pitch: float  # typical frequency of the events


def draw_factory(rng, frequencies):
    """A hall of its own."""
    colours = np.stack([_draw_colour(rng, frequencies) for _ in range(2)])
    hums = rng.choice([50, 100, 150, 200, 300, 450], _N_HUMS, replace=False) * rng.uniform(0.97, 1)
    amplitudes = rng.uniform(0.1, 0.4, _N_HUMS)
    return Factory(colours, np.column_stack([hums, amplitudes]), rng.uniform(0.1, 0.5), rng.uniform(400, 1800))


def _draw_colour(rng, frequencies):
    """Low frequencies fall off below 40 Hz, high ones above a corner, and there is a broad bump somewhere."""
    corner, tilt = rng.uniform(80, 300), rng.uniform(0.45, 0.75)
    centre, height, width = rng.uniform(300, 2500), rng.uniform(0.5, 2), rng.uniform(0.3, 0.8)
    octaves = np.log2(np.maximum(frequencies, 1) / centre)
    colour = (1 + (frequencies / corner) ** 2) ** -tilt * (1 + height * np.exp(-((octaves / width) ** 2)))
    return (colour * frequencies / (frequencies + 40)).astype(np.float32)


def factory_noise(rng, factory, n_samples, sample_rate):
    """A stretch of the noise of a hall: steady noise, hums that come and go, distant events."""
    share = np.float32(rng.uniform())
    noise = unit_rms(shape(white(rng, n_samples), share * factory.colours[0] + (1 - share) * factory.colours[1]))
    time = np.arange(n_samples) / sample_rate
    for frequency, amplitude in factory.hums:
        noise += (amplitude * rng.uniform(0.3, 1)) * cycle(frequency * time + rng.uniform(), [1.0])
    n_events = rng.poisson(factory.rate * n_samples / sample_rate)
    for start in rng.integers(0, n_samples, n_events):
        _add_event(rng, noise[start : start + sample_rate], factory.pitch, sample_rate)
    return noise


def _add_event(rng, noise, pitch, sample_rate):
    """Add a distant blow to the beginning of `noise`: a ringing and a rush that both die away."""
    time = np.arange(len(noise), dtype=np.float32) / sample_rate
    blow = lowpass(white(rng, len(noise)), 2 * pitch, sample_rate)
    blow += 0.5 * cycle(pitch * rng.lognormal(0, 0.5) * time, rng.uniform(0.2, 1, 2))
    noise += rng.lognormal(0, 0.5) * blow * np.exp(-time / rng.uniform(0.05, 0.3))
