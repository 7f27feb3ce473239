"""Parameters by skorch's names: of the net, and of the parts that it trains."""

import inspect

from sklearn.base import BaseEstimator
from skorch import NeuralNet
from skorch.utils import params_for
from torch import nn
from torch.utils.data import DataLoader

from skasd._sklearn import InvalidParameterError

_OF_THE_NET = {*inspect.signature(NeuralNet).parameters} - {"module", "criterion", "warm_start", "kwargs"} | {
    "min_steps"
}


class NetParametersMixin(BaseEstimator):
    """Keyword arguments of an estimator that go to the skorch net, or as ``part__name`` to what makes a part.

    The constructor ends with ``self._net_params = kwargs``. They are parameters like the others to `get_params`,
    `set_params`, `clone` and searches, and `fit` looks whether there are such, as it looks at the values of others.
    """

    _parts = ("network",)  # parameters that make a module each

    def get_params(self, deep=True):
        """Parameters of the estimator, of the net and of what makes its parts.

        Parameters
        ----------
        deep : bool, default=True
            Whether to give those of nested estimators, as ``name__parameter``.

        Returns
        -------
        params : dict of str to object
        """
        return super().get_params(deep) | self._net_params

    def set_params(self, **params):
        """Set parameters of the estimator, of the net or of what makes its parts.

        Parameters
        ----------
        **params : dict
            As `get_params` names them.

        Returns
        -------
        self : object
            This estimator.
        """
        own = self._get_param_names()
        for name in params:
            self._check_nested(name, params)
        of_net = {name: value for name, value in params.items() if self._is_of_part(name) or _prefix(name) not in own}
        self._net_params = self._net_params | of_net
        return super().set_params(**{name: value for name, value in params.items() if name not in of_net})

    def _validate_params(self):
        prefixes = [*self._parts, "optimizer", *NeuralNet.prefixes_]
        for name in self._net_params:
            if name not in _OF_THE_NET and not any(name.startswith(f"{one}__") for one in prefixes):
                there = sorted({*self._get_param_names(), *_OF_THE_NET, *(f"{one}__..." for one in prefixes)})
                raise InvalidParameterError(f"{type(self).__name__} has no parameter {name!r}. There are "
                                            f"{', '.join(there)}.")  # fmt: skip
        self._check_optimizer_and_iterators()
        super()._validate_params()

    def _check_nested(self, name, params):
        """Refuse the parameter of an estimator that is not there, such as of ``pretrain=None``."""
        outer = _prefix(name)
        if "__" not in name or outer not in self._get_param_names() or outer in self._parts:
            return
        inner = params.get(outer, getattr(self, outer))
        if not hasattr(inner, "set_params"):
            raise ValueError(f"Invalid parameter {name!r} for {type(self).__name__}: {outer}={inner!r} has no "
                             f"parameters. Set {outer} to an estimator first.")  # fmt: skip

    def _check_optimizer_and_iterators(self):
        """Refuse arguments that an optimizer or iterator does not take, by their names as parameters."""
        makers = {"optimizer": self._optimizer, "iterator_train": DataLoader, "iterator_valid": DataLoader}
        for part, maker in makers.items():
            params = params_for(part, self._net_params)
            params.pop("param_groups", None)  # which skorch reads itself
            _check_arguments(part, self._net_params.get(part, maker), [None], params)

    def _is_of_part(self, name):
        return "__" in name and _prefix(name) in self._parts

    def _arguments_of_net(self):
        return {name: value for name, value in self._net_params.items() if not self._is_of_part(name)}

    def _make_part(self, part, *arguments):
        """The module that a parameter makes; an error where it is a module, or makes something else."""
        maker, params = getattr(self, part), params_for(part, self._net_params)
        if isinstance(maker, nn.Module):
            raise InvalidParameterError(f"{part} takes what makes a module, not a module: give {part}="
                                        f"{type(maker).__name__}, and its arguments as {part}__....")  # fmt: skip
        _check_arguments(part, maker, arguments, params)
        module = maker(*arguments, **params)
        if not isinstance(module, nn.Module):
            raise InvalidParameterError(f"{part}={maker!r} must make a torch.nn.Module; it made {module!r}.")
        return module


def _prefix(name):
    return name.partition("__")[0]


def _check_arguments(part, maker, arguments, params):
    """Refuse arguments that are not those of a class or function, by their names as parameters."""
    try:
        signature = inspect.signature(maker)
    except ValueError:  # of a callable that does not tell
        return
    try:
        signature.bind(*arguments, **params)
    except TypeError as error:
        there = [f"{part}__{one.name}" for one in [*signature.parameters.values()][len(arguments) :]
                 if one.kind in (one.KEYWORD_ONLY, one.POSITIONAL_OR_KEYWORD)]  # fmt: skip
        raise InvalidParameterError(f"{part}={maker!r} cannot be made: {error}. Its parameters are "
                                    f"{', '.join(there) or 'none'}.") from error  # fmt: skip
