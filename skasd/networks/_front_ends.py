"""Layers that make spectrograms from waveforms, and networks that begin with them."""

from dataclasses import dataclass

import numpy as np
import torch
from sklearn.utils.metaestimators import available_if
from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.parameter import UninitializedParameter, is_lazy

from skasd._docstrings import fill
from skasd.features import FRAMES_DOC, MEL_DOC, MelParameters
from skasd.networks._mobilefacenet import MobileFaceNet
from skasd.networks.inputs import as_waveforms

_FILTERS_DOC = """
n_mels : int, default=128
    Bands, of which each has a filter.

n_fft : int, default=1024
    Length of a frame and of a learned filter, in samples.

hop_length : int, default=512
    Distance between frames, in samples."""
_PAD_MODES = ("constant", "edge", "reflect", "symmetric", "wrap")


@fill(frames=FRAMES_DOC, mel=MEL_DOC)
@dataclass(kw_only=True, eq=False, repr=False)
class LogMelLayer(MelParameters, nn.Module):
    """Log-mel spectrogram of a batch of waveforms, on the batch's device.

    The values are those of `skasd.features.LogMelSpectrogram` with the same parameters. It has no weights to learn, and
    its window and filters are computed when the layer is made, so they are not in its state dict. It works in full
    precision even if the rest of the network does not.

    Parameters
    ----------
    sample_rate : int, default=16000
        Sample rate of the waveforms in Hz.

    {frames}

    {mel}

    Raises
    ------
    ValueError
        If ``pad_mode`` is unknown, ``win_length`` above ``n_fft``, or ``fmax`` not above ``fmin``.

    Warns
    -----
    UserWarning
        If bands are so narrow that they contain no frequency bin.

    See Also
    --------
    skasd.features.LogMelSpectrogram : The same for pipelines, once and on the CPU.
    WavegramLayer : A spectrogram with learned filters.

    Examples
    --------
    >>> import torch
    >>> from skasd.networks import LogMelLayer
    >>> LogMelLayer()(torch.zeros(2, 16000)).shape
    torch.Size([2, 128, 32])
    """

    def __post_init__(self):
        nn.Module.__init__(self)
        if self.pad_mode not in _PAD_MODES:
            raise ValueError(f"pad_mode must be one of {', '.join(map(repr, _PAD_MODES))}; got {self.pad_mode!r}.")
        self._check_frames()
        dtype = torch.get_default_dtype()
        filters = self._make_filter_bank().toarray()
        self.register_buffer("filters", torch.as_tensor(filters, dtype=dtype), persistent=False)
        self.register_buffer("taper", torch.as_tensor(self._make_window(), dtype=dtype), persistent=False)

    def forward(self, x):
        """Log-mel spectrograms.

        Parameters
        ----------
        x : Tensor of shape (batch, n_samples)
            Waveforms: floats with full scale at 1, or integers of 8, 16 or 32 bits.

        Returns
        -------
        log_mel : Tensor of shape (batch, n_mels, n_frames)
            In dB.

        Raises
        ------
        ValueError
            If ``x`` is not a batch of waveforms, or too short for one frame.
        """
        x = as_waveforms(x, self.taper.dtype, "LogMelLayer")
        with torch.autocast(x.device.type, enabled=False):
            return self._to_db(self.filters @ self._magnitudes(x))

    def extra_repr(self):
        """The main parameters, for the module's repr."""
        return ", ".join(f"{name}={getattr(self, name)}" for name in ("sample_rate", "n_fft", "hop_length", "n_mels"))

    def _magnitudes(self, x):
        spectrum = torch.stft(
            self._pad(x), self.n_fft, self.hop_length, window=self.taper, center=False, return_complex=True
        )
        squares = torch.view_as_real(spectrum).square().sum(-1)
        return squares if self.power == 2 else squares ** (self.power / 2)

    def _to_db(self, mel):
        decibels, reference = self._scale()
        log_mel = decibels * mel.clamp_min(self.amin).log10() - reference
        if self.top_db is None:
            return log_mel
        return torch.maximum(log_mel, log_mel.amax((1, 2), keepdim=True) - self.top_db)

    def _pad(self, x):
        n_samples, half, smallest = x.shape[1], self._margin(), 1 if self.center else self.n_fft
        if n_samples < smallest:
            raise ValueError(f"LogMelLayer needs at least {smallest} samples for a frame of n_fft={self.n_fft}; got "
                             f"{n_samples}. Give longer clips or a smaller n_fft.")  # fmt: skip
        if self.pad_mode == "constant":
            return nn.functional.pad(x, (half, half))
        places = torch.as_tensor(np.pad(np.arange(n_samples), half, self.pad_mode), device=x.device)
        return torch.cat([x[:, places[:half]], x, x[:, places[half + n_samples :]]], dim=1)


