"""What a report says about one recording: whether it alarms, where, how it looks and how it sounds."""

import base64
import io
import warnings
from dataclasses import dataclass, field

import numpy as np

from skasd.audio import check_recordings
from skasd.clips import Clips
from skasd.features import LogMelSpectrogram

_SHOWN = 30.0  # seconds of a recording that are drawn and can be heard
_PEAK = 0.5


@dataclass
class Judged:
    """A recording, with its score where it can be judged, and what is wrong with it."""

    name: str
    section: str = ""
    score: float | None = None
    decision: float | None = None
    p_value: float | None = None
    spans: list = field(default_factory=list)
    problems: list = field(default_factory=list)
    remarks: list = field(default_factory=list)

    @property
    def alarms(self):
        """Whether its score is below the threshold."""
        return self.decision is not None and self.decision < 0


def judged(detector, recordings, row):
    """What the detector says about one of these recordings."""
    one = recordings.take(np.arange(len(recordings)) == row)
    found = Judged(one.names[0])
    findings = _findings(detector, one)
    found.remarks = [f"{each.finding}: {each.detail}. {each.advice}" for each in findings if each.usable]
    found.problems = [f"{each.finding}: {each.detail}. {each.advice}" for each in findings if not each.usable]
    if found.problems:
        return found
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found.score, threshold, found.p_value, found.spans = detector._judge_one(one)
    except ValueError as error:
        found.problems = [str(error)]
        return found
    found.remarks += dict.fromkeys(str(one.message) for one in caught)
    found.section, found.decision = str(one.fields()["section"][0]), found.score - threshold
    return found


def _findings(detector, one):
    duration = detector._learned.listener.duration
    if one.are_files:
        found = check_recordings(list(one.sources), min_duration=duration)
    else:
        clips = Clips(waveform=one.sources[0][np.newaxis])
        clips = clips.with_attrs(sample_rate=one.known_rate or detector.sample_rate_)
        found = check_recordings(clips, min_duration=duration)
    return list(found.itertuples())


def shown(detector, recordings, row, spans):
    """The part of a recording around its worst span, as a picture and as sound, both as URLs that hold them."""
    rate, one = detector.sample_rate_, recordings.take(np.arange(len(recordings)) == row)
    middle = round((spans[0].start + spans[0].end) / 2 * rate)
    part, first, n_samples = _part(one.reader(0, rate, detector._learned.channel), middle, round(_SHOWN * rate))
    start, end = first / rate, (first + len(part)) / rate
    return {"picture": _picture(part, rate, start, spans), "sound": _sound(part, rate), "start": start, "end": end,
            "is_part": n_samples > len(part)}  # fmt: skip


def _part(blocks, middle, n_wanted):
    """So many samples around the middle, the number of the first, and how many there are in all."""
    first, kept, n_samples = middle - n_wanted, [], 0
    for block in blocks:  # a recording of a day is not kept
        kept.append(block[max(0, first - n_samples) : max(0, middle + n_wanted - n_samples)].copy())
        n_samples += len(block)
    samples, first = np.concatenate(kept), max(0, first)
    start = max(0, min(middle - n_wanted // 2, n_samples - n_wanted))
    return samples[start - first :][:n_wanted], start, n_samples


def _sound(samples, rate):
    import soundfile

    peak, file = np.abs(samples).max(), io.BytesIO()
    soundfile.write(file, samples * (_PEAK / peak if peak else 1), rate, format="FLAC", subtype="PCM_16")
    return _url("audio/flac", file)


def _picture(samples, rate, start, spans):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    n_fft = min(1024, len(samples))
    maker = LogMelSpectrogram(sample_rate=rate, n_mels=64, n_fft=n_fft, hop_length=max(1, n_fft // 4), top_db=80.0)
    log_mel = maker.fit_transform(samples[np.newaxis])[0]
    figure = Figure(figsize=(5.2, 2.6), dpi=170, layout="constrained")
    FigureCanvasAgg(figure)
    axes, end = figure.add_subplot(), start + len(samples) / rate
    axes.imshow(log_mel, aspect="auto", origin="lower", cmap="magma", extent=(start, end, 0, len(log_mel)))
    for span in spans:
        axes.axvspan(span.start, span.end, fill=False, edgecolor="white", linewidth=4)
        axes.axvspan(span.start, span.end, fill=False, edgecolor="#0072B2", linewidth=2)
    axes.set(xlim=(start, end), ylim=(0, len(log_mel)), xlabel="time (s)", ylabel="frequency (kHz)")
    axes.set_yticks(*_ticks(rate, len(log_mel)))
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return _url("image/png", file)


def _ticks(rate, n_mels):
    """Places of octaves among mel bands, and their names in kHz."""
    from librosa import mel_frequencies

    edges = mel_frequencies(n_mels + 2, fmin=0, fmax=rate / 2)[1:-1]
    octaves = [octave for octave in (500, 1000, 2000, 4000, 8000, 16000) if octave <= rate / 2]
    return np.interp(octaves, edges, np.arange(n_mels) + 0.5), [f"{octave / 1000:g}" for octave in octaves]


def _url(kind, file):
    return f"data:{kind};base64,{base64.b64encode(file.getvalue()).decode()}"
