"""What each CPU kernel gains: training and sampling steps of PVDM-S and PVDM-L, and of the autoencoder.

    python benchmarks/cpu_kernels.py --repeats 3

Every row is the plain network with one kind of module swapped, in turn with the plain network and with all kinds
swapped. The ratio is the plain network's time over the row's, of the fastest repeats.
"""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Callable

import torch
from measure import in_turn, keep_memory, say
from stage_two import MODELS, SHAPE, awake, inputs
from torch import Tensor, nn

from pvdm_lightning.cpu import accelerate, convolution
from pvdm_lightning.models.attention import ScaledDotProductAttention
from pvdm_lightning.models.autoencoder import VideoAutoencoder
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
Step = Callable[[nn.Module], Tensor]


def swapped(network: nn.Module, kinds: set[type[nn.Module]]) -> nn.Module:
    """The network with some kinds of modules swapped; its weights are shared."""
    network = copy.deepcopy(network, {id(weight): weight for weight in network.parameters()})
    for module in network.modules():
        if type(module) in kinds:
            module.__class__ = accelerate.FASTER[type(module)]
    return network


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
    fastest = {kernel: min(timing.seconds) for kernel, timing in in_turn(rows, repeats).items()}
    for kernel, seconds in fastest.items():
        say(f"{name:36s}{kernel:36s}{seconds:8.3f} s{fastest['plain'] / seconds:8.2f}x\n")
        sys.stdout.flush()


def main() -> None:
    """Compare on all networks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", nargs="*", help="parts of the names of networks")
    parser.add_argument("--quick", action="store_true", help="toy sizes")
    args = parser.parse_args()
    keep_memory()
    networks: dict[str, tuple[Callable[[], nn.Module], Step]] = {}
    for name, base in ({"tiny": 32} if args.quick else MODELS).items():
        networks[f"PVDM-{name}"] = (lambda base=base: awake(TriplaneUNet(SHAPE, base_channels=base)), denoise)  # type: ignore[misc]
    sizes = {"frames": 4, "resolution": 32, "dim": 32, "depth": 1} if args.quick else {"depth": 2}
    networks["autoencoder, 2 blocks"] = (lambda: awake(VideoAutoencoder(**sizes)), reconstruct)
    for name, (build, call) in networks.items():
        if not args.only or any(part in name for part in args.only):
            network = build()
            compare(f"{name}, training step", network, training(call), args.repeats)
            compare(f"{name}, forward", network, torch.no_grad()(call), args.repeats)


def denoise(network: nn.Module) -> Tensor:
    """One call of the U-Net on a latent."""
    return network(*inputs(1, SHAPE))


def reconstruct(network: nn.Module) -> Tensor:
    """One call of the autoencoder on a clip."""
    return network(torch.zeros(1, 3, *network.clip_shape))  # type: ignore[misc]


if __name__ == "__main__":
    main()
