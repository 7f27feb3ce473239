"""What an estimator was saved with, told when it is loaded by something else."""

import warnings

from sklearn.exceptions import InconsistentVersionWarning

import skasd


class InconsistentSkasdVersionWarning(InconsistentVersionWarning):
    """Warning that an estimator was saved by other versions than those by which it is loaded.

    Parameters
    ----------
    estimator_name : str
        Class of the estimator.

    current : str
        The versions by which it is loaded.

    original : str
        The versions by which it was saved.
    """

    def __init__(self, *, estimator_name, current, original):
        super().__init__(
            estimator_name=estimator_name, current_sklearn_version=current, original_sklearn_version=original
        )

    def __str__(self):
        return (
            f"This {self.estimator_name} was saved with {self.original_sklearn_version} and is loaded with "
            f"{self.current_sklearn_version}; scores may differ. Fit it again if they do."
        )


class VersionsMixin:
    """An estimator whose state says by which versions it was saved, as those of scikit-learn do."""

    def _versions(self):
        """The versions that its scores depend on, besides those that the parts of other libraries tell themselves."""
        return f"skasd {skasd.__version__}"

    def __getstate__(self):
        return super().__getstate__() | {"_versions": self._versions()}

    def __setstate__(self, state):
        state = dict(state)
        saved, now = state.pop("_versions", "an unknown version of skasd"), self._versions()
        if saved != now:
            warning = InconsistentSkasdVersionWarning(estimator_name=type(self).__name__, current=now, original=saved)
            warnings.warn(warning, stacklevel=2)
        super().__setstate__(state)
