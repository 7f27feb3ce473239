"""Gaussian mixture detector."""

from numbers import Integral, Real

import numpy as np
from scipy.special import softmax
from sklearn.mixture import GaussianMixture

from skasd._docstrings import fill
from skasd._groups import first_copies
from skasd._sklearn import Interval, StrOptions
from skasd.detectors._base import DETECTOR_TEXTS, BaseDetector
from skasd.detectors._gaussian import cholesky_factor, moments, pooled, products, squares, whitening
from skasd.detectors._numbers import RowError
from skasd.detectors._oversampling import as_seed, oversample_target
from skasd.detectors._threads import few_threads

_LARGEST = 1e150  # whose square float64 can hold


@fill(**DETECTOR_TEXTS)
class GaussianMixtureDetector(BaseDetector):
    """Detect anomalies as clips that have a low density under a Gaussian mixture.

    One mixture is fitted per section. Sections usually have few clips, which few components and a diagonal covariance
    suit best. With `target_ratio`, clips of the target domain are first oversampled by SMOTE, so that the mixture does
    not ignore the few that there are [1]_.

    Parameters
    ----------
    n_components : int, default=1
        Number of Gaussians per section.

    covariance_type : {'full', 'tied', 'diag', 'spherical'}, default='full'
        Form of the covariances, as in scikit-learn.

    density : {'mixture', 'component'}, default='mixture'
        What the score is: the log density of the whole mixture, or that of the most likely component with its
        weight left out, as rank-pooled systems use it [1]_.

    {target_ratio}

    reg_covar : float, default=1e-3
        Added to the diagonal of the covariances, in squared units of the embedding.

    max_iter : int, default=100
        Largest number of EM steps.

    n_init : int, default=1
        Number of starts; the best is kept.

    {threshold}

    random_state : int, RandomState instance or None, default=None
        Seed of the start and of the oversampling.

    Attributes
    ----------
    models_ : dict of str to GaussianMixture
        The fitted mixture of each section.

    n_iter_ : int
        Largest number of EM steps of any section.

    {fitted}

    See Also
    --------
    MahalanobisDetector : One Gaussian with shrinkage, or one for each domain.
    skasd.embedders.StatisticsEmbedder : Makes embeddings that suit it.

    Notes
    -----
    A Gaussian with many dimensions fits the clips that it was fitted to far better than new ones. For the threshold,
    training clips are therefore scored by models of other clips: recordings, or clips if no recordings are known, are
    divided into ten parts, and each part is scored by a mixture of the other nine. That mixture is made from the shares
    of the rows in the components of the whole mixture, without that part; with one component it is the same as a new
    fit. Synthetic target rows that were made from rows of that part are left out too, and so are components that have
    no rows left.

    Two things can make the false-alarm rate differ from what was asked for. The shares were computed with the clips
    that are left out, so with many components for few clips the rate is somewhat higher (12 to 14 % instead of 10 %).
    And if a component with a full covariance has fewer than about twice as many clips as features, the rate is far
    lower (3 % instead of 10 %, or none): a mixture fitted to nine tenths of so few clips is much worse than one fitted
    to all. In that case use fewer components or another `covariance_type`, or set ``offset_`` with clips that were not
    used for training.

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
        super().__init__(contamination=contamination, threshold=threshold)
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.density = density
        self.target_ratio = target_ratio
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.random_state = random_state

    @property
    def n_iter_(self):
        """Largest number of EM steps of any section."""
        return max(model.n_iter_ for model in self.models_.values())

    def _fit_shared(self, X, windows, clips):
        self._seed = as_seed(self.random_state)

    def _fit(self, X, domain, section):
        n_distinct = len(np.unique(first_copies(X)))
        if n_distinct < self.n_components:
            raise ValueError(f"n_components={self.n_components} needs at least as many training rows, got n_samples="
                             f"{n_distinct} that differ. Lower n_components or add normal clips.")  # fmt: skip
        too_large = np.abs(X).max(axis=1) > _LARGEST
        if too_large.any():
            raise RowError(np.argmax(too_large), f"the embedding has values above {_LARGEST:g}, the squares of which "
                           "float64 cannot hold. Scale embeddings down.")  # fmt: skip
        X, _, _ = oversample_target(X, domain, ratio=self.target_ratio, random_state=self._seed)
        center = X.mean(axis=0)
        mixture = GaussianMixture(
            self.n_components,
            covariance_type=self.covariance_type,
            reg_covar=self.reg_covar,
            max_iter=self.max_iter,
            n_init=self.n_init,
            random_state=self._seed,
        )
        with few_threads(X):
            mixture.fit(X - center)  # squares of large offsets would cancel
        mixture.means_ += center
        return mixture

    def _score(self, model, X):
        return self._density(model.weights_, self._log_densities(model, X))

    def _log_densities(self, model, X):
        factors = model.precisions_cholesky_
        factors = [factors] * len(model.means_) if self.covariance_type == "tied" else factors
        return _log_densities(X, model.means_, factors)

    def _shares(self, model, X):
        """Share (n, n_components) of each row in each component."""
        return softmax(np.log(model.weights_) + self._log_densities(model, X), axis=1)

    def _density(self, weights, log_densities):
        if self.density == "mixture":
            return np.logaddexp.reduce(np.log(weights) + log_densities, axis=1)
        return log_densities.max(axis=1)

    def _score_parts(self, model, rows, part):
        with few_threads(rows.X):
            return self._score_by_moments(model, rows, part)

    def _score_by_moments(self, model, rows, part):
        X, _, parents = oversample_target(rows.X, rows.domain, ratio=self.target_ratio, random_state=self._seed)
        shares = np.ones((len(X), 1)) if self.n_components == 1 else self._shares(model, X)
        sums = squares if self.covariance_type in ("diag", "spherical") else products

        def of_rows(mask):
            return [moments(X[mask], share, sums) for share in shares[mask].T]

        n_parts, part_of, real = part.max() + 1, part[parents], np.arange(len(X)) < len(part)
        parts = [of_rows(real & (part_of[:, 0] == number)) for number in range(n_parts)]
        scores = np.empty(len(part))
        for out in range(n_parts):
            others = parts[:out] + parts[out + 1 :]
            if not real.all():
                others.append(of_rows(~real & (part_of != out).all(axis=1)))
            components = [pooled(component, sums) for component in zip(*others, strict=True)]
            scores[part == out] = self._score_components(components, rows.X[part == out])
        return scores

    def _score_components(self, components, X):
        """Scores by the mixture of components with these moments."""
        components = [component for component in components if component.n >= 1]
        if not components:
            raise ValueError("No component keeps a training row.")
        n, means, _ = zip(*components, strict=True)
        factors = _factors(components, self.covariance_type, self.reg_covar)
        return self._density(np.array(n) / sum(n), _log_densities(X, means, factors))


def _log_densities(X, means, factors):
    """Log density (n, n_components) of each component, by what whitens rows: a matrix, a vector or a number."""
    columns = []
    for mean, factor in zip(means, factors, strict=True):
        is_matrix = np.ndim(factor) == 2
        white = (X - mean) @ factor if is_matrix else (X - mean) * factor
        log_scale = np.log(np.diag(factor) if is_matrix else np.broadcast_to(factor, X.shape[1])).sum()
        squared = np.einsum("ij,ij->i", white, white)
        columns.append(log_scale - (squared + X.shape[1] * np.log(2 * np.pi)) / 2)
    return np.column_stack(columns)


def _factors(components, covariance_type, reg_covar):
    """What whitens the rows of each component."""
    n, _, scatters = zip(*components, strict=True)
    if covariance_type == "tied":
        return [_whitening_of(sum(scatters) / sum(n), reg_covar)] * len(n)
    covariances = [scatter / weight for scatter, weight in zip(scatters, n, strict=True)]
    if covariance_type == "full":
        return [_whitening_of(covariance, reg_covar) for covariance in covariances]
    variances = [variance + reg_covar for variance in covariances]
    if not np.all(variances):
        raise ValueError("A feature of a component is constant. Raise reg_covar.")
    return [1 / np.sqrt(one.mean() if covariance_type == "spherical" else one) for one in variances]


def _whitening_of(covariance, reg_covar):
    covariance.flat[:: len(covariance) + 1] += reg_covar
    return whitening(cholesky_factor(covariance)).T
