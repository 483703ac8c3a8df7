"""Runs the notebooks beside this file again, each in an empty folder, and keeps their outputs.

python docs/run_notebooks.py [name ...]
"""

import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent / "notebooks"


def embed_gif(output: dict) -> None:
    """Turn a GIF into HTML: nbconvert has no rule for image/gif and would show the repr of its object."""
    gif = output.get("data", {}).pop("image/gif", None)
    if gif is not None:
        output["data"]["text/html"] = f'<img alt="video" src="data:image/gif;base64,{"".join(gif.split())}">'


def run(path: Path) -> None:
    """Execute one notebook in place."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(notebook, timeout=1200, resources={"metadata": {"path": folder}}).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # times, which change with each run
        for output in cell.get("outputs", []):
            embed_gif(output)
    nbformat.write(notebook, path)


if __name__ == "__main__":
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    os.environ["PVDM_CACHE"] = "weights"  # no path of this machine in the outputs
    os.environ["NO_COLOR"] = "1"
    for name in sys.argv[1:] or sorted(path.stem for path in FOLDER.glob("*.ipynb")):
        run(FOLDER / f"{name}.ipynb")
