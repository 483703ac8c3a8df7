"""Recorded results of the original implementation; `fill.py` regenerates its weights from their names."""

import importlib.util
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def _fill():
    spec = importlib.util.spec_from_file_location("parity_fill", HERE / "fill.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def fill():
    return _fill()


@pytest.fixture(scope="session")
def case():
    """`case(name)` -> (description, checkpoint, recorded tensors)."""
    return lambda name: _fill().load_case(HERE / f"{name}.json")
