"""The documentation site, which `make docs` builds into build/site with Sphinx.

The source folder is the repository, so that a link is the same on the site and on a code host.
"""

import sys
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import lthray  # noqa: E402 - found beside this folder

project = "lthray"
version = release = lthray.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
root_doc = "README"
NAVIGATION = {
    "Start": ("docs/tutorial", "docs/comparison"),
    "How to": (
        "docs/own", "docs/data", "docs/ablations", "docs/search", "docs/resume", "docs/evaluate", "docs/transfer",
        "docs/readers", "docs/python", "docs/cluster", "docs/storage", "docs/gpu",
    ),
    "Reference": (
        "docs/reference/command-line", "docs/reference/sweep-file", "docs/reference/results-folder",
        "docs/reference/tables", "docs/reference/report", "docs/reference/environment", "docs/reference/python",
        "docs/reference/python-analysis",
    ),
    "Explanation": ("docs/protocol", "docs/analysis", "docs/reproducibility", "docs/performance"),
    "The poster": ("analysis/README", "analysis/poster/README"),
    "Project": ("CHANGELOG", "CONTRIBUTING"),
}  # fmt: skip
"""The pages in the order of the site's sidebar."""
TITLES = {
    "docs/tutorial": "Tutorial",
    "docs/own": "Use your own network and rules",
    "docs/evaluate": "Attack harder",
    "docs/readers": "Read results",
    "docs/python": "Use Python or a notebook",
    "docs/reference/sweep-file": "Sweep file",
    "docs/protocol": "The protocol",
    "analysis/poster/README": "The published results",
    "analysis/README": "The answer, claim by claim",
}
"""The pages whose own titles are long, by what the sidebar says."""
include_patterns = [f"{page}.md" for pages in ((root_doc,), *NAVIGATION.values()) for page in pages]

# Markdown as a code host reads it: anchors of headings, but no dollars, directives in colons, and the like.
myst_heading_anchors = 4
myst_enable_extensions: set[str] = set()
nitpicky = True
nitpick_ignore_regex = [("py:.*", ".*")]  # types in signatures, of packages that the site has no pages of

default_role = "code"
autodoc_typehints = "signature"
autodoc_class_signature = "separated"  # and left out: `load` and `open` make the objects
autodoc_default_options = {"exclude-members": "__init__"}
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
python_maximum_signature_line_length = 80

html_theme = "furo"
html_title = "lthray"
html_show_sphinx = False
html_copy_source = False
html_show_search_summary = False  # which a page opened from a disk may not fetch
html_static_path = ["assets"]
html_css_files = ["site.css"]
html_theme_options = {"navigation_with_keys": True}
copybutton_prompt_text = "$ "
linkcheck_ignore: list[str] = []


def _add_navigation(app: Sphinx, page: str, source: list[str]) -> None:
    """Ends the README with the tables of contents, which a code host would show as text."""
    if page == root_doc:
        for caption, pages in NAVIGATION.items():
            entries = "\n".join(f"{TITLES[page]} <{page}>" if page in TITLES else page for page in pages)
            source[0] += f"\n\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{entries}\n```\n"


def _write_index(app: Sphinx, error: Exception | None) -> None:
    """Sends whoever opens the folder to the first page."""
    if not error:
        page = f'<!doctype html><title>lthray</title><meta http-equiv="refresh" content="0; url={root_doc}.html">\n'
        (Path(app.outdir) / "index.html").write_text(page, encoding="utf-8")


def setup(app: Sphinx) -> None:
    """Registers what this file does besides settings."""
    app.connect("source-read", _add_navigation)
    app.connect("build-finished", _write_index)
