"""Continuous sound: blocks of samples in, events out."""

import warnings
from collections import deque
from numbers import Integral, Real
from typing import NamedTuple

import numpy as np

from skasd._problems import named
from skasd._sklearn import Interval, check_params
from skasd.audio.blocks import BlockStream
from skasd.clips import Clips
from skasd.monitoring._detector import check_detector
from skasd.monitoring._recordings import Cutter
from skasd.monitoring._sources import Gap
from skasd.monitoring._spans import in_words

_CALM = 0.25


class StreamEvent(NamedTuple):
    """Something that a `StreamMonitor` reports.

    Parameters
    ----------
    kind : {"alarm", "end", "gap"}
        An alarm, reported at once; its end, with everything that is known by then; or samples that were lost.

    start, end : float
        Seconds from the beginning of the stream: of the unusual clips so far, or of the gap.

    score : float or None
        The lowest score of these clips, higher = more normal; None for a gap.

    p_value : float or None
        Share of healthy recordings that have a clip as unusual; None for a gap.

    reason : str
        Why, in words.

    See Also
    --------
    StreamMonitor : Makes them.

    Examples
    --------
    >>> from skasd.monitoring import StreamEvent
    >>> print(StreamEvent("alarm", 3.0, 4.25, -31.5, 0.02, "2 of 4 clips are unusual"))
    alarm, 3.00 to 4.25 s, p = 0.02: 2 of 4 clips are unusual
    """

    kind: str
    start: float
    end: float
    score: float | None
    p_value: float | None
    reason: str

    def __str__(self):
        p_value = "" if self.p_value is None else f", p = {self.p_value:.2g}"
        return f"{self.kind}, {self.start:.2f} to {self.end:.2f} s{p_value}: {self.reason}"


