"""Texts that several docstrings share, each written once."""

import re
from textwrap import indent

__all__ = ["fill_docstring"]

_TEXTS = """
preset : {'full', 'small'}, default='full'
    The size: as published, or one that a laptop's CPU trains in minutes. The notes say what 'small' changes.

weights : {'imagenet'}, path-like or None, default='imagenet'
    Start of the network: ImageNet's weights, which timm downloads; a local file of them; or random weights.

augmentation : transformer, default=None
    Changes the training clips from which the network learns, by its ``fit_transform``, as `Mixup` does; the
    threshold comes from the clips as they are. It is given the windows of each clip, in the field ``embedding``
    where there are fields, and gives back as many. Where its `random_state` is None, it has that of the detector.

max_epochs : int, default=100
    Number of passes over the training windows.

lr : float, default=1e-3
    Learning rate.

batch_size : int, default=512
    Windows in a batch, in training and in scoring.

lr_schedule : {'constant', 'cosine'}, default='constant'
    Whether the learning rate stays, or falls to zero along a cosine over the epochs. For others give a
    `skorch.callbacks.LRScheduler` among the callbacks.

validation_fraction : 'auto' or float, default='auto'
    Part of the training clips, in [0, 1), that is set aside: they watch the loss, and their scores set the
    threshold, since the network may know by heart what it has learned from. Whole recordings are set aside, where
    the clips have the field ``recording``, and all copies of a clip. 'auto' is a tenth, but at least 20 and so
    many that one alarm among them is rarer than `contamination`, and at most half. With 0 all clips train, and
    the threshold comes from their own scores: it is an alarm for more new clips than `contamination` says.

checkpoint : str or path-like, default=None
    Folder that keeps the state of the training after every epoch. Where a training was killed, the same call goes
    on after its last complete epoch and, on the CPU, ends with the weights of one that was not killed; where it
    had ended, no epoch is trained. A folder that holds another training is an error. Callbacks that only watch
    may differ.

device : str, default='auto'
    Where the network computes; 'auto' takes a GPU where there is one.

verbose : int, default=0
    With 1 or more, progress with loss and time left is shown.

random_state : int, RandomState instance or None, default=None
    All randomness, such as that of weights and of the order of the clips. With an int, two fits on the CPU are the
    same bit for bit.

contamination : float, default=0.1
    Fraction of the training clips, in (0, 0.5), that the threshold would call anomalous.

threshold : {'quantile', 'gamma'}, default='quantile'
    How `offset_` is set from the training scores: their quantile, or that of a gamma distribution fitted to
    them, as the DCASE baselines do.

**kwargs : dict
    What else `skorch.NeuralNet` takes, by its names: ``optimizer``, ``optimizer__weight_decay``, ``callbacks``,
    ``iterator_train__num_workers``, ``compile``, ... The net is given copies of the callbacks: those that trained
    are ``net_.callbacks_``. An `EarlyStopping` needs clips that are set aside; with ``load_best=True`` the network
    and its loss keep the weights of the best epoch.

net_ : skorch.NeuralNet
    The net that did the training, with optimizer and callbacks. It is not saved with the estimator.

history_ : list of dict
    For each epoch its number, losses and duration in seconds.

sections_ : ndarray of str
    The sections that `fit` has seen.

offset_ : float
    Threshold on `score_samples`.

machine_ : str
    Name of the machine that `fit` has seen, empty if it was not given.

n_features_in_ : int
    Number of features of a window.

feature_names_in_ : ndarray of shape (n_features_in_,)
    Names of the features, if `fit` was given a data frame.
"""
_ENTRIES = {entry.partition(" :")[0]: entry for entry in _TEXTS.strip().split("\n\n")}
_PLACEHOLDER = re.compile(r"^( *)\{([\w*]+(?:, [\w*]+)*)\}$", re.MULTILINE)


def fill_docstring(documented):
    """Put the shared texts in place of the lines of a docstring that hold nothing but their names in braces.

    ``{lr, device}`` on a line of its own becomes the entries of these two parameters; the empty line between entries is
    put there as well.
    """
    if documented.__doc__ is not None:  # as it is under python -OO
        documented.__doc__ = _PLACEHOLDER.sub(_entries, documented.__doc__)
    return documented


def _entries(match):
    margin, names = match.groups()
    return indent("\n\n".join(_ENTRIES[name] for name in names.split(", ")), margin)
