"""Embeddings from a network that learns to tell sections or attributes apart."""

import os
import warnings
from functools import partial
from numbers import Integral, Real
from pathlib import Path

import numpy as np
import torch
from sklearn.base import clone
from sklearn.utils import gen_batches

from skasd._docstrings import fill
from skasd._groups import first_copies, joined
from skasd._problems import check_finite
from skasd._reading import (
    class_rows,
    read_field,
    read_text,
    recording_numbers,
    section_fields,
    training_rows,
    validate_data,
)
from skasd._sklearn import HasMethods, Interval, InvalidParameterError, StrOptions
from skasd._transformer import ClipTransformer
from skasd.audio import AudioLoader
from skasd.audio.samples import as_floats, check_mono_loader, read_waveforms
from skasd.clips import Clips
from skasd.losses import ArcFaceLoss, MultiTargetLoss
from skasd.networks import MobileFaceNet, learn_standardization
from skasd.networks.weights import set_weights
from skasd.training import (
    TRAINING_TEXTS,
    EmbeddingNet,
    RowDataset,
    SplitNetwork,
    TrainingMixin,
    autocast,
    keeping_memory,
    read_rows,
    seeded,
    settle_batch_norms,
)


@fill(**TRAINING_TEXTS)
class ClassificationEmbedder(TrainingMixin, ClipTransformer):
    """Embed clips with a network that learns to tell sections, attributes or other classes of normal clips apart.

    To tell the sections of a machine apart, a network must listen to how each of them sounds; an anomalous clip then
    gets a different embedding from normal ones. The embedder trains on normal clips alone, and `transform` gives the
    network's output to the detector that follows.

    The network reads the field ``log_mel``, or else ``waveform``, or else ``path`` (waveforms, read from files batch by
    batch, so that a data set need not fit into memory). Waveforms need a network with a front end, such as
    `skasd.networks.DualFeatureNetwork`.

    Parameters
    ----------
    network : callable, default=MobileFaceNet
        Class (or other callable) that makes the `torch.nn.Module`. Its arguments are parameters too, such as
        ``network__embedding_size=64``. It takes batches of spectrograms (n, n_mels, n_frames) or of waveforms (n,
        n_samples), and gives embeddings (n, d). Sizes that depend on the input may be lazy: one batch passes through
        the network before training starts.

    loss : callable, default=ArcFaceLoss
        Class (or other callable) that makes the loss with its head, called as ``loss(embedding_size, n_classes)``; see
        `skasd.losses`. Its further arguments are parameters too, such as ``loss__margin=0.7``.

    targets : tuple of str or of tuples of str, default=("section",)
        Fields whose values are the classes. If there are several, each has its own head, and the losses are added; one
        with a single value is then left out, with a warning. Fields inside a tuple are one target, whose classes are
        the combinations of their values: ``(("machine", "section", "attribute", "domain"),)``. If some clips have an
        ``attribute``, those without one form a class for each machine and section, with names such as ``"missing
        ('fan', '00')"``; see `PseudoAttributes` for finer ones. With a plain array the classes are those of `y`
        instead.

    augmentations : sequence of Augmentation, default=()
        Applied to training batches in this order, on the device; see `skasd.augmentation`. The front end of a network,
        if it has one, comes before the first that works on spectrograms.

    window_frames : int, default=None
        Number of frames that the network sees at once. Training uses a random crop of each clip, `transform` all
        windows. None means whole clips.

    hop_frames : int or tuple of two int, default=1
        Number of frames between the windows of `transform`. If there are two numbers, the first is for `fit_transform`,
        so that later steps learn from fewer windows than they score.

    output : {'embedding', 'stages', 'logits'}, default='embedding'
        What `transform` returns: the embedding; the pooled outputs of all stages of the network, concatenated
        (`stage_sizes_` says how many columns each has); or the class scores (field ``logits``) of the target
        ``section``, if it is among the targets, else of the first. `Clips` then know the names of the columns, as
        ``clips.attrs["classes"]``, and the field that these are values of, as ``clips.attrs["target"]``. Classes that
        an augmentation adds come last and are named by pairs, ``("augmented", 0)``.

    pretrain : ClassificationEmbedder, default=None
        Embedder that is fitted first, on the same clips; its network's weights are the initial weights of this one.

    loader : AudioLoader, default=None
        Reads the files if the clips have only ``path``. None means ``AudioLoader()``.

    max_epochs : int, default=30
        Number of passes over the training clips.

    {lr}

    batch_size : int, default=64
        Clips in a batch, in training and in `transform`.

    {lr_schedule}

    validation_fraction : float, default=0.0
        Part of the training clips, in [0, 1), that is set aside to watch the loss: whole recordings, if the clips have
        the field ``recording``, and all copies of a clip. Some clips of every class are always used for training.

    {checkpoint}

    mixed_precision : bool, default=False
        Whether matrix products run in bfloat16 if the device supports it.

    {device}

    {kwargs}

    Attributes
    ----------
    network_ : torch.nn.Module
        The trained network, on the device where it was trained.

    loss_ : torch.nn.Module
        The trained loss with its heads.

    loader_ : AudioLoader or None
        What reads the files, if the clips have only ``path``.

    sample_rate_ : float or None
        Sample rate in Hz of the training waveforms, if clips, loader or front end know it.

    {net_}

    {history_}

    targets_ : list of str or tuple of str
        The targets that were learned.

    classes_ : list of ndarray
        The classes of each target of `targets_`; of combined fields one combination per row.

    stage_sizes_ : list of int
        Number of columns of each stage if ``output='stages'``, else of the output as a whole.

    input_shape_ : tuple of int
        Shape of a clip as seen in `fit`.

    n_features_in_ : int
        Second dimension of the input.

    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, only where `fit` was given a data frame with such names.

    See Also
    --------
    StatisticsEmbedder : No training; the control that every network must beat.

    Notes
    -----
    The optimizer is `torch.optim.AdamW` by default. ``net_.predict`` takes clips as plain arrays and gives the numbers
    of the classes.

    After training, the batch norms of the network get the statistics of the training clips under the final weights,
    from one more pass over the clips, without augmentation. The running statistics kept in training start at 0 and 1,
    and do not settle if there are few steps: after ten, a network would hardly tell one clip from another.

    Saved with joblib or pickle, the embedder holds the weights on the CPU and neither data nor optimizer state. If it
    is loaded by another version of skasd or torch, a warning names both versions.

    Ctrl-C in training raises KeyboardInterrupt, and the embedder is then not fitted. Only the callback
    `skorch.callbacks.EarlyStopping` can end training early.

    References
    ----------
    .. [1] G. Liu et al., "Unsupervised anomalous sound detection under domain shift conditions based on MobileFaceNets
       and masked autoregressive flow", DCASE2022 Challenge, technical report, 2022.
    .. [2] H. Narita and A. Tamamori, "CNN-based anomalous sound detection system for domain generalization", DCASE2022
       Challenge, technical report, 2022.

    Examples
    --------
    >>> import numpy as np
    >>> from skasd.clips import Clips
    >>> from skasd.embedders import ClassificationEmbedder
    >>> log_mel = np.random.default_rng(0).normal(size=(8, 64, 32)).astype(np.float32)
    >>> clips = Clips(log_mel=log_mel, section=["00", "01"] * 4)
    >>> embedder = ClassificationEmbedder(max_epochs=1, device="cpu", random_state=0).fit(clips)
    >>> embedder.transform(clips)["embedding"].shape
    (8, 128)
    """

    _modules = ("network_", "loss_")
    _parts = ("network", "loss")
    _optimizer = torch.optim.AdamW
    _reads = ("log_mel", "waveform", "path")
    _consumes = ("log_mel", "waveform")

    _parameter_constraints: dict = {
        "network": [callable],
        "loss": [callable],
        "targets": [tuple, list],
        "augmentations": [tuple, list],
        "window_frames": [Interval(Integral, 1, None, closed="left"), None],
        "hop_frames": [Interval(Integral, 1, None, closed="left"), tuple],
        "output": [StrOptions({"embedding", "stages", "logits"})],
        "pretrain": [HasMethods(["fit", "transform"]), None],
        **TrainingMixin._training_constraints,
        "mixed_precision": ["boolean"],
        "loader": [HasMethods(["fit", "transform"]), None],
    }

    def __init__(
        self,
        network=MobileFaceNet,
        *,
        loss=ArcFaceLoss,
        targets=("section",),
        augmentations=(),
        window_frames=None,
        hop_frames=1,
        output="embedding",
        pretrain=None,
        loader=None,
        max_epochs=30,
        lr=1e-3,
        batch_size=64,
        lr_schedule="constant",
        validation_fraction=0.0,
        checkpoint=None,
        mixed_precision=False,
        device="auto",
        verbose=0,
        random_state=None,
        **kwargs,
    ):
        self.network = network
        self.loss = loss
        self.targets = targets
        self.augmentations = augmentations
        self.window_frames = window_frames
        self.hop_frames = hop_frames
        self.output = output
        self.pretrain = pretrain
        self.loader = loader
        self.max_epochs = max_epochs
        self.lr = lr
        self.batch_size = batch_size
        self.lr_schedule = lr_schedule
        self.validation_fraction = validation_fraction
        self.checkpoint = checkpoint
        self.mixed_precision = mixed_precision
        self.device = device
        self.verbose = verbose
        self.random_state = random_state
        self._net_params = kwargs

    def fit(self, X, y=None):
        """Train the network on the normal clips.

        Parameters
        ----------
        X : Clips with the field `log_mel`, `waveform` or `path`, or array-like
            Spectrograms of shape (n_clips, n_mels, n_frames) in dB or waveforms of shape (n_clips, n_samples).

        y : array-like of shape (n_clips,), default=None
            Rows where it is -1 (anomalous) are left out; without it the field ``label`` says so. With a plain array
            its other values are the classes.

        Returns
        -------
        self : ClassificationEmbedder
            The fitted embedder.

        Raises
        ------
        ValueError
            If a target has only one class or mixes up sections of different machines, if `y` calls clips anomalous in
            words or holds bools, if clips have fewer frames than `window_frames`, if the network does not fit the
            input, or if the checkpoint is of another training.
        """
        with self._fitting():
            return super().fit(X, y)

    def _fit(self, values, X, y):
        self._hops()
        self.loader_ = self._fit_loader(values)
        normal = training_rows(X, y) if isinstance(X, Clips) else class_rows(X, y)
        labels = self._encode_targets(X, y, normal)
        start = None if self.pretrain is None else self._first_stage().fit(X, y).network_
        checkpoint, seed = self._begin_training()
        with seeded(seed, self._device()):
            aside = self._clips_aside(X, values, normal, labels, seed)
            self._make_modules(values, np.flatnonzero(normal), start)
            self._check_parts_rate(self._sample_rate(X, values))
            domain = X["domain"] if isinstance(X, Clips) and "domain" in X else None
            rows = np.flatnonzero(normal & ~aside), np.flatnonzero(aside)
            self._train(values, rows, labels, domain, seed, checkpoint)

    def fit_transform(self, X, y=None):
        """Train the network, and embed the same clips with it.

        Parameters
        ----------
        X : Clips with the field `log_mel`, `waveform` or `path`, or array-like
            Clips as `fit` takes them.

        y : array-like of shape (n_clips,), default=None
            As in `fit`.

        Returns
        -------
        X_new : Clips or ndarray
            As from `transform`, with the first of two `hop_frames`.
        """
        self.fit(X, y)
        made = self._outputs(self._read(X, reset=False), X, self._hops()[0])
        return self._hand_on(X, made) if isinstance(X, Clips) else made

    def _hops(self):
        """Frames between windows for `fit_transform` and for `transform`."""
        hops = self.hop_frames if isinstance(self.hop_frames, tuple) else (self.hop_frames,) * 2
        if len(hops) != 2 or not all(_is_count(hop) for hop in hops):
            raise InvalidParameterError(f"hop_frames must be a number of frames, or two of them, at least 1; got "
                                        f"{self.hop_frames!r}.")  # fmt: skip
        return hops

    def _transform(self, values, X):
        return self._outputs(values, X, self._hops()[1])

    def _outputs(self, values, X, hop_frames):
        """What `transform` makes, of windows so many frames apart."""
        device, rate = self._device(), self._sample_rate(X, values)
        if None not in (rate, self.sample_rate_) and rate != self.sample_rate_:
            raise ValueError(f"The network was fitted on waveforms of {self.sample_rate_} Hz; these have {rate} Hz. "
                             f"Make waveforms of {self.sample_rate_} Hz, as AudioLoader does of files.")  # fmt: skip
        split, loss = SplitNetwork(self._ready("network_")), self._ready("loss_")
        parts = []
        with torch.inference_mode(), autocast(device, self.mixed_precision), keeping_memory():
            for rows in gen_batches(len(values), self.batch_size):
                x = read_rows(values, np.arange(len(values))[rows], self.loader_).to(device)
                parts.append(self._embed(split, loss, split.front(x), hop_frames).float().cpu().numpy())
        made = np.concatenate(parts)
        check_finite(made, f"The network, which may have diverged in training, makes a {self._makes} with", X)
        return made

    def _attrs(self, made):
        return self._names_of_logits(made.shape[-1]) if self._makes == "logits" else {}

    def _makes_table(self):
        return self.window_frames is None

    def _n_columns(self):
        if self.output == "logits":
            return self._numbers_of_classes()[self._target_of_logits()]
        return sum(self.stage_sizes_)

    @property
    def _makes(self):
        return "logits" if self.output == "logits" else "embedding"

    def _embed(self, split, loss, x, hop_frames):
        """Output for each clip (n, d), or for each of its windows (n, n_windows, d)."""
        if self.window_frames is None:
            return self._output(split, loss, x)
        windows = x.unfold(-1, self.window_frames, hop_frames).movedim(-2, 1)
        n_windows = windows.shape[1]
        parts = [
            self._output(split, loss, window)
            for clips in windows.split(max(1, self.batch_size // n_windows))  # not all windows of a batch at once
            for window in clips.flatten(0, 1).split(self.batch_size)
        ]
        return torch.cat(parts).unflatten(0, (len(x), n_windows))

    def _output(self, split, loss, x):
        if self.output == "stages":
            return torch.cat(split.back.forward_stages(x), dim=1)
        embedding = split.back(x)
        if self.output == "embedding":
            return embedding
        logits = loss.logits(embedding)
        return logits[self._target_of_logits()] if isinstance(logits, (tuple, list)) else logits

    def _target_of_logits(self):
        """Which target the logits are of: the sections, as detectors need them, or else the first."""
        return self.targets_.index("section") if "section" in self.targets_ else 0

    def _names_of_logits(self, n_columns):
        """Of what the columns are: texts, and pairs for the classes that augmentation adds, which are no section."""
        target = self._target_of_logits()
        names = [tuple(one) if isinstance(one, list) else one for one in self.classes_[target].tolist()]
        names += [("augmented", number) for number in range(n_columns - len(names))]
        return {"classes": tuple(names), "target": self.targets_[target]}

    def _numbers_of_classes(self):
        """Of each target, with those that augmentation adds."""
        n_classes = tuple(map(len, self.classes_))
        for augmentation in self.augmentations:
            n_classes = augmentation.n_classes(n_classes)
        return n_classes

    def _check(self, X, values, *, reset):
        """Waveforms, spectrograms or paths, as they are stored; numbers are finite and of the shape seen in fit."""
        values = values if hasattr(values, "ndim") else np.asarray(values)
        if isinstance(values, np.ndarray) and values.dtype.kind == "U" and values.ndim == 1:
            if not reset and self.loader_ is None:
                raise ValueError("The network was fitted on spectrograms, and these clips have only paths. Put "
                                 "LogMelSpectrogram before it, as in fit.")  # fmt: skip
            return values
        if "log_mel" not in X if isinstance(X, Clips) else values.ndim == 2:
            values = read_waveforms(self, X, values, reset=reset)
        else:
            dtypes = [np.float32, np.float64]
            values = validate_data(self, values, reset=reset, allow_nd=True, dtype=dtypes, ensure_all_finite=False)
            check_finite(values, "The field 'log_mel' has", X)
        if reset:
            self.input_shape_ = values.shape[1:]
        elif values.ndim != 1 + len(self.input_shape_):
            raise ValueError(f"The network was fitted on clips of shape {self.input_shape_}; got {values.shape[1:]}. "
                             "Give it what it was fitted on: spectrograms, or waveforms.")  # fmt: skip
        free = values.ndim - (self.window_frames is not None)  # any number of frames (or samples) has windows
        if values.shape[1:free] != self.input_shape_[: free - 1]:
            raise ValueError(f"The network was fitted on clips of shape {self.input_shape_}; got {values.shape[1:]}. "
                             "Bring the clips to one length, or set window_frames.")  # fmt: skip
        return values

    def _encode_targets(self, X, y, normal):
        """Learn the classes of each target; their numbers (n_clips,) or (n_clips, n_targets): any for others."""
        columns = self._target_columns(X, y)
        classes = {name: _classes_of(name, column[normal]) for name, column in columns.items()}
        self.targets_ = _that_differ(classes)
        self.classes_ = [classes[name] for name in self.targets_]
        numbers = [_numbers_in(classes[name], columns[name]) for name in self.targets_]
        return numbers[0] if len(numbers) == 1 else np.stack(numbers, axis=1)

    def _target_columns(self, X, y):
        """The values of each target, by its name: (n_clips,), or (n_clips, n_fields) of combined fields."""
        for target in self.targets or [()]:
            names = (target,) if isinstance(target, str) else target
            if not isinstance(names, tuple) or not names or not all(isinstance(name, str) for name in names):
                raise InvalidParameterError("targets must hold names of fields, or tuples of names, such as targets="
                                            f"('section',); targets is empty or has {target!r}.")  # fmt: skip
        if isinstance(X, Clips):
            self._check_machines(X)
            return {name: self._target_column(X, name) for name in self.targets}
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None: with a plain "
                             "array the classes are those of y. Give y, or Clips with the fields that `targets` "
                             "names.")  # fmt: skip
        return {"y": np.asarray(y).ravel()}

    def _check_machines(self, X):
        """Refuse to take the sections of two machines for one because they have one name."""
        unclear = [name for name in self.targets if "section" in (name if isinstance(name, tuple) else (name,))
                   and "machine" not in name]  # fmt: skip
        if unclear and "machine" in X and "section" in X:
            owners = set(zip(X["section"].tolist(), X["machine"].tolist(), strict=True))
            if len(owners) > len({section for section, _ in owners}):
                raise ValueError(f"The target {unclear[0]!r} would take sections of different machines for one, since "
                                 "they have the same names. Join it with the machine, as in targets=(('machine', "
                                 "'section'),), or fit one machine.")  # fmt: skip

    def _target_column(self, X, name):
        """The values of a field, or of several side by side; what may be unknown is so where there is no such field."""
        if not isinstance(name, str):
            columns = {one: self._target_column(X, one) for one in name}
            for one, column in columns.items():
                _classes_of(one, column)  # refuses what is no class
            return np.stack([column.astype(str) for column in columns.values()], axis=1)
        if name == "attribute":
            return _attributes(X)
        if name in ("machine", "domain"):
            return read_text(X, name, len(X))
        return read_field(X, name, owner=type(self).__name__)[1]

    def _sample_rate(self, X, values):
        """Sample rate in Hz of the waveforms that the network gets, None where nobody knows."""
        if values.ndim == 1:
            return getattr(self.loader_, "sample_rate", None)
        return X.attrs.get("sample_rate") if values.ndim == 2 and isinstance(X, Clips) else None

    def _check_parts_rate(self, rate):
        """Refuse parts, such as a front end, that are made for another sample rate."""
        parts = {type(part).__name__: part.sample_rate for part in (*self.network_.modules(), *self.augmentations)
                 if isinstance(getattr(part, "sample_rate", None), Real)}  # fmt: skip
        self.sample_rate_ = next(iter(parts.values()), None) if rate is None else rate
        for name, own in parts.items():
            if own != self.sample_rate_:
                raise ValueError(f"{name} has sample_rate={own} Hz, and the waveforms have {self.sample_rate_} Hz. Set "
                                 "the one that is wrong: of the network, the augmentation, or the loader.")  # fmt: skip

    def _first_stage(self):
        """The embedder that is fitted first; its checkpoint lies inside that of this one, unless it has its own."""
        first = clone(self.pretrain)
        if self.checkpoint is not None and getattr(first, "checkpoint", "none") is None:
            first.set_params(checkpoint=Path(self.checkpoint) / "pretrain")
        return first

    def _clips_aside(self, X, values, normal, labels, seed):
        """Mask of the clips that watch the loss."""
        aside = np.zeros(len(normal), dtype=bool)
        groups = recording_numbers(X, len(normal))[normal]
        if self.validation_fraction:
            same = values if values.ndim == 1 else first_copies(values)
            groups = joined(groups, np.unique(same[normal], return_inverse=True)[1])
        aside[normal] = self._set_aside(groups, np.atleast_2d(labels.T)[:, normal], seed)
        return aside

    def _make_modules(self, values, rows, start):
        """Network and loss, with the sizes that one batch shows."""
        self.network_ = self._make_part("network").eval()
        split = SplitNetwork(self.network_)
        x = as_floats(read_rows(values, rows[:2], self.loader_), torch.float32)
        self._check_augmentations(x, split)
        with torch.no_grad():
            x = self._dry(split.front, x)
            if self.window_frames is not None and x.shape[-1] < self.window_frames:
                raise ValueError(
                    f"window_frames={self.window_frames} is longer than the clips, which have {x.shape[-1]} frames."
                )
            x = x if self.window_frames is None else x[..., : self.window_frames]
            embedding = self._dry(split.back, x)
            self._check_embedding(embedding, len(x))
            if self.output == "stages" and not hasattr(split.back, "forward_stages"):
                raise ValueError(f"output='stages' needs a network with the method forward_stages, which "
                                 f"{type(split.back).__name__} does not have. Take output='embedding'.")  # fmt: skip
            stages = self._dry(split.back.forward_stages, x) if self.output == "stages" else [embedding]
        self.stage_sizes_ = [stage.shape[1] for stage in stages]
        if start is not None:
            set_weights(self.network_, start.state_dict(), source="The embedder given as pretrain")
        self.loss_ = self._make_loss(embedding.shape[1])

    def _check_embedding(self, embedding, n_clips):
        if not isinstance(embedding, torch.Tensor) or embedding.ndim != 2 or len(embedding) != n_clips:
            made = tuple(embedding.shape) if isinstance(embedding, torch.Tensor) else type(embedding).__name__
            raise ValueError(f"The network {self.network!r} must make vectors, a tensor of shape (n_clips, d); of "
                             f"{n_clips} clips it made {made}.")  # fmt: skip

    def _make_loss(self, embedding_size):
        if isinstance(self.loss, type):
            _check_loss(self.loss)
        make, n_classes = partial(self._make_part, "loss"), self._numbers_of_classes()
        several = len(n_classes) > 1
        loss = MultiTargetLoss(embedding_size, n_classes, loss=make) if several else make(embedding_size, *n_classes)
        for one in loss.losses if several else [loss]:
            _check_loss(one)
        return loss

    def _check_augmentations(self, x, split):
        strange = [one for one in self.augmentations if isinstance(one, type) or not hasattr(one, "works_on")]
        if strange:
            raise InvalidParameterError(f"augmentations must hold objects such as Mixup(); got {strange[0]!r}.")
        made = {"waveform"} if x.ndim == 2 else {"log_mel"}
        made |= {"log_mel"} if split.has_front_end else set()
        for augmentation in self.augmentations:
            if augmentation.works_on != "any" and augmentation.works_on not in made:
                raise ValueError(f"{type(augmentation).__name__} works on the field {augmentation.works_on!r}, but the "
                                 f"network gets {' and '.join(sorted(made))}. Leave it out, or change what the network "
                                 "reads.")  # fmt: skip

    def _train(self, values, rows, labels, domain, seed, checkpoint):
        generator = torch.Generator().manual_seed(seed)
        read = partial(read_rows, values, loader=self.loader_)
        columns = {} if domain is None else {"domain": np.select([domain == "source", domain == "target"], [0, 1], -1)}
        train, valid = (RowDataset(read, part, labels, **columns) for part in rows)
        if checkpoint is not None:
            known = {} if domain is None else {"domain": domain}
            if values.ndim == 1:
                known["file_sizes"] = [os.path.getsize(path) for path in values]
            checkpoint.begin(self, seed, generator, clips=values, classes=labels, rows=np.concatenate(rows), **known)
        self._learn_standardization(train, seed)
        self._fit_net(
            EmbeddingNet,
            SplitNetwork(self.network_, self.window_frames),
            self.loss_,
            train,
            valid,
            generator=generator,
            checkpoint=checkpoint,
            augmentations=self.augmentations,
            n_classes=tuple(map(len, self.classes_)),
            draws=generator,
            mixed_precision=self.mixed_precision,
        )
        self.loss_.eval()
        self._settle(self.net_.get_iterator(train, training=True), generator)

    def _learn_standardization(self, train, seed):
        """Let a network that standardises its input learn how, from the training clips as they are."""
        device, crops = self._device(), torch.Generator().manual_seed(seed)
        split = SplitNetwork(self.network_, self.window_frames).to(device).eval()
        rows = (np.arange(len(train))[batch] for batch in gen_batches(len(train), self.batch_size))
        fronts = (split.front(train.__getitems__(own)[0]["x"].to(device)) for own in rows)
        learn_standardization(split.back, (split.random_crop(front, crops) for front in fronts))

    def _settle(self, batches, generator):
        split, device = SplitNetwork(self.network_, self.window_frames).eval(), self.net_.device
        fronts = (split.front(X["x"].to(device)) for X, _ in batches)
        with autocast(device, self.mixed_precision):
            settle_batch_norms(split, (split.random_crop(front, generator) for front in fronts))

    def _fit_loader(self, values):
        """What reads files, now or after training on waveforms; there is none for spectrograms."""
        if values.ndim > 2:
            return None
        check_mono_loader(self.loader, type(self).__name__)
        loader = clone(AudioLoader() if self.loader is None else self.loader).fit(values)
        self.input_shape_ = (loader.n_samples_,)
        self.n_features_in_ = loader.n_samples_
        return loader

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True  # with plain arrays; Clips bring their classes along
        return tags


def _check_loss(loss):
    if not hasattr(loss, "logits"):
        raise InvalidParameterError(
            f"loss={loss!r} does not hold the weights of the classes: it has no method logits. Take a loss of "
            "skasd.losses (SoftmaxLoss is the cross-entropy), or inherit from ClassificationLoss."
        )


def _attributes(X):
    """The attribute of each clip; where others have one, a missing one is that of its machine and section."""
    attribute, columns = read_text(X, "attribute", len(X)), section_fields(X).values()
    missing = attribute == ""
    if missing.all() or not columns:
        return attribute
    owners = zip(*(column.tolist() for column in columns), strict=True)
    return np.where(missing, [f"missing {owner}" for owner in owners], attribute)


def _is_count(value):
    return isinstance(value, Integral) and not isinstance(value, bool) and value >= 1


def _classes_of(name, values):
    """The classes of a target, sorted; an error where values are no classes."""
    if values.ndim != (1 if isinstance(name, str) else 2):
        raise ValueError(f"The target {name!r} must have one value per clip; it has shape {values.shape}.")
    if values.dtype.kind == "f" and np.isnan(values).any():
        raise ValueError(f"The target {name!r} has no value (NaN) in {np.isnan(values).sum()} of the clips that train. "
                         "Give each a class, or leave these clips out.")  # fmt: skip
    try:
        return np.unique(values, axis=0)
    except TypeError as error:
        raise ValueError(f"The values of the target {name!r} cannot be sorted into classes: {error}. Give texts or "
                         "whole numbers.") from error  # fmt: skip


def _that_differ(classes):
    """The targets that have more than one class."""
    several = [name for name, found in classes.items() if len(found) > 1]
    if not several:
        name, found = next(iter(classes.items()))
        raise ValueError(f"The target {name!r} has 1 class among the normal clips, {found.tolist()[0]!r}: there is "
                         "nothing to tell apart. Give clips of other sections, another field in `targets`, or use "
                         "StatisticsEmbedder, which needs no classes.")  # fmt: skip
    alone = [repr(name) for name in classes if name not in several]
    if alone:
        warnings.warn(f"The target {' and '.join(alone)} has 1 class among the normal clips and is left out; the "
                      f"network learns to tell apart {', '.join(map(repr, several))}.", stacklevel=7)  # fmt: skip
    return several


def _numbers_in(classes, values):
    """For each value the number of its class, and any for a value that is none."""
    known, place = np.unique(np.concatenate([classes, values]), axis=0, return_inverse=True)
    number = np.zeros(len(known), dtype=np.int64)
    number[place.ravel()[: len(classes)]] = np.arange(len(classes))
    return number[place.ravel()[len(classes) :]]
