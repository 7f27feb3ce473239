"""What numpydoc does not do with the docstrings of the package."""

import importlib
import re

KNOWN_TO_NUMPYDOC = {"References", "Notes", "Examples"}


def complete(app, what, name, obj, options, lines):
    """Change the lines of a docstring before numpydoc sees them."""
    if what == "module":
        make_rubrics(lines)
        list_references(lines)
    else:
        bring_references(name, lines)
        escape_types(lines)


def make_rubrics(lines):
    """Headings of modules, such as Conventions, which numpydoc does not know."""
    for i, line in enumerate(lines[1:]):
        if re.fullmatch("-{3,}", line) and lines[i] not in KNOWN_TO_NUMPYDOC:
            lines[i], lines[i + 1] = f".. rubric:: {lines[i]}", ""


def list_references(lines):
    """References that the module itself does not cite are no citations, but a list."""
    for i, line in enumerate(lines):
        reference = re.match(r"\.\. (\[\w+\]) ", line)
        if reference and f"{reference[1]}_" not in "".join(lines):
            lines[i] = f"*  {reference[1]} {line[reference.end() :]}"


def bring_references(name, lines):
    """References such as [S1]_, which a module has once for all of its functions."""
    text = "\n".join(lines)
    cited = sorted(
        set(re.findall(r"\[([A-Z]\w*)\]_", text))
        - set(re.findall(r"^\.\. \[(\w+)\]", text, re.MULTILINE))
    )
    if not cited:
        return
    module = importlib.import_module(name.rpartition(".")[0]).__doc__
    found = [
        re.search(rf"^\.\. \[{label}\] .*(?:\n   .*)*", module, re.MULTILINE)[0]
        for label in cited
    ]
    place = lines.index("Examples")
    lines[place:place] = [
        "References",
        "----------",
        *"\n".join(found).splitlines(),
        "",
    ]


def escape_types(lines):
    """In a type such as `ndarray of shape (n_features_in_,)` the underscore is no reference."""
    for i, line in enumerate(lines):
        if re.match(r" *[\w*, ]+ : ", line):
            lines[i] = re.sub(r"(?<=\w)_(?=[,)])", r"\\_", line)


def leave_out(app, what, name, obj, skip, options):
    """The fields of named tuples, which their classes describe, and what scikit-learn makes for metadata routing."""
    return (
        True
        if type(obj).__name__ == "_tuplegetter"
        or re.fullmatch(r"set_\w+_request", name)
        else None
    )


def setup(app):
    app.connect("autodoc-process-docstring", complete, priority=400)
    app.connect("autodoc-skip-member", leave_out)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
