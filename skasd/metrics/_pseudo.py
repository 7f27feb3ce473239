"""A scorer that needs no anomalies: normal clips are changed, and a detector has to tell them apart."""

import numpy as np
from sklearn.utils import check_random_state

from skasd._labels import as_labels
from skasd._reading import read_text, section_fields, training_rows
from skasd.clips import Clips, as_clips
from skasd.metrics._scores import auc_score

_FIELDS = ("waveform", "log_mel", "embedding")
_N_BANDS = 10
_N_CLICKS = 10
_TONE = 0.3  # of the root mean square of the clip
_CLICK = 4.0  # likewise
_GAIN = 6.0  # dB
_RAISE = 6.0  # dB, of a band or a frame


class PseudoAnomalyScorer:
    """AUC of held-out normal clips against pseudo-anomalies made from them, to choose without labels.

    A callable for ``scoring=`` of `GridSearchCV` and for ``scorer=`` of `skasd.ensemble.select_systems`. Each kind of
    pseudo-anomaly gives an AUC, averaged over sections, and the mean over the kinds is the score. Which kinds there are
    depends on the clips: waveforms and log-mel spectrograms can be changed in all ways, embeddings can only be shuffled
    or taken from another section.

    Parameters
    ----------
    kinds : sequence of str, default=None
        Of 'shuffled' (each frequency band, or feature, is taken from another clip of the section), 'section' (clips
        that are labelled as another section), 'equalized' (random gains of up to 6 dB by band), 'tone' (a steady tone
        10 dB below the clip, or one band raised by 6 dB) and 'clicks' (ten short impulses, or ten frames raised by 6
        dB). None means all that are possible with the clips.

    random_state : int, RandomState instance or None, default=0
        Seed of the pseudo-anomalies. With a number, all candidates are tried on the same ones.

    Raises
    ------
    ValueError
        If `kinds` names something else, or nothing.

    See Also
    --------
    auc_scorer : Uses labels.

    Notes
    -----
    The score says which of several detectors notices changes, not how well it finds real faults. If every candidate
    notices all of them, the score is near 1 for all, and the choice means little.

    There is no kind for another attribute or another domain: a detector is not told these when it scores, so the scores
    would be those of normal clips.

    Examples
    --------
    >>> import numpy as np
    >>> from skasd.detectors import CosineCenterDetector, MahalanobisDetector
    >>> from skasd.metrics import PseudoAnomalyScorer
    >>> rng = np.random.default_rng(0)
    >>> X = np.repeat(rng.normal(size=(300, 1)), 3, axis=1) + 0.1 * rng.normal(size=(300, 3)) + 3
    >>> scorer = PseudoAnomalyScorer()
    >>> scorer.by_kind(MahalanobisDetector().fit(X[:200]), X[200:])["shuffled"] > 0.9
    True
    """

    _kinds = ("shuffled", "section", "equalized", "tone", "clicks")

    def __init__(self, kinds=None, *, random_state=0):
        unknown = [] if kinds is None else [kind for kind in kinds if kind not in self._kinds]
        if unknown or isinstance(kinds, str) or (kinds is not None and not len(kinds)):
            raise ValueError(f"kinds must name some of {', '.join(self._kinds)}, in a list; got {kinds!r}.")
        self.kinds = kinds
        self.random_state = random_state

    def __call__(self, estimator, X, y=None):
        """Mean AUC over the kinds of pseudo anomalies.

        Parameters
        ----------
        estimator : estimator instance
            Fitted, with ``score_samples``, higher = more normal.

        X : Clips or array-like
            Clips that the estimator has not learned from, with the field ``waveform``, ``log_mel`` or ``embedding``; a
            plain array holds embeddings.

        y : array-like of shape (n_clips,), default=None
            Clips that it, or else the field ``label``, calls -1 are left out. Other labels are not looked at.

        Returns
        -------
        score : float
            Between 0 and 1; higher is better.
        """
        return float(np.mean(list(self.by_kind(estimator, X, y).values())))

    def by_kind(self, estimator, X, y=None):
        """AUC of each kind of pseudo-anomaly.

        Parameters
        ----------
        estimator : estimator instance
            Fitted, with ``score_samples``, higher = more normal.

        X : Clips or array-like
            Clips that the estimator has not learned from.

        y : array-like of shape (n_clips,), default=None
            Clips that it, or else the field ``label``, calls -1 are left out.

        Returns
        -------
        aucs : dict of str to float
            For each kind, between 0 and 1; 0.5 = not noticed.

        Raises
        ------
        ValueError
            If a kind cannot be made from the clips, or if they have none of the fields.
        """
        clips = as_clips(X, "embedding")
        clips = clips[training_rows(clips, None if y is None else as_labels(y, len(clips)))]
        field = next((name for name in _FIELDS if name in clips), None)
        if field is None:
            raise ValueError(f"PseudoAnomalyScorer changes the field {', '.join(_FIELDS[:-1])} or {_FIELDS[-1]}; the "
                             f"clips have {', '.join(clips)}. Of paths, an AudioLoader makes waveforms.")  # fmt: skip
        normal, sections, aucs = _scores(estimator, X, clips), section_fields(clips), {}
        for kind in self._kinds_for(field, clips):
            pseudo = _make(kind, clips, field, check_random_state(self.random_state))
            y_true = np.repeat([0, 1], len(clips))
            both = {name: np.tile(values, 2) for name, values in sections.items()}
            aucs[kind] = auc_score(y_true, -np.append(normal, _scores(estimator, X, pseudo)), **both)
        return aucs

    def _kinds_for(self, field, clips):
        possible = self._kinds[: 2 if field == "embedding" else None]
        if len(np.unique(read_text(clips, "section", len(clips)))) < 2:
            possible = [kind for kind in possible if kind != "section"]
        impossible = [kind for kind in self.kinds or () if kind not in possible]
        if impossible:
            raise ValueError(f"Of these clips, with the field {field!r}, no pseudo anomalies of the kind "
                             f"{', '.join(impossible)} can be made, only of {', '.join(possible)}.")  # fmt: skip
        return possible if self.kinds is None else self.kinds


