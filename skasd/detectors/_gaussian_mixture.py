"""Gaussian mixture detector."""

from numbers import Integral, Real

from sklearn.mixture import GaussianMixture

from skasd._validation import Interval, StrOptions, component_log_density
from skasd.detectors._base import BaseDetector
from skasd.detectors._held_out import HeldOutMixin
from skasd.detectors._oversampling import oversample_target


class GaussianMixtureDetector(HeldOutMixin, BaseDetector):
    """Detect anomalies as clips to which a Gaussian mixture gives a low density.

    One mixture is fitted per section. Few components and a shrunk or diagonal covariance suit the small number of
    clips that a section has. With `target_ratio`, clips of the target domain are first oversampled by SMOTE, so that
    the mixture does not forget the few that there are [1]_.

    Parameters
    ----------
    n_components : int, default=1
        Number of Gaussians per section.

    covariance_type : {'full', 'tied', 'diag', 'spherical'}, default='full'
        Form of the covariances, as in scikit-learn.

    density : {'mixture', 'component'}, default='mixture'
        What the score is: the log density of the whole mixture, or that of the most likely component with its
        weight left out, as rank-pooled systems use it [1]_.

    target_ratio : float, default=None
        Number of target clips after oversampling by SMOTE, as a fraction of the source clips, in (0, 1]. None leaves
        the clips as they are. The domain is read from the field ``domain`` in `fit`, and never needed to score.

    reg_covar : float, default=1e-3
        Added to the diagonal of the covariances, in squared units of the embedding.

    max_iter : int, default=100
        Largest number of EM steps.

    n_init : int, default=1
        Number of starts; the best is kept.

    contamination : float, default=0.1
        Fraction of the training clips, in (0, 0.5), that the threshold would call anomalous.

    threshold : {'quantile', 'gamma'}, default='quantile'
        How `offset_` is set from the training scores: their quantile, or that of a gamma distribution fitted to
        them, as the DCASE baselines do.

    random_state : int, RandomState instance or None, default=None
        Seed of the start and of the oversampling.

    Attributes
    ----------
    models_ : dict of str to GaussianMixture
        The fitted mixture of each section.

    n_iter_ : int
        Number of EM steps of the section that took most.

    offset_ : float
        Threshold on `score_samples`.

    machine_ : str
        Name of the machine that `fit` has seen, empty if it was not given.

    n_features_in_ : int
        Number of features of an embedding.

    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if `fit` was given a data frame.

    See Also
    --------
    MahalanobisDetector : One Gaussian with shrinkage; several domains by the smaller distance.
    skasd.embedders.StatisticsEmbedder : Makes the embeddings with which this is a strong untrained system.

    Notes
    -----
    A Gaussian of many dimensions fits the clips that made it far better than new ones. For the threshold, training
    clips are therefore scored by models of the others: the clips of a section are dealt into ten parts in turn, and
    each part is scored by a model of the other nine. Where these are too few for a model, or where there are a hundred
    clips and more for each feature, so that one hardly matters, the clips' own model scores them.

    References
    ----------
    .. [1] J. Guan et al., "Time-weighted frequency domain audio representation with GMM estimator for anomalous sound
       detection", ICASSP 2023, https://arxiv.org/abs/2305.03328.

    Examples
    --------
    >>> import numpy as np
    >>> from skasd.detectors import GaussianMixtureDetector
    >>> rng = np.random.default_rng(0)
    >>> detector = GaussianMixtureDetector(random_state=0).fit(rng.normal(size=(200, 2)))
    >>> detector.predict([[0.0, 0.0], [8.0, 8.0]])
    array([ 1, -1])
    """

    _parameter_constraints: dict = {
        **BaseDetector._parameter_constraints,
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "covariance_type": [StrOptions({"full", "tied", "diag", "spherical"})],
        "density": [StrOptions({"mixture", "component"})],
        "target_ratio": [Interval(Real, 0, 1, closed="right"), None],
        "reg_covar": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        n_components=1,
        *,
        covariance_type="full",
        density="mixture",
        target_ratio=None,
        reg_covar=1e-3,
        max_iter=100,
        n_init=1,
        contamination=0.1,
        threshold="quantile",
        random_state=None,
    ):
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.density = density
        self.target_ratio = target_ratio
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.contamination = contamination
        self.threshold = threshold
        self.random_state = random_state

    @property
    def n_iter_(self):
        """Number of EM steps of the section that took most."""
        return max(model.n_iter_ for model in self.models_.values())

    def _fit(self, X, domain, section):
        if len(X) < self.n_components:
            raise ValueError(f"n_components={self.n_components} needs at least as many training rows, got "
                             f"n_samples={len(X)}. Lower n_components or add normal clips.")  # fmt: skip
        if self.target_ratio is not None:
            X, _ = oversample_target(X, domain, ratio=self.target_ratio, random_state=self.random_state)
        return GaussianMixture(
            self.n_components,
            covariance_type=self.covariance_type,
            reg_covar=self.reg_covar,
            max_iter=self.max_iter,
            n_init=self.n_init,
            random_state=self.random_state,
        ).fit(X)

    def _score(self, model, X):
        if self.density == "mixture":
            return model.score_samples(X)
        return component_log_density(model, X).max(axis=1)
