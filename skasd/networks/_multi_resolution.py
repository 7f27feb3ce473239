"""Spectrograms of several resolutions and the spectrum of the whole clip, each with a network of its own."""

import torch
from torch import nn

from skasd.networks._residual import ResidualTrunk, SqueezeExcitation, batch_norm, flat_head, pad_to
from skasd.networks.inputs import as_waveforms, channels_last

_KERNELS = ((256, 64), (64, 32), (16, 4))  # kernel and stride of the convolutions along the spectrum
_N_DENSE = 5


class MultiResolutionNetwork(nn.Module):
    """Network on spectrograms of several resolutions and on the spectrum of the whole clip.

    A short frame shows when something happens and a long one at which frequency; the spectrum of the whole clip
    resolves both lines of a hum that beats. Each has its own branch, and the embedding is the concatenation of the
    branches. Among systems without pretrained weights this one, with `SubclusterAdaCosLoss` and `Mixup` of waveforms,
    was the best on the data of DCASE 2022 and 2023 [1]_.

    The network works for clips of one length, which comes from the first batch: in a longer clip, the same bin of the
    spectrum is another frequency.

    Parameters
    ----------
    sample_rate : float, default=16000
        Samples per second, in Hz.

    resolutions : sequence of tuple of int, default=((256, 128), (1024, 512), (4096, 2048))
        Length of a frame and distance between frames of each spectrogram, in samples.

    fmin : float, default=200.0
        Lowest frequency of the spectrograms, in Hz. The spectrum of the whole clip has all frequencies.

    fmax : float, default=None
        Highest frequency of the spectrograms, in Hz. None means half of ``sample_rate``.

    channels : sequence of int, default=(16, 32, 64, 128)
        Channels of the residual stages in the branches of spectrograms.

    spectrum_channels : int, default=128
        Channels of the convolutions in the branch of the spectrum.

    branch_size : int, default=128
        Length of each branch's part of the embedding.

    Attributes
    ----------
    branch_sizes : tuple of int
        Length of each branch's part of the embedding, first the spectrograms, then the spectrum.

    Raises
    ------
    ValueError
        If a branch has no frequency between ``fmin`` and ``fmax``.

    See Also
    --------
    skasd.losses.SubspaceLoss : A loss on the whole embedding and on each branch.
    SpectrogramResNet : The same blocks on one spectrogram, which can be computed beforehand.

    Notes
    -----
    Magnitudes are linear, divided by the root of the window's energy, and enter through a batch norm over the bins.
    Then come a stem, two residual blocks with squeeze-excitation per number of channels, the maximum over time, and a
    linear layer over channels and bands. The spectrum passes three convolutions and six linear layers. There are no
    biases, and batch norms have no weights. With the defaults and clips of 10 s there are 5 000 432 parameters, as
    published; a single spectrogram, ``resolutions=((1024, 512),)``, and the spectrum have 2 495 568.

    The convolutions along the spectrum are designed for 10 s; spectra of shorter clips are padded with zeros where a
    kernel would be longer. On a CPU, frames without overlap and half the channels, ``resolutions=((256, 256), (1024,
    1024), (4096, 4096)), channels=(8, 16, 32, 64), spectrum_channels=32``, need about a tenth of the work.

    References
    ----------
    .. [1] T. Fujimura, K. Wilkinghoff, K. Imoto, T. Toda. "ASDKit: a toolkit for comprehensive evaluation of anomalous
       sound detection methods". DCASE 2025 Workshop. https://arxiv.org/abs/2507.10264
    .. [2] K. Wilkinghoff. "Design choices for learning embeddings from auxiliary tasks for domain generalization in
       anomalous sound detection". ICASSP 2023. https://doi.org/10.1109/ICASSP49357.2023.10097176

    Examples
    --------
    >>> import torch
    >>> from skasd.networks import MultiResolutionNetwork
    >>> network = MultiResolutionNetwork(channels=(8, 16, 32, 64), spectrum_channels=32).eval()
    >>> network(torch.zeros(2, 32000)).shape
    torch.Size([2, 512])
    >>> network.branch_sizes
    (128, 128, 128, 128)
    """

    def __init__(
        self,
        *,
        sample_rate=16000,
        resolutions=((256, 128), (1024, 512), (4096, 2048)),
        fmin=200.0,
        fmax=None,
        channels=(16, 32, 64, 128),
        spectrum_channels=128,
        branch_size=128,
    ):
        super().__init__()
        fmax = sample_rate / 2 if fmax is None else fmax
        spectrograms = [_Magnitudes(sample_rate, *frames, fmin, fmax) for frames in resolutions]
        branches = [_SpectrogramBranch(each, channels, branch_size) for each in spectrograms]
        self.branches = nn.ModuleList([*branches, _SpectrumBranch(spectrum_channels, branch_size)])
        self.sample_rate = sample_rate
        self.branch_sizes = (branch_size,) * len(self.branches)
        self.n_samples = None

    def forward(self, x):
        """Embed waveforms.

        Parameters
        ----------
        x : Tensor of shape (batch, n_samples)
            Real numbers or 16-bit integers.

        Returns
        -------
        embedding : Tensor of shape (batch, sum of branch_sizes)

        Raises
        ------
        ValueError
            If ``x`` is not a batch of waveforms, or has another length than the network was built for.
        """
        return torch.cat(self.forward_branches(x), dim=1)

    def forward_branches(self, x):
        """The output of each branch.

        Parameters
        ----------
        x : Tensor of shape (batch, n_samples)
            Real numbers or 16-bit integers.

        Returns
        -------
        parts : list of Tensor of shape (batch, branch_size)
            In the order of ``branch_sizes``; concatenated, they are the embedding.

        Raises
        ------
        ValueError
            If ``x`` is not a batch of waveforms, or has another length than the network was built for.
        """
        x = as_waveforms(x, next(self.parameters()).dtype, "MultiResolutionNetwork")
        self.n_samples = self.n_samples or x.shape[1]
        if x.shape[1] != self.n_samples:
            raise ValueError(f"This MultiResolutionNetwork was built on clips of {self.n_samples} samples; got clips "
                             f"of {x.shape[1]}. Crop or pad the clips to one length, or build a new "
                             "network.")  # fmt: skip
        return [branch(x) for branch in self.branches]


