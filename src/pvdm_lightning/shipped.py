"""Where the configurations lie that come with the package."""

from importlib import resources
from pathlib import Path


def config_folder() -> Path:
    """The folder of configurations: inside the installed package, or beside src/ in a checkout."""
    installed = Path(str(resources.files("pvdm_lightning"))) / "configs"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "configs"
