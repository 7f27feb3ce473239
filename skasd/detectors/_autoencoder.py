"""Autoencoder detector."""

from numbers import Integral

import numpy as np
import torch
from sklearn.covariance import oas, shrunk_covariance
from sklearn.utils.validation import check_is_fitted
from torch import nn

from skasd._docstrings import fill
from skasd._sklearn import Interval, StrOptions
from skasd.detectors._network import NETWORK_TEXTS, NetworkDetector
from skasd.networks import DenseAutoencoder


@fill(**NETWORK_TEXTS)
class AutoencoderDetector(NetworkDetector):
    """Detect anomalies as clips that an autoencoder, trained on normal ones, reconstructs badly.

    One network is trained for all sections of the machine, on windows of stacked frames one by one, as in the baselines
    of the challenge [1]_. The score of a clip is the negative mean squared error of its windows. With
    ``error='selective_mahalanobis'`` the error is weighted by how much it varies among normal clips: each section and
    domain that `fit` has seen has a covariance of the errors, and the domain with the smaller distance counts, as in
    the second mode of the baselines since 2023 [2]_. Domains are not needed for scoring.

    Parameters
    ----------
    network : callable, default=DenseAutoencoder
        Class (or other callable) that makes the `torch.nn.Module`. Its arguments are parameters too, such as
        ``network__n_bottleneck=4``. It takes vectors (n, d) and gives their reconstruction (n, d). Sizes may be lazy.

    error : {'squared', 'selective_mahalanobis'}, default='squared'
        What is averaged over the windows of a clip: the mean squared error of the reconstruction, or the squared
        Mahalanobis distance of the vector from its reconstruction.

    n_frames : int, default=1
        Number of frames that a vector stacks, as in `FrameStacker`. With ``error='selective_mahalanobis'`` the errors
        of each frame are a separate vector, whose covariance is smaller and can be estimated better. Otherwise it has
        no effect.

    {training}

    contamination : float, default=0.1
        Share of normal clips that may raise an alarm, in (0, 0.5): the false-alarm rate on new clips, on average.
        scikit-learn's parameter of this name is something else: the share of outliers in the training data.

    threshold : {'quantile', 'gamma'}, default='gamma'
        How `offset_` is set from the training scores: by their quantile, or by that of a gamma distribution fitted to
        them, as in the DCASE baselines.

    {kwargs}

    Attributes
    ----------
    network_ : torch.nn.Module
        The trained network.

    {net_}

    {history_}

    {sections_}

    models_ : dict of str to SectionModel
        For each section its ``number`` and, with ``error='selective_mahalanobis'``, the inverse covariances of its
        domains, ``precisions``, an ndarray of shape (n_domains, n_features / n_frames, n_features / n_frames).

    {fitted}

    See Also
    --------
    FlowDetector : Learns the density of the windows instead.
    skasd.features.FrameStacker : Makes the windows.

    Notes
    -----
    The optimizer is `torch.optim.Adam` where none is given.

    A domain with too few clips, so that it has no more frames than a frame has features, has a singular covariance,
    which is then shrunk as in `sklearn.covariance.oas`.

    References
    ----------
    .. [1] K. Dohi et al., "Description and discussion on DCASE 2022 challenge task 2", DCASE 2022 Workshop,
       https://arxiv.org/abs/2206.05876.
    .. [2] N. Harada, D. Niizumi, D. Takeuchi, Y. Ohishi and M. Yasuda, "First-shot anomaly detection for machine
       condition monitoring: a domain generalization baseline", EUSIPCO 2023, https://arxiv.org/abs/2303.00455.

    Examples
    --------
    >>> import numpy as np
    >>> from skasd.detectors import AutoencoderDetector
    >>> windows = np.random.default_rng(0).normal(size=(60, 30, 2)) @ np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])
    >>> detector = AutoencoderDetector(max_epochs=20, lr=0.01, device="cpu", random_state=0).fit(windows)
    >>> near, far = detector.score_samples([[2.0, 3.0, 1.0], [2.0, -3.0, 1.0]])
    >>> bool(near > far)
    True
    """

    _parameter_constraints: dict = {
        **NetworkDetector._parameter_constraints,
        "network": [callable],
        "error": [StrOptions({"squared", "selective_mahalanobis"})],
        "n_frames": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        network=DenseAutoencoder,
        *,
        error="squared",
        n_frames=1,
        augmentation=None,
        max_epochs=100,
        lr=1e-3,
        batch_size=512,
        lr_schedule="constant",
        validation_fraction="auto",
        checkpoint=None,
        device="auto",
        verbose=0,
        random_state=None,
        contamination=0.1,
        threshold="gamma",
        **kwargs,
    ):
        super().__init__(contamination=contamination, threshold=threshold)
        self.network = network
        self.error = error
        self.n_frames = n_frames
        self.augmentation = augmentation
        self.max_epochs = max_epochs
        self.lr = lr
        self.batch_size = batch_size
        self.lr_schedule = lr_schedule
        self.validation_fraction = validation_fraction
        self.checkpoint = checkpoint
        self.device = device
        self.verbose = verbose
        self.random_state = random_state
        self._net_params = kwargs

    def reconstruct(self, X):
        """Reconstruct the windows of clips.

        Parameters
        ----------
        X : Clips with the field `embedding`, or array-like
            Embeddings of shape (n_clips, n_features) or (n_clips, n_windows, n_features), of any section.

        Returns
        -------
        windows : ndarray of shape (n_clips, n_windows, n_features)
            The network's reconstruction of each window; where it differs from the window, the window is unusual.
        """
        check_is_fitted(self)
        windows = self._check_windows(X, reset=False)
        made = self._apply(lambda network: network, windows.reshape(-1, windows.shape[2]))
        return np.concatenate(list(made)).reshape(windows.shape).astype(windows.dtype)

    def _make_network(self, X, rows, n_sections):
        largest = max(X.max(), -X.min())
        if largest > np.finfo(np.float32).max:
            raise ValueError(f"The embedding has values up to {largest:.3g}, with which no network can train in single "
                             "precision. Bring it to other units.")  # fmt: skip
        network = self._make_part("network").eval()
        x = torch.from_numpy(X[rows[:2]].astype(np.float32))
        with torch.no_grad():
            made = self._dry(network, x)
        shape = tuple(getattr(made, "shape", ()))
        if shape != tuple(x.shape):
            raise ValueError(f"The network {self.network!r} must give back vectors of the shape that it got; it made "
                             f"{shape or type(made).__name__} of {tuple(x.shape)}.")  # fmt: skip
        return network

    def _measure(self, network):
        return _MeanSquaredError(network)

    def _fit_shared(self, X, windows, clips):
        if self.error != "squared" and windows.shape[2] % self.n_frames:
            raise ValueError(f"n_frames={self.n_frames} does not divide the {windows.shape[2]} features of a window. "
                             "Set it to the n_frames of the FrameStacker that made them.")  # fmt: skip
        super()._fit_shared(X, windows, clips)

    def _fit(self, X, domain, section):
        model = super()._fit(X, domain, section)
        if self.error == "squared":
            return model
        return model._replace(
            precisions=np.stack([self._precision(X[domain == name], name) for name in np.unique(domain)])
        )

    def _precision(self, X, domain):
        """Inverse covariance of the errors of frames."""
        n_errors = len(X) * self.n_frames
        covariance = self._covariance(X) if n_errors > 1 else np.zeros(1)
        if not covariance.any():
            raise ValueError(f"error='selective_mahalanobis' needs errors that vary, and the {n_errors} of the domain "
                             f"{str(domain)!r} do not. Give more clips of that domain, or use error='squared'."
                             )  # fmt: skip
        return np.linalg.inv(shrunk_covariance(covariance, shrinkage=_SHRINKAGE))

    def _covariance(self, X):
        n_features, n_errors = X.shape[1] // self.n_frames, len(X) * self.n_frames
        frames = (error.reshape(-1, n_features) for error in self._apply(_Error, X))
        if n_errors <= n_features:  # singular, and so few that they fit into memory
            return oas(np.concatenate(list(frames)))[0]
        total, squares = np.zeros(n_features), np.zeros((n_features, n_features))
        for error in frames:
            total += error.sum(axis=0)
            squares += error.T @ error
        mean = total / n_errors
        return squares / n_errors - np.outer(mean, mean)

    def _score(self, model, X):
        if model.precisions is None:
            return super()._score(model, X)
        distances = [self._distance(model.precisions, error) for error in self._apply(_Error, X)]
        scores = -np.concatenate(distances)
        self._check_weights(scores)
        return scores

    def _distance(self, precisions, error):
        """Squared distance (n, n_domains), the mean over the frames of each vector."""
        frames = error.reshape(len(error), -1, precisions.shape[-1])
        return np.stack([((frames @ one) * frames).sum(axis=2).mean(axis=1) for one in precisions], axis=1)


_SHRINKAGE = 1e-6  # bands that are always the same would make a covariance singular


class _Error(nn.Module):
    """What the network misses of each vector."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        return x - self.network(x.to(next(self.network.parameters()).dtype))


class _MeanSquaredError(_Error):
    """Mean squared error of the reconstruction of each vector, whatever its section."""

    def forward(self, x, section=None):
        return super().forward(x).square().mean(dim=1)
