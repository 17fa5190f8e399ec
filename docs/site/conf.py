"""Sphinx's settings for the documentation site. The sources are the Markdown files where they lie, so links work on a forge and here."""

import pathlib

import yaml

root = pathlib.Path(__file__).resolve().parents[2]

project = "jobstrom"
author = "the jobstrom maintainers"
language = "en"
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
root_doc = "docs/index"
exclude_patterns = [".*", "bin", "var"]
html_theme = "furo"
html_title = "jobstrom"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_extra_path = ["extra"]
html_copy_source = False
html_show_sphinx = False
smartquotes = False
highlight_language = "none"  # a block without a language is a drawing or output
pygments_style = "tango"
pygments_dark_style = "github-dark"
myst_heading_anchors = 6


def pages(pattern):
    """The documents that a path or pattern finds, without their ending."""
    found = sorted(p.relative_to(root).with_suffix("").as_posix() for p in root.glob(pattern))
    if not found:
        raise ValueError(f"navigation.yaml names {pattern}, which is not there")
    return found


def menu(entries):
    """The lines of a toctree, and what stands below its pages: {document: lines}."""
    lines, below = [], {}
    for entry in entries:
        if isinstance(entry, str):
            lines += [f"/{page}" for page in pages(entry)]
            continue
        for name, value in entry.items():
            if isinstance(value, str):
                lines += [f"{name} </{page}>" for page in pages(value)]
                continue
            page, = pages(name)
            lines.append(f"/{page}")
            inner, _ = menu(value)
            below[page] = [line for line in inner if line != f"/{page}"]
    return lines, below


def toctree(lines, caption=""):
    options = [":hidden:"] + ([f":caption: {caption}"] if caption else [])
    return "\n\n```{toctree}\n" + "\n".join(options) + "\n\n" + "\n".join(lines) + "\n```\n"


trees = {root_doc: ""}
for title, entries in yaml.safe_load((pathlib.Path(__file__).parent / "navigation.yaml").read_text()).items():
    top, below = menu(entries)
    trees[root_doc] += toctree(top, title)
    trees.update((page, toctree(lines)) for page, lines in below.items())

named = [line.split("<")[-1].strip("/>") for tree in trees.values() for line in tree.splitlines() if "/" in line]
include_patterns = ["docs/**.md"] + [f"{page}.md" for page in named]


def setup(app):
    """Adds the menu to the pages it hangs from. On a forge they are read without it."""

    def add(app, document, source):
        source[0] += trees.get(document, "")

    app.connect("source-read", add)
