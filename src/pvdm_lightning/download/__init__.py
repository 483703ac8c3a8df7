"""Files from the web: resumed where they broke off, checked, and only then under their own name."""

from pvdm_lightning.download.errors import DownloadError, UnreachableError
from pvdm_lightning.download.verified import download_file

__all__ = ["DownloadError", "UnreachableError", "download_file"]
