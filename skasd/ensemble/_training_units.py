"""Which training clips belong together, and in which part of them each is scored."""

from typing import NamedTuple

import numpy as np

from skasd._groups import deal_out, first_copies, first_in_domain, joined
from skasd._problems import named
from skasd._reading import read_text, recording_numbers
from skasd.clips import Clips

_CONTENTS = ("waveform", "log_mel", "embedding", "logits", "path")


class TrainingUnits(NamedTuple):
    """Of each training clip the section, the group, the part in which it is scored, and whether it counts.

    Clips of one recording are one group, and so are copies of one clip. Every section and domain has its share in every
    part, and groups are whole. Of copies within a section the first counts.
    """

    section: np.ndarray
    group: np.ndarray
    part: np.ndarray
    once: np.ndarray


def training_units(X, n_clips, n_parts):
    """The `TrainingUnits` of clips, or of a plain array."""
    section, copy = read_text(X, "section", n_clips), _first_copies(X, n_clips)
    group = joined(recording_numbers(X, n_clips), copy)
    part = deal_out(group, n_parts, read_text(X, "domain", n_clips), section)
    for name in np.unique(section):
        own = part[section == name]
        if len(np.unique(own)) < 2:
            raise ValueError(f"All clips of {named(name)} are of one recording, or copies (n_samples={len(own)}): "
                             "nothing can score them that has not learned from them. Add clips of other recordings, or "
                             "leave the section out.")  # fmt: skip
    return TrainingUnits(section, group, part, first_in_domain(copy, section) == np.arange(n_clips))


def _first_copies(X, n_clips):
    """For each clip the number of the first that sounds the same, or is read from the same file."""
    if isinstance(X, Clips):
        X = next((X[name] for name in _CONTENTS if name in X), np.arange(n_clips))
    values = np.asarray(X)
    if values.dtype.kind in "biuf" and values.size:
        return first_copies(values)
    if values.ndim != 1:  # what no member takes
        return np.arange(n_clips)
    _, first, inverse = np.unique(values.astype(str), return_index=True, return_inverse=True)
    return first[inverse]
