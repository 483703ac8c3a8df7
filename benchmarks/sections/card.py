"""What the machine is, and the rates that other figures are held against."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version

import torch

from benchmarks.sections.section import Part, Proof, product_rate

PACKAGES = ("torch", "lightning", "torchmetrics", "jsonargparse", "numpy")


def _run(proof: Proof) -> None:
    """Names and versions, then rates."""
    facts = {"card": "CPU", "driver": None, "CUDA": torch.version.cuda, "cuDNN": torch.backends.cudnn.version()}
    if proof.on_gpu:
        properties = torch.cuda.get_device_properties(0)
        facts["card"] = f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"
        facts["driver"] = _driver()
    for what, value in facts.items():
        proof.row(what=what, value=value)
    proof.row(what="Python", value=platform.python_version())
    for package in PACKAGES:
        proof.row(what=package, value=_version(package))

    matmul = torch.backends.cuda.matmul
    before, matmul.allow_tf32 = matmul.allow_tf32, False
    rates = {"bf16": product_rate(proof, torch.bfloat16), "float32": product_rate(proof, torch.float32)}
    matmul.allow_tf32 = True
    rates["TF32"] = product_rate(proof, torch.float32)
    matmul.allow_tf32 = before
    for name, rate in rates.items():
        proof.row(rate=f"product in {name}", value=rate, unit="TFLOP/s")
    size = 2**20 if proof.tiny else 2**32
    one, other = torch.empty(2, size, dtype=torch.uint8, device=proof.device)
    seconds = proof.seconds(lambda: other.copy_(one), at_least=10, budget=0.2)
    proof.row(rate="copy on the device, read and written", value=2 * size / seconds / 1e12, unit="TB/s")
    host = torch.empty(size // 16, dtype=torch.uint8, pin_memory=proof.on_gpu)
    seconds = proof.seconds(lambda: one[: size // 16].copy_(host, non_blocking=True), at_least=5, budget=0.2)
    proof.row(rate="copy to the device, from pinned memory", value=size / 16 / seconds / 1e9, unit="GB/s")


def _driver() -> str | None:
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout.split()[0]
    except (OSError, subprocess.SubprocessError, IndexError):
        return None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


CARD = (Part("the card", 12, _run),)