def _scores(estimator, X, clips):
    return np.asarray(estimator.score_samples(clips if isinstance(X, Clips) else clips["embedding"]))


def _make(kind, clips, field, random):
    """As many pseudo anomalies as there are clips, each of the section of the clip in its place."""
    values = clips[field].astype(np.float64)
    others = _others(read_text(clips, "section", len(clips)), random, same=kind != "section")
    if kind == "section":
        return clips.with_fields({field: clips[field][others[0]]})
    if kind == "shuffled":
        made = _shuffled(values, others, field)
    else:
        made = (_changed_waveforms if field == "waveform" else _changed_levels)(kind, values, random)
    return clips.with_fields({field: _in_type_of(clips[field], made)})


def _in_type_of(values, made):
    """What was made of values, in their type: integers are rounded, and clipped to its range."""
    if values.dtype.kind == "f":
        return made.astype(values.dtype)
    limits = np.iinfo(values.dtype)
    return np.clip(np.rint(made), limits.min, limits.max).astype(values.dtype)


def _others(section, random, *, same):
    """For each band, and each clip, the number of a clip of the same section, or of another one."""
    numbers = np.empty((_N_BANDS, len(section)), dtype=int)
    for name in np.unique(section):
        own = section == name
        numbers[:, own] = random.choice(np.flatnonzero(own == same), size=(_N_BANDS, np.count_nonzero(own)))
    return numbers


def _shuffled(values, others, field):
    """Each band, or feature, of another clip."""
    axis = values.ndim - 1 if field != "log_mel" else 1
    whole = np.fft.rfft(values, axis=1) if field == "waveform" else values
    whole = np.moveaxis(whole, axis, 1)
    n_parts = whole.shape[1]
    edges = np.geomspace(16, n_parts, _N_BANDS) if field == "waveform" else np.linspace(0, n_parts, _N_BANDS + 1)[1:]
    band = np.minimum(np.searchsorted(edges, np.arange(n_parts), side="right"), _N_BANDS - 1)
    made = np.stack([whole[others[number], part] for part, number in enumerate(band)], axis=1)
    made = np.moveaxis(made, 1, axis)
    return np.fft.irfft(made, n=values.shape[1], axis=1) if field == "waveform" else made


def _changed_waveforms(kind, values, random):
    n_clips, n_samples = values.shape
    loudness = np.sqrt(np.mean(values**2, axis=1, keepdims=True))
    if kind == "equalized":
        spectra = np.fft.rfft(values, axis=1)
        return np.fft.irfft(spectra * 10 ** (_gains(n_clips, spectra.shape[1], random) / 20), n=n_samples, axis=1)
    if kind == "tone":
        frequency = random.uniform(0.02, 0.4, size=(n_clips, 1))  # cycles per sample
        return values + np.sqrt(2) * _TONE * loudness * np.sin(2 * np.pi * frequency * np.arange(n_samples))
    values = values.copy()
    places = random.randint(n_samples, size=(n_clips, _N_CLICKS))
    values[np.arange(n_clips)[:, np.newaxis], places] += _CLICK * loudness * random.choice([-1, 1], size=places.shape)
    return values


def _changed_levels(kind, values, random):
    n_clips, n_bands, n_frames = values.shape
    if kind == "equalized":
        return values + _gains(n_clips, n_bands, random)[:, :, np.newaxis]
    values, rows = values.copy(), np.arange(n_clips)[:, np.newaxis]
    if kind == "tone":
        values[rows[:, 0], random.randint(n_bands, size=n_clips)] += _RAISE
        return values
    where = np.zeros((n_clips, n_frames), dtype=bool)
    where[rows, random.randint(n_frames, size=(n_clips, _N_CLICKS))] = True
    return values + _RAISE * where[:, np.newaxis]


def _gains(n_clips, n_bins, random):
    """Smooth random gains in dB (n_clips, n_bins)."""
    knots = random.uniform(-_GAIN, _GAIN, size=(n_clips, _N_BANDS))
    places = np.linspace(0, _N_BANDS - 1, n_bins)
    return np.stack([np.interp(places, np.arange(_N_BANDS), row) for row in knots])