@fill(filters=_FILTERS_DOC)
class WavegramLayer(nn.Module):
    """A spectrogram with learned filters, with as many bands and frames as the log-mel spectrogram.

    It is a convolution with the frames and the hop of the spectrogram as kernels and stride, followed by convolutions
    along time, each after a layer normalisation over time [1]_. That normalisation has a weight for every frame, so the
    layer takes its length from the first batch and then works for clips of that length only.

    Parameters
    ----------
    {filters}

    n_layers : int, default=3
        Convolutions along time after the filters.

    See Also
    --------
    LogMelLayer : The spectrogram with fixed filters.
    DualFeatureNetwork : Both, in front of one network.

    References
    ----------
    .. [1] Y. Liu, J. Guan, Q. Zhu, W. Wang. "Anomalous sound detection using spectral-temporal information fusion".
       ICASSP 2022. https://arxiv.org/abs/2201.05510
    .. [2] Q. Kong et al. "PANNs: large-scale pretrained audio neural networks for audio pattern recognition".
       IEEE/ACM TASLP 28, 2020. https://arxiv.org/abs/1912.10211

    Examples
    --------
    >>> import torch
    >>> from skasd.networks import WavegramLayer
    >>> WavegramLayer()(torch.zeros(2, 16000)).shape
    torch.Size([2, 128, 32])
    """

    def __init__(self, *, n_mels=128, n_fft=1024, hop_length=512, n_layers=3):
        super().__init__()
        self.filters = nn.Conv1d(1, n_mels, n_fft, hop_length, n_fft // 2, bias=False)
        self.layers = nn.Sequential(*(_over_time(n_mels) for _ in range(n_layers)))

    def forward(self, x):
        """Learned spectrograms.

        Parameters
        ----------
        x : Tensor of shape (batch, n_samples)
            Waveforms: floats with full scale at 1, or integers of 8, 16 or 32 bits.

        Returns
        -------
        wavegram : Tensor of shape (batch, n_mels, n_frames)

        Raises
        ------
        ValueError
            If ``x`` is not a batch of waveforms, or has another number of frames than the layer was built for.
        """
        x = as_waveforms(x, self.filters.weight.dtype, "WavegramLayer")
        frames = self.filters(x[:, None])
        self._check_frames(frames.shape[2])
        return self.layers(frames)

    def _check_frames(self, n_frames):
        built = [layer[0].weight.shape[0] for layer in self.layers if not is_lazy(layer[0].weight)]
        if built and built[0] != n_frames:
            raise ValueError(f"This WavegramLayer was built on clips of {built[0]} frames; got clips of {n_frames}. "
                             "Crop or pad the clips to one length, or build a new layer.")  # fmt: skip


def _over_time(n_mels):
    return nn.Sequential(_LazyLayerNorm(), nn.LeakyReLU(0.2), nn.Conv1d(n_mels, n_mels, 3, padding=1, bias=False))


class _LazyLayerNorm(LazyModuleMixin, nn.LayerNorm):
    """Layer normalisation over a last axis whose length the first batch gives."""

    cls_to_become = nn.LayerNorm

    def __init__(self):
        super().__init__(1)
        self.weight, self.bias = UninitializedParameter(), UninitializedParameter()

    def initialize_parameters(self, x):
        if self.has_uninitialized_params():
            self.weight.materialize(x.shape[-1:])
            self.bias.materialize(x.shape[-1:])
            self.reset_parameters()
        self.normalized_shape = tuple(self.weight.shape)


class FrontEndNetwork(nn.Module):
    """Base of networks that make spectrograms from waveforms, for networks of your own.

    A subclass defines `spectrograms`. Between the two parts `ClassificationEmbedder` cuts windows and applies the
    augmentations that work on spectrograms.

    Parameters
    ----------
    backbone : torch.nn.Module
        Embeds the output of `spectrograms`.

    See Also
    --------
    WithFrontEnd : Existing layers in front of any network.

    Examples
    --------
    >>> import torch
    >>> from skasd.networks import FrontEndNetwork, LogMelLayer, MobileFaceNet
    >>> class Changes(FrontEndNetwork):
    ...     def __init__(self):
    ...         super().__init__(MobileFaceNet())
    ...         self.log_mel = LogMelLayer()
    ...
    ...     def spectrograms(self, x):
    ...         return self.log_mel(x).diff(dim=2)
    >>> Changes().eval()(torch.zeros(2, 16000)).shape
    torch.Size([2, 128])
    """

    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone

    def forward(self, x):
        """Embed waveforms.

        Parameters
        ----------
        x : Tensor of shape (batch, n_samples)

        Returns
        -------
        embedding : Tensor of shape (batch, embedding_size)
        """
        return self.backbone(self.spectrograms(x))

    @available_if(lambda self: hasattr(self.backbone, "forward_stages"))
    def forward_stages(self, x):
        """The mean of each stage's map in the backbone, if it has stages.

        Parameters
        ----------
        x : Tensor of shape (batch, n_samples)

        Returns
        -------
        stages : list of Tensor of shape (batch, channels)
        """
        return self.backbone.forward_stages(self.spectrograms(x))

    def spectrograms(self, x):
        """The input of the backbone.

        Parameters
        ----------
        x : Tensor of shape (batch, n_samples)

        Returns
        -------
        spectrograms : Tensor of shape (batch, ..., n_frames)
        """
        raise NotImplementedError(f"{type(self).__name__} must define spectrograms(x).")


class WithFrontEnd(FrontEndNetwork):
    """A network on waveforms: parallel layers that make spectrograms, followed by any network.

    Parameters
    ----------
    front_ends : sequence of callable
        Each returns a module that turns (batch, n_samples) into (batch, n_mels, n_frames): a class such as
        `LogMelLayer`, or a `functools.partial` of one. The outputs of several are stacked as channels.

    backbone : callable
        Returns the module that follows them.

    See Also
    --------
    DualFeatureNetwork : Log-mel and wavegram with the same parameters.
    FrontEndNetwork : The base, for a front end of your own.

    Examples
    --------
    >>> from functools import partial
    >>> import torch
    >>> from skasd.networks import LogMelLayer, MobileFaceNet, WithFrontEnd
    >>> coarse, fine = partial(LogMelLayer, n_fft=2048), partial(LogMelLayer, n_fft=1024)
    >>> network = WithFrontEnd([coarse, fine], partial(MobileFaceNet, in_channels=2)).eval()
    >>> network(torch.zeros(2, 16000)).shape
    torch.Size([2, 128])
    """

    def __init__(self, front_ends, backbone):
        front_ends = [_build(each, "front_ends") for each in front_ends]
        super().__init__(_build(backbone, "backbone"))
        self.front_ends = nn.ModuleList(front_ends)

    def spectrograms(self, x):
        """The output of the front ends, which is the input of the backbone.

        Parameters
        ----------
        x : Tensor of shape (batch, n_samples)

        Returns
        -------
        spectrograms : Tensor of shape (batch, n_mels, n_frames) or (batch, n_front_ends, n_mels, n_frames)
            Without channels if there is only one front end.

        Raises
        ------
        ValueError
            If the front ends make spectrograms of different sizes.
        """
        made = [front_end(x) for front_end in self.front_ends]
        if len({each.shape for each in made}) > 1:
            raise ValueError(f"All front ends must make as many bands and frames, to be stacked; got "
                             f"{[tuple(each.shape[1:]) for each in made]}. Give them the same n_mels, hop_length and "
                             "center.")  # fmt: skip
        return made[0] if len(made) == 1 else torch.stack(made, dim=1)


def _build(make, name):
    if isinstance(make, nn.Module) or not callable(make):
        raise TypeError(f"{name} takes what returns a module, such as MobileFaceNet or partial(MobileFaceNet, "
                        f"in_channels=2), so that each network has weights of its own; got {make!r}.")  # fmt: skip
    return make()


@fill(filters=_FILTERS_DOC)
class DualFeatureNetwork(WithFrontEnd):
    """Log-mel spectrogram and learned wavegram of a waveform, as two channels in front of one network.

    The network of a DCASE 2022 system [1]_, with the parts of [2]_.

    Parameters
    ----------
    sample_rate : float, default=16000
        Sample rate of the waveforms in Hz.

    {filters}

    fmin : float, default=0.0
        Lowest frequency of the mel bands, in Hz.

    fmax : float, default=None
        Highest frequency of the mel bands, in Hz. None means half of ``sample_rate``.

    backbone : callable, default=MobileFaceNet
        Called with ``in_channels=2``, returns the module that takes the two channels.

    See Also
    --------
    WithFrontEnd : Any front ends in front of any network.

    References
    ----------
    .. [1] G. Liu, Y. Liu, S. Cai, M. Chen. "Unsupervised anomalous sound detection under domain shift conditions based
       on MobileFaceNets and masked autoregressive flow". Technical report, DCASE 2022 Challenge, Task 2.
    .. [2] Y. Liu, J. Guan, Q. Zhu, W. Wang. "Anomalous sound detection using spectral-temporal information fusion".
       ICASSP 2022. https://arxiv.org/abs/2201.05510

    Examples
    --------
    >>> import torch
    >>> from skasd.networks import DualFeatureNetwork
    >>> DualFeatureNetwork().eval()(torch.zeros(2, 16000)).shape
    torch.Size([2, 128])
    """

    def __init__(
        self,
        *,
        sample_rate=16000,
        n_mels=128,
        n_fft=1024,
        hop_length=512,
        fmin=0.0,
        fmax=None,
        backbone=MobileFaceNet,
    ):
        frames = {"n_fft": n_fft, "hop_length": hop_length, "n_mels": n_mels}
        super().__init__(
            [
                lambda: LogMelLayer(sample_rate=sample_rate, fmin=fmin, fmax=fmax, **frames),
                lambda: WavegramLayer(**frames),
            ],
            lambda: backbone(in_channels=2),
        )
