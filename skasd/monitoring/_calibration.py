"""What healthy recordings score that a model has not learned from, and what follows from that."""

import warnings

import numpy as np
from joblib import Parallel, delayed
from scipy.stats import iqr
from sklearn.base import clone

from skasd._groups import deal_out, first_copies, first_in_domain, joined
from skasd._problems import named
from skasd.clips import Clips
from skasd.detectors import empirical_point, n_independent
from skasd.monitoring._listening import joined_clips

_AT_ONCE = 16


def summary_of(scores, summary):
    """The score of a recording from those of its clips: the worst, the mean, or the mean of the k worst."""
    if summary == "mean":
        return scores.mean()
    n_worst = 1 if summary == "worst" else min(summary, len(scores))
    return np.partition(scores, n_worst - 1)[:n_worst].mean()


def score_clips(detector, clips):
    """Scores of clips, to the bit the same whether they come one by one or all at once.

    A product of matrices rounds by the number of their rows, so that there always are as many: the last are repeated.
    """
    scores = []
    for start in range(0, len(clips), _AT_ONCE):
        rows = np.arange(start, min(start + _AT_ONCE, len(clips)))
        scores.append(_checked(detector.score_samples(clips[np.resize(rows, _AT_ONCE)]))[: len(rows)])
    return np.concatenate(scores)


def _checked(scores):
    """Scores of so many clips at once, unless an estimator of somebody's own gave what is none."""
    scores = np.asarray(scores)
    if scores.shape != (_AT_ONCE,) or scores.dtype.kind not in "fiu" or not np.isfinite(scores).all():
        raise ValueError(f"score_samples of the estimator must give one finite number per clip, shape ({_AT_ONCE},) "
                         f"for {_AT_ONCE}; got {scores.dtype} of shape {scores.shape}, "
                         f"{np.array2string(scores.ravel(), threshold=6)}.")  # fmt: skip
    return scores


def copies_of(parts):
    """For each recording, of which `parts` are the clips, the number of the first that sounds the same."""
    return first_copies(np.array([[len(part), *part["levels"].mean(axis=0).ravel()] for part in parts]))


class Heard:
    """Clips that were learned from, with the number of the recording of each, and what is known of these recordings.

    ``group`` has a number for each recording, the same for those that have one name and for copies, of which ``once``
    marks the first.
    """

    def __init__(self, parts, fields):
        self.parts, self.fields = parts, fields
        self.row = np.repeat(np.arange(len(parts)), list(map(len, parts)))
        self.clips = joined_clips(parts).with_fields(expanded(fields, self.row))
        copy = copies_of(parts)
        self.group = joined(np.unique(fields["recording"], return_inverse=True)[1], copy)
        self.once = first_in_domain(copy, fields["section"]) == np.arange(len(parts))

    def levels(self):
        """Levels of the clips of each section."""
        sections = self.clips["section"]
        return {str(name): self.clips["levels"][sections == name] for name in np.unique(sections)}

    def held_out_scores(self, detector, cv, n_jobs):
        """A list with the scores of the clips of each recording, by clones of the detector that have not heard it."""
        self._check_enough()
        part = deal_out(self.group, cv, self.fields["section"])[self.row]
        scores = Parallel(n_jobs=n_jobs)(
            delayed(_fit_and_score)(detector, self.clips[part != out], self.clips[part == out])
            for out in range(part.max() + 1)
        )
        scores = np.concatenate(scores)[np.argsort(np.argsort(part, kind="stable"))]
        return np.split(scores, np.cumsum(list(map(len, self.parts)))[:-1])

    def _check_enough(self):
        for name in np.unique(self.fields["section"]):
            own = self.fields["section"] == name
            if len(np.unique(self.group[own])) < 2:
                raise ValueError(f"{named(name)} has n_samples={own.sum()} healthy recordings, which are one or copies "
                                 "of one; at least 2 are needed, since the threshold comes from recordings that the "
                                 "model has not heard, and 20 are better. Record more, or cut a long one into "
                                 "several files.")  # fmt: skip


def _fit_and_score(detector, train, test):
    with warnings.catch_warnings():  # its threshold is not used
        warnings.filterwarnings("ignore", ".*training clips come from one recording")
        fitted = clone(detector).fit(train)
    return score_clips(fitted, test)


class Calibration:
    """Scores of healthy recordings, by models that had not heard them: what is usual, section by section."""

    def __init__(self, clips):
        self.of_section = {str(name): clips[clips["section"] == name] for name in np.unique(clips["section"])}

    def offsets(self, field, share):
        """For each section the score below which this share of healthy recordings lies, on average."""
        return {
            name: empirical_point(
                own[field], share, n_independent(own[field], own["recording"], np.zeros(len(own), int))
            )
            for name, own in self.of_section.items()
        }

    def p_values(self, field, scores, sections):
        """Rank of each score among those of its section, from 1 / (n + 1) to 1."""
        usual = [np.sort(self.of_section[name][field]) for name in sections.tolist()]
        ranks = [np.searchsorted(own, score, side="right") for own, score in zip(usual, scores, strict=True)]
        return (1 + np.array(ranks)) / (1 + np.array(list(map(len, usual))))

    def in_units(self, scores, sections):
        """Scores, and those that were held out of the same sections, in units of the spread of their section."""
        own = {name: self.of_section[name]["score"] for name in np.unique(sections).tolist()}
        middle, spread = ({name: measure(usual) for name, usual in own.items()} for measure in (np.median, iqr))
        new = [
            (score - middle[name]) / (spread[name] or 1) for score, name in zip(scores, sections.tolist(), strict=True)
        ]
        return np.array(new), np.concatenate(
            [(usual - middle[name]) / (spread[name] or 1) for name, usual in own.items()]
        )

    def check_sections(self, sections):
        """Refuse recordings of a section that was not learned."""
        unknown = sorted(set(sections.tolist()) - set(self.of_section))
        if unknown:
            raise ValueError(f"No model for {', '.join(map(named, unknown))}: fit has heard "
                             f"{', '.join(map(named, self.of_section))}. Fit with healthy recordings of that section, "
                             "or leave these out.")  # fmt: skip

    def doubt_few(self, share):
        """Warn where there are so few recordings that they tell no alarm rate as small as this."""
        needed = int(np.ceil(1 / share)) - 1
        few = {name: n for name, own in self.of_section.items() if (n := len(np.unique(own["recording"]))) < needed}
        if few:
            found = ", ".join(f"{n} of {named(name)}" for name, n in few.items())
            warnings.warn(f"false_alarm_rate={share:g} needs {needed} healthy recordings of each section that differ, "
                          f"to know how often one is as unusual; there are {found}. Below the lowest score of these "
                          "the threshold is a guess, and alarms may be several times rarer or more frequent. Record "
                          "more, or set a higher false_alarm_rate.", stacklevel=4)  # fmt: skip


def expanded(fields, row):
    """Fields of recordings as those of their clips, of which `row` has the numbers of the recordings."""
    return {name: fields[name][row] for name in fields}


def calibrated(heard, scores, summary):
    """`Clips` with a row for each recording that was held out: its section, name, score, and its worst clip's."""
    clips = Clips(
        section=heard.fields["section"],
        recording=heard.fields["recording"],
        score=[summary_of(own, summary) for own in scores],
        worst=[own.min() for own in scores],
    )
    return clips[heard.once]
