"""Public names become links: code font on pages in Markdown, single backticks in the docstrings of any module."""

from docutils import nodes
from sphinx.util.nodes import make_refnode

import skasd


def link(app, docname, name, content):
    """A link to what `Clips`, `Clips.with_fields`, `load_dcase()` or `skasd.clips.Clips` mean, or None."""
    objects = app.env.domains.python_domain.objects
    for prefix in ("", *(f"skasd.{module}." for module in skasd._submodules)):
        if entry := objects.get(full := prefix + name.removesuffix("()")):
            return make_refnode(
                app.builder, docname, entry.docname, entry.node_id, content, full
            )
    return None


def link_code(app, doctree, docname):
    for literal in (
        doctree.findall(nodes.literal) if doctree["source"].endswith(".md") else ()
    ):
        if not isinstance(literal.parent, nodes.title | nodes.reference):
            literal.replace_self(
                link(app, docname, literal.astext(), literal.deepcopy()) or literal
            )


def link_short_name(app, env, node, content):
    return (
        link(app, node["refdoc"], node["reftarget"], content)
        if node.get("reftype") == "obj"
        else None
    )


def setup(app):
    app.connect("doctree-resolved", link_code)
    app.connect("missing-reference", link_short_name)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
