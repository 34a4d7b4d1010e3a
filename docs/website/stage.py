"""Writes the tree of pages that Sphinx reads: docs/*.md, the generated pages, and the navigation.

The pages in docs/ are read on their own, too, and stay as they are; what the site needs otherwise
(links to files outside docs/, the table of all equations) is changed in the copies.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Collection, Iterable
from pathlib import Path

from refot.verification.vectors.publish import VERSION
from website.api_pages import api_pages
from website.docstrings import pages as pages_of_equations
from website.equation_pages import equation_pages, equations_of_figures, overview
from website.figures import figures_page
from website.gallery_pages import GALLERY, entries, gallery_pages
from website.picture import picture
from website.register import DOCS
from website.stills import with_pictures

ROOT = DOCS.parent
HERE = Path(__file__).parent

DEFECTS = DOCS / "findings"
"""The reports of defects, each of which is a page to which docs/defect-reports.md leads."""

NAVIGATION = {
    "Begin": ["install", "what-is-entropic-transport", "first-training", "questions", "gallery"],
    "Is my code right?": ["verifying-your-code", "any-language", "pytest-plugin", "your-ci",
                          "reports", "report-format", "scoreboard", "certificates-that-travel",
                          "vectors", "trajectories", "spec", "zoo", "mutation", "findings",
                          "findings-solvers", "findings-unbalanced", "findings-torchgw-wass",
                          "defect-reports"],
    "Read the papers": ["equations", "equations/b", "equations/g", "equations/h", "equations/l",
                        "equations/u", "errata", "notation", "figures", "informative-plans",
                        "limits", "certificates"],
    "Compute": ["solvers", "exact", "solutions", "batches", "conventions", "costs",
                "forbidden-pairs", "unbalanced", "arrays", "scikit-learn", "refot-solve",
                "backends", "gpu", "scale", "benchmarks"],
    "Train": ["training", "torch", "systems-info-sinkhorn", "systems-autodiff", "systems-semidual",
              "systems-eot", "systems-flow-matching", "systems-baselines", "networks"],
    "Reference": ["command-line", "api/index", "references"],
    "Take part": ["contributing", "contributing-backend", "contributing-check",
                  "contributing-cost", "contributing-solver", "contributing-system", "changelog"],
}
"""The sidebar. A page of docs/ that is in no group is put at its end; one that is not there, left
out."""

BLOCK = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?P<target>[^)#\s]+)(?P<anchor>#[^)\s]*)?\)")
MOVED = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md",
         "CHANGELOG.md": "changelog.md", "docs/index.md": "pages.md",
         "docs/references.bib": "references.md", "docs/website/home.md": "index.md",
         "docs/website/figures.py": "figures.md", "docs/website/api_pages.py": "api/index.rst",
         "refot/torch/__init__.py": "api/refot.torch.rst",
         "refot/jax/__init__.py": "api/refot.jax.rst",
         "refot/solvers/loop.py": "api/refot.solvers.loop.rst"}
"""Where the site has a page of the repository under another name."""

SCOREBOARD = re.compile(r"\[(?P<text>[^\]]*)\]\((?:docs/)?scoreboard/\)")
"""A link to the records of the scoreboard, in whose place the site has the scoreboard itself."""


VECTORS = re.compile(r"\[(?P<text>[^\]]* zip)\]\(\.\./verification/vectors/publish\.py\)")
"""A link to the program that builds the archive of the vectors, in whose place the site has it."""


def stage(folder: Path, only: Collection[str] = ()) -> None:
    """Write the pages below `folder`: all, or those whose names are in `only`.

    A file that is as it was keeps its time, so that Sphinx does not read it again; a file that no
    longer belongs there goes.
    """
    pages = texts(only)
    files = {folder / f"{name}{'.rst' if name.startswith('api/') else '.md'}": text.encode()
             for name, text in pages.items()}
    for source in copied_files(pages.values()):
        files[folder / "files" / source.relative_to(ROOT)] = source.read_bytes()
    for source in (DOCS / "figures").glob("*.png"):
        files[folder / "figures" / source.name] = source.read_bytes()
    files[folder / "references.bib"] = (DOCS / "references.bib").read_bytes()
    for path in [*folder.rglob("*")]:
        if path.is_file() and path not in files:
            path.unlink()
    for path, data in files.items():
        if not path.exists() or path.read_bytes() != data:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)


def texts(only: Collection[str] = ()) -> dict[str, str]:
    """The text of every page by its name, or of those in `only`."""
    pages = {path.stem: relinked(path) for path in sorted(DOCS.glob("*.md"))}
    pages |= {f"{DEFECTS.name}/{path.stem}": "---\norphan: true\n---\n" + relinked(path)
              for path in sorted(DEFECTS.glob("*.md"))}
    pages["pages"] = (pages.pop("index").replace("# refot: the pages", "# All pages")
                      .replace("[README](index.md), ", ""))  # it is the same page on the site
    for name, places in SEARCHED.items():
        for heading, words in places.items():
            pages[name] = with_words(pages[name], heading, words)
    pages["contributing"] = relinked(ROOT / "CONTRIBUTING.md")
    pages["changelog"] = relinked(ROOT / "CHANGELOG.md")
    pages["equations"] = overview()
    pages["errata"] = with_labels(pages["errata"])
    pages["references"] = "# References\n\n```{bibliography}\n:all:\n:style: plain\n```\n"
    pages["figures"] = figures_page(equations_of_figures())
    pages |= equation_pages()
    pages |= gallery_pages(pages["gallery"])
    pages |= api_pages()
    if only:
        pages = {name: text for name, text in pages.items() if name in only}
    pages["index"] = home(set(pages))
    return {name: without_links_beyond(set(pages), name, text) for name, text in pages.items()} \
        if only else pages


def without_links_beyond(names: set[str], page: str, text: str) -> str:
    """A page of a part of the site: links to pages that are not in it are only their text."""
    def kept(found: re.Match[str]) -> str:
        target = os.path.normpath(os.path.join(os.path.dirname(page), found["page"]))
        return found[0] if target in names else found["text"]

    return re.sub(r"\[(?P<text>[^\]]*)\]\((?P<page>[^)#\s:]+)\.md(?:#[^)\s]*)?\)", kept, text)


def home(names: set[str]) -> str:
    """The first page: docs/website/home.md, a picture in place of the drawing in letters, and the
    navigation."""
    text = relinked(HERE / "home.md")
    text = re.sub(r"```text\n +points x, y.*?```\n",
                  f"```{{raw}} html\n{picture(names)}\n```\n", text, flags=re.DOTALL)
    return text + "".join(toctree(title, pages) for title, pages in navigation(names).items()
                          if pages)


def navigation(names: set[str]) -> dict[str, list[str]]:
    """The sidebar: the groups, without pages that do not exist, and the pages of no group."""
    groups = {title: [name for name in pages if name in names]
              for title, pages in NAVIGATION.items()}
    grouped = {name for pages in groups.values() for name in pages}
    rest = sorted(name for name in names - grouped if "/" not in name and name != "pages")
    groups["More"] = [*(["pages"] if "pages" in names else []), *rest]
    return groups


SHORT = {"solvers": "Solvers", "conventions": "Conventions", "backends": "Backends",
         "benchmarks": "Benchmarks", "findings": "Findings in libraries",
         "findings-solvers": "Findings in solvers",
         "findings-torchgw-wass": "Findings in torchgw and wass", "limits": "Limits in eps",
         "exact": "Exact transport",
         "spec": "Specification", "systems-baselines": "Baselines"}
"""Names for the sidebar of pages whose titles are long."""


def toctree(title: str, pages: list[str]) -> str:
    """A group of the sidebar."""
    listed = "\n".join(f"{SHORT[name]} <{name}>" if name in SHORT else name for name in pages)
    return f"\n```{{toctree}}\n:hidden:\n:caption: {title}\n\n{listed}\n```\n"


# ------------------------------------------------------------------ links
def relinked(path: Path) -> str:
    """The text of a page, its links rewritten for the site; blocks of code stay as they are."""
    text = path.read_text(encoding="utf-8")
    parts, end = [], 0
    for block in BLOCK.finditer(text):
        parts += [prose(text[end:block.start()], path.parent), block[0]]
        end = block.end()
    return with_pictures("".join([*parts, prose(text[end:], path.parent)]), DOCS)


def prose(text: str, folder: Path) -> str:
    """The text between two blocks of code."""
    return equations_linked(links(text, folder), "../" if folder == DEFECTS else "")


UNLINKED = re.compile(r"(?P<kept>^#.*$|`[^`]*`|\[[^\]]*\]\([^)]*\)|<[^>\n]*>|\$[^$]*\$)|"
                      r"\b(?P<name>[BGHU]-\d+|[BGHL] (?:Theorem 1|positivity|energy distance|"
                      r"sample complexity|scaling form|counter-example))\b(?![-\w])",
                      re.MULTILINE)
"""An equation in prose, by its number or its name. Headings, code, links and formulas are left as
they are."""


def equations_linked(text: str, folder: str) -> str:
    """The text with a link from each equation's number to its page, which lies below `folder`."""
    def link(found: re.Match[str]) -> str:
        page = None if found["kept"] else pages_of_equations().get(found["name"])
        return f"[{found['name']}]({folder}equations/{page}.md)" if page else found[0]

    return UNLINKED.sub(link, text)


