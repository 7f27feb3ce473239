"""How the documentation is built: `python -m sphinx -W --keep-going -b html docs docs/_build/html`."""

import sys
from pathlib import Path

import skasd

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "skasd"
author = "The skasd developers"
project_copyright = author
version = release = skasd.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
    "myst_parser",
    "sphinx_design",
    "sphinx_copybutton",
    "docstrings",
    "drawings",
    "formulas",
    "names",
    "pictures",
]
exclude_patterns = ["_build", "**/README.*", "api/backreferences"]
templates_path = ["_templates"]
nitpicky = True
default_role = "py:obj"
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
copybutton_exclude = ".linenos, .gp, .go"

autosummary_generate = True
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_validation_checks = {
    "all",  # but for
    "ES01",  # no extended summary where one line says it all
    "EX01",  # examples stand at the class, not at each of its methods
    "GL01",  # the summary begins on the line of the quotes
    "GL08",  # a method that overrides another one inherits its docstring
    "PR07",  # `embedding : Tensor of shape (batch, embedding_size)` says it all
    "RT02",  # what is returned has a name
    "RT03",  # `self : FrameStacker` says it all
    "RT04",  # dtypes, with which descriptions begin, are lower case
    "SA01",  # See Also where there is something to see
    "SA04",
    "SS05",  # "as", "keys" and "class" are no verbs in the third person
}
numpydoc_validation_exclude = {
    r"BaseDetector\._",  # one line each, for those who write a detector
    r"skasd\.augmentation\.Batch$",  # its parameters are its attributes
    r"skasd\.evaluation\.(Failure|Rules)\.",
    r"extra_repr$",
}

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "ignore_pattern": r"(quickstart|dcase2022)\.py",
    "within_subsection_order": "FileNameSortKey",
    "backreferences_dir": "api/backreferences",
    "doc_module": ("skasd",),
    "image_srcset": ["2x"],
    "remove_config_comments": True,
    "download_all_examples": False,
    "show_signature": False,
    "write_computation_times": False,  # a page that loads scripts from elsewhere
}

toc_object_entries_show_parents = "hide"
html_theme = "pydata_sphinx_theme"
html_title = "skasd"
html_static_path = ["_static"]
html_css_files = ["skasd.css"]
html_show_sourcelink = False
html_context = {"default_mode": "auto"}  # light or dark, as the device is
html_theme_options = {
    "logo": {"text": "skasd"},
    "header_links_before_dropdown": 7,
    "navbar_align": "left",
    "navigation_with_keys": False,
    "show_prev_next": False,
    "secondary_sidebar_items": {"**": ["page-toc"], "index": []},
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
html_sidebars = {page: [] for page in ("index", "concepts", "systems", "changelog")}
