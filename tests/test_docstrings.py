"""Docstrings say what the code does: parameters, defaults, attributes, errors, links; and their examples run."""

import ast
import builtins
import doctest
import importlib
import inspect
import re
import textwrap
from dataclasses import is_dataclass

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot
from numpydoc.docscrape import ClassDoc, FunctionDoc
from numpydoc.validate import validate
from sklearn.base import clone
from test_common import ESTIMATORS
from test_displays import DRAW

import skasd

LEFT_OUT = {
    "ES01",  # no extended summary where one line says it all
    "EX01",  # examples stand at classes and functions, which another test looks at
    "GL01",  # the summary begins on the line of the quotes
    "PR07",  # `embedding : Tensor of shape (batch, embedding_size)` says it all
    "RT02",  # what is returned has a name
    "RT03",  # `self : FrameStacker` says it all
    "RT04",  # dtypes, with which descriptions begin, are lower case
    "SA01",  # See Also where there is something to see
    "SA04",  # what is linked to says what it is
    "SS05",  # "as", "keys" and "class" are no verbs in the third person
}
OF_OTHERS = {"extra_repr"}  # methods for torch


def all_public():
    """Every public class and function by the path at which users import it."""
    for module in skasd._submodules:
        public = importlib.import_module(f"skasd.{module}")
        yield from ((f"skasd.{module}.{name}", getattr(public, name)) for name in public.__all__)


def all_members(path, owner):
    """What the package itself adds to a public class: methods and properties, that have docstrings of their own."""
    for name in dir(owner) if inspect.isclass(owner) else ():
        source = next((base for base in owner.__mro__ if name in vars(base)), None)
        member = inspect.getattr_static(owner, name)
        is_ours = source is not None and source.__module__.startswith("skasd.")
        if is_ours and not (name.startswith("_") or name in OF_OTHERS or re.fullmatch(r"set_\w+_request", name)):
            if inspect.isroutine(member) or isinstance(member, property) or hasattr(member, "fn"):
                yield f"{path}.{name}", member


PUBLIC = dict(all_public())
MEMBERS = {path: member for owner in PUBLIC.items() for path, member in all_members(*owner)}
CLASSES = {path: value for path, value in PUBLIC.items() if inspect.isclass(value)}


def code_of(value):
    """The class or function behind a class method, a property or what decorators have made."""
    for wrapper in ("__func__", "fget", "fn"):
        value = getattr(value, wrapper, value)
    return inspect.unwrap(value)


DOCUMENTED = {path: code_of(value) for path, value in {**PUBLIC, **MEMBERS}.items() if code_of(value).__doc__}
every = pytest.mark.parametrize("path", DOCUMENTED)
every_public = pytest.mark.parametrize("path", PUBLIC)


def read(path):
    value = DOCUMENTED[path]
    return ClassDoc(value, config={"show_class_members": False}) if inspect.isclass(value) else FunctionDoc(value)


@pytest.mark.parametrize("path", MEMBERS)
def test_everything_is_documented(path):
    """By itself, or where it overrides something, by that."""
    owner, _, name = path.rpartition(".")
    bases = PUBLIC[owner].__mro__
    assert any(code_of(vars(base)[name]).__doc__ for base in bases if name in vars(base))


@every
def test_is_complete(path):
    """numpydoc: all parameters in the order of the signature, sections in order, a summary in one line, returns."""
    errors = [f"{code}: {message}" for code, message in validate(path)["errors"] if code not in LEFT_OUT]
    assert not errors


@every
def test_defaults_are_those_of_the_code(path):
    value = DOCUMENTED[path]
    documented = {name: entry.type for entry in read(path)["Parameters"] for name in entry.name.split(", ")}
    for parameter in inspect.signature(value).parameters.values():
        kind = documented.get(parameter.name, "")
        if parameter.default is inspect.Parameter.empty:
            assert "default" not in kind, parameter
        elif kind != "None":  # of a `y` that is ignored
            assert ", default=" in kind, f"{parameter} has a default, its docstring says {kind!r}"
            default = eval(kind.rpartition(", default=")[2], vars(inspect.getmodule(value)))
            np.testing.assert_equal(default, parameter.default)


