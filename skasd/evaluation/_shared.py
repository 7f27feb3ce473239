"""Steps that the systems of all machines share, fitted once on the training clips of all."""

import time

import joblib
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline


class SharedSteps:
    """The steps up to one of them, which all systems have alike; `systems` and `training` are by machine."""

    def __init__(self, name, systems, training):
        self.name = name
        self.systems = systems
        self.training = training
        self.steps = _common_steps(name, systems)

    def fingerprint(self, of_training):
        """What tells whether the shared steps are those of this call, by the fingerprint of each machine's clips."""
        return {"step": self.name, "training data": joblib.hash(sorted(of_training.items()))}

    def fit(self):
        """For each machine the system with the fitted steps in it, which stay as they are; and the seconds it took."""
        start = time.perf_counter()
        first, *others = (self.training[machine] for machine in sorted(self.training))
        fitted = FrozenEstimator(clone(self.steps).fit(sum(others, first)))
        seconds = time.perf_counter() - start
        own = {machine: system.steps[len(self.steps) :] for machine, system in self.systems.items()}
        return {machine: Pipeline([(self.name, fitted), *steps]) for machine, steps in own.items()}, seconds


def _common_steps(name, systems):
    """The steps up to that of this name; an error where systems lack it or have others."""
    (first, system), *others = systems.items()
    steps = _steps_until(name, first, system)
    for machine, other in others:
        if other is not system and _digest(_steps_until(name, machine, other)) != _digest(steps):
            raise ValueError(f"shared={name!r} needs the same steps for all machines up to that one, and those of "
                             f"{machine} are not those of {first}. Make their parameters alike, or leave out shared."
                             )  # fmt: skip
    return steps


def _steps_until(name, machine, system):
    names = [step for step, _ in system.steps] if isinstance(system, Pipeline) else []
    if name not in names[:-1]:
        there = f"has the steps {', '.join(names)}" if names else f"is no pipeline but {system!r}"
        raise ValueError(f"shared={name!r} must name a step of the pipeline before the last one, which each machine "
                         f"fits by itself; the system of {machine} {there}.")  # fmt: skip
    return system[: names.index(name) + 1]


def _digest(steps):
    try:
        return joblib.hash(clone(steps))
    except Exception as error:
        raise TypeError("shared= needs steps that can be pickled, to tell whether they are the same for all machines; "
                        f"got {error!r}. Give one pipeline for all, or functions that can be imported, not lambdas."
                        ) from error  # fmt: skip
