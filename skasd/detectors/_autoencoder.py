"""Autoencoder detector."""

from numbers import Integral

import numpy as np
import torch
from sklearn.covariance import shrunk_covariance
from sklearn.utils.validation import check_is_fitted
from torch import nn

from skasd._sklearn import Interval, StrOptions
from skasd.detectors._network import NetworkDetector
from skasd.networks import DenseAutoencoder


class AutoencoderDetector(NetworkDetector):
    """Detect anomalies as clips that an autoencoder, trained on normal ones, reconstructs badly.

    One network is trained for all sections of the machine, on windows of stacked frames one by one, as in the baselines
    of the challenge [1]_. The score of a clip is minus the mean squared error of its windows. With
    ``error='mahalanobis'`` the error is weighed by how much it varies among normal clips: each section and domain that
    `fit` has seen has a covariance of the errors, and the domain whose distance is smaller counts, as in the later
    baselines [2]_. Domains are not needed to score.

    Parameters
    ----------
    network : callable, default=DenseAutoencoder
        Class (or other callable) that makes the `torch.nn.Module`, called as ``network(**network_params)``. It takes
        vectors (n, d) and gives their reconstruction (n, d). Sizes may be lazy.

    network_params : dict, default=None
        Keyword arguments of `network`.

    error : {'squared', 'mahalanobis'}, default='squared'
        What is averaged over the windows of a clip: the mean squared error of the reconstruction, or the squared
        Mahalanobis distance of the vector from its reconstruction.

    n_frames : int, default=1
        Number of frames that a vector stacks, as in `FrameStacker`. With ``error='mahalanobis'`` the errors of the
        frames are vectors of their own, whose covariance is smaller and better known. Otherwise it has no effect.

    augmentation : transformer, default=None
        Changes the training clips from which the network learns, by its ``fit_transform``, as `Mixup` does; the
        threshold comes from the clips as they are. It is given the windows of each clip, in the field ``embedding``
        where there are fields, and gives back as many. Where its `random_state` is None, it has that of the detector.

    max_epochs : int, default=100
        Number of passes over the training windows.

    lr : float, default=1e-3
        Learning rate.

    batch_size : int, default=512
        Windows in a batch, in training and in scoring.

    optimizer : type, default=torch.optim.Adam
        Class of the optimizer.

    lr_schedule : {'constant', 'cosine'}, default='constant'
        Whether the learning rate stays, or falls to zero along a cosine over the epochs. Others: a
        `skorch.callbacks.LRScheduler` among the `callbacks`.

    validation_fraction : 'auto' or float, default='auto'
        Part of the training clips, in [0, 1), that is set aside: they watch the loss, and their scores set the
        threshold, since the network may know by heart what it has learned from. Whole recordings are set aside, where
        the clips have the field ``recording``, and all copies of a clip. 'auto' is a tenth, but at least 20 and so
        many that one alarm among them is rarer than `contamination`, and at most half. With 0 all clips train, and
        the threshold comes from their own scores: it is an alarm for more new clips than `contamination` says.

    patience : int, default=None
        Epochs without a better validation loss after which training stops; the best weights are kept. Needs clips
        that are set aside. None trains all epochs.

    max_grad_norm : float, default=None
        Largest norm of the gradient; longer ones are shortened. None leaves them.

    callbacks : list of skorch callbacks, default=None
        Further callbacks for the net, which is given copies: those that trained are ``net_.callbacks_``.

    net_params : dict, default=None
        Further arguments of the skorch net, such as ``{"optimizer__weight_decay": 1e-4}``. They replace those that
        the other parameters make.

    checkpoint : str or path-like, default=None
        Folder that keeps the state of the training after every epoch. Where a training was killed, the same call goes
        on after its last complete epoch and, on the CPU, ends with the weights of one that was not killed; where it
        had ended, no epoch is trained. A folder that holds another training is an error. Callbacks that only watch
        may differ.

    device : str, default='auto'
        Device to train and score on; 'auto' takes a GPU where there is one.

    verbose : int, default=0
        With 1 or more, progress with loss and time left is shown.

    random_state : int, RandomState instance or None, default=None
        All randomness: weights, order of the windows. With an int, two fits on the CPU are the same bit for bit.

    contamination : float, default=0.1
        Share of new normal clips, in (0, 0.5), that the threshold is to call anomalous, on average.

    threshold : {'quantile', 'gamma'}, default='gamma'
        How `offset_` is set from the training scores: their quantile, or that of a gamma distribution fitted to
        them, as the DCASE baselines do.

    Attributes
    ----------
    network_ : torch.nn.Module
        The trained network.

    net_ : skorch.NeuralNet
        The net that did the training, with optimizer and callbacks. It is not saved with the detector.

    history_ : list of dict
        For each epoch its number, losses and duration in seconds.

    sections_ : ndarray of str
        The sections that `fit` has seen.

    models_ : dict
        For each section its number or, with ``error='mahalanobis'``, the inverse covariances of its domains, an ndarray
        of shape (n_domains, n_features / n_frames, n_features / n_frames).

    offset_ : float
        Threshold on `score_samples`.

    machine_ : str
        Name of the machine that `fit` has seen, empty if it was not given.

    n_features_in_ : int
        Number of features of a window.

    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if `fit` was given a data frame.

    See Also
    --------
    FlowDetector : Learns the density of the windows instead.
    skasd.features.FrameStacker : Makes the windows.

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
        "network_params": [dict, None],
        "error": [StrOptions({"squared", "mahalanobis"})],
        "n_frames": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        network=DenseAutoencoder,
        *,
        network_params=None,
        error="squared",
        n_frames=1,
        augmentation=None,
        max_epochs=100,
        lr=1e-3,
        batch_size=512,
        optimizer=torch.optim.Adam,
        lr_schedule="constant",
        validation_fraction="auto",
        patience=None,
        max_grad_norm=None,
        callbacks=None,
        net_params=None,
        checkpoint=None,
        device="auto",
        verbose=0,
        random_state=None,
        contamination=0.1,
        threshold="gamma",
    ):
        self.network = network
        self.network_params = network_params
        self.error = error
        self.n_frames = n_frames
        self.augmentation = augmentation
        self.max_epochs = max_epochs
        self.lr = lr
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.lr_schedule = lr_schedule
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.max_grad_norm = max_grad_norm
        self.callbacks = callbacks
        self.net_params = net_params
        self.checkpoint = checkpoint
        self.device = device
        self.verbose = verbose
        self.random_state = random_state
        self.contamination = contamination
        self.threshold = threshold

    def reconstruct(self, X):
        """Reconstruct the windows of clips.

        Parameters
        ----------
        X : Clips with the field `embedding`, or array-like
            Embeddings of shape (n_clips, n_features) or (n_clips, n_windows, n_features), of any section.

        Returns
        -------
        windows : ndarray of shape (n_clips, n_windows, n_features)
            What the network makes of each window; its difference from the window is what is unusual.
        """
        check_is_fitted(self)
        windows = self._check_windows(X, reset=False)
        made = self._apply(lambda network: network, windows.reshape(-1, windows.shape[2]))
        return np.concatenate(list(made)).reshape(windows.shape).astype(windows.dtype)

    def _make_network(self, X, rows, n_sections):
        _check_single_precision(X)
        network = self._make_module("network").eval()
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
        if self.error == "mahalanobis" and windows.shape[2] % self.n_frames:
            raise ValueError(f"n_frames={self.n_frames} does not divide the {windows.shape[2]} features of a window. "
                             "Set it to the n_frames of the FrameStacker that made them.")  # fmt: skip
        super()._fit_shared(X, windows, clips)

    def _fit(self, X, domain, section):
        if self.error == "squared":
            return super()._fit(X, domain, section)
        return np.stack([self._precision(X[domain == name], name) for name in np.unique(domain)])

    def _precision(self, X, domain):
        """Inverse covariance of the errors of frames."""
        n_features = X.shape[1] // self.n_frames
        n_errors, total, squares = 0, np.zeros(n_features), np.zeros((n_features, n_features))
        for error in self._apply(_Error, X):
            frames = error.reshape(-1, n_features)
            n_errors += len(frames)
            total += frames.sum(axis=0)
            squares += frames.T @ frames
        if n_errors <= n_features:
            raise ValueError(f"error='mahalanobis' needs more frames than the {n_features} features of each, got "
                             f"{n_errors} of the domain {str(domain)!r}. Use error='squared', or set n_frames to the "
                             "number that was stacked.")  # fmt: skip
        mean = total / n_errors
        return np.linalg.inv(shrunk_covariance(squares / n_errors - np.outer(mean, mean), shrinkage=_SHRINKAGE))

    def _score(self, model, X):
        if isinstance(model, int):
            return super()._score(model, X)
        distances = [self._distance(model, error) for error in self._apply(_Error, X)]
        scores = -np.concatenate(distances)
        self._check_weights(scores)
        return scores

    def _distance(self, precisions, error):
        """Squared distance (n, n_domains), the mean over the frames of each vector."""
        frames = error.reshape(len(error), -1, precisions.shape[-1])
        return np.stack([((frames @ one) * frames).sum(axis=2).mean(axis=1) for one in precisions], axis=1)


def _check_single_precision(X):
    largest = max(X.max(), -X.min())
    if largest > np.finfo(np.float32).max:
        raise ValueError(f"The embedding has values up to {largest:.3g}, with which no network can train in single "
                         "precision. Bring it to other units.")  # fmt: skip


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