def raised_in(function):
    """Names of the errors that a function raises itself, but for that of a method for subclasses to define."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    calls = [node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise) and node.exc is not None]
    names = {getattr(getattr(call, "func", call), "id", "") for call in calls}
    return {name for name in names if hasattr(builtins, name)} - {"NotImplementedError"}


@every
def test_errors_are_documented(path):
    value, doc = DOCUMENTED[path], read(path)
    starts = ["__post_init__"] if is_dataclass(value) else ["__init__"]
    functions = [vars(value).get(name) for name in starts] if inspect.isclass(value) else [value]
    said = " ".join([*(entry.type for entry in doc["Raises"]), *doc["Summary"], *doc["Extended Summary"]])
    for function in functions:
        if inspect.isfunction(function) and function.__module__.startswith("skasd."):
            assert all(name in said for name in raised_in(function))


@every
def test_errors_that_are_documented_exist(path):
    for entry in [*read(path)["Raises"], *read(path)["Warns"]]:
        assert issubclass(getattr(builtins, entry.type), Exception) and entry.desc


def attributes_in(path):
    return {name for entry in read(path)["Attributes"] for name in entry.name.split(", ")}


def learned(instance):
    """Names of what it has learned, as scikit-learn marks it: with an underscore at the end."""
    return {name for name in [*vars(instance), *vars(type(instance))] if re.fullmatch(r"[^_]\w*_", name)}


@pytest.fixture(scope="module")
def training():
    names = list("abcdef")
    return pd.DataFrame(np.random.default_rng(0).normal(size=(24, 6)), columns=names), np.array([1, 2] * 12)


def path_of(instance):
    return next(path for path, kind in CLASSES.items() if kind is type(instance))


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda estimator: type(estimator).__name__)
def test_attributes_of_estimators_are_those_that_a_fit_makes(estimator, training):
    estimator = clone(estimator).fit(*training)
    assert attributes_in(path_of(estimator)) == learned(estimator)


@pytest.mark.parametrize("name", DRAW)
def test_attributes_of_displays_are_those_that_drawing_makes(name):
    with pyplot.rc_context({"backend": "agg"}):
        display = DRAW[name]()
        pyplot.close("all")
    assert attributes_in(path_of(display)) == learned(display)


REST = [
    path for path, kind in CLASSES.items()
    if attributes_in(path) and not hasattr(kind, "plot") and not any(type(one) is kind for one in ESTIMATORS)
]  # fmt: skip


@pytest.mark.parametrize("path", REST)
def test_attributes_of_others_are_those_of_their_example(path):
    (test,) = doctest.DocTestFinder(recurse=False).find(CLASSES[path], path)
    values = dict(test.globs)
    for example in test.examples:
        exec(compile(example.source, path, "single"), values)
    (instance,) = (value for value in values.values() if type(value) is CLASSES[path])
    assert all(hasattr(instance, name) for name in attributes_in(path))
    assert learned(instance) <= attributes_in(path)


@every_public
def test_has_examples_that_run_as_tests(path):
    value = PUBLIC[path]
    examples = doctest.DocTestParser().get_examples(inspect.getdoc(value))
    assert examples
    assert not all(doctest.SKIP in example.options for example in examples)
    tests = doctest.DocTestFinder().find(inspect.getmodule(value))
    assert [test for test in tests if test.name == f"{value.__module__}.{value.__qualname__}" and test.examples]


def resolve(name, module):
    """What a name in a docstring of a public module stands for."""
    for full in (f"{module}.{name}", name):
        parts = full.split(".")
        for n_modules in range(len(parts), 0, -1):
            try:
                value = importlib.import_module(".".join(parts[:n_modules]))
                for part in parts[n_modules:]:
                    value = getattr(value, part)
                return value
            except (ImportError, AttributeError):
                continue
    raise AssertionError(f"there is no {name}")


@every
def test_what_is_linked_to_exists(path):
    module = ".".join(path.split(".")[:2])
    linked = [name for group, _ in read(path)["See Also"] for name, _ in group]
    text = inspect.getdoc(DOCUMENTED[path])
    linked += re.findall(r"(?<!`)`((?:skasd|sklearn|torch|librosa|scipy|numpy|matplotlib|joblib)\.[\w.]+)`", text)
    for name in linked:
        assert resolve(name, module) is not None


@pytest.mark.parametrize("path", CLASSES)
def test_classes_say_what_to_see_also(path):
    assert read(path)["See Also"]


@every
def test_references_that_are_cited_are_given(path):
    text = inspect.getdoc(DOCUMENTED[path])
    given = text + (importlib.import_module(".".join(path.split(".")[:2])).__doc__ or "")
    for label in set(re.findall(r"\[(\w+)\]_", text)):
        assert f".. [{label}] " in given
