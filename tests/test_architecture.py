"""The arrows of ARCHITECTURE.md: which package imports which."""

import ast
from pathlib import Path

import pytest

import pvdm_lightning

ROOT = Path(pvdm_lightning.__file__).parent
BELOW = {"errors", "triplane", "pretrained", "lpips_vgg"}
ALLOWED = {
    "errors": set(),
    "triplane": set(),
    "pretrained": {"errors"},
    "lpips_vgg": set(),
    "whole_file": set(),
    "cpu_memory": set(),
    "shipped_configs": {"errors"},
    "products": set(),
    "autoencoder": {"errors", "products", "triplane"},
    "adversarial": {"errors", "pretrained", "lpips_vgg"},
    "denoiser": {"errors", "products", "triplane"},
    "diffusion": set(),
    "data": {"errors", "whole_file"},
    "metrics": {"errors", "pretrained", "lpips_vgg", "whole_file"},
    "original": {*BELOW, "autoencoder", "denoiser", "metrics"},
    "training": {*BELOW, "autoencoder", "adversarial", "denoiser", "diffusion", "metrics", "original"},
    "evaluation": {"errors", "pretrained", "whole_file", "data", "metrics", "original", "training"},
    "callbacks": {"errors", "whole_file", "data", "training"},
    "commands": {"errors", "whole_file", "data", "metrics", "original", "training", "evaluation", "callbacks"},
    "cli": {"errors", "cpu_memory", "data", "training", "evaluation", "callbacks", "commands", "shipped_configs"},
    "__main__": {"cpu_memory", "cli"},
}
WITH_LIGHTNING = {"training", "evaluation", "callbacks", "commands", "cli"}


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names if node.module == "pvdm_lightning")


def files():
    return [path for path in sorted(ROOT.rglob("*.py")) if path != ROOT / "__init__.py"]


@pytest.mark.parametrize("path", files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_follow_the_arrows(path):
    part = path.relative_to(ROOT).parts[0].removesuffix(".py")
    for name in imported(path):
        if name.startswith("pvdm_lightning."):
            other = name.split(".")[1]
            assert other == part or other in ALLOWED[part], f"{part} imports {other}"
        if name.split(".")[0] == "lightning":
            assert part in WITH_LIGHTNING or path.parent.name == "datamodules", f"{path.name} imports lightning"


def test_every_part_is_in_the_map():
    assert {path.relative_to(ROOT).parts[0].removesuffix(".py") for path in files()} == ALLOWED.keys()


@pytest.mark.parametrize("path", files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_what_few_commands_need_is_not_loaded_with_the_package(path):
    """A machine without video libraries trains from drawn videos and cached latents."""
    tree = ast.parse(path.read_text())
    for node in tree.body:  # not what stands in a function, nor under TYPE_CHECKING
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module]
            assert {name.split(".")[0] for name in names}.isdisjoint({"av", "decord", "lpips", "torchvision"})
