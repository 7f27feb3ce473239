"""Losses that teach a network to tell classes apart, each with its own classification head.

Conventions
-----------
- A loss is made by ``loss(embedding_size, n_classes, **params)`` and holds the head, the weights of the classes: it is
  trained and saved with the network.
- ``embedding`` is (batch, embedding_size). ``target`` is (batch,) whole numbers in ``[0, n_classes)``, or soft: (batch,
  n_classes), rows that sum to one, as `skasd.augmentation.Mixup` makes them.
- ``loss(embedding, target)`` is the mean over the batch. A one-hot target gives the same as the whole number.
- ``logits`` are for inference (no margin), ``training_logits`` for training (margin, adaptive scale).
- Angles are computed in float32 or better, under mixed precision as well.
"""

from skasd.losses._base import ClassificationLoss, SoftmaxLoss
from skasd.losses._branches import FeatureExchangeLoss, SubspaceLoss
from skasd.losses._composed import FocalLoss, MultiTargetLoss
from skasd.losses._cosine import AdaCosLoss, AdaProjLoss, ArcFaceLoss, SubclusterAdaCosLoss

__all__ = [
    "AdaCosLoss",
    "AdaProjLoss",
    "ArcFaceLoss",
    "ClassificationLoss",
    "FeatureExchangeLoss",
    "FocalLoss",
    "MultiTargetLoss",
    "SoftmaxLoss",
    "SubclusterAdaCosLoss",
    "SubspaceLoss",
]
