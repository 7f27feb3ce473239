"""Embeddings from the layers of a network that was trained elsewhere and stays as it is."""

import copy
import os
import threading
from functools import partial
from itertools import pairwise
from numbers import Integral

import numpy as np
import torch
from sklearn.base import clone
from sklearn.utils import gen_batches
from torch import nn

from skasd._problems import check_finite, first_ten
from skasd._reading import training_rows, validate_data
from skasd._sklearn import HasMethods, Interval, InvalidParameterError, StrOptions
from skasd._transformer import ClipTransformer
from skasd.audio import AudioLoader
from skasd.audio.rows import as_paths
from skasd.audio.samples import as_dtype, as_floats, check_mono_loader, n_resampled, read_waveforms, resampled
from skasd.clips import Clips
from skasd.networks import learn_standardization
from skasd.networks.weights import load_weights
from skasd.training import NetworkMixin, draw_seed, keeping_memory, read_rows, seeded

_STATISTICS = {"mean": torch.mean, "max": torch.amax}
_AXES = {2: "c", 4: "cft"}  # of what a layer makes, after the clips, by the number of dimensions


class PretrainedEmbedder(NetworkMixin, ClipTransformer):
    """Embed clips with layers of a network that was trained elsewhere and stays as it is.

    The maps of the layers are pooled over time, and their frequency rows are kept apart, so that a detector can have a
    Gaussian for each row, or compare rows with rows [1]_. Layers in the middle of a network often show anomalies better
    than its last one, which is made for the task that the network was trained for. A network with random weights shows
    how much of a result is due to the training of the network: report it beside every result.

    Parameters
    ----------
    network : torch.nn.Module or callable
        The network, or what makes it: a class, or a `functools.partial` of one. It is copied.

    layers : sequence of str
        Names of layers, as in `torch.nn.Module.named_modules`; each must run once per pass.

    weights : path-like, default=None
        File with a state dict, ``.pth`` or ``.safetensors``, or with a checkpoint that contains one. It is loaded
        without running any code in it. None if `network` has its weights already.

    sha256 : str, default=None
        At least the first eight hexadecimal digits of the SHA-256 that the file must have.

    random_weights : bool, default=False
        Whether to use random weights instead, as a control. If `weights` names a file, it is not read, and the network
        stays as it was made; if the network has its weights already, each of its layers is reset.

    front_end : torch.nn.Module or callable, default=None
        Layer that makes the network's input from waveforms, or what makes such a layer, with the attribute
        ``sample_rate`` in Hz. None passes ``log_mel`` to the network, or else ``waveform``.

    pool : {'frequency', 'global'}, default='frequency'
        'frequency' pools each row of a map over time, 'global' the map over time and frequency.

    statistics : sequence of {'mean', 'max'}, default=('mean',)
        How maps are pooled. The maximum shows short faults, the mean steady ones.

    axes : str, default=None
        Axes of the layers' outputs, after that of the clips: ``c`` for channels, ``f`` for frequency and ``t`` for
        time. None means ``'cft'`` for outputs with four dimensions, as from convolutions, and ``'c'`` for two; with
        three you have to say it, such as ``'tc'`` for the tokens of a transformer.

    loader : AudioLoader, default=None
        Reads the files if the clips have only ``path``. None means one with the sample rate of the front end.

    batch_size : int, default=16
        Clips in a batch.

    device : str, default='auto'
        Device to compute on; 'auto' uses a GPU if there is one.

    random_state : int, RandomState instance or None, default=None
        Seed of random weights.

    keep : sequence of str, default=()
        Fields that `Clips` should keep for a later step, such as ``("waveform",)``.

    Attributes
    ----------
    network_ : torch.nn.Module
        The network, in evaluation mode on the CPU.

    front_end_ : torch.nn.Module or None
        The front end.

    weights_sha256_ : str or None
        SHA-256 of the file of weights.

    feature_groups_ : dict of str to slice
        Columns of each row of each layer and statistic, such as ``'features.6_mean_row3'``, for the detectors'
        parameter of that name; of each layer and statistic if they are pooled globally.

    loader_ : AudioLoader or None
        What reads the files; None if the network reads spectrograms.

    sample_rate_ : int or None
        Sample rate in Hz of the front end, or else of the network or the clips, if known.

    n_features_in_ : int
        Number of samples or bands. Only where `fit` was given waveforms or spectrograms.

    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the samples, only where `fit` was given a data frame with such names.

    See Also
    --------
    ClassificationEmbedder : Trains a network on the clips themselves.
    StatisticsEmbedder : No network; the control that every network must beat.
    EmbeddingLoader : For embeddings that another program has stored.

    Notes
    -----
    `Clips` with waveforms of another known sample rate are resampled; plain arrays are assumed to have that of the
    front end. Layers of the class `skasd.networks.BandStandardizer`, as in `skasd.networks.EfficientNet`, learn the
    level of each band from the normal clips of `fit`; everything else is frozen.

    If the first layer of a network has different weights each time that it is made, the network was not trained:
    without `weights` this is an error, unless `random_weights` asks for it.

    References
    ----------
    .. [1] O. Rippel, P. Mertens and D. Merhof, "Modeling the distribution of normal data in pre-trained deep features
       for anomaly detection", ICPR 2020, https://arxiv.org/abs/2005.14140.

    Examples
    --------
    >>> import numpy as np
    >>> from skasd.embedders import PretrainedEmbedder
    >>> from skasd.networks import SpectrogramResNet
    >>> log_mel = np.random.default_rng(0).normal(size=(4, 64, 32)).astype(np.float32)
    >>> embedder = PretrainedEmbedder(SpectrogramResNet, layers=["trunk.stages.1"], random_weights=True)
    >>> embedder.fit_transform(log_mel).shape
    (4, 464)
    >>> list(embedder.feature_groups_)[:2]
    ['trunk.stages.1_mean_row0', 'trunk.stages.1_mean_row1']
    """

    _modules = ("network_", "front_end_")
    _makes = "embedding"
    _columns = "_n_made"

    _parameter_constraints: dict = {
        "network": [callable],
        "layers": ["array-like"],
        "weights": [str, os.PathLike, None],
        "sha256": [str, None],
        "random_weights": ["boolean"],
        "front_end": [callable, None],
        "pool": [StrOptions({"frequency", "global"})],
        "statistics": ["array-like"],
        "axes": [str, None],
        "loader": [HasMethods(["fit", "transform"]), None],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "device": [str],
        "random_state": ["random_state"],
        "keep": ["array-like"],
    }

    def __init__(
        self,
        network,
        *,
        layers,
        weights=None,
        sha256=None,
        random_weights=False,
        front_end=None,
        pool="frequency",
        statistics=("mean",),
        axes=None,
        loader=None,
        batch_size=16,
        device="auto",
        random_state=None,
        keep=(),
    ):
        self.network = network
        self.layers = layers
        self.weights = weights
        self.sha256 = sha256
        self.random_weights = random_weights
        self.front_end = front_end
        self.pool = pool
        self.statistics = statistics
        self.axes = axes
        self.loader = loader
        self.batch_size = batch_size
        self.device = device
        self.random_state = random_state
        self.keep = keep

    @property
    def _reads(self):
        return ("waveform", "path") if self.front_end is not None else ("log_mel", "waveform", "path")

    @property
    def _consumes(self):
        return ("waveform",) if self.front_end is not None else ("log_mel", "waveform")

    def _check(self, X, values, *, reset):
        """Paths, waveforms or spectrograms."""
        paths = as_paths(values)
        values = values if hasattr(values, "ndim") or paths is not None else np.asarray(values)
        spectrograms = "log_mel" in X if isinstance(X, Clips) else values.ndim == 3
        are_spectrograms = paths is None and "log_mel" in self._reads and spectrograms
        if not reset and are_spectrograms != (self.loader_ is None):
            was, now = ("waveforms", "spectrograms")[:: 1 if are_spectrograms else -1]
            raise ValueError(f"The embedder was fitted on {was}; these are {now}. Give it what it was fitted on.")
        if are_spectrograms:
            values = validate_data(self, values, reset=reset, allow_nd=True, dtype=np.float32, ensure_all_finite=False)
            check_finite(values, "The field 'log_mel' has", X)
            return values
        return read_waveforms(self, X, values, reset=reset) if paths is None else paths

    def _fit(self, values, X, y):
        normal, seed = np.flatnonzero(training_rows(X, y)), draw_seed(self.random_state)
        self._check_statistics()
        with seeded(seed, "cpu"):
            front_end = None if self.front_end is None else _made(self.front_end, "front_end").eval()
            network = self._make_network(seed)
        self.front_end_, self.network_ = front_end, _watched(network, self.layers)
        rate = self._known_rate(X, values)
        self.sample_rate_ = self._wanted_rate() or rate
        self.loader_ = self._fit_loader(values, rate)
        first = next(self._inputs(values, X, normal[:2]))
        maps = self._dry(partial(_maps, self.network_), first)  # lazy layers get their sizes
        self.weights_sha256_ = self._load()
        self._name_features({layer: self._pooled(layer, maps) for layer in self.layers})
        with torch.inference_mode(), keeping_memory():
            learn_standardization(self.network_, self._inputs(values, X, normal))

    def _transform(self, values, X):
        network, parts = self._ready("network_"), []
        with torch.inference_mode(), keeping_memory():
            for x in self._inputs(values, X, np.arange(len(values))):
                maps = _maps(network, x)
                parts.append(
                    torch.cat([self._pooled(layer, maps).flatten(1) for layer in self.layers], 1).cpu().numpy()
                )
        made = np.concatenate(parts)
        check_finite(made, "The network makes an embedding with", X)
        return made

    def _inputs(self, values, X, rows):
        """What the network takes, batch by batch."""
        device, rate = self._device(), self._known_rate(X, values)
        front_end = None if self.front_end_ is None else self._ready("front_end_")
        if None not in (rate, self.sample_rate_) and rate != self.sample_rate_ and self._wanted_rate() is None:
            raise ValueError(f"The embedder was fitted on waveforms of {self.sample_rate_} Hz; these have {rate} Hz. "
                             f"Make waveforms of {self.sample_rate_} Hz, as AudioLoader does of files.")  # fmt: skip
        with torch.no_grad():
            for batch in gen_batches(len(rows), self.batch_size):
                x = read_rows(values, rows[batch], self.loader_)
                if values.ndim == 2 and rate not in (None, self.sample_rate_):
                    x = torch.from_numpy(_at_rate(x.numpy(), rate, self.sample_rate_))
                x = as_floats(x.to(device), torch.float32)
                yield x if front_end is None else front_end(x)

    def _pooled(self, layer, maps):
        """Map of a layer as (n_clips, n_statistics, n_rows, n_channels)."""
        x = _only(layer, maps.get(layer, []))
        axes = self.axes or _AXES.get(x.ndim)
        if axes is None or x.ndim != 1 + len(axes):
            raise ValueError(f"The layer {layer!r} makes {x.ndim} dimensions, shape {tuple(x.shape)}; axes="
                             f"{self.axes!r} does not say what they are. Name those after the clips, such as 'cft', or "
                             "'tc' for tokens.")  # fmt: skip
        x = x.permute(0, *(1 + axes.index(axis) for axis in "fct" if axis in axes)).float()
        for place, axis in enumerate("fct"):
            x = x if axis in axes else x.unsqueeze(1 + place)
        if self.pool == "global":
            x = x.transpose(1, 2).flatten(2)[:, None]
        return torch.stack([_STATISTICS[name](x, dim=3) for name in self.statistics], dim=1)

    def _name_features(self, pooled):
        self._names, ends, labels = [], [0], []
        for layer, values in pooled.items():
            _, _, n_rows, n_channels = values.shape
            for statistic in self.statistics:
                for row in range(n_rows):
                    labels.append(f"{layer}_{statistic}" + f"_row{row}" * (self.pool == "frequency"))
                    self._names += [f"{labels[-1]}_channel{channel}" for channel in range(n_channels)]
                    ends.append(len(self._names))
        self.feature_groups_ = {label: slice(*part) for label, part in zip(labels, pairwise(ends), strict=True)}

    @property
    def _n_made(self):
        return len(self._names)

    def _column_names(self):
        return self._names

    def _check_statistics(self):
        statistics, layers, axes = list(self.statistics), list(self.layers), self.axes
        if not statistics or set(statistics) - set(_STATISTICS) or len(set(statistics)) < len(statistics):
            raise InvalidParameterError(f"statistics must name 'mean', 'max' or both, none twice; got {statistics}.")
        if not layers or isinstance(self.layers, str) or len(set(layers)) < len(layers):
            raise InvalidParameterError(f"layers must name one layer or more, none twice; got {self.layers!r}.")
        if axes is not None and ("c" not in axes or set(axes) - set("cft") or len(set(axes)) < len(axes)):
            raise InvalidParameterError(f"axes must have 'c', and may have 'f' and 't', each once; got {axes!r}.")

    def _make_network(self, seed):
        network = _made(self.network, "network").eval()
        if self.random_weights and self.weights is None:
            _reset(network)
        elif self.weights is None and not isinstance(self.network, nn.Module):
            with seeded(seed + 1, "cpu"):
                again = _made(self.network, "network")
            if not _same_first_weights(network, again):
                raise ValueError(f"The network {self.network!r} is made with random weights, not with trained ones. "
                                 "Give weights=, a path, or random_weights=True for a control.")  # fmt: skip
        return network

    def _load(self):
        if self.weights is None or self.random_weights:
            return None
        adapt = getattr(self.network_, "adapt_weights", None)
        return load_weights(self.network_, self.weights, sha256=self.sha256, adapt=adapt)

    def _wanted_rate(self):
        """Sample rate in Hz that the front end, or else the network, asks for."""
        parts = [*(() if self.front_end_ is None else self.front_end_.modules()), *self.network_.modules()]
        rates = [one.sample_rate for one in parts if isinstance(getattr(one, "sample_rate", None), Integral)]
        if self.front_end_ is not None and not rates:
            raise InvalidParameterError(f"front_end={self.front_end!r} must have the attribute sample_rate, in Hz.")
        return next(iter(rates), None)

    def _known_rate(self, X, values):
        """Sample rate in Hz of the waveforms that are read, None where nobody knows."""
        if values.ndim == 1:
            return getattr(self, "sample_rate_", None)
        return X.attrs.get("sample_rate") if values.ndim == 2 and isinstance(X, Clips) else None

    def _fit_loader(self, values, rate):
        """What reads files, now or later; there is none for spectrograms."""
        if values.ndim == 3:
            return None
        wanted = {} if self.sample_rate_ is None else {"sample_rate": self.sample_rate_}
        check_mono_loader(self.loader, type(self).__name__)
        loader = AudioLoader(**wanted) if self.loader is None else clone(self.loader)
        if wanted and loader.sample_rate != self.sample_rate_:
            raise ValueError(f"The loader makes waveforms at {loader.sample_rate} Hz, and the network takes "
                             f"{self.sample_rate_} Hz; set the loader's sample_rate to that.")  # fmt: skip
        if values.ndim == 1:
            return loader.fit(values)
        n_samples = n_resampled(values.shape[1], rate or 1, self.sample_rate_ if rate else 1)
        return loader.fit(np.zeros((1, n_samples), dtype=np.float32))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = "log_mel" in self._reads
        return tags


