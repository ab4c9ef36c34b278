"""Sphinx's settings. The pages are laid beside this file by build.py; nothing is fetched, here or by a reader's browser."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project, author = "ddlite", "the ddlite authors"
project_copyright = "the ddlite authors, MIT licence"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode", "formulas"]
html_math_renderer = "formulas"

nb_execution_mode = "off"  # outputs are those that are stored
nb_merge_streams = True
nb_render_markdown_format = "gfm"  # the default has no tables
myst_enable_extensions = ["dollarmath", "attrs_block", "attrs_inline", "html_image"]
myst_heading_anchors = 3

default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
autodoc_typehints = "none"
napoleon_google_docstring, napoleon_numpy_docstring = True, False
napoleon_use_ivar = False

html_theme = "furo"
html_title = "ddlite"
html_static_path, templates_path, html_extra_path = ["_static"], ["_templates"], ["_extra"]
exclude_patterns = ["_extra", "fragments"]
html_css_files = ["site.css"]
html_show_search_summary = False  # it would fetch pages, which a browser refuses from a disk
html_favicon = "_static/favicon.png"
html_show_sphinx = html_copy_source = html_show_sourcelink = False
