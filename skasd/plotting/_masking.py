"""What the score owes to each place of a spectrogram: patches of it are masked, and the score is taken again."""

from itertools import product
from numbers import Integral

import numpy as np
from sklearn.utils import gen_batches

from skasd._reading import read_field
from skasd.audio.rows import as_paths
from skasd.audio.samples import as_dtype, precision_of
from skasd.clips import Clips

_BATCH_SIZE = 64


class SpectrogramScores:
    """Scores that the later steps of a pipeline give to a clip when its spectrogram is replaced."""

    def __init__(self, features, rest, clip):
        self.front, self._features, self._rest = features[-1], features, rest
        self.clip = features.transform(clip)
        self.log_mel = _log_mel(self.clip)[0]

    def levels(self, reference):
        """Spectrograms of other clips."""
        return _log_mel(self._features.transform(reference))

    def __call__(self, log_mels):
        return self._rest.score_samples(_replaced(self.clip, "log_mel", log_mels))


class WaveformScores:
    """Scores that an estimator gives to a clip when its waveform is filtered so that it has another spectrogram.

    Each frequency bin of the short-time Fourier transform is amplified as the bands that it lies in; phase and fine
    structure stay.
    """

    def __init__(self, estimator, front, clip):
        self.front, self._estimator, self._clip = front.fit(clip), estimator, clip
        self.log_mel = self.levels(clip)[0]
        _, waveform = read_field(clip, "waveform", "path", owner="AnomalyMapDisplay")
        paths = as_paths(waveform)
        waveform = np.asarray(waveform if paths is None else front.loader_.transform(paths))[0]
        self._waveform = as_dtype(waveform, precision_of(waveform.dtype))
        shares = front.filter_bank_.toarray()
        self._shares = shares / np.maximum(shares.sum(axis=0), np.finfo(np.float32).tiny)

    def levels(self, reference):
        """Spectrograms of other clips."""
        return _log_mel(self.front.transform(reference))

    def __call__(self, log_mels):
        waveforms = np.stack([self._filtered(log_mel - self.log_mel) for log_mel in log_mels])
        return self._estimator.score_samples(_replaced(self._clip, "waveform", waveforms))

    def _filtered(self, change):
        """The waveform with each band louder by so many dB (n_mels, n_frames)."""
        import librosa

        frames = {key: getattr(self.front, key) for key in ("n_fft", "hop_length", "win_length", "window", "center")}
        spectrum = librosa.stft(self._waveform, **frames, pad_mode=self.front.pad_mode)
        spectrum *= 10 ** (self._shares.T @ change / 20)
        return librosa.istft(spectrum, **frames, length=len(self._waveform))


def _log_mel(spectrograms):
    return spectrograms["log_mel"] if isinstance(spectrograms, Clips) else spectrograms


def _replaced(clip, field, values):
    """As many of this one clip as there are values, each with its own; where the clip is an array, the values alone."""
    return clip[np.zeros(len(values), dtype=int)].with_fields({field: values}) if isinstance(clip, Clips) else values


def masked_rises(scores, reference, patch_shape, patch_hop):
    """Mean rise of the score over the patches that each place is in, (n_mels, n_frames)."""
    log_mel = scores.log_mel
    patches = _patches(log_mel.shape, patch_shape, patch_hop)
    level = log_mel if reference is None else np.concatenate(scores.levels(reference), axis=1)
    level = level.mean(axis=1, keepdims=True)
    batches = [patches[rows] for rows in gen_batches(len(patches), _BATCH_SIZE)]
    rises = np.concatenate([scores(_masked(log_mel, level, batch)) for batch in batches]) - scores(log_mel[np.newaxis])
    if not rises.any():
        raise ValueError(f"The score does not change, whichever of {len(patches)} patches of the spectrogram is "
                         "masked: what comes after does not read it, or the patches are too small.")  # fmt: skip
    total, count = np.zeros(log_mel.shape), np.zeros(log_mel.shape)
    for patch, rise in zip(patches, rises, strict=True):
        total[patch] += rise
        count[patch] += 1
    return total / count


def _patches(shape, patch_shape, patch_hop):
    """The bands and frames of each patch, as slices; the last ones end where the spectrogram does."""
    _check_pair("patch_shape", patch_shape)
    hops = [max(1, size // 2) for size in patch_shape] if patch_hop is None else patch_hop
    _check_pair("patch_hop", hops)
    if any(hop > size for hop, size in zip(hops, patch_shape, strict=True)):
        raise ValueError(f"patch_hop={patch_hop} must be at most patch_shape={patch_shape}, or the patches would leave "
                         "gaps.")  # fmt: skip
    axes = []
    for length, size, hop in zip(shape, patch_shape, hops, strict=True):
        last = length - min(size, length)
        axes.append([slice(start, start + size) for start in [*range(0, last, hop), last]])
    return list(product(*axes))


def _check_pair(name, values):
    if len(values) != 2 or not all(isinstance(value, Integral) and value > 0 for value in values):
        raise ValueError(f"{name} must be two whole numbers above 0, bands and frames; got {values!r}.")


def _masked(log_mel, level, patches):
    masked = np.repeat(log_mel[np.newaxis], len(patches), axis=0)
    for one, (bands, frames) in zip(masked, patches, strict=True):
        one[bands, frames] = level[bands]
    return masked
