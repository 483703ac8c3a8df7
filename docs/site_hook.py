"""Brings the repository's other Markdown files into the site, and adds a page of the API for each public package.

The files link to each other by their places in the repository; on the site they lie in one folder.
A page of the API shows the names that its package exports, and nothing of its inner modules.
"""

import posixpath
import re
from pathlib import Path

import griffe
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
    package = griffe.load("pvdm_lightning", search_paths=[ROOT / "src"])
    pages = {name: exported_names(package[name]) for name in PACKAGES}
    files.append(File.generated(config, "api/pvdm_lightning.md", content=public_names_page(package, pages)))
    for name, exported in pages.items():
        objects = "".join(f"::: {path}\n\n" for path in exported.values())
        content = f"# {name.capitalize()}\n\n{package[name].docstring.value}\n\n{objects}"
        files.append(File.generated(config, f"api/{name}.md", content=content))
    return files


def exported_names(package: griffe.Object) -> dict[str, str]:
    """{definition: path to document it under} of what a package exports: its `__all__`, or else that of its modules."""
    if package.exports:
        paths = {f"{package.path}.{name}": package[name] for name in package.exports}
    else:
        public = (module for name, module in package.modules.items() if not name.startswith("_"))
        paths = {
            f"{module.path}.{name}": member
            for module in public
            for name, member in module.members.items()
            if (name in module.exports if module.exports else not member.is_alias and not name.startswith("_"))
            and (member.is_class or member.is_function)
        }
    return {(member.final_target if member.is_alias else member).path: path for path, member in paths.items()}


def public_names_page(package: griffe.Object, pages: dict[str, dict[str, str]]) -> str:
    """A table of what `import pvdm_lightning` offers, each linked to its page; what has none is explained below."""
    rows, below = [], []
    for name, member in package.members.items():
        if not member.is_alias or not member.target_path.startswith(f"{package.path}."):
            continue
        path = member.final_target.path
        page = next((f"{page}.md#{names[path]}" for page, names in pages.items() if path in names), None)
        if page is None:
            below.append(path)
        summary = member.docstring.value.splitlines()[0].replace("|", "\\|")
        rows.append(f"| [`{name}`]({page or '#' + path}) | {summary} |")
    table = "\n".join(["| name | |", "|---|---|", *sorted(rows)])
    objects = "".join(f"::: {path}\n\n" for path in below)
    return f"# Public names\n\n`from pvdm_lightning import ...` offers:\n\n{table}\n\n{objects}"


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links between places in the repository into links of the site."""
    source = next((name for name, target in PAGES.items() if target == page.file.src_uri), f"docs/{page.file.src_uri}")
    folder, here = posixpath.dirname(source), posixpath.dirname(page.file.src_uri)

    def on_site(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, match[2]))
        known = PAGES.get(target, target if target in FILES else target.removeprefix("docs/"))
        return f"{match[1]}{posixpath.relpath(known, here or '.')}{match[3]}"

    return _LINK.sub(on_site, markdown)
