"""What every estimator with a network shares: its parameters, its training by skorch, its checkpoints and its seeds.

A room inside the package: users meet it as the parameters and attributes of the estimators.
"""

from skasd.training._data import RowDataset, read_rows
from skasd.training._memory import keeping_memory
from skasd.training._mixin import TrainingMixin
from skasd.training._module import SplitNetwork, settle_batch_norms
from skasd.training._net import EmbeddingNet, TrainingNet, autocast
from skasd.training._network import NetworkMixin
from skasd.training._randomness import draw_seed, seeded
from skasd.training._split import set_aside
from skasd.training._texts import TRAINING_TEXTS
