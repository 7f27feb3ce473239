"""How the documentation is built: `python -m sphinx -W --keep-going -b html docs docs/_build/html`."""

import sys
import tomllib
from pathlib import Path

from sklearn.utils import all_estimators

import skasd

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "skasd"
author = "The skasd developers"
project_copyright = author
version = release = skasd.__version__
urls = tomllib.loads(
    (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
)["project"]["urls"]

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "matplotlib.sphinxext.plot_directive",
    "sphinx_gallery.gen_gallery",
    "myst_parser",
    "sphinx_design",
    "sphinx_copybutton",
    "drawings",
    "formulas",
    "links",
]
exclude_patterns = ["_build", "**/README.*", "api/backreferences"]
templates_path = ["_templates"]
nitpicky = True
default_role = "py:obj"
myst_enable_extensions = ["colon_fence", "substitution"]
myst_substitutions = {"repository": f"[repository]({urls['Repository']})"}
myst_heading_anchors = 3
copybutton_exclude = ".linenos, .gp, .go"

autosummary_generate = True
autodoc_typehints = "none"
autodoc_member_order = "bysource"
# Defaults as they are written, without the paths of private modules.
autodoc_preserve_defaults = True
napoleon_google_docstring = False
napoleon_use_param = napoleon_use_rtype = False
napoleon_custom_sections = ["Conventions", "Metrics", ("Attributes", "params_style")]
# Sources that a docstring lists and cites nowhere
suppress_warnings = ["ref.footnote"]
# Names of other packages stay code, for the pages build offline, and so do parameters, fields and attributes.
nitpick_ignore_regex = [
    ("py:obj", r"(sklearn|skorch|torch|numpy|scipy|matplotlib|joblib|librosa)\..*"),
    ("py:obj", "|".join(name for name, _ in all_estimators())),  # of scikit-learn
    ("py:obj", r"(?!skasd\.)[a-z_.]+|[A-Z_]+"),
]

plot_formats = ["svg"]
plot_include_source = plot_html_show_source_link = plot_html_show_formats = False
plot_apply_rcparams = True
plot_rcparams = {
    "figure.figsize": (4.8, 3.6),
    "figure.constrained_layout.use": True,
    "savefig.transparent": True,
}

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "ignore_pattern": r"(quickstart|dcase)\.py",
    "subsection_order": [
        f"../examples/{name}"
        for name in ("first_steps", "alarms", "tuning", "networks")
    ],
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
    "icon_links": [
        {
            "name": "Repository",
            "url": urls["Repository"],
            "icon": "fa-solid fa-code-branch",
        }
    ],
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
