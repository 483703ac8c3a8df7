"""How many operators a step runs on a GPU, counted without one; each starts a kernel or several.

    python -m benchmarks operators
    python -m benchmarks operators --record "what changed"

Networks have their full size on the meta device, where an operator has shapes and dtypes and computes nothing, and the
modules that `pvdm` gives them on a GPU. Casts are those of CUDA's bf16 autocast, attention is one fused kernel. Views
are not counted: they start nothing. An operator of our own (torch.library) counts as one, however many kernels it
starts. Launches and bytes are estimates: a library call starts what it does on an H200 with PyTorch 2.11, and
everything but products, convolutions and attention reads its inputs once and writes its outputs once.

`--record` adds the counts to operators.json, whose last entry tests/benchmarks/test_operators.py takes as ceilings, and
to the table in docs/gpu.md. A record of the same name is replaced.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.networks import MODELS, SHAPE, denoiser_inputs
from benchmarks.timing import say
from pvdm_lightning.diffusion import NoiseSchedule, bind
from pvdm_lightning.diffusion.samplers import DPMSolverSampler
from pvdm_lightning.gpu.accelerate import accelerate
from pvdm_lightning.models.autoencoder import VideoAutoencoder
from pvdm_lightning.models.unet import TriplaneUNet
from pvdm_lightning.pipeline.cast_weights import CastWeights
from pvdm_lightning.training.ema import EMA

RECORDS = Path(__file__).with_name("operators.json")
DOCS = Path(__file__).parents[1] / "docs" / "gpu.md"

# Autocast's lists for CUDA (aten/src/ATen/autocast_mode.h), as far as networks and losses use them.
IN_BF16 = {
    *(F.linear, F.conv1d, F.conv2d, F.conv3d, F.conv_transpose2d, F.scaled_dot_product_attention),
    *(torch.matmul, Tensor.matmul, Tensor.__matmul__, Tensor.__rmatmul__, torch.mm, torch.bmm),
    *(torch.addmm, torch.baddbmm, torch.einsum),
}
IN_FLOAT32 = {
    *(F.group_norm, F.layer_norm, F.softmax, F.mse_loss, F.l1_loss, torch.exp, Tensor.exp, torch.log, Tensor.log),
    *(Tensor.pow, Tensor.__pow__, Tensor.__rpow__, Tensor.rsqrt, Tensor.sum, torch.sum, Tensor.norm),
}
IN_WIDEST = {torch.addcmul, Tensor.addcmul, torch.addcdiv, Tensor.addcdiv}

# Operators that start no kernel although they return no view.
NO_KERNEL = {"_unsafe_view", "empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "is_same_size"}
COPIES = {"clone", "copy_", "_to_copy", "cat", "stack", "contiguous", "_foreach_copy_"}
PRODUCTS = ("mm", "attention")
# Kernels of operators that start several.
KERNELS = {
    "native_group_norm": 3,
    "native_group_norm_backward": 5,
    "native_layer_norm_backward": 2,
    "native_batch_norm": 2,
    "native_batch_norm_backward": 2,
    "convolution": 2,  # the bias apart
    "convolution_backward": 3,
    "_scaled_dot_product_flash_attention_backward": 3,
    "group_norm_backward": 2,  # our own
}


class CudaAutocast(TorchFunctionMode):
    """Casts arguments as autocast to bfloat16 does on CUDA, whatever the device; attention as one fused kernel."""

    def __init__(self) -> None:
        super().__init__()
        self._casts: dict[Tensor, Tensor] = {}
        self._enabled = True

    @contextmanager
    def region(self, device_type: str, dtype: Any = None, enabled: bool = True) -> Iterator[None]:
        """In the place of torch.autocast, which knows no meta device; networks call it to leave autocast."""
        before, self._enabled = self._enabled, enabled
        try:
            yield
        finally:
            self._enabled = before

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Cast, then run."""
        kwargs = kwargs or {}
        dtype = torch.bfloat16 if func in IN_BF16 else torch.float32 if func in IN_FLOAT32 else None
        if func in IN_WIDEST:
            dtype = max((x.dtype for x in _tensors(args)), key=lambda each: each.itemsize)
        if dtype is not None and self._enabled:
            args = [self._cast(x, dtype) for x in args]
            kwargs = {name: self._cast(x, dtype) for name, x in kwargs.items()}
        if func is F.scaled_dot_product_attention:
            return torch.ops.aten._scaled_dot_product_flash_attention(*args, **kwargs)[0]
        return func(*args, **kwargs)

    def _cast(self, x: Any, dtype: torch.dtype) -> Any:
        if not isinstance(x, Tensor) or not x.is_floating_point() or x.dtype == dtype:
            return x
        if not (x.is_leaf and x.requires_grad and dtype == torch.bfloat16):
            return x.to(dtype)
        # Autocast keeps the casts of weights that are trained, and of no others.
        if x not in self._casts:
            self._casts[x] = x.to(dtype)
        return self._casts[x]


