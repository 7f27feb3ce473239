"""From recordings to rows of numbers, as far as rules alone go: nothing here learns from what it hears."""

import numpy as np
from sklearn.pipeline import Pipeline

from skasd.audio.rows import run_rows
from skasd.clips import Clips
from skasd.features import LogMelSpectrogram
from skasd.monitoring._pipeline import n_steps_by_rule
from skasd.monitoring._recordings import clips_of

_N_BANDS = 32
_CLIPS_AT_ONCE = 64


class Listener:
    """The first steps of a pipeline, those that learn nothing, and the levels of bands beside what they make.

    Clips (n, n_samples) become `Clips` with what the steps make of them and the field ``levels`` (n, 2, n_bands): the
    mean over time and the maximum of each mel band in dB. The steps that learn are ``rest``, unfitted.
    """

    def __init__(self, pipeline, sample_rate, n_samples, n_hop):
        self.sample_rate, self.n_samples, self.n_hop = sample_rate, n_samples, n_hop
        self.names, steps = map(list, zip(*pipeline.steps, strict=True))
        self.steps = steps[: n_steps_by_rule(steps)]
        self.rest = Pipeline(pipeline.steps[len(self.steps) :])
        makers = [step for step in self.steps if isinstance(step, LogMelSpectrogram)]
        self.spectrogram = makers[0] if makers else LogMelSpectrogram(sample_rate=sample_rate, n_mels=_N_BANDS)
        example = np.linspace(-0.5, 0.5, n_samples, dtype=np.float32)[np.newaxis]
        self.spectrogram.fit(example)
        clips = self._clips(example)
        for step in self.steps:
            clips = step.fit(clips).transform(clips)
        self.edges = band_edges(self.spectrogram)

    @property
    def duration(self):
        """Of a clip, in seconds."""
        return self.n_samples / self.sample_rate

    def start_of(self, number):
        """Where the clip with this number begins, in seconds."""
        return number * self.n_hop / self.sample_rate

    def __call__(self, waveforms):
        """What is made of clips."""
        clips = self._clips(waveforms)
        log_mel = None if self.spectrogram in self.steps else self.spectrogram.transform(waveforms)
        for step in self.steps:
            clips = step.transform(clips)
            log_mel = clips["log_mel"] if step is self.spectrogram else log_mel
        return clips.with_fields(levels=np.stack([log_mel.mean(axis=2), log_mel.max(axis=2)], axis=1))

    def of_recordings(self, recordings, channel, n_jobs, use):
        """A list with what `use` makes of each recording, from its number and what is made of its clips, in parts.

        A ValueError of one recording takes its place.
        """
        readers = [recordings.reader(row, self.sample_rate, channel) for row in range(len(recordings))]

        def work(row):
            return use(row, self._parts(readers[row], recordings.names[row]))

        used = run_rows(lambda: work, len(recordings), n_jobs)
        recordings.warn_of_quiet(readers)
        return used

    def _parts(self, reader, name):
        for clips in clips_of(reader, name, self.n_samples, self.n_hop):
            yield from self.parts_of(clips)

    def parts_of(self, clips):
        """What is made of clips, few at a time."""
        for start in range(0, len(clips), _CLIPS_AT_ONCE):
            yield self(np.ascontiguousarray(clips[start : start + _CLIPS_AT_ONCE]))

    def _clips(self, waveforms):
        return Clips(waveform=waveforms).with_attrs(sample_rate=self.sample_rate)


def joined_clips(parts):
    """Many `Clips` with the same fields as one."""
    fields = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return Clips(fields).with_attrs(**parts[0].attrs)


def band_edges(spectrogram):
    """Where the bands of a `LogMelSpectrogram` begin and end, in Hz (n_mels, 2): half-way to their neighbours."""
    from librosa import mel_frequencies

    fmax = spectrogram.fmax or spectrogram.sample_rate / 2
    centers = mel_frequencies(spectrogram.n_mels + 2, fmin=spectrogram.fmin, fmax=fmax, htk=spectrogram.htk)
    between = (centers[1:] + centers[:-1]) / 2
    return np.column_stack([between[:-1], between[1:]])
