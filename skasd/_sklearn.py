"""scikit-learn's private names, which no other module imports."""

from sklearn.base import _fit_context

fit_context = _fit_context
