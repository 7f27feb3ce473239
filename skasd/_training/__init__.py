"""What every estimator with a network shares: its training by skorch, its seeds, its checkpoints, how it is saved."""

from skasd._training._mixin import TrainingMixin
from skasd._training._net import TrainingNet
from skasd._training._randomness import seeded
from skasd._training._split import copies, groups_of, set_aside

__all__ = ["TrainingMixin", "TrainingNet", "copies", "groups_of", "seeded", "set_aside"]
