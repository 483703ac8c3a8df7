"""Brings the repository's other Markdown files into the site, and adds a page of the API for each public package.

The files link to each other by their places in the repository; on the site they lie in one folder.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PAGES = {
    "README.md": "index.md",
    "data/README.md": "data.md",
    "ARCHITECTURE.md": "architecture.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
FILES = ("scripts/slurm.sh", "scripts/torchrun.sh", "CITATION.cff", "LICENSE")
PACKAGES = (
    *("models", "diffusion", "losses", "data", "metrics", "pipeline", "training", "callbacks", "evaluation", "convert"),
)
_LINK = re.compile(r"(\]\()([^)#\s:]+)((?:#[^)]*)?\))")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files outside of docs/."""
    for source, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    for source in FILES:
        files.append(File.generated(config, source, abs_src_path=str(ROOT / source)))
    # Most of the public names are imported from the packages, whose pages explain them.
    names = "# Public names\n\n::: pvdm_lightning\n    options: {show_submodules: false}\n"
    files.append(File.generated(config, "api/pvdm_lightning.md", content=names))
    for package in PACKAGES:
        content = f"# {package.capitalize()}\n\n::: pvdm_lightning.{package}\n"
        files.append(File.generated(config, f"api/{package}.md", content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links between places in the repository into links of the site."""
    source = next((name for name, target in PAGES.items() if target == page.file.src_uri), f"docs/{page.file.src_uri}")
    folder, here = posixpath.dirname(source), posixpath.dirname(page.file.src_uri)

    def on_site(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, match[2]))
        known = PAGES.get(target, target if target in FILES else target.removeprefix("docs/"))
        return f"{match[1]}{posixpath.relpath(known, here or '.')}{match[3]}"

    return _LINK.sub(on_site, markdown)
