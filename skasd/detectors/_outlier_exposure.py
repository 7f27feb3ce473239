"""Outlier exposure detector."""

import numpy as np
from scipy.special import logsumexp

from skasd._docstrings import fill
from skasd.clips import Clips
from skasd.detectors._base import DETECTOR_TEXTS, BaseDetector, OwnScoresMixin


@fill(**DETECTOR_TEXTS)
class OutlierExposureDetector(OwnScoresMixin, BaseDetector):
    """Detect anomalies as clips whose own section a classifier does not recognise.

    A network that tells the sections of a machine apart gives each clip a probability p of belonging to its section.
    The score is ``log(p / (1 - p))``, as in the MobileNetV2 baseline of the challenge [1]_: the outliers that the
    network was exposed to are the clips of other sections, and clips that an augmentation has changed and labelled as
    further classes [2]_. Only the threshold is learned here.

    It reads the field ``logits``, as `ClassificationEmbedder` makes it with ``output='logits'``, and looks up the
    column of each section by its name: `Clips` know the names of the columns as ``clips.attrs["classes"]``. Further
    columns are other classes. A plain array or a data frame has one section, whose column is the first.

    Parameters
    ----------
    {threshold}

    Attributes
    ----------
    sections_ : ndarray of str
        The sections that `fit` has seen, sorted.

    models_ : dict of str to int
        The column of each section.

    classes_ : tuple or None
        The names of the columns; None for plain arrays.

    {fitted}

    See Also
    --------
    skasd.embedders.ClassificationEmbedder : Makes the logits.
    CosineCenterDetector : Compares the embedding with the normal ones of the section instead.

    References
    ----------
    .. [1] K. Dohi et al., "Description and discussion on DCASE 2022 challenge task 2", DCASE 2022 Workshop,
       https://arxiv.org/abs/2206.05876.
    .. [2] H. Narita and A. Tamamori, "CNN-based anomalous sound detection system for domain generalization", DCASE2022
       Challenge, technical report, 2022.

    Examples
    --------
    >>> from skasd.clips import Clips
    >>> from skasd.detectors import OutlierExposureDetector
    >>> logits = [[4.0, 0.0], [3.0, 0.0], [0.0, 5.0], [0.0, 2.0], [0.0, 3.0], [0.0, 3.0]]
    >>> clips = Clips(logits=logits, section=["00", "00", "01", "01", "00", "01"])
    >>> clips = clips.with_attrs(classes=["00", "01"])  # as ClassificationEmbedder does
    >>> detector = OutlierExposureDetector().fit(clips[:4])
    >>> detector.score_samples(clips[4:])
    array([-3.,  3.])
    """

    _field = "logits"

    def _check_windows(self, X, *, reset):
        windows = super()._check_windows(X, reset=reset)
        classes = _names_of_columns(X, windows.shape[2])
        if reset:
            self.classes_ = classes
        elif classes != self.classes_:
            raise ValueError(f"The columns of these logits are {_listed(classes)}; those that the detector was fitted "
                             f"on are {_listed(self.classes_)}. Give logits of the same network.")  # fmt: skip
        return windows

    def _fit_shared(self, X, windows, clips):
        if windows.shape[2] < 2:
            raise ValueError("The logits of n_features=1 class cannot tell what is another one; at least two are "
                             "needed.")  # fmt: skip
        self.sections_ = np.array(list(clips))
        missing = [section for section in clips if self.classes_ is not None and section not in self.classes_]
        if missing:
            raise ValueError(f"The logits have no column for the section {', '.join(map(repr, missing))}; they are of "
                             f"{_listed(self.classes_)}. Train the network on clips of that section too, or leave "
                             "these clips out.")  # fmt: skip

    def _fit(self, X, domain, section):
        return 0 if self.classes_ is None else self.classes_.index(section)

    def _score(self, model, X):
        """Log-odds of the class, from the logits, so that no probability is rounded to 0 or 1."""
        return X[:, model] - logsumexp(np.delete(X, model, axis=1), axis=1)


def _names_of_columns(X, n_columns):
    """Names of the columns of the logits of clips; None for plain arrays, which have none."""
    if not isinstance(X, Clips):
        return None
    classes, target = X.attrs.get("classes"), X.attrs.get("target", "section")
    if target != "section":
        raise ValueError(f"These logits tell apart values of {target!r}, and sections are needed: put 'section' into "
                         "the targets of the embedder.")  # fmt: skip
    if classes is None:
        raise ValueError("Nothing says to which section each column of these logits belongs. Take them from a "
                         "ClassificationEmbedder with output='logits', or name the columns in their order: "
                         "clips.with_attrs(classes=['00', '01', ...]).")  # fmt: skip
    if "section" not in X:
        raise ValueError("The clips have no field 'section', so that nothing says which class each should be. Add it, "
                         "as clips.with_fields(section=...).")  # fmt: skip
    if len(classes) != n_columns or len(set(classes)) != n_columns:
        raise ValueError(f"The {n_columns} columns of these logits need a name each, and no name twice; "
                         f"clips.attrs['classes'] is {_listed(classes)}.")  # fmt: skip
    return tuple(classes)


def _listed(classes):
    return "without names" if classes is None else ", ".join(map(repr, classes))
