"""Training steps with compiled networks."""

from __future__ import annotations

from typing import Any

from proof import stage_one, stage_two
from proof.profile import busiest
from proof.section import Proof, bf16_rate
from proof.steps import table_row, train

NAME = "PVDM-L"


def compile_module(proof: Proof, module: Any) -> None:
    """Compile its networks; on a CPU, where the machine may have no C++ compiler, in a graph that is not lowered."""
    module.compile_networks(**({} if proof.on_gpu else {"backend": "aot_eager"}))


def run(proof: Proof) -> None:
    """Stage two, then stage one; what the time does not allow is missing at the end."""
    rate = bf16_rate(proof)
    module, data = _stage_two(proof)
    batch = stage_two.batch_size(proof)
    work = batch * stage_two.tflop(proof, stage_two.MODELS[NAME])
    steps = train(proof, module, data)
    table_row(proof, NAME, "compiled", batch, steps, work, rate, None)
    busiest(proof, f"{NAME}, compiled", stage_two.training_step(proof, module, batch), compiled=True)
    del module, data
    proof.reset_memory()
    for gradient_checkpointing in (True, False):
        module, data = _stage_one(proof, gradient_checkpointing)
        batch = stage_one.batch_size(proof, gradient_checkpointing)
        steps = train(proof, module, data)
        what = f"stage one, {stage_one.name_of(gradient_checkpointing)}"
        table_row(proof, what, "compiled", batch, steps, batch * stage_one.tflop(proof), rate, None)
        if gradient_checkpointing:
            busiest(proof, f"{what}, compiled", stage_one.training_step(proof, module, batch), compiled=True)
        del module, data
        proof.reset_memory()


def _stage_two(proof: Proof) -> tuple[Any, Any]:
    module = stage_two.module_of(proof, stage_two.MODELS[NAME])
    compile_module(proof, module)
    return module, stage_two.batch_of(module, stage_two.batch_size(proof))


def _stage_one(proof: Proof, gradient_checkpointing: bool) -> tuple[Any, Any]:
    module = stage_one.module_of(proof, gradient_checkpointing)
    compile_module(proof, module)
    return module, stage_one.batch_of(module, stage_one.batch_size(proof, gradient_checkpointing))
