"""Mixing of clips."""

from numbers import Real

import numpy as np
import torch
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skasd._reading import training_rows, validate_data
from skasd._sklearn import Interval
from skasd._transformer import ClipTransformer
from skasd.augmentation._base import PROBABILITY, NumpyAugmentation, check_soft
from skasd.clips import Clips


class Mixup(ClipTransformer, NumpyAugmentation):
    """Mix each clip with another one: a weighted sum of the sounds, and the same sum of their targets.

    The first clip gets the weight w, drawn from Beta(alpha, alpha), its partner 1 - w. There are two ways to use it:

    - on batches, as an augmentation of a network: sounds and targets are mixed, across all classes.
    - as a transformer, before any estimator: ``fit_transform`` mixes the training clips, and ``transform`` returns
      clips unchanged. There are no soft labels in this case, so partners are drawn from the clips of the same machine,
      section, label and ``y``, and the other fields are those of the clip with the larger weight. Anomalies (``y`` or
      field ``label`` -1) are neither mixed nor partners.

    Parameters
    ----------
    alpha : float, default=0.5
        Parameter of the Beta distribution, above 0. Small values: mostly one of the two clips. 1: all weights are
        equally likely.

    probability : float, default=1.0
        Probability that a clip is mixed, in [0, 1].

    target_share : float or None, default=None
        Probability that a partner comes from the target domain, in [0, 1]: if few clips are from there, as in the first
        reference, more mixtures then contain one. If there is only one domain, all its clips are equally likely. None
        makes all clips of all domains equally likely.

    random_state : int, RandomState instance or None, default=None
        Seed of ``fit_transform``. On batches, the generator that is passed to `draw` counts.

    Attributes
    ----------
    n_features_in_ : int
        Second dimension of the array seen in `fit`, or of the first of the fields ``waveform``, ``log_mel``,
        ``embedding`` and ``logits``.

    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, only where `fit` was given a data frame with such names.

    See Also
    --------
    SpecAugment : Masks parts of a clip.

    Notes
    -----
    As a transformer it mixes, with the same weights, each of the fields ``waveform``, ``log_mel``, ``embedding`` and
    ``logits`` that the clips have. Whole numbers, such as int16, stay whole. On batches ``domain`` stays as it is.

    Before a detector it changes the threshold too: mixtures are smoother than clips, so the threshold would raise false
    alarms on real clips. `AutoencoderDetector` and `FlowDetector` have a parameter `augmentation`, which applies to the
    training of their network only.

    References
    ----------
    .. [1] G. Liu, Y. Liu, S. Cai and M. Chen, "Unsupervised Anomalous Sound Detection under Domain Shift Conditions
       based on MobileFaceNets and Masked Autoregressive Flow", technical report, DCASE 2022 Challenge, task 2.
    .. [2] H. Zhang, M. Cisse, Y. N. Dauphin and D. Lopez-Paz, "mixup: Beyond Empirical Risk Minimization", ICLR 2018,
       arXiv:1710.09412.

    Examples
    --------
    On a batch:

    >>> import torch
    >>> from skasd.augmentation import Batch, Mixup
    >>> batch = Batch(torch.tensor([[0.0, 0.0], [1.0, 1.0]]), targets=(torch.eye(2),))
    >>> mixed = Mixup(alpha=1.0)(batch, torch.Generator().manual_seed(0))
    >>> mixed.x
    tensor([[0.5808, 0.5808],
            [0.0857, 0.0857]])
    >>> mixed.targets[0]
    tensor([[0.4192, 0.5808],
            [0.9143, 0.0857]])

    As a transformer:

    >>> from skasd.clips import Clips
    >>> clips = Clips(embedding=[[0.0], [1.0], [10.0]], section=["00", "00", "01"])
    >>> mixup = Mixup(random_state=0)
    >>> mixup.fit_transform(clips)["embedding"].round(2)
    array([[ 0.28],
           [ 0.96],
           [10.  ]])
    >>> mixup.transform(clips)["embedding"].ravel()
    array([ 0.,  1., 10.])
    """

    _reads = ("waveform", "log_mel", "embedding", "logits")
    _parameter_constraints: dict = {
        "alpha": [Interval(Real, 0, None, closed="neither")],
        "probability": [PROBABILITY],
        "target_share": [PROBABILITY, None],
        "random_state": ["random_state"],
    }

    def __init__(self, *, alpha=0.5, probability=1.0, target_share=None, random_state=None):
        self.alpha = alpha
        self.probability = probability
        self.target_share = target_share
        self.random_state = random_state

    def _draw(self, batch, random_state):
        in_target = None if batch.domain is None else batch.domain.cpu().numpy() == 1
        partner, weight = self._draw_pairs(random_state, self._pools(in_target, len(batch.x)))
        return {"partner": partner, "weight": weight}

    def apply(self, batch, params):
        partner, weight = params["partner"].to(batch.x.device), params["weight"].to(batch.x.device)
        for target in batch.targets:
            check_soft(target, type(self).__name__)
        x, *targets = (_mix_tensor(tensor, partner, weight) for tensor in (batch.x, *batch.targets))
        return batch._replace(x=x, targets=tuple(targets))

    def _fit(self, values, X, y):
        training_rows(X, y)

    def fit_transform(self, X, y=None):
        """Mix the training clips.

        Parameters
        ----------
        X : Clips or array-like of shape (n_clips, ...)
            Clips with a field ``waveform``, ``log_mel``, ``embedding`` or ``logits``, or one of these alone.

        y : array-like of shape (n_clips,), default=None
            -1 for anomalous clips, anything else for classes that are not to be mixed with one another.

        Returns
        -------
        X : Clips or ndarray
            The same number of clips, in the same order; clip i still has the class ``y[i]``. Integers of up to 32 bits,
            such as samples, are rounded; longer ones become float64.

        Raises
        ------
        ValueError
            If ``target_share`` is set and the clips have no field ``domain``, or if they are not numbers.
        """
        values = self.fit(X, y)._read(X, reset=False)
        partner, weight = self._draw_partners(X, y)
        if not isinstance(X, Clips):
            return _mix_array(values, partner, weight)
        dominant = np.where(weight < 0.5, partner, np.arange(len(X)))
        return X.with_fields({
            name: _mix_array(X[name], partner, weight) if name in self._reads else X[name][dominant] for name in X
        })  # fmt: skip

    def transform(self, X):
        """Return the clips unchanged.

        Parameters
        ----------
        X : Clips or array-like of shape (n_clips, ...)

        Returns
        -------
        X : Clips or ndarray
        """
        check_is_fitted(self)
        values = self._read(X, reset=False)
        return X if isinstance(X, Clips) else values

    def _check(self, X, values, *, reset):
        if reset or not isinstance(X, Clips):
            checked = validate_data(self, values, reset=reset, allow_nd=True, dtype="numeric")
            values = values if isinstance(X, Clips) else checked
        if values.dtype.kind not in "iuf":
            raise ValueError(f"Mixup mixes numbers; got {values.dtype}.")
        return values

    def _draw_partners(self, X, y):
        """Partner and weight of every row; rows that do not train stay alone."""
        n_clips = len(X)
        random_state = check_random_state(self.random_state)
        in_target = X["domain"] == "target" if isinstance(X, Clips) and "domain" in X else None
        pools = self._pools(in_target, n_clips)
        partner, weight = np.arange(n_clips), np.ones(n_clips)
        for rows in _alike(X, y):
            among, weight[rows] = self._draw_pairs(random_state, pools[rows])
            partner[rows] = rows[among]
        return partner, weight

    def _pools(self, in_target, n_clips):
        """1 for clips that the target share is drawn from, 0 for the others."""
        if self.target_share is None:
            return np.zeros(n_clips, dtype=int)
        if in_target is None:
            raise ValueError(f"target_share={self.target_share} needs to know the domain of each clip. Give clips with "
                             "a field 'domain' (a Batch with domain), or set target_share=None.")  # fmt: skip
        return in_target.astype(int)

    def _draw_pairs(self, random_state, pools):
        n_clips = len(pools)
        sizes = np.bincount(pools, minlength=2)
        if sizes.all():
            chance = np.array([1 - self.target_share, self.target_share]) / sizes
            partner = random_state.choice(n_clips, size=n_clips, p=chance[pools])
        else:
            partner = random_state.permutation(n_clips)
        weight = random_state.beta(self.alpha, self.alpha, size=n_clips)
        weight[random_state.uniform(size=n_clips) >= self.probability] = 1.0
        return partner, weight


def _mix_tensor(values, partner, weight):
    weight = weight.to(values.dtype).view(-1, *(1,) * (values.ndim - 1))
    return torch.lerp(values[partner], values, weight)


def _mix_array(values, partner, weight):
    counts = values.dtype.kind in "iu" and values.dtype.itemsize > 4  # numbers, not samples
    mixed = np.array(values, dtype=np.float64 if counts else None)
    for row in np.flatnonzero(weight < 1):  # row by row: no second copy of a large array
        sound = weight[row] * values[row] + (1 - weight[row]) * values[partner[row]]
        mixed[row] = np.rint(sound) if mixed.dtype.kind in "iu" else sound
    return mixed


def _alike(X, y):
    """Rows that may be mixed with one another, group by group."""
    rows = np.flatnonzero(training_rows(X, y))
    fields = [X[name] for name in ("machine", "section", "label") if name in X] if isinstance(X, Clips) else []
    fields += [] if y is None else [np.ravel(np.asarray(y))]
    if not fields:
        return [rows]
    codes = np.column_stack([np.unique(field[rows], return_inverse=True)[1] for field in fields])
    groups = np.unique(codes, axis=0, return_inverse=True)[1]
    return [rows[groups == group] for group in range(groups.max() + 1)]