_running = threading.local()


def _watched(network, layers):
    """The network, with these layers kept in each pass that asks for it."""
    modules = dict(network.named_modules())
    unknown = [layer for layer in layers if layer not in modules]
    if unknown:
        there = first_ten([repr(name) for name in modules if name], ", ")
        raise ValueError(f"{type(network).__name__} has no layer {unknown[0]!r}. It has {there}: see named_modules().")
    for layer in layers:
        modules[layer].register_forward_hook(partial(_keep, layer))
    return network


def _keep(layer, module, inputs, output):
    """Hook of a layer: each thread has passes of its own through a network that they share."""
    maps = getattr(_running, "maps", None)
    if maps is not None:
        maps.setdefault(layer, []).append(output)


def _maps(network, x):
    """All that the layers that are watched make in one pass."""
    _running.maps = {}
    try:
        network(x)
        return _running.maps
    finally:
        del _running.maps


def _only(layer, made):
    if len(made) != 1:
        raise ValueError(f"The layer {layer!r} runs {len(made)} times in one pass; name one that runs once.")
    x = made[0][0] if isinstance(made[0], (tuple, list)) and made[0] else made[0]
    if not isinstance(x, torch.Tensor):
        raise ValueError(f"The layer {layer!r} makes a {type(x).__name__}, not a tensor; name another.")
    return x


def _made(make, name):
    module = copy.deepcopy(make) if isinstance(make, nn.Module) else make()
    if not isinstance(module, nn.Module):
        raise InvalidParameterError(f"{name} must be a torch.nn.Module, or make one; it made a "
                                    f"{type(module).__name__}.")  # fmt: skip
    return module


def _reset(network):
    """Draw the weights of all layers anew."""
    for name, module in network.named_modules():
        reset = getattr(module, "reset_parameters", None) or getattr(module, "_reset_parameters", None)
        if reset is not None:
            reset()
        elif next(module.parameters(recurse=False), None) is not None:
            raise ValueError(f"The layer {name!r} ({type(module).__name__}) has weights that cannot be drawn anew: it "
                             "has no method reset_parameters. Give it one.")  # fmt: skip


def _same_first_weights(network, other):
    for one, two in zip(network.parameters(), other.parameters(), strict=True):
        if one.ndim > 1:
            return nn.parameter.is_lazy(one) is False and torch.equal(one, two)
    return True


def _at_rate(waveforms, rate, wanted_rate):
    return np.stack([resampled(one, rate, wanted_rate) for one in as_dtype(waveforms, "float32")])
