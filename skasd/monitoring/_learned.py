"""What a `RecordingDetector` has learned: all of it at once, so that an error leaves it as it was."""

import numpy as np
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from skasd._problems import raise_problems
from skasd.monitoring._calibration import Calibration, Heard, calibrated, copies_of, expanded, score_clips
from skasd.monitoring._listening import joined_clips
from skasd.monitoring._spans import UsualLevels


class Learned:
    """Of recordings, by a listener and by the parameters that a detector had when it learned."""

    def __init__(self, detector, listener, recordings, before=None):
        self.listener, self.channel = listener, before.channel if before else detector.channel
        self.summary, self.false_alarm_rate = detector.summary, detector.false_alarm_rate
        known = before.parts if before else []
        own = recordings.fields(before.fields["recording"] if before else ())
        self.fields = before.fields + own if before else own
        self.parts = known + self.hear(recordings, detector.n_jobs)
        heard = Heard(self.parts, self.fields)
        self.is_new = heard.once & (np.arange(len(self.parts)) >= len(known))
        self.n_recordings = int(heard.once.sum())
        scores = heard.held_out_scores(listener.rest, detector.cv, detector.n_jobs)
        self.held_out = calibrated(heard, scores, self.summary)
        self.calibration = Calibration(self.held_out)
        self.calibration.doubt_few(self.false_alarm_rate)
        self.offsets = self.calibration.offsets("score", self.false_alarm_rate)
        self.clip_offsets = self.calibration.offsets("worst", self.false_alarm_rate)
        self.usual_levels = {name: UsualLevels(levels) for name, levels in heard.levels().items()}
        self.rest = clone(listener.rest).fit(heard.clips)

    def pipeline(self):
        """The fitted pipeline, from waveforms to scores of clips."""
        steps = [*self.listener.steps, *(step for _, step in self.rest.steps)]
        return Pipeline(list(zip(self.listener.names, steps, strict=True)))

    def of_recordings(self, recordings, n_jobs, use):
        """A list with what `use` makes of each recording, from its number and what was heard of its clips, in parts."""
        used = self.listener.of_recordings(recordings, self.channel, n_jobs, use)
        raise_problems(used, len(recordings))
        return used

    def hear(self, recordings, n_jobs):
        """A list with what was heard of the clips of each recording."""
        return self.of_recordings(recordings, n_jobs, lambda row, parts: joined_clips(list(parts)))

    def copies(self, parts):
        """For each recording that was heard the number of the first that is the same; below 0 it was learned."""
        return copies_of(self.parts + parts)[len(self.parts) :] - len(self.parts)

    def score(self, part, fields):
        """Scores of clips of one recording, from what was heard of them; `fields` are those of the recording."""
        return score_clips(self.rest, part.with_fields(expanded(fields, np.zeros(len(part), dtype=int))))

    def scores(self, parts, fields):
        """Scores of all clips of one recording, which come in parts."""
        return np.concatenate([self.score(part, fields) for part in parts])

    def seconds(self):
        """Length of the recordings that were new when they were learned last, as far as they were heard."""
        new = [self.parts[row] for row in np.flatnonzero(self.is_new)]
        return float(sum(self.listener.start_of(len(part) - 1) + self.listener.duration for part in new))