@dataclass
class Count:
    """What a step runs.

    Args:
        names: Operators that are no views, and how often each runs.
        turned: Operands of convolutions that are not channels-last: cuDNN turns each, in a kernel of its own.
        kernels: All that start, estimated.
        nbytes: Read and written, by operator; not by products, convolutions and attention.
    """

    names: Counter[str] = field(default_factory=Counter)
    turned: int = 0
    kernels: int = 0
    nbytes: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: Count) -> Count:
        turned, kernels = self.turned + other.turned, self.kernels + other.kernels
        return Count(self.names + other.names, turned, kernels, self.nbytes + other.nbytes)

    def __sub__(self, other: Count) -> Count:
        turned, kernels = self.turned - other.turned, self.kernels - other.kernels
        return Count(self.names - other.names, turned, kernels, self.nbytes - other.nbytes)

    def figures(self) -> dict[str, float]:
        """Columns of the table; copies are all that copy, cast or concatenate."""
        copies = sum(self.names[name] for name in COPIES)
        figures = (self.names.total(), copies, self.turned, self.kernels, float(f"{self.nbytes.total() / 2**30:.3g}"))
        return dict(zip(("operators", "copies", "turned", "kernels", "gib"), figures))


class Counting(TorchDispatchMode):
    """Counts the operators that run inside on one kind of device."""

    def __init__(self, device: str = "meta") -> None:
        super().__init__()
        self.device = device
        self.count = Count()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation, then count it."""
        result = func(*args, **(kwargs or {}))
        space, _, name = func._schema.name.partition("::")
        inputs = [*_tensors(args), *_tensors((kwargs or {}).values())]
        if "convolution" in name and any(_is_channels_last(x) for x in inputs):
            result = _to_channels_last(result)  # as cuDNN; the meta device forgets it
        tensors = [*inputs, *_tensors((result,))]
        is_view = any(out.alias_info is not None and not out.alias_info.is_write for out in func._schema.returns)
        here = any(x.device.type == self.device for x in tensors)
        if here and not is_view and space != "prim" and name not in NO_KERNEL:
            self._add(name, tensors)
        return result

    def _add(self, name: str, tensors: list[Tensor]) -> None:
        count = self.count
        count.names[name] += 1
        count.kernels += KERNELS.get(name, 1)
        if "convolution" in name:
            images = [x for x in tensors if x.dim() == 4]
            turned = sum(not x.is_contiguous(memory_format=torch.channels_last) for x in images)
            count.turned += turned
            count.kernels += turned
        elif not any(part in name for part in PRODUCTS):
            count.nbytes[name] += sum(map(_nbytes, tensors))


def _tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    """Those among some arguments, also in lists."""
    for x in values:
        if isinstance(x, Tensor):
            yield x
        elif isinstance(x, list | tuple):
            yield from _tensors(x)


def _is_channels_last(x: Tensor) -> bool:
    return x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


def _to_channels_last(x: Any) -> Any:
    """Images as channels-last, and all else as it is."""
    if isinstance(x, tuple):
        return tuple(map(_to_channels_last, x))
    return x.to(memory_format=torch.channels_last) if isinstance(x, Tensor) and x.dim() == 4 else x


def _nbytes(x: Tensor) -> int:
    """Of a tensor; what is expanded lies there once."""
    return x.element_size() * math.prod(size for size, stride in zip(x.shape, x.stride()) if stride or not size)


@contextmanager
def counting() -> Iterator[Count]:
    """Counts what runs inside on the meta device, under the autocast of CUDA."""
    casts = CudaAutocast()
    with patch("torch.autocast", casts.region), Counting() as mode, casts:
        yield mode.count


def training_step(loss: Callable[[], Tensor]) -> dict[str, Count]:
    """What forward, and forward and backward, run under bf16 autocast, on the meta device."""
    with counting() as forward:
        value = loss()
    with counting() as backward:  # with casts of its own, as autocast's are gone when checkpointing repeats a part
        engine = torch.autograd.Variable._execution_engine  # `backward` itself would leave the mode of the casts
        engine.run_backward((value,), (torch.ones_like(value),), False, False, (), accumulate_grad=True)
    return {"forward": forward, "forward and backward": forward + backward}


def stage_two(batch: int = 64) -> dict[str, Count]:
    """PVDM-L, without the optimizer."""
    network, inputs = _unet(), denoiser_inputs(batch, SHAPE, "meta")
    return training_step(lambda: network(*inputs).square().mean())


def stage_one(batch: int = 8, **options: Any) -> dict[str, Count]:
    """The autoencoder, on the L1 loss, without the optimizer."""
    with torch.device("meta"):
        network = accelerate(VideoAutoencoder(**options))
        clip = torch.rand(batch, 3, *network.clip_shape)
    counts = training_step(lambda: (network(clip) - clip).abs().mean())
    return {"forward and backward": counts["forward and backward"]} if options else counts


def sampling() -> dict[str, Count]:
    """The second of three steps of DPM-Solver++ that PVDM-L's EMA takes for one video."""
    average = EMA(_unet()).network.eval()
    _, _, condition = denoiser_inputs(1, SHAPE, "meta")
    sampler = DPMSolverSampler(NoiseSchedule(), 3)
    sampler.step(0, *torch.zeros(3, 1, 4, SHAPE.num_tokens))  # reads its tables, before they are on the meta device
    sampler.schedule.to("meta")
    denoise = bind(average, sampler.schedule, condition=condition)
    with CastWeights(average, torch.bfloat16).in_place(), counting() as count:
        ends: list[Count] = []

        def on_step(*_: Any) -> None:
            ends.append(Count() + count)

        sampler(denoise, (1, 4, SHAPE.num_tokens), torch.Generator(), on_step)
    return {"a step": ends[1] - ends[0]}


