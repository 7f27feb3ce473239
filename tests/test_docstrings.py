"""Docstrings say what the code does: parameters, defaults, attributes, errors, links; and their examples run.

A law is a generator that takes a path, such as `skasd.clips.Clips.shape`, and yields what is wrong there.
"""

import ast
import builtins
import contextlib
import doctest
import importlib
import inspect
import io
import re
import textwrap
from dataclasses import is_dataclass
from functools import cache

import numpy as np
import pandas as pd
import pytest
from estimators import ESTIMATORS
from numpydoc.docscrape import ClassDoc, FunctionDoc
from numpydoc.validate import validate
from sklearn.base import clone

import skasd

LEFT_OUT = {
    "ES01",  # no extended summary where one line says it all
    "EX01",  # examples are in the docstrings of classes and functions, which another law looks at
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


def public():
    """Every public class and function by the path at which users import it."""
    for module in (f"skasd.{name}" for name in skasd._submodules):
        room = importlib.import_module(module)
        yield from ((f"{module}.{name}", getattr(room, name)) for name in room.__all__)


def members(path, owner):
    """What the package itself adds to a public class: methods and properties."""
    for name in dir(owner) if inspect.isclass(owner) else ():
        source = next((base for base in owner.__mro__ if name in vars(base)), None)
        member = inspect.getattr_static(owner, name)
        is_ours = source is not None and source.__module__.startswith("skasd.")
        if is_ours and not (name.startswith("_") or name in OF_OTHERS or re.fullmatch(r"set_\w+_request", name)):
            if inspect.isroutine(member) or isinstance(member, property) or hasattr(member, "fn"):
                yield f"{path}.{name}", member


def code_of(value):
    """The class or function behind a class method, a property or what decorators have made."""
    for wrapper in ("__func__", "fget", "fn"):
        value = getattr(value, wrapper, value)
    return inspect.unwrap(value)


PUBLIC = dict(public())
MEMBERS = {path: member for owner in PUBLIC.items() for path, member in members(*owner)}
CLASSES = {path: value for path, value in PUBLIC.items() if inspect.isclass(value)}
DOCUMENTED = {path: code_of(value) for path, value in {**PUBLIC, **MEMBERS}.items() if code_of(value).__doc__}


@cache
def read(path):
    value = DOCUMENTED[path]
    return ClassDoc(value, config={"show_class_members": False}) if inspect.isclass(value) else FunctionDoc(value)


def names(path, section):
    return {name: entry.type for entry in read(path)[section] for name in entry.name.split(", ")}


def members_are_documented(path):
    """By themselves, or where they override something, by that."""
    if path in MEMBERS:
        owner, _, name = path.rpartition(".")
        if not any(code_of(vars(base)[name]).__doc__ for base in PUBLIC[owner].__mro__ if name in vars(base)):
            yield "has no docstring"


def docstrings_are_complete(path):
    """numpydoc: all parameters in the order of the signature, sections in order, a summary in one line, returns."""
    yield from (f"{code}: {said}" for code, said in validate(path)["errors"] if code not in LEFT_OUT)


def defaults_are_those_of_the_code(path):
    value, documented = DOCUMENTED[path], names(path, "Parameters")
    for parameter in inspect.signature(value).parameters.values():
        kind = documented.get(parameter.name, "")
        said = kind.partition("default=")[2]
        if kind == "None":  # of a `y` that is ignored
            continue
        if (parameter.default is inspect.Parameter.empty) != (not said):
            yield f"{parameter}: {kind!r}"
        elif said and not same(eval(said, vars(inspect.getmodule(value))), parameter.default):
            yield f"{parameter}: {kind!r}"


def same(one, other):
    return one is other or one == other or (one != one and other != other)


def raised_in(function):
    """Names of the errors that a function raises itself, but for that of a method for subclasses to define."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    calls = [node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise) and node.exc is not None]
    return {getattr(getattr(call, "func", call), "id", "") for call in calls} & vars(builtins).keys() - {
        "NotImplementedError"
    }


def errors_are_documented(path):
    value, doc = DOCUMENTED[path], read(path)
    start = vars(value).get("__post_init__" if is_dataclass(value) else "__init__") if inspect.isclass(value) else value
    if inspect.isfunction(start) and start.__module__.startswith("skasd."):
        said = " ".join([*(entry.type for entry in doc["Raises"]), *doc["Summary"], *doc["Extended Summary"]])
        yield from (name for name in raised_in(start) if name not in said)


def documented_errors_exist(path):
    for entry in [*read(path)["Raises"], *read(path)["Warns"]]:
        if not (issubclass(getattr(builtins, entry.type, object), Exception) and entry.desc):
            yield entry.type


def examples_run_as_tests(path):
    value = PUBLIC.get(path)
    if value is not None:
        examples = doctest.DocTestParser().get_examples(inspect.getdoc(value))
        tests = doctest.DocTestFinder().find(inspect.getmodule(value))
        if all(doctest.SKIP in example.options for example in examples):
            yield "has no example that runs"
        if not any(test.name == f"{value.__module__}.{value.__qualname__}" and test.examples for test in tests):
            yield "has an example that doctest does not find"


def exists(name, module):
    """Whether a docstring of a public module can call something by that name."""
    for full in (f"{module}.{name}", name):
        parts = full.split(".")
        for n_modules in range(len(parts), 0, -1):
            with contextlib.suppress(ImportError, AttributeError):
                value = importlib.import_module(".".join(parts[:n_modules]))
                for part in parts[n_modules:]:
                    value = getattr(value, part)
                return True
    return False


def links_lead_somewhere(path):
    linked = [name for group, _ in read(path)["See Also"] for name, _ in group]
    if path in CLASSES and not linked:
        yield "has no See Also"
    text = inspect.getdoc(DOCUMENTED[path])
    linked += re.findall(r"(?<!`)`((?:skasd|sklearn|torch|librosa|scipy|numpy|matplotlib|joblib)\.[\w.]+)`", text)
    yield from (name for name in linked if not exists(name, ".".join(path.split(".")[:2])))


def references_are_given(path):
    text = inspect.getdoc(DOCUMENTED[path])
    given = text + (importlib.import_module(".".join(path.split(".")[:2])).__doc__ or "")
    yield from (label for label in set(re.findall(r"\[(\w+)\]_", text)) if f".. [{label}] " not in given)


def attributes_exist(path):
    """They are those that a fit of a small estimator makes, of all other classes those that their example makes."""
    if path in CLASSES and (documented := set(names(path, "Attributes"))):
        instance = fitted(CLASSES[path]) or made_in_example(path)
        yield from (f"{name} does not exist" for name in documented if not hasattr(instance, name))
        yield from (f"{name} is not documented" for name in learned(instance) - documented)


def fitted(kind):
    columns = pd.DataFrame(np.random.default_rng(0).normal(size=(24, 6)), columns=list("abcdef"))
    return next((clone(one).fit(columns, [1, 2] * 12) for one in ESTIMATORS if type(one) is kind), None)


def made_in_example(path):
    (test,) = doctest.DocTestFinder(recurse=False).find(CLASSES[path], path)
    values = dict(test.globs)
    with contextlib.redirect_stdout(io.StringIO()):
        for example in test.examples:
            exec(compile(example.source, path, "single"), values)
    (instance,) = (value for value in values.values() if type(value) is CLASSES[path])
    return instance


def learned(instance):
    """Names of what it has learned, as scikit-learn marks it: with an underscore at the end."""
    return {name for name in [*vars(instance), *vars(type(instance))] if re.fullmatch(r"[^_]\w*_", name)}


LAWS = [
    members_are_documented,
    docstrings_are_complete,
    defaults_are_those_of_the_code,
    errors_are_documented,
    documented_errors_exist,
    examples_run_as_tests,
    links_lead_somewhere,
    references_are_given,
    attributes_exist,
]


def complaints(law, path):
    try:
        return [f"{path}: {said}" for said in law(path)]
    except Exception as error:
        return [f"{path}: {error!r}"]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_docstrings(law):
    paths = MEMBERS if law is members_are_documented else DOCUMENTED
    wrong = [said for path in paths for said in complaints(law, path)]
    assert not wrong, "\n".join(wrong)
