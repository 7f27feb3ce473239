"""What the docstrings of the estimators with a network have in common, see `skasd._docstrings.fill`."""

TRAINING_TEXTS = {
    "lr": """
lr : float, default=1e-3
    Learning rate.
""",
    "lr_schedule": """
lr_schedule : {'constant', 'cosine', 'one_cycle', 'warmup'}, default='constant'
    How the learning rate changes: not at all; down to zero along a cosine over the epochs; from a 25th of `lr` up to
    `lr` and down to almost zero, with the momentum the other way round if the optimizer is the default one
    (`torch.optim.lr_scheduler.OneCycleLR`); or up to `lr` in a tenth of the steps and then down to zero along a cosine.
    For other schedules put a `skorch.callbacks.LRScheduler` among the callbacks.
""",
    "checkpoint": """
checkpoint : str or path-like, default=None
    Folder in which the state of the training is saved after every epoch. If a training was killed, the same call
    resumes after its last complete epoch and, on the CPU, ends with the weights of an uninterrupted training; if it had
    finished, no epoch is trained. A folder with another training is an error. Callbacks that only watch may differ.
""",
    "device": """
device : str, default='auto'
    Device for the network; 'auto' uses a GPU if there is one.

verbose : int, default=0
    With 1 or more, progress with loss and time left is shown.

random_state : int, RandomState instance or None, default=None
    Seed of all randomness, such as initial weights and the order of the clips. With an int, two fits on the CPU are
    identical bit for bit.
""",
    "kwargs": """
**kwargs : dict
    Further parameters of `skorch.NeuralNet`, by its names: ``optimizer``, ``optimizer__weight_decay``, ``callbacks``,
    ``iterator_train__num_workers``, ``compile``, ... Also ``min_steps``, the least number of batches to train on: with
    few clips there are more epochs than ``max_epochs``. The net uses copies of the callbacks, ``net_.callbacks_``. An
    ``EarlyStopping`` needs clips that are set aside; with ``load_best=True`` the network and its loss keep the weights
    of the best epoch.
""",
    "net_": """
net_ : skorch.NeuralNet
    The net that was trained, with optimizer and callbacks. It is not saved with the estimator.
""",
    "history_": """
history_ : list of dict
    For each epoch its number, losses and duration in seconds.
""",
}
