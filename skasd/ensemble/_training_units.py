"""Which training clips belong together, and in which part of them each is scored."""

from typing import NamedTuple

import numpy as np

from skasd._groups import deal_out, first_copies, joined
from skasd._problems import named
from skasd._reading import read_text, recording_numbers
from skasd.clips import Clips

_CONTENTS = ("waveform", "log_mel", "embedding", "logits", "path")


class TrainingUnits(NamedTuple):
    """Of each training clip the section, the domain, the group that it is left out with, and whether it counts.

    Clips of one recording are one group, and so are copies of one clip. Of copies within a section the first counts.
    """

    section: np.ndarray
    domain: np.ndarray
    group: np.ndarray
    once: np.ndarray

    def deal_out(self, n_parts):
        """Number of the part of each clip; every section and domain has its share in every part."""
        part = deal_out(self.group, n_parts, self.domain, self.section)
        for section in np.unique(self.section):
            of_section = part[self.section == section]
            if len(np.unique(of_section)) < 2:
                raise ValueError(f"All clips of {named(section)} (n_samples={len(of_section)}) are of one recording, "
                                 "or copies: nothing can score them that has not learned from them. Add clips of "
                                 "other recordings, or leave the section out.")  # fmt: skip
        return part


def training_units(X, n_clips):
    """The `TrainingUnits` of clips, or of a plain array."""
    section, copy = read_text(X, "section", n_clips), _first_copies(X, n_clips)
    of_section = np.column_stack([copy, np.unique(section, return_inverse=True)[1]])
    return TrainingUnits(
        section=section,
        domain=read_text(X, "domain", n_clips),
        group=joined(recording_numbers(X, n_clips), copy),
        once=first_copies(of_section) == np.arange(n_clips),
    )


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
