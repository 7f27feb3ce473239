"""What a fitted detector computes, as modules of torch that can be written down as one graph."""

import math
from functools import singledispatch

import numpy as np
import torch
from torch import nn

from skasd.detectors import CosineCenterDetector, MahalanobisDetector, NearestNeighborsDetector
from skasd.embedders import ClassificationEmbedder, StatisticsEmbedder
from skasd.features import LogMelSpectrogram, LogSTFT

_PADDINGS = {"constant": "constant", "reflect": "reflect", "edge": "replicate"}
_UNITS = {"euclidean": 1, "sqeuclidean": 2}


class RecordingGraph(nn.Module):
    """From the samples (n,) of a recording to its score by each section's model, less the threshold, and its clips'.

    All three have a column for each section, in the order of ``offsets_``.
    """

    def __init__(self, detector):
        super().__init__()
        listener = detector._learned.listener
        self.n_samples, self.n_hop, self.summary = listener.n_samples, listener.n_hop, detector._learned.summary
        *makers, scorer = [step for _, step in detector.estimator_.steps]
        self.makers = nn.Sequential(*map(as_module, makers))
        self.scorers = nn.ModuleList(as_scorer(scorer, section) for section in detector.offsets_)
        self.register_buffer("offsets", torch.tensor(list(detector.offsets_.values()), dtype=torch.float64))

    def forward(self, waveform):
        n_clips = torch.sym_max((waveform.shape[0] - self.n_samples) // self.n_hop + 1, 1)  # too short is an error
        places = torch.arange(n_clips)[:, None] * self.n_hop + torch.arange(self.n_samples)
        made = self.makers(waveform[places]).double()
        scores = torch.stack([scorer(made) for scorer in self.scorers], dim=1)
        score = self._summary(scores)
        return score, score - self.offsets, scores

    def _summary(self, scores):
        if self.summary == "mean":
            return scores.mean(dim=0)
        if self.summary == "worst":
            return scores.amin(dim=0)
        return scores.sort(dim=0).values[: self.summary].mean(dim=0)


@singledispatch
def as_module(step):
    """A module that makes of clips what a transformer makes of them."""
    raise ValueError(f"The step {step!r} cannot be exported. LogMelSpectrogram, LogSTFT, StatisticsEmbedder and "
                     "ClassificationEmbedder can.")  # fmt: skip


@singledispatch
def as_scorer(step, section):
    """A module that makes of embeddings (n, d) in double precision the scores (n,) by the model of a section."""
    raise ValueError(f"The detector {step!r} cannot be exported. MahalanobisDetector, NearestNeighborsDetector and "
                     "CosineCenterDetector can.")  # fmt: skip


@as_module.register(LogMelSpectrogram)
@as_module.register(LogSTFT)
class _LogBands(nn.Module):
    """Spectrograms in dB: the Fourier transform is a matrix product, which every runtime has, in double precision."""

    def __init__(self, model):
        super().__init__()
        if model.pad_mode not in _PADDINGS and model.center:
            raise ValueError(f"pad_mode={model.pad_mode!r} cannot be exported. {', '.join(_PADDINGS)} can.")
        self.margin, self.padding = model._margin(), _PADDINGS.get(model.pad_mode)
        self.power, self.amin, self.top_db = model.power, model.amin, model.top_db
        self.decibels, self.reference = model._scale()
        frames = np.arange(model.n_frames_)[:, np.newaxis] * model.hop_length + np.arange(model.n_fft)
        turns = np.outer(np.arange(model.n_fft), np.arange(model.n_fft // 2 + 1)) % model.n_fft
        waves = np.exp(-2j * np.pi * turns / model.n_fft) * model._make_window()[:, np.newaxis]
        self.register_buffer("frames", torch.as_tensor(frames))
        self.register_buffer("waves", torch.as_tensor(np.concatenate([waves.real, waves.imag], axis=1)))
        self.register_buffer("bank", torch.as_tensor(model.filter_bank_.toarray().T.astype(float)))

    def forward(self, clips):
        clips = clips.double()
        if self.margin:
            clips = nn.functional.pad(clips[:, None], (self.margin, self.margin), mode=self.padding)[:, 0]
        real, imaginary = (clips[:, self.frames] @ self.waves).chunk(2, dim=2)
        power = real**2 + imaginary**2
        power = power if self.power == 2 else power ** (self.power / 2)
        bands = (power @ self.bank).clamp(min=self.amin)
        log_mel = bands.log() * (self.decibels / math.log(10)) - self.reference
        if self.top_db is not None:
            log_mel = torch.maximum(log_mel, log_mel.amax(dim=(1, 2), keepdim=True) - self.top_db)
        return log_mel.transpose(1, 2).float()


@as_module.register(StatisticsEmbedder)
class _Statistics(nn.Module):
    """Statistics of each band over time."""

    def __init__(self, embedder):
        super().__init__()
        self.names, self.decay = tuple(embedder.statistics), float(embedder.decay)
        for name in self.names:
            if not hasattr(self, f"_{name}"):
                raise ValueError(f"The statistic {name!r} of StatisticsEmbedder cannot be exported; the others can.")

    def forward(self, log_mel):
        log_mel = log_mel.double()
        return torch.cat([getattr(self, f"_{name}")(log_mel) for name in self.names], dim=1).float()

    def _mean(self, log_mel):
        return log_mel.mean(dim=2)

    def _std(self, log_mel):
        return (log_mel - log_mel.mean(dim=2, keepdim=True)).square().mean(dim=2).sqrt()

    def _max(self, log_mel):
        return log_mel.amax(dim=2)

    def _diff(self, log_mel):
        if log_mel.shape[2] == 1:
            return torch.zeros_like(log_mel[:, :, 0])
        return self._std(log_mel[:, :, 1:] - log_mel[:, :, :-1])

    def _rank(self, log_mel):
        weights = self.decay ** torch.arange(log_mel.shape[2], dtype=torch.float64)
        return log_mel.sort(dim=2, descending=True).values @ (weights / weights.sum())


@as_module.register(ClassificationEmbedder)
class _Network(nn.Module):
    """The network of an embedder, or its stages side by side."""

    def __init__(self, embedder):
        super().__init__()
        for name, value in {"window_frames": None, "mixed_precision": False}.items():
            if getattr(embedder, name) != value:
                raise ValueError(f"ClassificationEmbedder with {name}={getattr(embedder, name)!r} cannot be exported; "
                                 f"with {value!r} it can.")  # fmt: skip
        if embedder.output == "logits":
            raise ValueError("ClassificationEmbedder with output='logits' cannot be exported; with 'embedding' or "
                             "'stages' it can.")  # fmt: skip
        self.network, self.has_stages = embedder._ready("network_"), embedder.output == "stages"

    def forward(self, x):
        return torch.cat(self.network.forward_stages(x), dim=1) if self.has_stages else self.network(x)


@as_scorer.register(MahalanobisDetector)
class _Gaussians(nn.Module):
    """Minus the distance from the nearest of the Gaussians of the domains."""

    def __init__(self, detector, section):
        super().__init__()
        self.n_groups, place = [], 0
        names = detector.feature_groups or {"": slice(None)}
        for by_group in detector.models_[section].values():
            self.n_groups.append(len(by_group))
            for group, gaussian in by_group.items():
                columns = np.arange(detector.n_features_in_)[names[group]]
                for name, values in {"columns": columns, "location": gaussian.location_,
                                     "whitening": gaussian.get_whitening().T}.items():  # fmt: skip
                    self.register_buffer(f"{name}{place}", torch.as_tensor(np.ascontiguousarray(values)))
                place += 1

    def forward(self, x):
        distances, place = [], 0
        for n_groups in self.n_groups:
            own = [self._distance(x, number) for number in range(place, place + n_groups)]
            distances.append(torch.stack(own).mean(dim=0))
            place += n_groups
        return -torch.stack(distances).amin(dim=0)

    def _distance(self, x, number):
        columns, location, whitening = (
            getattr(self, f"{name}{number}") for name in ("columns", "location", "whitening")
        )
        return ((x[:, columns] - location) @ whitening).square().sum(dim=1).sqrt()


@as_scorer.register(NearestNeighborsDetector)
class _Groups(nn.Module):
    """Minus the mean over the groups of features of the distance to the nearest rows of the nearest memory."""

    def __init__(self, detector, section):
        super().__init__()
        groups = detector.feature_groups or {"": slice(None)}
        every = np.arange(detector.n_features_in_)
        self.groups = nn.ModuleList(
            _Neighbors(detector, memories.values(), every[groups[name]])
            for name, memories in detector.models_[section].items()
        )

    def forward(self, x):
        return -torch.stack([group(x) for group in self.groups]).mean(dim=0)


class _Neighbors(nn.Module):
    """The mean distance to the nearest rows of the nearest memory, of these columns."""

    def __init__(self, detector, memories, columns):
        super().__init__()
        memories = [memory.neighbors for memory in memories]
        space = memories[0].space
        if detector.metric == "correlation" or space.kind.metric not in _UNITS:
            raise ValueError(f"NearestNeighborsDetector with metric={detector.metric!r} cannot be exported; with "
                             "'seuclidean', 'euclidean', 'sqeuclidean' or 'cosine' it can.")  # fmt: skip
        self.n_neighbors, self.is_cosine = detector.n_neighbors, detector.metric == "cosine"
        self.exponent, self.spread = _UNITS[space.kind.metric] / 2, float(space.unit)
        self.scale = 1.0 if detector.normalization == "local_density" else float(space.scale)
        self.n_memories = len(memories)
        self.register_buffer("columns", torch.as_tensor(columns))
        self.register_buffer("middle", torch.as_tensor(np.atleast_1d(space.origin)))
        self.register_buffer("unit", torch.as_tensor(np.atleast_1d(space.deviations), dtype=torch.float64))
        for number, memory in enumerate(memories):
            rows = memory.rows
            local = np.ones(len(rows)) if memory.scale is None else memory.scale
            offset = np.zeros(len(rows)) if memory.offset is None else memory.offset
            for name, values in {"rows": rows, "local": local, "offset": offset}.items():
                self.register_buffer(f"{name}{number}", torch.as_tensor(values))

    def forward(self, x):
        x = x[:, self.columns]
        x = x / x.square().sum(dim=1, keepdim=True).sqrt() if self.is_cosine else x
        x = (x - self.middle) / self.unit / self.spread
        return self.scale * torch.stack([self._distance(x, one) for one in range(self.n_memories)]).amin(dim=0)

    def _distance(self, x, number):
        rows, local, offset = (getattr(self, f"{name}{number}") for name in ("rows", "local", "offset"))
        squared = x.square().sum(dim=1, keepdim=True) - 2 * x @ rows.T + rows.square().sum(dim=1)
        distances = squared.clamp(min=0) ** self.exponent / local - offset
        return distances.topk(self.n_neighbors, dim=1, largest=False).values.mean(dim=1)


@as_scorer.register(CosineCenterDetector)
class _Centers(nn.Module):
    """Cosine with the nearest of the centres of the domains."""

    def __init__(self, detector, section):
        super().__init__()
        self.register_buffer("directions", torch.as_tensor(detector.models_[section].directions))

    def forward(self, x):
        return (x / x.square().sum(dim=1, keepdim=True).sqrt() @ self.directions.T).amax(dim=1)
