"""What each CPU kernel gains: training and sampling steps of PVDM-S and PVDM-L, and of the autoencoder.

    python benchmarks/cpu_kernels.py --repeats 3

Every row is the plain network with one kind of module swapped, in turn with the plain network and with all kinds
swapped. The ratio is the plain network's time over the row's, of the fastest repeats.
"""

from __future__ import annotations

import argparse
import copy
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from pvdm_lightning.cpu import accelerate, convolution
from pvdm_lightning.cpu.memory import keep_freed_memory
from pvdm_lightning.models.attention import ScaledDotProductAttention
from pvdm_lightning.models.autoencoder import VideoAutoencoder
from pvdm_lightning.models.triplane import TriplaneShape
from pvdm_lightning.models.unet import TriplaneUNet
from pvdm_lightning.models.unet.plane_convolution import PlaneConv2d

ALL = set(accelerate.FASTER)
NO_WINOGRAD = {"WINOGRAD_MIN_CHANNELS": float("inf")}
NO_PRODUCT = {"PRODUCT_MAX_POSITIONS": 0.0}
# Kinds of modules that are swapped, and thresholds of the convolutions that are changed meanwhile.
KERNELS: dict[str, tuple[set[type[nn.Module]], dict[str, float]]] = {
    "plain": (set(), {}),
    "linear layers through oneDNN": ({nn.Linear}, {}),
    "attention through oneDNN": ({ScaledDotProductAttention}, {}),
    "deep convolutions as a product": ({PlaneConv2d}, NO_WINOGRAD),
    "wide convolutions by Winograd": ({PlaneConv2d}, NO_PRODUCT),
    "all": (ALL, {}),
    "all but Winograd": (ALL, NO_WINOGRAD),
}
SHAPE = TriplaneShape(16, 32, 32)
Step = Callable[[nn.Module], Tensor]


def swapped(network: nn.Module, kinds: set[type[nn.Module]]) -> nn.Module:
    """The network with some kinds of modules swapped; its weights are shared."""
    network = copy.deepcopy(network, {id(weight): weight for weight in network.parameters()})
    for module in network.modules():
        if type(module) in kinds:
            module.__class__ = accelerate.FASTER[type(module)]
    return network


def seconds(step: Callable[[], object]) -> float:
    """Of one run."""
    started = time.perf_counter()
    step()
    return time.perf_counter() - started


def training(call: Step) -> Step:
    """A forward and a backward pass."""

    def step(network: nn.Module) -> Tensor:
        network.zero_grad()
        loss = call(network).square().mean()
        loss.backward()
        return loss

    return step


def compare(name: str, network: nn.Module, step: Step, repeats: int) -> None:
    """Print a line for each kernel."""
    rows: dict[str, Callable[[], object]] = {}
    for kernel, (kinds, thresholds) in KERNELS.items():
        other = swapped(network, kinds)

        def run(other: nn.Module = other, thresholds: dict[str, float] = thresholds) -> None:
            before = {key: getattr(convolution, key) for key in thresholds}
            vars(convolution).update(thresholds)
            try:
                step(other)
            finally:
                vars(convolution).update(before)

        rows[kernel] = run
    times: dict[str, list[float]] = {key: [] for key in rows}
    for run in rows.values():
        run()
    for _ in range(repeats):
        for key, run in rows.items():
            times[key].append(seconds(run))
    plain = min(times["plain"])
    for key, some in times.items():
        sys.stdout.write(f"{name:36s}{key:36s}{min(some):8.3f} s{plain / min(some):8.2f}x\n")
        sys.stdout.flush()


def main() -> None:
    """Compare on all networks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", nargs="*", help="parts of the names of networks")
    parser.add_argument("--quick", action="store_true", help="toy sizes")
    args = parser.parse_args()
    keep_freed_memory()
    networks: dict[str, tuple[Callable[[], nn.Module], Step]] = {}
    for name, base in ({"tiny U-Net": 32} if args.quick else {"PVDM-S": 128, "PVDM-L": 256}).items():
        networks[name] = (lambda base=base: awake(TriplaneUNet(SHAPE, base_channels=base)), denoise)  # type: ignore[misc]
    sizes = {"frames": 4, "resolution": 32, "dim": 32, "depth": 1} if args.quick else {"depth": 2}
    networks["autoencoder, 2 blocks"] = (lambda: awake(VideoAutoencoder(**sizes)), reconstruct)
    for name, (build, call) in networks.items():
        if not args.only or any(part in name for part in args.only):
            network = build()
            compare(f"{name}, training step", network, training(call), args.repeats)
            compare(f"{name}, forward", network, torch.no_grad()(call), args.repeats)


def awake(network: nn.Module) -> nn.Module:
    """Without weights at zero."""
    torch.manual_seed(0)
    for weight in network.parameters():
        if weight.dim() > 1 and not weight.any():
            nn.init.normal_(weight, std=0.02)
    return network


def denoise(network: nn.Module) -> Tensor:
    """One call of the U-Net on a latent."""
    z = torch.ones(1, 4, SHAPE.num_tokens)
    return network(z, torch.tensor([500]), z)


def reconstruct(network: nn.Module) -> Tensor:
    """One call of the autoencoder on a clip."""
    return network(torch.zeros(1, 3, *network.clip_shape))  # type: ignore[misc]


if __name__ == "__main__":
    main()
