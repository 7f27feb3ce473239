"""Outlier exposure detector."""

import numpy as np
from scipy.special import logsumexp

from skasd.detectors._base import BaseDetector, OwnScoresMixin


class OutlierExposureDetector(OwnScoresMixin, BaseDetector):
    """Detect anomalies as clips that a classifier does not take for one of their own section.

    A network that tells the sections of a machine apart gives each clip a probability p of belonging to its section.
    The score is ``log(p / (1 - p))``, as in the MobileNetV2 baseline of the challenge [1]_: the outliers that the
    network was exposed to are the clips of other sections, and what an augmentation made of clips and labelled as
    classes of its own [2]_. Nothing is trained here but the threshold.

    It reads the field ``logits``, as `ClassificationEmbedder` makes it with ``output='logits'`` and the sections as its
    first target. The columns of the logits belong to the sections that `fit` has seen, in sorted order; further columns
    are other classes.

    Parameters
    ----------
    contamination : float, default=0.1
        Fraction of the training clips, in (0, 0.5), that the threshold would call anomalous.

    threshold : {'quantile', 'gamma'}, default='quantile'
        How `offset_` is set from the training scores: their quantile, or that of a gamma distribution fitted to
        them, as the DCASE baselines do.

    Attributes
    ----------
    sections_ : ndarray of str
        The sections that `fit` has seen, sorted.

    models_ : dict of str to int
        The column of each section.

    offset_ : float
        Threshold on `score_samples`.

    machine_ : str
        Name of the machine that `fit` has seen, empty if it was not given.

    n_features_in_ : int
        Number of classes.

    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the classes, if `fit` was given a data frame.

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
    >>> logits = [[4.0, 0.0], [3.0, 0.0], [0.0, 5.0], [0.0, 2.0]]
    >>> detector = OutlierExposureDetector().fit(Clips(logits=logits, section=["00", "00", "01", "01"]))
    >>> detector.score_samples(Clips(logits=[[0.0, 3.0], [0.0, 3.0]], section=["00", "01"]))
    array([-3.,  3.])
    """

    _field = "logits"

    _parameter_constraints: dict = {**BaseDetector._parameter_constraints}

    def __init__(self, *, contamination=0.1, threshold="quantile"):
        self.contamination = contamination
        self.threshold = threshold

    def _fit_shared(self, X, windows, clips):
        n_classes, n_sections = windows.shape[2], len(clips)
        if n_classes < max(2, n_sections):
            raise ValueError(f"The logits of {n_sections} sections need a column for each, and at least two; got "
                             f"n_features={n_classes}. Were they made by a network that was trained on other "
                             "sections?")  # fmt: skip
        self.sections_ = np.array(list(clips))

    def _fit(self, X, domain, section):
        return int(np.searchsorted(self.sections_, section))

    def _score(self, model, X):
        """Log-odds of the class, from the logits, so that no probability is rounded to 0 or 1."""
        return X[:, model] - logsumexp(np.delete(X, model, axis=1), axis=1)
