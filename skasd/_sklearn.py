"""scikit-learn's private names, which no other module imports."""

from sklearn.base import _fit_context as fit_context
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    InvalidParameterError,
    Options,
    StrOptions,
    validate_params,
)
from sklearn.utils._repr_html.estimator import _VisualBlock as VisualBlock
from sklearn.utils.metaestimators import _BaseComposition as BaseComposition
from sklearn.utils.validation import _num_samples as num_samples


def check_params(**constraints):
    """Decorator that checks the parameters of a function by such constraints, as scikit-learn's own functions do."""
    return validate_params(constraints, prefer_skip_nested_validation=True)