def _unet() -> TriplaneUNet:
    with torch.device("meta"):
        return accelerate(TriplaneUNet(SHAPE, base_channels=MODELS["L"]))


CASES: dict[str, Callable[[], dict[str, Count]]] = {
    "PVDM-L, batch 64": stage_two,
    "stage one, batch 8": stage_one,
    "stage one, batch 8, checkpointing": partial(stage_one, gradient_checkpointing=True),
    "stage one, batch 8, selective checkpointing": partial(stage_one, gradient_checkpointing="selective"),
    "PVDM-L, sampling one video": sampling,
}


def count_all() -> dict[str, Count]:
    """All cases, by the names of the table's rows."""
    return {f"{case}: {what}": count for case, run in CASES.items() for what, count in run().items()}


HEAD = ("operators", "copies, casts", "turned operands", "kernels", "GiB beside products")


def table(records: list[dict[str, Any]]) -> str:
    """Markdown: a row for each case and record."""
    rows = [("step, bf16 autocast", "code", *HEAD), ("---",) * (2 + len(HEAD))]
    for case in records[-1]["counts"]:
        known = [record for record in records if case in record["counts"]]
        rows += [(case, record["what"], *(f"{x:g}" for x in record["counts"][case].values())) for record in known]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def add_options(options: argparse.ArgumentParser) -> None:
    """What to do with the counts."""
    options.add_argument("--record", metavar="WHAT", help="make them the ceilings, with a word on what they are of")
    options.add_argument(
        "--names", action="store_true", help="also the operators of each case that run most, and that move most"
    )


def run(args: argparse.Namespace) -> None:
    """Print the counts beside those recorded."""
    known = json.loads(RECORDS.read_text(encoding="utf-8"))
    counted = count_all()
    what = args.record or "now"
    new = {"what": what, "torch": torch.__version__.partition("+")[0]}
    new["counts"] = {name: each.figures() for name, each in counted.items()}
    records = [*(record for record in known if record["what"] != what), new]
    if args.record is not None:
        RECORDS.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
        text = DOCS.read_text(encoding="utf-8")
        DOCS.write_text(text.replace(table(known), table(records)), encoding="utf-8")
    say(table(records))
    for name, each in counted.items() if args.names else ():
        most = [f"{times} {operator}" for operator, times in each.names.most_common(10)]
        moved = [f"{nbytes / 2**30:.3g} {operator}" for operator, nbytes in each.nbytes.most_common(10)]
        say(f"\n{name}: {', '.join(most)}\nGiB: {', '.join(moved)}\n")
