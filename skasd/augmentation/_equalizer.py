"""Equalised waveforms."""

from numbers import Real

import librosa
import numpy as np
import torch

from skasd._sklearn import Interval
from skasd.augmentation._base import PROBABILITY, NumpyAugmentation, name_sources


class SevenBandParametricEQ(NumpyAugmentation):
    """Equalise waveforms in seven bands with random gains, centres and widths, by audiomentations.

    A low shelf (42-95 Hz), five peaks (91-204, 196-441, 421-948, 909-2045 and 1957-4404 Hz) and a high shelf (4216-9486
    Hz) follow one another; the ranges are those of the centres, which are drawn uniformly in mel.

    Parameters
    ----------
    sample_rate : float
        Sample rate of the waveforms in Hz. A centre above half of it is moved just below.

    min_gain_db : float, default=-12.0
        Lowest gain of a band in dB.

    max_gain_db : float, default=12.0
        Highest gain of a band in dB.

    probability : float, default=0.5
        Probability that a clip is equalised, in [0, 1].

    new_class : bool, default=False
        Whether an equalised clip counts as another class of the first target: class k of K becomes k + K, so that the
        network learns to tell the timbre of each class from timbres that were never recorded. Other targets stay the
        same.

    See Also
    --------
    Mixup : Mixes clips.

    Notes
    -----
    The filters run on the CPU, clip by clip, in float32; clips on another device are copied there and back. Loud clips
    may exceed [-1, 1].

    audiomentations comes with the extra ``augment``: ``pip install 'skasd[augment]'``.

    References
    ----------
    .. [1] I. Jordal et al., "audiomentations", doi:10.5281/zenodo.6594177.
    .. [2] H. Narita and A. Tamamori, "CNN-based Anomalous Sound Detection System for Domain Generalization", technical
       report, DCASE 2022 Challenge, task 2: its model CNN-OE, with 6 sections and so 12 classes.

    Examples
    --------
    >>> from skasd.augmentation import SevenBandParametricEQ
    >>> equalizer = SevenBandParametricEQ(sample_rate=16000, new_class=True)
    >>> equalizer.n_classes((6, 39))  # section and attribute
    (12, 39)
    """

    _parameter_constraints: dict = {
        "sample_rate": [Interval(Real, 0, None, closed="neither")],
        "min_gain_db": [Real],
        "max_gain_db": [Real],
        "probability": [PROBABILITY],
        "new_class": ["boolean"],
    }
    works_on = "waveform"

    def __init__(self, *, sample_rate, min_gain_db=-12.0, max_gain_db=12.0, probability=0.5, new_class=False):
        self.sample_rate = sample_rate
        self.min_gain_db = min_gain_db
        self.max_gain_db = max_gain_db
        self.probability = probability
        self.new_class = new_class

    def n_classes(self, n_classes):
        return (2 * n_classes[0], *n_classes[1:]) if self.new_class and n_classes else tuple(n_classes)

    def _draw(self, batch, random_state):
        rows = np.flatnonzero(random_state.uniform(size=len(batch.x)) < self.probability)
        bands = [self._draw_band(random_state, band, len(rows)) for band in self._bands()]
        return {"rows": rows} | {name: np.stack([band[name] for band in bands], axis=1) for name in bands[0]}

    def _draw_band(self, random_state, band, n_clips):
        low, high = librosa.hz_to_mel([band.min_center_freq, band.max_center_freq], htk=True)
        center_freq = librosa.mel_to_hz(random_state.uniform(low, high, size=n_clips), htk=True)
        return {
            "center_freq": np.minimum(center_freq, 0.4999 * self.sample_rate),  # beyond it the filters are unstable
            "gain_db": random_state.uniform(self.min_gain_db, self.max_gain_db, size=n_clips),
            "q_factor": random_state.uniform(band.min_q, band.max_q, size=n_clips),
        }

    def apply(self, batch, params):
        rows = params["rows"].to(batch.x.device)
        x = batch.x.clone()
        x[rows] = torch.from_numpy(self._equalize(x[rows].float().cpu().numpy(), params)).to(x)
        targets = batch.targets
        if self.new_class and targets:
            equalized = torch.zeros(len(x), dtype=torch.bool, device=x.device).index_fill(0, rows, True)
            targets = (name_sources(targets[0], (), equalized, type(self).__name__), *targets[1:])
        return batch._replace(x=x, targets=targets)

    def _equalize(self, waveforms, params):
        bands, names = self._bands(), ("center_freq", "gain_db", "q_factor")
        for row in range(len(waveforms)):
            for column, band in enumerate(bands):
                band.parameters = {name: params[name][row, column].item() for name in names}
                waveforms[row] = band.apply(waveforms[row], self.sample_rate)
        return waveforms

    def _bands(self):
        """The filters of audiomentations; their settings come from us."""
        if self.min_gain_db > self.max_gain_db:
            raise ValueError(f"min_gain_db={self.min_gain_db} must not exceed max_gain_db={self.max_gain_db}.")
        try:
            import audiomentations
        except ImportError as error:
            raise ImportError(
                "SevenBandParametricEQ needs audiomentations: pip install 'skasd[augment]' (or audiomentations)"
            ) from error
        filters = audiomentations.SevenBandParametricEQ(self.min_gain_db, self.max_gain_db)
        return [filters.low_shelf_filter, *filters.peaking_filters, filters.high_shelf_filter]