def links(text: str, folder: Path) -> str:
    text = re.sub(r"^:link: \.\./(\S+)\.md$", r":link: \1", text, flags=re.MULTILINE)
    text = SCOREBOARD.sub(r'<a href="scoreboard/index.html">\g<text></a>', text)
    text = VECTORS.sub(rf'<a href="_downloads/refot-vectors-{VERSION}.zip">\g<text></a>', text)
    up = "../" if folder == DEFECTS else ""
    return LINK.sub(lambda found: f"]({'' if '://' in found['target'] else up}"
                                  f"{site_target(found['target'], folder)}"
                                  f"{found['anchor'] or ''})", text)


def site_target(target: str, folder: Path) -> str:
    """Where a link of a page in `folder` leads to on the site."""
    if "://" in target:
        return target
    path = (folder / target).resolve()
    inside = path.relative_to(ROOT).as_posix()
    if inside in MOVED:
        return MOVED[inside]
    if path.parent in (DOCS, DEFECTS) and path.suffix == ".md":
        return path.relative_to(DOCS).as_posix()
    if path.parent == GALLERY and path.stem in entries():
        return f"gallery/{path.stem}.md"
    if inside.startswith(("docs/figures/", "docs/gallery/pictures/")):
        return inside.removeprefix("docs/")
    if path.is_dir():
        path = next(iter(sorted(path.glob("*.py"))))
    return f"files/{path.relative_to(ROOT).as_posix()}"


