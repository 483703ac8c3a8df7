"""The configurations that come with the package, found by name from any folder."""

from importlib import resources
from pathlib import Path

from pvdm_lightning.errors import InvalidArgumentError


def config_folder() -> Path:
    """The folder of configurations: inside the installed package, or beside src/ in a checkout."""
    installed = Path(str(resources.files("pvdm_lightning"))) / "configs"
    return installed if installed.is_dir() else Path(__file__).parents[3] / "configs"


def find_config(name: str) -> str:
    """The path of a configuration: a file here, else a shipped one of that name (with or without .yaml).

    Raises:
        InvalidArgumentError: There is neither.
    """
    if Path(name).is_file():
        return name
    folder = config_folder()
    for candidate in (folder / name, folder / f"{name}.yaml"):
        if candidate.is_file():
            return str(candidate)
    shipped = ", ".join(sorted(str(path.relative_to(folder)) for path in folder.rglob("*.yaml")))
    raise InvalidArgumentError(
        "--config", name, "is neither a file here nor a shipped configuration", f"Shipped: {shipped}."
    )
