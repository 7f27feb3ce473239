"""Whether a recording is usable: a table of findings, each a number that was measured and what it says from where on.

A finding is a function of what was measured (`skasd.audio.measuring.Measured`) and of the reference, which gives one
number for the recording or for each of its channels, greater = worse, NaN where it does not apply. Three limits tell
from where on it is possible, likely and certain that the recording is spoiled; the reason for them stands beside them.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from skasd._problems import first_ten

__all__ = ["Finding", "Reference", "find", "make_reference"]

_SURE = ("possible", "likely", "certain")
_CENTRES = 1000 * 2.0 ** (np.arange(-12, 24) / 3)  # Hz, of third octaves, from 62.5 Hz on
_AN_OCTAVE = 3  # of these bands
_SAME_SHAPE = 3.0  # dB: what two recordings of one steady sound differ by in third octaves, and no fault does
_WIND = (5, 50)  # Hz
_TONE = 9  # bins of the spectrum, more than twice as many as a tone fills
_N_BANDS = 100  # in which a steep edge of the spectrum is looked for
_EDGE = 20.0  # dB within 3 % of the bandwidth: filters do that, and neither rooms nor machines
_LOWEST_EDGE = 1000.0  # Hz: below, the spectra of machines are that steep
_ENOUGH_VALUES = 64  # of samples, for their peaks to be told from the rest
_PADDING = 0.25  # s: longer than what an encoder puts before and behind a recording


class Finding(NamedTuple):
    """One thing that is wrong with a recording."""

    finding: str
    detail: str
    sure: str
    advice: str
    usable: bool


@dataclass(frozen=True)
class Reference:
    """What healthy recordings are like: levels in dB of third octaves, (n_recordings, n_bands), NaN where unheard."""

    bands: np.ndarray


@dataclass(frozen=True)
class _Fault:
    name: str
    measure: callable
    limits: tuple
    detail: str
    advice: str
    spoils: bool = True

    def found_in(self, recording, reference):
        """The finding, or None; of several channels the worst counts, and is named."""
        values = np.atleast_1d(self.measure(recording, reference))
        reached = np.nan_to_num(values, nan=-np.inf, posinf=np.inf) >= np.reshape(self.limits, (-1, 1))
        n_reached = reached.any(axis=1).sum()
        if not n_reached:
            return None
        channel = int(np.nanargmax(values))
        detail = self.detail.format(values[channel], inverse=1 / values[channel], **_words_for(recording))
        where = f"channel {channel} of {len(values)}: " if len(values) > 1 else ""
        sure = _SURE[n_reached - 1]
        return Finding(self.name, where + detail, sure, self.advice, not (self.spoils and sure == "certain"))


def find(recording, reference=None, min_duration=0.5):
    """What is wrong with one recording.

    Parameters
    ----------
    recording : Measured
        From `skasd.audio.measuring.measure_samples` or ``measure_file``.

    reference : Reference or None, default=None
        Healthy recordings, from `make_reference`.

    min_duration : float, default=0.5
        Shortest duration in seconds that can be judged.

    Returns
    -------
    findings : list of Finding
        None where nothing was found.
    """
    found = [fault.found_in(recording, reference) for fault in (_too_short(min_duration), *_FAULTS)]
    return [finding for finding in found if finding is not None]


def make_reference(recordings):
    """What healthy recordings are like, of a sequence of `Measured`; those that are spoiled do not count."""
    usable = [recording for recording in recordings if all(finding.usable for finding in find(recording))]
    if not usable:
        found = [f"{finding.finding}: {finding.detail}" for recording in recordings for finding in find(recording)]
        raise ValueError(f"No recording of the reference is usable: {first_ten(found, '; ')}. Give healthy recordings.")
    return Reference(np.array([_third_octaves(recording) for recording in usable]))


def _words_for(recording):
    return {"duration": recording.duration, "nyquist": recording.sample_rate / 2}


# What is measured: each takes the recording and the reference, and gives one number, or one per channel


def _too_short(min_duration):
    # A clip is the least that is judged; it holds a few turns of a shaft.
    return _Fault(
        "too short",
        lambda recording, _: 1.0 if recording.duration < min_duration else np.nan,
        (1.0, 1.0, 1.0),
        f"{{duration:.3g}} s, where {min_duration:g} s are the least",
        "Record for longer, ten seconds or more.",
    )


def _levels(recording):
    """Level of each channel in dB; -inf where all samples are one value."""
    with np.errstate(divide="ignore"):
        return 10 * np.log10(recording.power)


def _heard(recording, values):
    """The values of the channels on which something is heard; what there is on others has no meaning."""
    return np.where(_levels(recording) > -_SILENCE[1], values, np.nan)


def _quietness(recording, _):
    return -_levels(recording).max()


def _dead_channel(recording, _):
    levels = _levels(recording)
    loudest = levels.max()
    return loudest - levels if np.isfinite(loudest) else np.full(len(levels), np.nan)


def _inverted_channel(recording, _):
    covariance, power = recording.covariance[0], recording.power
    scale = np.sqrt(power[0] * power)
    correlations = np.divide(covariance, scale, out=np.full(len(power), np.nan), where=scale > 0)
    return _heard(recording, -correlations)


def _few_values(recording, _):
    """One over the number of values that samples have, where the noise of rounding to them is what fills the spectrum.

    It does not where a tone repeats the same few samples.
    """
    n_values = _n_values(recording)
    step = (recording.highest - recording.lowest) / n_values
    floor = np.median(recording.spectrum, axis=1) * recording.sample_rate / 2
    return np.where((recording.power > 0) & (floor >= 0.1 * step**2 / 12), 1 / n_values, np.nan)


def _n_values(recording):
    """How many values samples have, but those within 1 % of each other count once."""
    return (recording.counts > 0).sum(axis=1)


def _clipped(recording, _):
    """Share of the samples that stand at a ceiling or a floor: many more in the last 2 % than in the 2 % before."""
    sides = zip(np.split(recording.counts, 2, axis=1), np.split(recording.pairs, 2, axis=1), strict=True)
    shares = [[_at_limit(*channel) for channel in zip(*side, strict=True)] for side in sides]
    has_peaks = _n_values(recording) >= _ENOUGH_VALUES
    return _heard(recording, np.where(has_peaks, np.sum(shares, axis=0) / recording.n_frames, np.nan))


def _at_limit(counts, pairs):
    """Number of samples at the outermost level, 0 where they are as few as the peaks of a sound that is not clipped.

    Peaks that are round, as those of all sounds are, have 2.4 times as many samples in their last 2 % as in the 2 %
    before. Clipped ones keep their value from sample to sample.
    """
    last = np.flatnonzero(counts)[-1:].sum()
    at_limit, below = counts[max(last - 1, 0) : last + 1].sum(), counts[max(last - 3, 0) : max(last - 1, 0)].sum()
    lasting = pairs[max(last - 1, 0) : last + 1].sum()
    return at_limit if last and at_limit >= 4 * (below + 1) and lasting >= 5 else 0


def _dropped_out(recording, _):
    padding = recording.held_at_ends * (recording.held_at_ends > _PADDING * recording.sample_rate)
    return _heard(recording, (recording.held + padding) / recording.n_frames)


def _offset(recording, _):
    return _heard(recording, np.abs(recording.mean) / np.sqrt(np.maximum(recording.power, np.finfo(float).tiny)))


def _windy(recording, _):
    """Power below 50 Hz that is no tone, in dB relative to all that is above."""
    from scipy.ndimage import median_filter

    frequencies, spectrum = recording.frequencies, recording.spectrum
    low = (frequencies >= _WIND[0]) & (frequencies < _WIND[1])
    if low.sum() < _TONE or frequencies[-1] < 2 * _WIND[1]:
        return np.nan
    rumble = median_filter(spectrum[:, low], size=(1, _TONE), mode="nearest").sum(axis=1)
    above = spectrum[:, frequencies >= _WIND[1]].sum(axis=1)
    return _heard(recording, 10 * np.log10(np.maximum(rumble, 1e-30) / np.maximum(above, 1e-30)))


def _narrow(recording, _):
    """How many times higher what this sample rate can hold reaches than the sound does."""
    width = (recording.spectrum.shape[1] - 1) // _N_BANDS
    if not width:
        return np.nan
    bands = recording.spectrum[:, 1 : 1 + width * _N_BANDS].reshape(-1, _N_BANDS, width)
    levels = 10 * np.log10(np.median(bands, axis=2) + 1e-30)
    ends = recording.frequencies[width : 1 + width * _N_BANDS : width]
    return _heard(recording, [recording.sample_rate / 2 / _end_of_sound(channel, ends) for channel in levels])


def _end_of_sound(levels, ends):
    """Frequency above which all bands are far below the three before it, NaN where there is none."""
    before = np.lib.stride_tricks.sliding_window_view(levels, 3).min(axis=1)
    loudest_after = np.maximum.accumulate(levels[::-1])[::-1][5:]  # two bands are the edge itself
    steps = before[: len(loudest_after)] - loudest_after
    steps[(steps < _EDGE) | (ends[2 : 2 + len(steps)] < _LOWEST_EDGE)] = 0
    return ends[2 + np.argmax(steps)] if steps.any() else np.nan


def _third_octaves(recording):
    spectrum, frequencies = recording.spectrum.mean(axis=0), recording.frequencies
    edges = np.searchsorted(frequencies, np.multiply.outer(_CENTRES, 2.0 ** np.array([-1 / 6, 1 / 6])))
    heard = (edges[:, 1] > edges[:, 0]) & (_CENTRES * 2 ** (1 / 6) < 0.9 * recording.sample_rate / 2)
    sums = np.r_[0, np.cumsum(spectrum)]
    means = (sums[edges[:, 1]] - sums[edges[:, 0]]) / np.maximum(1, edges[:, 1] - edges[:, 0])
    return np.where(heard, 10 * np.log10(np.maximum(means, 1e-30)), np.nan)


def _in_common(recording, reference):
    """Third octaves of the recording and of the reference, as far as all have them; None without a reference."""
    if reference is None or not recording.power.any():
        return None
    bands = _third_octaves(recording)
    common = np.isfinite(bands) & np.isfinite(reference.bands).all(axis=0)
    return (bands[common], reference.bands[:, common]) if common.sum() >= _AN_OCTAVE else None


def _other_level(recording, reference):
    """By how much all is louder or fainter than in recordings that sound alike; another sound may be the fault."""
    common = _in_common(recording, reference)
    if common is None:
        return np.nan
    differences = common[0] - common[1]
    gains = np.median(differences, axis=1)
    alike = np.std(differences - gains[:, None], axis=1) <= _SAME_SHAPE
    return np.abs(gains[alike]).min() if alike.any() else np.nan


def _other_spectrum(recording, reference):
    """By how much an octave is fainter than in all of the reference; what is louder may be the fault."""
    common = _in_common(recording, reference)
    if common is None:
        return np.nan
    missing = common[1].min(axis=0) - common[0]
    missing = missing - max(0, np.median(missing))  # another level
    return np.lib.stride_tricks.sliding_window_view(missing, _AN_OCTAVE).min(axis=1).max()


_SILENCE = (80.0, 90.0, np.inf)
_FAULTS = (
    # Microphones of telephones hiss at -70 to -80 dBFS; -90 dBFS is one step of 16 bits.
    _Fault("silent", _quietness, _SILENCE, "level -{0:.3g} dBFS", "Look whether recorder and microphone were on."),
    # Two microphones at one machine hear it within 20 dB; noise of an open input is 60 dB below.
    _Fault("dead channel", _dead_channel, (30.0, 45.0, 60.0), "{0:.3g} dB below the loudest channel",
           "Look at its cable, and take another by channel=...", spoils=False),
    # Sound in a room comes to -0.5 at most; with -0.9 the mean of both has lost 13 dB.
    _Fault("inverted channel", _inverted_channel, (0.8, 0.9, 0.98), "correlation -{0:.2f} with channel 0",
           "Swap its wires; until then take one channel, by channel=0, for the mean of both cancels."),
    # Very quiet machines have 200 values of 16 bits; 16 values are 4 bits, whose noise is 24 dB below the peak.
    _Fault("few values", _few_values, (1 / 16, 1 / 8, 1 / 4), "samples are rounded to {inverse:.0f} values",
           "Turn the gain up, and look that nothing reduces the bits."),
    # A sound sticks at its peaks never; 0.1 % is one click in ten seconds, 1 % is heard as distortion at all times.
    _Fault("clipped", _clipped, (1e-9, 1e-3, 1e-2), "{0:.2%} of the samples stand at the highest or lowest level",
           "Turn the gain down, or move the microphone away."),
    # No noise holds one value for 5 ms; 0.1 % are 10 ms in ten seconds, 10 % are a second.
    _Fault("drop-outs", _dropped_out, (1e-9, 1e-3, 1e-1), "{0:.2%} of the time one value is held, at a stretch",
           "Look at the connection, at noise suppression, and at zeros that were added to fill a length."),
    # An offset that is as large as the sound takes up its headroom; good inputs have a hundredth.
    _Fault("DC offset", _offset, (0.5, 2.0, 10.0), "the mean is {0:.3g} times as large as the sound",
           "Use another input, or take the mean away before you store.", spoils=False),
    # The rumble of a hall has less power than all the rest; the spectrum of wind falls by 6 to 9 dB per octave, which
    # is 9 to 20 dB.
    _Fault("wind", _windy, (4.0, 9.0, 14.0), "noise below 50 Hz has {0:.3g} dB more power than all above",
           "Shield the microphone from wind and draughts, and keep it off what shakes."),
    # Coders leave out the highest quarter; half is a file that was resampled, or a telephone.
    _Fault("narrow band", _narrow, (1.3, 1.6, 1.95), "sound ends at {inverse:.0%} of the {nyquist:.0f} Hz that "
           "the sample rate can hold", "Turn off calls, codecs and voice filters; bring all files to the lowest rate.",
           spoils=False),
    # Sounds that are alike differ by up to 6 dB; what differs by more is a recorder that was moved or turned up.
    _Fault("other level", _other_level, (8.0, 14.0, 20.0), "all frequencies are {0:.3g} dB louder or fainter than in "
           "the reference, alike", "Use the same gain and place, or a LevelNormalizer.", spoils=False),
    # A fault adds sound; a covered microphone, another recorder, or a machine that stands still, take an octave away.
    _Fault("other spectrum", _other_spectrum, (10.0, 15.0, 20.0), "an octave is {0:.3g} dB fainter than in all of the "
           "reference", "Look whether the microphone is covered, and the recorder and the place are the same.",
           spoils=False),
)  # fmt: skip
