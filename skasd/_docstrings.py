"""Texts that the docstrings of several classes share, each written once."""

import re
from textwrap import dedent, indent

_LINE = re.compile(r"^( *)\{(\w+)\}$", re.MULTILINE)


def fill(**texts):
    """Decorator that puts a text in the place of the line ``{its name}`` of the docstring, indented alike.

    The texts below are there for all docstrings.
    """
    texts = _SHARED | texts

    def filled(owner):
        doc = owner.__doc__
        if doc is not None:  # python -OO
            owner.__doc__ = _LINE.sub(lambda at: indent(texts[at[2]].strip(), at[1]), doc)
        return owner

    return filled


_TEXTS = """
fitted:
    estimator : estimator instance
        Fitted, with ``score_samples``, higher = more normal.

scored:
    X : Clips or array-like of shape (n_clips, ...)
        Clips to score.

scored_by_section:
    X : Clips or array-like of shape (n_clips, ...)
        Clips to score. If they have the fields ``section`` or ``machine``, the result is the harmonic mean over the
        sections of each machine.

verdicts:
    y : array-like of shape (n_clips,), default=None
        +1 for normal, -1 for anomalous clips. By default the field ``label`` of ``X``.

truth:
    y_true : array-like of shape (n_clips,)
        1 for anomalous, 0 for normal clips.

    y_score : array-like of shape (n_clips,)
        Anomaly scores, higher = more anomalous.

sections:
    section : array-like of shape (n_clips,), default=None
        Section of each clip. If given, the result is the harmonic mean of the sections' values.

    machine : array-like of shape (n_clips,), default=None
        Machine of each clip. If given, sections with the same name on different machines are different sections.

protocol:
    protocol : {"official", "domain-only"}, default="official"
        For 2022 and later, see `skasd.metrics.domain_scores`.

max_fpr:
    max_fpr : float, default=0.1
        Highest false positive rate that counts for the partial AUC, in (0, 1].

resamples:
    n_resamples : int, default=1000
        Number of resamples for the 95 % intervals; 0 for none.

    random_state : int, RandomState instance or None, default=None
        Seed of the resamples.

mel:
    sample_rate : int, default=16000
        Sample rate of the waveform in Hz.

    hop_length : int, default=512
        Samples from one frame to the next.

    fmin : float, default=0.0
        Lower edge of the lowest band in Hz.

    fmax : float, default=None
        Upper edge of the highest band in Hz; half the sample rate by default.

    htk : bool, default=False
        Whether the mel scale is HTK's, not Slaney's.

line_style:
    **kwargs : dict
        For `matplotlib.axes.Axes.plot`.

bar_style:
    **kwargs : dict
        For `matplotlib.axes.Axes.hist`, such as ``bins``, 30 by default.

by:
    by : str, default=None
        Field of `Clips` whose values are groups that are drawn separately, such as ``"section"`` or ``"domain"``.

group:
    group : array-like of shape (n_clips,), default=None
        Group of each clip; each group is drawn separately.

    by : str, default=None
        What the groups are, such as ``"section"``.

title:
    name : str, default=None
        Title of the picture.

curve:
    name : str, default=None
        Name of the curve in the legend.

ax:
    ax : matplotlib.axes.Axes, default=None
        Where to draw; a new figure by default.

drawn:
    ax_ : matplotlib.axes.Axes
        Where it was drawn.

    figure_ : matplotlib.figure.Figure
        The figure of ``ax_``.

named_samples:
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the samples, only where `fit` was given a data frame with such names.

named_bands:
    n_features_in_ : int
        Number of mel bands.

    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the bands, only where `fit` was given a data frame with such names.

keep_log_mel:
    keep : sequence of str, default=()
        Set it to ``("log_mel",)`` if `Clips` should keep their spectrograms for a later step.

returned:
    Returns
    -------
    display : object of this class
        What was drawn is in its attributes. `plot` returns the object itself.

unused:
    y : object, default=None
        Not used, here for scikit-learn's sake.

    groups : object, default=None
        Not used, here for scikit-learn's sake.
"""
_TOGETHER = {
    "judged": ("fitted", "scored", "verdicts"),
    "judged_by_section": ("fitted", "scored_by_section", "verdicts"),
    "rule": ("protocol", "max_fpr"),
    "title_and_ax": ("title", "ax"),
    "curve_ax_style": ("max_fpr", "curve", "ax", "line_style"),
    "title_ax_bars": ("title", "ax", "bar_style"),
    "title_ax_style": ("title", "ax", "line_style"),
}
_BY_NAME = {name: dedent(text) for name, text in re.findall(r"^(\w+):\n((?:    .*\n|\n)+)", _TEXTS, re.MULTILINE)}
_SHARED = _BY_NAME | {name: "".join(map(_BY_NAME.get, parts)) for name, parts in _TOGETHER.items()}

documented = fill()
