"""What the docstrings of the estimators with a network have in common, see `skasd._docstrings.fill`."""

TRAINING_TEXTS = {
    "lr": """
lr : float, default=1e-3
    Learning rate.
""",
    "lr_schedule": """
lr_schedule : {'constant', 'cosine', 'one_cycle', 'warmup'}, default='constant'
    How the learning rate changes: not at all; to zero along a cosine over the epochs; from a 25th up to `lr` and down
    to nothing, with the momentum of our optimizer, though not of one that is given, the other way round
    (`torch.optim.lr_scheduler.OneCycleLR`); or up to `lr` in a tenth of the steps and down to zero along a cosine. For
    others give a `skorch.callbacks.LRScheduler` among the callbacks.
""",
    "checkpoint": """
checkpoint : str or path-like, default=None
    Folder that keeps the state of the training after every epoch. Where a training was killed, the same call goes on
    after its last complete epoch and, on the CPU, ends with the weights of one that was not killed; where it had ended,
    no epoch is trained. A folder that holds another training is an error. Callbacks that only watch may differ.
""",
    "device": """
device : str, default='auto'
    Where the network computes; 'auto' takes a GPU where there is one.

verbose : int, default=0
    With 1 or more, progress with loss and time left is shown.

random_state : int, RandomState instance or None, default=None
    All randomness, such as that of weights and of the order of the clips. With an int, two fits on the CPU are the same
    bit for bit.
""",
    "kwargs": """
**kwargs : dict
    What else `skorch.NeuralNet` takes, by its names: ``optimizer``, ``optimizer__weight_decay``, ``callbacks``,
    ``iterator_train__num_workers``, ``compile``, ... And ``min_steps``, the least number of batches to train on: where
    clips are few there are more epochs than ``max_epochs``. The net is given copies of the callbacks: those that
    trained are ``net_.callbacks_``. An ``EarlyStopping`` needs clips that are set aside; with ``load_best=True`` the
    network and its loss keep the weights of the best epoch.
""",
    "net_": """
net_ : skorch.NeuralNet
    The net that did the training, with optimizer and callbacks. It is not saved with the estimator.
""",
    "history_": """
history_ : list of dict
    For each epoch its number, losses and duration in seconds.
""",
}
