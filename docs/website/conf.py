"""Sphinx's settings. docs/build.py stages the pages and runs Sphinx with this file."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from refot import __version__ as release

project = "refot"
author = "The refot developers"
copyright = author
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton", "sphinx_design",
              "sphinxcontrib.bibtex", "website.mathml", "website.docstrings"]

myst_enable_extensions = ["colon_fence", "dollarmath", "attrs_inline"]
myst_heading_anchors = 4
bibtex_bibfiles = [str(Path(__file__).resolve().parents[1] / "references.bib")]
copybutton_prompt_text = "$ "
copybutton_only_copy_prompt_lines = True

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_default_options = {"show-inheritance": False}
autodoc_type_aliases = {name: name for name in (
    "Array", "BackendLike", "CostLike", "Masses", "Matrix", "Points", "Potential", "Weights")}
add_module_names = False

html_theme = "furo"
html_title = f"refot {release}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_js_files = [("figures.js", {"defer": "defer"})]
html_math_renderer = "mathml"
html_copy_source = False
html_show_sourcelink = False
html_show_search_summary = False  # it would read the pages by requests, which file:// forbids
html_permalinks_icon = "#"
html_theme_options = {"navigation_with_keys": False}
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"