class _Magnitudes(nn.Module):
    """Linear magnitudes (batch, n_bins, n_frames) of the frequencies from ``fmin`` to ``fmax``."""

    def __init__(self, sample_rate, n_fft, hop_length, fmin, fmax):
        super().__init__()
        self.n_fft, self.hop_length = n_fft, hop_length
        frequencies = torch.arange(n_fft // 2 + 1) * (sample_rate / n_fft)
        bins = ((frequencies >= fmin) & (frequencies <= fmax)).nonzero().ravel()
        if not len(bins):
            raise ValueError(f"There is no frequency from fmin={fmin} to fmax={fmax} Hz at n_fft={n_fft} and "
                             f"sample_rate={sample_rate} Hz. Widen the range, or take a longer frame.")  # fmt: skip
        self.bins, self.n_bins = slice(int(bins[0]), int(bins[-1]) + 1), len(bins)
        window = torch.hann_window(n_fft, dtype=torch.get_default_dtype())
        self.register_buffer("window", window / window.square().sum().sqrt(), persistent=False)

    def forward(self, x):
        with torch.autocast(x.device.type, enabled=False):
            return torch.stft(
                x, self.n_fft, self.hop_length, window=self.window, pad_mode="constant", return_complex=True
            )[:, self.bins].abs()


class _SpectrogramBranch(nn.Module):
    def __init__(self, magnitudes, channels, branch_size):
        super().__init__()
        self.magnitudes = magnitudes
        self.norm = batch_norm(1, magnitudes.n_bins)
        self.trunk = ResidualTrunk(channels)
        self.head = flat_head(branch_size)

    def forward(self, x):
        return self.head(self.trunk(channels_last(self.norm(self.magnitudes(x))[:, None])).amax(3))


class _SpectrumBranch(nn.Module):
    def __init__(self, channels, branch_size):
        super().__init__()
        widths = (1, *(channels,) * len(_KERNELS))
        self.convolutions = nn.ModuleList(
            nn.Conv1d(narrow, channels, *kernel, bias=False) for narrow, kernel in zip(widths, _KERNELS, strict=False)
        )
        self.excitations = nn.ModuleList(SqueezeExcitation(channels) for _ in _KERNELS)
        dense = [
            layer
            for _ in range(_N_DENSE)
            for layer in (nn.LazyLinear(branch_size, bias=False), batch_norm(1, branch_size), nn.ReLU())
        ]
        self.head = nn.Sequential(nn.Flatten(), *dense, nn.Linear(branch_size, branch_size, bias=False))

    def forward(self, x):
        with torch.autocast(x.device.type, enabled=False):
            x = torch.fft.rfft(x).abs()[:, None]
        for convolution, excitation in zip(self.convolutions, self.excitations, strict=True):
            x = excitation(convolution(pad_to(x, *convolution.kernel_size)).relu())
        return self.head(x)
