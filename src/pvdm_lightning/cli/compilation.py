"""What `--compile true` needs of a machine, and where compiled code is kept for later runs."""

from __future__ import annotations

import os
import shutil
import sys

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.pretrained import usable_cache_folder

_CACHE = "TORCHINDUCTOR_CACHE_DIR"


def prepare_compilation(device_type: str) -> None:
    """Check that there is a compiler for the device, and let PyTorch keep compiled code in the project's cache folder.

    Args:
        device_type: cpu compiles C++; cuda compiles with Triton, which compiles a few lines of C that start kernels.

    Raises:
        InvalidArgumentError: There is no compiler.
    """
    variable, compilers = ("CC", ("gcc", "clang", "cc")) if device_type == "cuda" else ("CXX", (_cpp_compiler(),))
    given = os.environ.get(variable, "").split()[:1]  # options may follow
    if not any(map(shutil.which, given or compilers)):
        problem = f"needs the compiler {(given or compilers)[0]}, which is not found"
        remedy = f"Install it, name another one with the environment variable {variable}, or set --compile false."
        raise InvalidArgumentError("--compile", "true", problem, remedy)
    folder = usable_cache_folder()
    if _CACHE not in os.environ and folder is not None:
        os.environ[_CACHE] = str(folder / "compiled")


def _cpp_compiler() -> str:
    """As PyTorch chooses it."""
    return "clang++" if sys.platform == "darwin" else "g++"