def copied_files(pages: Iterable[str]) -> set[Path]:
    """The files of the repository that pages link to: readers can download them."""
    found = set()
    for text in pages:
        found |= {ROOT / link["target"].removeprefix("files/") for link in LINK.finditer(text)
                  if link["target"].startswith("files/")}
    return found


def with_labels(text: str) -> str:
    """The errata with labels, to which the API pages can link, and in the index, for the search."""
    labelled = r"```{index} ! single: \1\n```\n\n(erratum-\1)=\n### \1"
    return re.sub(r"^### ([BEGHL]\d+)$", labelled, text, flags=re.MULTILINE)


SEARCHED = {
    "questions": {
        "How many points can I take?": ["laptop", "how many points", "largest n", "memory"],
        "I have POT's reg_m": ["reach", "reg_m", "tau", "rho"],
        "I have GeomLoss's blur": ["blur"],
        "I have Cuturi's": ["Cuturi", "Sinkhorn distance"],
        "I have potentials from elsewhere": ["TF32"],
        "How do I run it on a cluster?": ["cluster", "SLURM"]},
    "batches": {"What may be given": ["ragged"]},
    "exact": {"Beside POT": ["ot.emd", "ot.emd2", "emd"]},
    "command-line": {"The exit status": ["exit status", "exit code"]},
}
"""Words that are typed into the search, by the page and the beginning of the heading below which
they are answered: as entries of the index, which the search puts before mere words of a text."""


def with_words(text: str, heading: str, words: list[str]) -> str:
    """The text with the words in the index at that heading, which must be there once."""
    entries_of = "\n".join(f"```{{index}} ! single: {word}\n```" for word in words)
    text, found = re.subn(rf"^(#+ {re.escape(heading)})", rf"{entries_of}\n\n\1", text,
                          flags=re.MULTILINE)
    assert found == 1, f"{found} headings {heading!r}"
    return text


def clear(folder: Path) -> None:
    """Remove what an earlier build left."""
    shutil.rmtree(folder, ignore_errors=True)
