"""Masked spectrograms."""

from numbers import Integral, Real

import numpy as np
import torch

from skasd._sklearn import Interval, StrOptions
from skasd.augmentation._base import PROBABILITY, NumpyAugmentation

_SIZE = Interval(Integral, 0, None, closed="left")


class SpecAugment(NumpyAugmentation):
    """Mask stripes of a spectrogram: some bands over all frames, some frames over all bands.

    The width of each mask is drawn uniformly from 0 to the widest, and so is its position, separately for each clip. By
    default about a fifth of a clip is masked on average, whatever its size.

    Parameters
    ----------
    time_mask : float or int, default=0.1
        Widest time mask: as a float in [0, 1] a share of the frames, as an int a number of frames. It is limited to the
        length of the clip.

    n_time_masks : int, default=2
        Number of time masks. 0 masks no frames, which suits short windows.

    max_time_share : float, default=1.0
        Widest time mask as a share of the frames, in [0, 1], if `time_mask` is a number of frames; the smaller of the
        two limits applies.

    freq_mask : float or int, default=0.125
        Widest frequency mask: as a float in [0, 1] a share of the bands, as an int a number of bands. It is limited to
        the number of bands.

    n_freq_masks : int, default=2
        Number of frequency masks. 0 masks no bands.

    probability : float, default=1.0
        Probability that a clip is masked, in [0, 1].

    fill : "mean" or float, default="mean"
        Value of the masked parts: the mean of each band over the batch, or a level in dB.

    See Also
    --------
    Mixup : Mixes clips.

    Notes
    -----
    The paper's policies are designed for long utterances, and mask most of a small spectrogram: "LD" is ``freq_mask=27,
    time_mask=100`` without its time warping, "LB" the same with one mask of each kind, "SM" ``freq_mask=15,
    time_mask=70, max_time_share=0.2``, "SS" ``freq_mask=27, time_mask=70, max_time_share=0.2``.

    References
    ----------
    .. [1] D. S. Park et al., "SpecAugment: A Simple Data Augmentation Method for Automatic Speech Recognition",
       Interspeech 2019, arXiv:1904.08779.

    Examples
    --------
    >>> import torch
    >>> from skasd.augmentation import Batch, SpecAugment
    >>> batch = Batch(torch.ones(1, 4, 6), targets=())
    >>> frequency_only = SpecAugment(freq_mask=2, n_freq_masks=1, n_time_masks=0, fill=-80.0)
    >>> frequency_only(batch, torch.Generator().manual_seed(4)).x[0]
    tensor([[  1.,   1.,   1.,   1.,   1.,   1.],
            [-80., -80., -80., -80., -80., -80.],
            [-80., -80., -80., -80., -80., -80.],
            [  1.,   1.,   1.,   1.,   1.,   1.]])
    """

    _parameter_constraints: dict = {
        "time_mask": [_SIZE, PROBABILITY],
        "n_time_masks": [_SIZE],
        "max_time_share": [PROBABILITY],
        "freq_mask": [_SIZE, PROBABILITY],
        "n_freq_masks": [_SIZE],
        "probability": [PROBABILITY],
        "fill": [StrOptions({"mean"}), Real],
    }
    works_on = "log_mel"

    def __init__(
        self,
        *,
        time_mask=0.1,
        n_time_masks=2,
        max_time_share=1.0,
        freq_mask=0.125,
        n_freq_masks=2,
        probability=1.0,
        fill="mean",
    ):
        self.time_mask = time_mask
        self.n_time_masks = n_time_masks
        self.max_time_share = max_time_share
        self.freq_mask = freq_mask
        self.n_freq_masks = n_freq_masks
        self.probability = probability
        self.fill = fill

    def _draw(self, batch, random_state):
        n_clips, *_, n_mels, n_frames = batch.x.shape
        masked = random_state.uniform(size=(n_clips, 1)) < self.probability
        widest_time = min(_width(self.time_mask, n_frames), int(self.max_time_share * n_frames))
        widest_freq = _width(self.freq_mask, n_mels)
        bands = _stripes(random_state, n_clips, n_mels, widest_freq, self.n_freq_masks)
        frames = _stripes(random_state, n_clips, n_frames, widest_time, self.n_time_masks)
        return {"bands": bands & masked, "frames": frames & masked}

    def apply(self, batch, params):
        x = batch.x
        between = (1,) * (x.ndim - 3)
        bands, frames = (params[name].to(x.device) for name in ("bands", "frames"))
        n_mels, n_frames = x.shape[-2:]
        masked = bands.view(len(x), *between, n_mels, 1) | frames.view(len(x), *between, 1, n_frames)
        fill = x.mean(dim=(0, -1), keepdim=True) if self.fill == "mean" else x.new_tensor(self.fill)
        return batch._replace(x=torch.where(masked, fill, x))


def _width(mask, size):
    """Bands or frames of a mask that is given as a number of them or as a share of all."""
    return min(mask, size) if isinstance(mask, Integral) else int(mask * size)


def _stripes(random_state, n_clips, size, widest, n_stripes):
    """Mask of shape (n_clips, size), True inside of any of the stripes of a clip."""
    width = random_state.randint(0, widest + 1, size=(n_clips, n_stripes, 1))
    start = random_state.randint(0, size - width + 1)
    place = np.arange(size)
    return ((start <= place) & (place < start + width)).any(axis=1)
