"""Names of the package become links: in code font on pages in Markdown, in single backticks in docstrings."""

import importlib
from functools import cache

from docutils import nodes
from sphinx.addnodes import pending_xref, seealso

import skasd

FOREIGN_MODULES = (
    "sklearn.",
    "skorch.",
    "torch.",
    "numpy.",
    "scipy.",
    "matplotlib.",
    "joblib.",
    "librosa.",
    "tqdm.",
)
FOREIGN_NAMES = {
    "GridSearchCV",
    "LocalOutlierFactor",
    "NearestNeighbors",
    "Pipeline",
    "cross_validate",
}


@cache
def public_names():
    """Every public name, short and in full, with the full one."""
    names = {}
    for module in (f"skasd.{name}" for name in skasd._submodules):
        names[module] = module
        for name in importlib.import_module(module).__all__:
            names[name] = names[f"{module}.{name}"] = f"{module}.{name}"
    return names


def public_objects():
    """Every class and function of the package, by its short name."""
    full = {name: full for name, full in public_names().items() if "." not in name}
    return {
        name: getattr(importlib.import_module(full.rpartition(".")[0]), name)
        for name, full in full.items()
    }


def full_name(text):
    """The full name of what is meant, or None: `Clips`, `skasd.clips.Clips`, `Clips.with_fields`, `load_dcase()`."""
    text = text.removesuffix("()")
    if text in public_names():
        return public_names()[text]
    owner, _, member = text.rpartition(".")
    owner = public_names().get(owner)
    if owner and member.isidentifier() and not member.startswith("_"):
        module, _, name = owner.rpartition(".")
        if hasattr(getattr(importlib.import_module(module), name), member):
            return f"{owner}.{member}"
    return None


def link_code(app, doctree):
    """Wrap code that is a public name in a reference, on pages in Markdown."""
    if not doctree["source"].endswith(".md"):
        return
    for literal in list(doctree.findall(nodes.literal)):
        target = full_name(literal.astext())
        if target is None or isinstance(
            literal.parent, (nodes.title, nodes.reference, pending_xref)
        ):
            continue
        reference = pending_xref(
            refdomain="py", reftype="obj", reftarget=target, refdoc=app.env.docname
        )
        literal.replace_self(reference)
        reference += literal


def resolve(app, env, node, contnode):
    """Look a name of a docstring up; what leads nowhere and should is a warning."""
    if node.get("refdomain") != "py" or node["reftype"] != "obj":
        return None
    target = node["reftarget"]
    full = full_name(target)
    if full and full != target:
        domain = env.domains.python_domain
        return domain.resolve_xref(
            env, node["refdoc"], app.builder, "obj", full, node, contnode
        )
    return contnode if is_foreign(target) or is_parameter(node) else None


def is_foreign(target):
    return target.startswith(FOREIGN_MODULES) or target in FOREIGN_NAMES


def is_parameter(node):
    """Whether a name may be that of a parameter, a field or an attribute, which is code and no link."""
    see_also = node
    while see_also is not None and not isinstance(see_also, seealso):
        see_also = see_also.parent
    plain = node["reftarget"].islower() or node["reftarget"].isupper()
    return plain and see_also is None and not node["reftarget"].startswith("skasd.")


def setup(app):
    app.connect("doctree-read", link_code)
    app.connect("missing-reference", resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