class StreamMonitor:
    """Listens to continuous sound, and says when it becomes unusual and when that is over.

    Clips overlap, and their scores are identical to those of `RecordingDetector.score_clips`, bit for bit, in blocks of
    any size. A clip is unusual if `RecordingDetector.locate` would mark it. An alarm begins when `k` of the last `n`
    clips are unusual, and ends when `n` clips in a row are at least as normal as the worst clip of a healthy recording
    is in all but a share of `release_rate` of cases. So a machine at the edge of the threshold raises one alarm, not a
    hundred.

    Parameters
    ----------
    detector : RecordingDetector
        Fitted. A later `RecordingDetector.update` does not change a monitor that was made before.

    sample_rate : int, default=None
        Sample rate of the stream in Hz; the stream is resampled to that of the detector. None means that they are the
        same.

    section : str, default=None
        Section of the machine; None means the only one that the detector knows.

    k : int, default=2
        Number of unusual clips that make an alarm.

    n : int, default=4
        Number of clips among which these must be, at least `k`.

    release_rate : float, default=None
        In [false_alarm_rate, 0.5): the higher, the more normal the sound has to be for an alarm to end. None means
        0.25, or the false-alarm rate of the detector if that is greater.

    Raises
    ------
    ValueError
        If the section is unknown, or not given although there are several; if `n` is less than `k`, or `release_rate`
        less than the detector's ``false_alarm_rate``; if the sample rates are too far apart to be resampled.

    Warns
    -----
    UserWarning
        If the stream has a lower sample rate than the detector uses.

    See Also
    --------
    RecordingDetector.locate : The same for a recording that has ended.
    Microphone : Blocks of a microphone.
    Pipe : Blocks of another program.

    Notes
    -----
    The detector's ``false_alarm_rate`` is a share of recordings as long as the training recordings. An hour has as many
    chances of a false alarm as it holds recordings of that length. Listen to a healthy machine for an hour, count the
    alarms, and choose `k`, `n` and the rate accordingly.

    Memory use does not grow: only the samples of one clip and the scores of `n` clips are kept.

    Examples
    --------
    >>> import numpy as np
    >>> from skasd.monitoring import RecordingDetector, StreamMonitor
    >>> rng = np.random.default_rng(0)
    >>> healthy = [0.1 * rng.standard_normal(rng.integers(16000, 48000)) for _ in range(25)]
    >>> detector = RecordingDetector(sample_rate=16000).fit(healthy)
    >>> stream = 0.1 * rng.standard_normal(160000)
    >>> stream[64000:96000] += 0.2 * rng.standard_normal(32000)
    >>> monitor = StreamMonitor(detector)
    >>> for event in monitor.events(np.array_split(stream, 100)):
    ...     print(event.kind, event.start, event.end)
    alarm 3.75 4.5
    end 3.75 6.25
    """

    @check_params(
        sample_rate=[Interval(Integral, 1, None, closed="left"), None],
        section=[str, None],
        k=[Interval(Integral, 1, None, closed="left")],
        n=[Interval(Integral, 1, 10**6, closed="both")],
        release_rate=[Interval(Real, 0, 0.5, closed="neither"), None],
    )
    def __init__(self, detector, *, sample_rate=None, section=None, k=2, n=4, release_rate=None):
        check_detector(detector, "StreamMonitor")
        self.detector, self.k, self.n, self._learned = detector, k, n, detector._learned
        self.sample_rate = detector.sample_rate_ if sample_rate is None else sample_rate
        self.release_rate = max(_CALM, self._learned.false_alarm_rate) if release_rate is None else release_rate
        self.section = self._section(section)
        self._check()
        self._begin()

    def feed(self, block):
        """Take the next frames.

        Parameters
        ----------
        block : array-like of shape (n_frames,) or (n_frames, n_channels)
            Any number of frames, also none: floats with full scale at 1, or integers of 8, 16 or 32 bits.

        Returns
        -------
        events : list of StreamEvent
            What happened, in order; usually nothing.

        Raises
        ------
        ValueError
            If frames are not finite, have another number of channels than before, or lack the detector's channel.
        """
        return self._judge(self._hearing.take(block))

    def skip(self, seconds=None):
        """Report that frames were lost before the next block: no clip spans the gap. An alarm goes on.

        Parameters
        ----------
        seconds : float, default=None
            How long the gap is; None if unknown, which counts as 0.

        Returns
        -------
        events : list of StreamEvent
            The last of them is the gap.

        Raises
        ------
        ValueError
            If `seconds` is negative or not finite.
        """
        if seconds is not None and not (isinstance(seconds, Real) and 0 <= seconds < np.inf):
            raise ValueError(f"seconds must be a finite number, at least 0, or None; got {seconds!r}.")
        events = self._judge(self._hearing.end())
        start = self._hearing.seconds
        self._hearing.restart(start + (seconds or 0.0))
        self._alarm.forget()
        lost = "samples were lost" if seconds is None else f"{seconds:g} s were lost"
        return [*events, StreamEvent("gap", start, self._hearing.seconds, None, None, lost)]

    def finish(self):
        """Report that the stream has ended; the monitor then starts afresh.

        Returns
        -------
        events : list of StreamEvent
            The last of them is the end of an alarm that was still on.

        Raises
        ------
        ValueError
            If there was never enough sound for one clip.
        """
        events, hearing, alarm = self._judge(self._hearing.end()), self._hearing, self._alarm
        self._begin()
        if not hearing.n_clips:
            raise ValueError(f"The stream has ended: {hearing.cutter.too_short()}")
        return [*events, *([self._event("end", alarm, "the stream ended")] if alarm.is_on else [])]

    def events(self, blocks):
        """Listen from the beginning to the end.

        Parameters
        ----------
        blocks : iterable of array-like
            Blocks as `feed` takes them, such as `soundfile.blocks`, a `Microphone` or a `Pipe` gives them; a `Gap` in
            place of a block is reported.

        Yields
        ------
        event : StreamEvent
            As soon as it is known.

        Raises
        ------
        ValueError
            As `feed`, `skip` and `finish`.
        """
        self._begin()
        for block in blocks:
            yield from self.skip(block.seconds) if isinstance(block, Gap) else self.feed(block)
        yield from self.finish()

    def score_clips(self, blocks):
        """Scores of all clips of a stream, independent of the events.

        Parameters
        ----------
        blocks : iterable of array-like
            As `events` takes them.

        Yields
        ------
        clips : Clips
            The clips that a block has completed, as `RecordingDetector.score_clips` describes them.
        """
        hearing = self._new_hearing()
        for block in blocks:
            if isinstance(block, Gap):
                yield from (clips for clips, _ in hearing.end())
                hearing.restart(hearing.seconds + (block.seconds or 0.0))
            else:
                yield from (clips for clips, _ in hearing.take(block))
        yield from (clips for clips, _ in hearing.end())

    def _section(self, section):
        known = list(self.detector.offsets_)
        if section is None and len(known) == 1:
            return known[0]
        if section not in known:
            raise ValueError(f"section={section!r} is none that the detector has learned: "
                             f"{', '.join(map(named, known))}. Say which of them the stream is of.")  # fmt: skip
        return section

    def _check(self):
        if self.k > self.n:
            raise ValueError(f"k={self.k} unusual clips cannot be among n={self.n}; n must be at least k.")
        if self.release_rate < self._learned.false_alarm_rate:
            raise ValueError(f"release_rate={self.release_rate:g} must be at least false_alarm_rate="
                             f"{self._learned.false_alarm_rate:g}, or an alarm would end that goes on.")  # fmt: skip
        wanted = self._learned.listener.sample_rate
        if self.sample_rate < wanted:
            warnings.warn(f"The stream has {self.sample_rate} Hz, and the detector listens at {wanted} Hz. What the "
                          "stream lacks may sound like a fault. Record at that rate.", stacklevel=4)  # fmt: skip

    def _begin(self):
        self._hearing = self._new_hearing()
        usual = self._learned.calibration.offsets("worst", self.release_rate)[self.section]
        self._alarm = _Alarm(self._learned.clip_offsets[self.section], usual, self.k, self.n)

    def _new_hearing(self):
        return _Hearing(self._learned, self.section, self.sample_rate)

    def _judge(self, heard):
        return [
            self._event(kind, self._alarm, reason)
            for clips, levels in heard
            for row in range(len(clips))
            for kind, reason in self._alarm.take({name: float(clips[name][row]) for name in clips}, levels[row])
        ]

    def _event(self, kind, alarm, reason):
        worst, levels = alarm.worst
        learned = self._learned
        bands = learned.usual_levels[self.section].bands(levels, learned.listener.edges)
        reason = f"{reason}; {in_words(bands)}"
        return StreamEvent(kind, alarm.start, alarm.end, worst["score"], worst["p_value"], reason)


