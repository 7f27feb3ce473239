"""An outlier detector whose rows are recordings of any length."""

import warnings
from datetime import UTC, datetime
from numbers import Integral, Real

import numpy as np
from scipy.stats import false_discovery_control
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from skasd._groups import first_copies, first_in_domain
from skasd._problems import first_ten, raise_problems
from skasd._reading import detector_rows
from skasd._sklearn import HasMethods, Interval, StrOptions, fit_context
from skasd._versions import VersionsMixin
from skasd.clips import Clips
from skasd.detectors import ThresholdMixin
from skasd.monitoring._calibration import summary_of
from skasd.monitoring._drift import drift_of
from skasd.monitoring._learned import Learned
from skasd.monitoring._listening import Listener
from skasd.monitoring._pipeline import prepared
from skasd.monitoring._recordings import Recordings
from skasd.monitoring._spans import Span, runs


def check_detector(detector, user):
    """Refuse what is no fitted `RecordingDetector`, which `user` takes."""
    if not isinstance(detector, RecordingDetector):
        raise ValueError(f"{user} takes a RecordingDetector; got {type(detector).__name__}. Put the pipeline into one: "
                         "RecordingDetector(pipeline).fit(recordings).")  # fmt: skip
    check_is_fitted(detector)


class RecordingDetector(VersionsMixin, ThresholdMixin, BaseEstimator):
    """From healthy recordings of any length to alarms, at the false-alarm rate that you ask for.

    A row is a recording. It is cut into overlapping clips, which an ordinary pipeline scores; the recording's score is
    that of its worst clip, or another summary. The threshold comes from healthy recordings that were held out whole:
    the pipeline is fitted again without some of them, and then scores these. Every section has its own threshold.

    Parameters
    ----------
    estimator : estimator, default=None
        What scores clips: a pipeline that takes `Clips` with the field ``waveform`` and has ``score_samples``. Its
        steps that have a ``sample_rate`` are given that of the recordings. None means `statistics_pipeline`.

    clip_duration : float, default=0.5
        Length of a clip in seconds.

    hop_duration : float, default=0.25
        Seconds from the beginning of one clip to that of the next, at most `clip_duration`. A remainder at the end of a
        recording that is shorter than this is ignored.

    sample_rate : int or "native", default="native"
        Sample rate in Hz at which recordings are analysed; other files are resampled. "native" is the lowest rate of
        the training recordings. Waveforms in plain arrays do not know theirs: give it as a number.

    channel : {"mix", "mono"} or int, default="mix"
        Channel of files, as in `skasd.audio.AudioLoader`.

    summary : {"worst", "mean"} or int, default="worst"
        The score of a recording: that of its worst clip, which finds short faults; the mean of all clips; or the mean
        of this number of worst clips.

    false_alarm_rate : float, default=0.05
        Share of new healthy recordings, in (0, 0.5), that may raise an alarm, on average.

    cv : int, default=20
        Number of parts into which recordings are divided, at least 2; each part is scored by a clone of the pipeline
        that learned from the others. Recordings that have the same name in the field ``recording``, and copies, are in
        one part. A clone has heard fewer recordings than the detector, and gives lower scores, so that with few parts
        fewer healthy recordings raise an alarm than asked for. If the pipeline trains a network, 5 will do.

    n_jobs : int, default=None
        Number of threads that read recordings, and of processes that fit clones. None means 1 unless in a
        `joblib.parallel_config` context, -1 all processors.

    Attributes
    ----------
    estimator_ : Pipeline
        The fitted pipeline, which scores clips.

    sample_rate_ : int
        Sample rate in Hz at which recordings are analysed.

    offsets_ : dict of str to float
        Threshold on `score_samples` of each section (``""`` where there are none).

    calibration_ : Clips
        A row for each healthy recording that was held out: the fields ``section``, ``recording`` (its path, or number),
        ``score``, and ``worst``, the score of its worst clip.

    log_ : list of dict
        What `fit` and each `update` changed: ``time``, ``action``, ``n_recordings`` in all, ``n_new``, ``seconds`` of
        sound in the new ones, and ``offsets``. Copies count once.

    See Also
    --------
    statistics_pipeline : The default pipeline, in which a search can set parameters.
    skasd.clips.Clips.from_folder : Recordings with their sections and labels.
    skasd.detectors.MahalanobisDetector : An outlier detector of clips.

    Notes
    -----
    The threshold is a quantile of the scores of n held-out recordings, such that the stated share of new ones lies
    below it on average. The true rate of a single detector varies: with 30 recordings and a rate of 0.05 it is between
    0.01 and 0.13 in 90 % of cases. With fewer than 1 / rate - 1 recordings there is a warning, and the quantile is that
    of an exponential tail. p-values are ranks, and so never below 1 / (n + 1). Recordings that raise an alarm can have
    a p-value slightly above the rate, since the quantile lies between two ranks.

    The longer a recording, the more unusual its worst clip. So thresholds hold for recordings about as long as the
    training recordings.

    Scores of the default pipeline are identical, bit for bit, however recordings are read, and whatever else is scored.

    Steps that learn nothing (spectrograms, statistics) work recording by recording, so that hours of sound need little
    memory. Their output for the training clips is kept in the detector, for `update`.

    Examples
    --------
    >>> import numpy as np
    >>> from skasd.monitoring import RecordingDetector
    >>> rng = np.random.default_rng(0)
    >>> healthy = [0.1 * rng.standard_normal(rng.integers(16000, 48000)) for _ in range(25)]
    >>> faulty = [healthy[0].copy(), healthy[1].copy()]
    >>> faulty[1][9000:9100] += 0.9  # a knock
    >>> detector = RecordingDetector(sample_rate=16000).fit(healthy)
    >>> detector.predict(faulty)
    array([ 1, -1])
    >>> span = detector.locate(faulty[1])[0]
    >>> span.start, span.end
    (0.25, 1.0)
    """

    _parameter_constraints: dict = {
        "estimator": [HasMethods(["fit", "score_samples"]), None],
        "clip_duration": [Interval(Real, 0, 1e4, closed="right")],
        "hop_duration": [Interval(Real, 0, 1e4, closed="right")],
        "sample_rate": [Interval(Integral, 1, 2**31 - 1, closed="both"), StrOptions({"native"})],
        "channel": [StrOptions({"mix", "mono"}), Interval(Integral, 0, None, closed="left")],
        "summary": [StrOptions({"worst", "mean"}), Interval(Integral, 1, None, closed="left")],
        "false_alarm_rate": [Interval(Real, 0, 0.5, closed="neither")],
        "cv": [Interval(Integral, 2, None, closed="left")],
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        estimator=None,
        *,
        clip_duration=0.5,
        hop_duration=0.25,
        sample_rate="native",
        channel="mix",
        summary="worst",
        false_alarm_rate=0.05,
        cv=20,
        n_jobs=None,
    ):
        self.estimator = estimator
        self.clip_duration = clip_duration
        self.hop_duration = hop_duration
        self.sample_rate = sample_rate
        self.channel = channel
        self.summary = summary
        self.false_alarm_rate = false_alarm_rate
        self.cv = cv
        self.n_jobs = n_jobs

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y=None):
        """Learn how the machine sounds when it is healthy, and set the thresholds.

        Parameters
        ----------
        X : path-like, sequence of paths, Clips, or array-like of shape (n_recordings, n_samples)
            A folder, with the audio files in it and in its subfolders; paths of files; `Clips` with the field ``path``
            or ``waveform``, and ``section`` if there are several; waveforms, also as a list of arrays of different
            lengths.

        y : array-like of shape (n_recordings,), default=None
            Recordings where it is -1 (anomalous) are left out. Without it the field ``label`` says so, if there is one.

        Returns
        -------
        self : RecordingDetector

        Raises
        ------
        ValueError
            If recordings cannot be read, or are shorter than a clip; if all recordings of a section are copies of one;
            or if the sample rate of waveforms is unknown.

        Warns
        -----
        UserWarning
            If there are too few recordings for such a low `false_alarm_rate`; if files have different sample rates, so
            that the highest frequencies of some are ignored; if a file is silent, or its channels cancel each other; if
            files are useless (see `skasd.audio.check_recordings`), although they are learned from all the same.
        """
        recordings = Recordings(X, self)
        normal = detector_rows(recordings.clips, y)
        recordings = recordings.take(normal)
        self._warn_of_useless(recordings)
        listener = self._listener(recordings)
        return self._take_over(Learned(self, listener, recordings), [], "fit")

    @fit_context(prefer_skip_nested_validation=False)
    def update(self, X):
        """Learn further healthy recordings, such as those of a new speed; the files of the old ones are not needed.

        The pipeline is fitted again, the thresholds are set again, and ``log_`` says what changed.

        Parameters
        ----------
        X : path-like, sequence of paths, Clips, or array-like of shape (n_recordings, n_samples)
            Healthy recordings, as `fit` takes them; those with the ``label`` -1 are left out.

        Returns
        -------
        self : RecordingDetector

        Raises
        ------
        ValueError
            As in `fit`, and if the recordings lack fields that those of `fit` have, sections among them, or have
            others. Then the detector stays as it was.
        """
        check_is_fitted(self)
        recordings = Recordings(X, self)
        recordings = recordings.take(detector_rows(recordings.clips))
        self._warn_of_useless(recordings)
        recordings.check_sections(set(self.offsets_))
        recordings.check_rates(self.sample_rate_, self.n_jobs)
        return self._take_over(Learned(self, self._learned.listener, recordings, self._learned), self.log_, "update")

    def score_samples(self, X):
        """Say how normal each recording is: higher = more normal.

        Parameters
        ----------
        X : path-like, sequence of paths, Clips, or array-like of shape (n_recordings, n_samples)
            Recordings, as `fit` takes them.

        Returns
        -------
        scores : ndarray of shape (n_recordings,)
            Higher = more normal.

        Raises
        ------
        ValueError
            If recordings cannot be read, are shorter than a clip, or are of a section that `fit` has not seen.

        Warns
        -----
        UserWarning
            If files have a lower sample rate than the detector uses, are silent, or have channels that cancel each
            other.
        """
        return self._scores(X)[0]

    def decision_function(self, X):
        """Score relative to the threshold of its section; negative = anomalous.

        Parameters
        ----------
        X : path-like, sequence of paths, Clips, or array-like of shape (n_recordings, n_samples)
            Recordings, as `fit` takes them.

        Returns
        -------
        scores : ndarray of shape (n_recordings,)
            Higher = more normal; below 0 = anomalous.
        """
        scores, sections = self._scores(X)
        return scores - self._offsets_of(sections)

    def predict(self, X):
        """Say whether each recording is normal, or cannot be judged.

        Parameters
        ----------
        X : path-like, sequence of paths, Clips, or array-like of shape (n_recordings, n_samples)
            Recordings, as `fit` takes them.

        Returns
        -------
        verdicts : ndarray of int of shape (n_recordings,)
            +1 = normal; -1 = anomalous, an alarm; 0 = cannot be judged: a recording that cannot be read, lacks the
            channel, is shorter than a clip, or is a useless file, for instance silent (see
            `skasd.audio.check_recordings`).

        Warns
        -----
        UserWarning
            If a recording cannot be judged, with its name and the reason; and as in `score_samples`.

        See Also
        --------
        judge_recording : Says why, and where a recording is unusual.
        """
        check_is_fitted(self)
        recordings = Recordings(X, self)
        reasons, verdicts = recordings.useless(self.clip_duration, self.n_jobs), np.zeros(len(recordings), dtype=int)
        good = np.array([not reason for reason in reasons])
        if good.any():
            found, sections = self._clip_scores(recordings.take(good))
            for row, one, offset in zip(np.flatnonzero(good), found, self._offsets_of(sections), strict=True):
                if isinstance(one, ValueError):
                    reasons[row] = str(one)
                else:
                    verdicts[row] = -1 if summary_of(one, self._learned.summary) < offset else 1
        self._tell_of(reasons, "cannot be judged, and get 0 instead of a verdict", "Record them again.")
        return verdicts

    def _warn_of_useless(self, recordings):
        useless = recordings.useless(self.clip_duration, self.n_jobs)
        self._tell_of(useless, "are useless, and would be learned as normal", "Leave them out, or record them again.")

    def _tell_of(self, useless, what, advice):
        reasons = [reason for reason in useless if reason]
        if reasons:
            warnings.warn(f"{len(reasons)} of {len(useless)} recordings {what}:\n{first_ten(reasons)}\n{advice}",
                          stacklevel=3)  # fmt: skip

    def p_values(self, X):
        """How often a healthy recording is as unusual as each of these recordings.

        Parameters
        ----------
        X : path-like, sequence of paths, Clips, or array-like of shape (n_recordings, n_samples)
            Recordings, as `fit` takes them.

        Returns
        -------
        p_values : ndarray of shape (n_recordings,)
            Conformal p-values: the rank of the score among those of the n healthy recordings of the section that were
            held out, from 1 / (n + 1), if all of those are more normal, to 1.
        """
        scores, sections = self._scores(X)
        return self._learned.calibration.p_values("score", scores, sections)

    def alarms(self, X, *, fdr=0.1):
        """Choose which of many recordings raise an alarm, such that few of these alarms are false.

        Of a thousand healthy recordings, `predict` raises an alarm for a fixed share, say 50. This method controls the
        share of the alarms that are false instead (Benjamini and Hochberg), from all p-values at once. Copies count
        once.

        Parameters
        ----------
        X : path-like, sequence of paths, Clips, or array-like of shape (n_recordings, n_samples)
            Recordings, as `fit` takes them.

        fdr : float, default=0.1
            Share of the alarms, in (0, 1), that may be false on average.

        Returns
        -------
        alarms : ndarray of bool of shape (n_recordings,)

        Raises
        ------
        ValueError
            If `fdr` is not between 0 and 1.

        Warns
        -----
        UserWarning
            If recordings that are more unusual than all healthy ones raise no alarm, since there are too few healthy
            ones.
        """
        if not (isinstance(fdr, Real) and 0 < fdr < 1):
            raise ValueError(f"fdr must be a number between 0 and 1; got {fdr!r}.")
        scores, sections, copy = self._scores_and_copies(X)
        first, number = np.unique(copy, return_inverse=True)
        p_values = self._learned.calibration.p_values("score", scores[first], sections[first])
        alarms = false_discovery_control(p_values) <= fdr
        least = self._learned.calibration.p_values("score", np.full(len(first), -np.inf), sections[first])
        missed = np.count_nonzero((p_values == least) & ~alarms)
        if missed:
            needed = int(np.ceil(len(first) / fdr)) - 1
            warnings.warn(f"{missed} of {len(first)} recordings are more unusual than all healthy ones, but with so "
                          f"few of these that may be chance. {needed} healthy recordings are needed to alarm for one "
                          f"of {len(first)} with fdr={fdr:g}. predict judges each by itself.",
                          stacklevel=2)  # fmt: skip
        return alarms[number]

    def score_clips(self, X):
        """Scores of all clips of one recording.

        Parameters
        ----------
        X : path-like, ndarray of shape (n_samples,), or Clips of one row
            The recording.

        Returns
        -------
        clips : Clips
            One row per clip, with the fields ``start`` and ``end`` (seconds), ``score`` (higher = more normal) and
            ``p_value``, the share of healthy recordings that have a clip as unusual.

        Raises
        ------
        ValueError
            As `score_samples`, and if it is not one recording.
        """
        return self._score_one(X)[0]

    def locate(self, X):
        """Say where in a recording something is unusual.

        Parameters
        ----------
        X : path-like, ndarray of shape (n_samples,), or Clips of one row
            The recording.

        Returns
        -------
        spans : list of Span
            The worst part first. In each part, every clip is as unusual as the worst clip of a healthy recording is in
            only a share of `false_alarm_rate` of cases. If there are no such parts, the worst clip alone.

        Raises
        ------
        ValueError
            As `score_samples`, and if it is not one recording.
        """
        return self._spans(*self._score_one(X))

    def drift(self, X):
        """Say whether healthy recordings still score like those that were held out in training.

        Parameters
        ----------
        X : path-like, sequence of paths, Clips, or array-like of shape (n_recordings, n_samples)
            Healthy recordings that the detector has not learned from, as `fit` takes them; those with the ``label`` -1
            are left out. Copies count once.

        Returns
        -------
        drift : Drift
            The Mann-Whitney test, and its meaning in words: ``print(drift)``.

        Raises
        ------
        ValueError
            As `score_samples`, and if the detector has learned from one of them, or from a copy of it.
        """
        check_is_fitted(self)
        recordings = Recordings(X, self)
        recordings = recordings.take(detector_rows(recordings.clips))
        recordings.check_new(self.calibration_["recording"])
        recordings, fields = self._to_score(recordings)
        heard, learned = self._learned.hear(recordings, self.n_jobs), self._learned
        copy = learned.copies(heard)
        recordings.refuse_learned(copy < 0)
        once = np.flatnonzero(first_in_domain(copy, fields["section"]) == np.arange(len(copy)))
        scores = [summary_of(learned.scores([heard[row]], fields[row : row + 1]), learned.summary) for row in once]
        scores, sections = np.array(scores), fields["section"][once]
        new, usual = learned.calibration.in_units(scores, sections)
        return drift_of(new, usual, scores < self._offsets_of(sections), learned.false_alarm_rate)

    def _listener(self, recordings):
        """What listens, at the rate that these recordings have."""
        if self.hop_duration > self.clip_duration:
            raise ValueError(f"hop_duration={self.hop_duration} s must be at most clip_duration={self.clip_duration} "
                             "s; what lies between clips would not be heard.")  # fmt: skip
        rate = recordings.check_rates(None if self.sample_rate == "native" else self.sample_rate, self.n_jobs)
        n_samples, n_hop = (max(1, round(seconds * rate)) for seconds in (self.clip_duration, self.hop_duration))
        if self.hop_duration * rate < 1:
            raise ValueError(f"hop_duration={self.hop_duration} s is less than one sample at {rate} Hz. Half of "
                             "clip_duration is usual.")  # fmt: skip
        return Listener(prepared(self.estimator, rate), rate, n_samples, n_hop)

    def _take_over(self, learned, log, action):
        """Keep what was learned, and say in the log what has changed."""
        self._learned, self.estimator_, self.offsets_ = learned, learned.pipeline(), learned.offsets
        self.calibration_, self.sample_rate_ = learned.held_out, learned.listener.sample_rate
        entry = {
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "action": action,
            "n_recordings": learned.n_recordings,
            "n_new": int(learned.is_new.sum()),
            "seconds": learned.seconds(),
            "offsets": dict(learned.offsets),
        }
        self.log_ = [*log, entry]
        return self

    def _scores(self, X):
        """The score and the section of each recording."""
        return self._scores_and_copies(X)[:2]

    def _scores_and_copies(self, X):
        """The score and the section of each recording, and the number of the first that scores alike clip by clip."""
        found, sections = self._clip_scores(X)
        raise_problems(found, len(found))
        copy = first_copies(np.array([[len(one), one.mean(), one.std(), one.min()] for one in found]))
        scores = [summary_of(one, self._learned.summary) for one in found]
        return np.array(scores), sections, first_in_domain(copy, sections)

    def _clip_scores(self, X):
        """The scores of the clips of each recording, or the ValueError that says why there are none; its section."""
        (recordings, fields), learned = self._to_score(X), self._learned
        found = learned.listener.of_recordings(
            recordings, learned.channel, self.n_jobs, lambda row, parts: learned.scores(parts, fields[row : row + 1])
        )
        return found, fields["section"]

    def _score_one(self, X):
        """`Clips` with the scores of the clips of one recording, their levels, and its section."""
        recordings, fields = self._to_score([X] if getattr(X, "ndim", 0) == 1 and X.dtype.kind != "U" else X)
        if len(recordings) != 1:
            raise ValueError(f"One recording is wanted; got {len(recordings)}.")
        learned, section = self._learned, str(fields["section"][0])
        (found,) = learned.of_recordings(
            recordings,
            self.n_jobs,
            lambda row, parts: [(learned.score(part, fields), part["levels"]) for part in parts],
        )
        scores, levels = map(np.concatenate, zip(*found, strict=True))
        p_values = learned.calibration.p_values("worst", scores, np.full(len(scores), section))
        start = learned.listener.start_of(np.arange(len(scores)))
        clips = Clips(start=start, end=start + learned.listener.duration, score=scores, p_value=p_values)
        return clips, levels, section

    def _judge_one(self, X):
        """The score, threshold, p-value and spans of one recording, which is read once."""
        clips, levels, section = self._score_one(X)
        score = summary_of(clips["score"], self._learned.summary)
        (p_value,) = self._learned.calibration.p_values("score", [score], np.array([section]))
        return float(score), self.offsets_[section], float(p_value), self._spans(clips, levels, section)

    def _spans(self, clips, levels, section):
        """The parts that are unusual, the worst first."""
        places = runs(clips["score"] < self._learned.clip_offsets[section])
        worst = int(np.argmin(clips["score"]))
        spans = [self._span(clips[first : last + 1], levels[first : last + 1], section)
                 for first, last in places or [(worst, worst)]]  # fmt: skip
        return sorted(spans, key=lambda span: span.score)

    def _to_score(self, X):
        check_is_fitted(self)
        recordings = Recordings(X, self)
        fields = recordings.fields()
        self._learned.calibration.check_sections(fields["section"])
        recordings.check_rates(self.sample_rate_, self.n_jobs)
        return recordings, fields

    def _offsets_of(self, sections):
        return np.array([self.offsets_[section] for section in sections.tolist()])

    def _span(self, clips, levels, section):
        worst = int(np.argmin(clips["score"]))
        bands = self._learned.usual_levels[section].bands(levels[worst], self._learned.listener.edges)
        return Span(*(float(value) for value in (
            clips["start"][0], clips["end"][-1], clips["score"][worst], clips["p_value"][worst]
        )), bands)  # fmt: skip

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        return tags
