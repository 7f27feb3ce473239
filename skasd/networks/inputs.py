"""What the networks ask of their input."""

import torch

from skasd.audio.samples import as_floats

__all__ = ["as_images", "as_waveforms"]


def as_images(x, *, channels, smallest, owner):
    """Spectrograms as (batch, channels, n_mels, n_frames); one without channels has one."""
    if x.ndim == 3:
        x = x.unsqueeze(1)
    if x.ndim != 4:
        raise ValueError(f"{owner} takes spectrograms (batch, n_mels, n_frames) or (batch, channels, n_mels, "
                         f"n_frames); got shape {tuple(x.shape)}.")  # fmt: skip
    if x.shape[1] not in channels:
        wanted = " or ".join(map(str, sorted(set(channels))))
        raise ValueError(f"{owner} was built for {wanted} input channel(s); got {x.shape[1]}, shape {tuple(x.shape)}. "
                         f"Build it with in_channels={x.shape[1]}.")  # fmt: skip
    if min(x.shape[2:]) < smallest:
        raise ValueError(f"{owner} needs at least {smallest} mel bands and {smallest} frames, since it halves both "
                         f"again and again; got {x.shape[2]} x {x.shape[3]}.")  # fmt: skip
    return channels_last(x)


def channels_last(x):
    """Images with their channels last in memory on a CPU, where convolutions are faster so; all later maps follow."""
    return torch.stack(x.unbind(1), dim=-1).permute(0, 3, 1, 2) if x.device.type == "cpu" else x


def as_waveforms(x, dtype, owner):
    """Waveforms (batch, n_samples) as real numbers with full scale at 1."""
    if x.ndim != 2:
        raise ValueError(f"{owner} takes mono waveforms (batch, n_samples); got shape {tuple(x.shape)}. Mean or one "
                         "channel? If the second axis holds the channels, write x.mean(1), or x[:, 0].")  # fmt: skip
    return as_floats(x, dtype, owner)