class _Hearing:
    """From blocks of frames to scored clips and the levels of their bands."""

    def __init__(self, learned, section, sample_rate):
        self.learned, self.section, self.sample_rate = learned, section, sample_rate
        self.fields = Clips(section=[section], recording=["stream"])
        self.n_clips = 0
        self.restart(0.0)

    def restart(self, seconds):
        """Begin anew after a gap, which ends so many seconds after the beginning of the stream."""
        listener = self.learned.listener
        self.start, self.cutter = seconds, Cutter(listener.n_samples, listener.n_hop)
        self.stream = BlockStream(self.sample_rate, listener.sample_rate, self.learned.channel)

    @property
    def seconds(self):
        """What was heard until now, with gaps."""
        return self.start + self.stream.n_frames / self.sample_rate

    def take(self, block):
        """Pairs of clips that are complete now and their levels."""
        return self._score(self.stream.take(block))

    def end(self):
        """The same, when no more comes."""
        return self._score(self.stream.end())

    def _score(self, samples):
        number = self.cutter.n_clips
        clips = self.cutter.take(samples)
        self.n_clips += len(clips)
        for part in self.learned.listener.parts_of(clips):
            scores = self.learned.score(part, self.fields)
            yield self._clips(number + np.arange(len(part)), scores), part["levels"]
            number += len(part)

    def _clips(self, numbers, scores):
        listener, sections = self.learned.listener, np.full(len(scores), self.section)
        start = self.start + listener.start_of(numbers)
        p_values = self.learned.calibration.p_values("worst", scores, sections)
        return Clips(start=start, end=start + listener.duration, score=scores, p_value=p_values)


class _Alarm:
    """Whether there is an alarm: it begins below one limit, k times in n clips, and ends n clips above another."""

    def __init__(self, limit, release, k, n):
        self.limit, self.release, self.k = limit, release, k
        self.recent = deque(maxlen=n)
        self.is_on = False

    def take(self, clip, levels):
        """What changes with this clip: pairs of a kind of event and a reason."""
        self.recent.append((clip, levels))
        low = [(one, its) for one, its in self.recent if one["score"] < self.limit]
        if not self.is_on and len(low) >= self.k:
            self.is_on, self.start, self.end = True, low[0][0]["start"], low[-1][0]["end"]
            self.worst = min(low, key=lambda pair: pair[0]["score"])
            return [("alarm", f"{len(low)} of {len(self.recent)} clips are unusual")]
        if self.is_on and clip["score"] < self.limit:
            self.end, self.worst = clip["end"], min(self.worst, (clip, levels), key=lambda pair: pair[0]["score"])
        if self.is_on and self._is_calm():
            self.forget()
            self.is_on = False
            return [("end", "all is as usual again")]
        return []

    def forget(self):
        """Start counting anew."""
        self.recent.clear()

    def _is_calm(self):
        return len(self.recent) == self.recent.maxlen and all(clip["score"] >= self.release for clip, _ in self.recent)
