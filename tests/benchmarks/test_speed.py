"""Every row of both stages is printed at tiny sizes, in both precisions, and beside an original."""

import pytest

STAGE_ONE = ["encode", "decode", "training step", "training step, adversarial", "training step, checkpointing"]
STAGE_TWO = [
    "PVDM-tiny denoising step",
    "PVDM-tiny guided step",
    "PVDM-tiny guidance of weight 0",
    "PVDM-tiny training step",
    "PVDM-tiny iteration, first clip",
    "PVDM-tiny iteration, pair",
    "PVDM-tiny iteration from pixels, pair",
]


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_every_row_is_printed(bench, precision):
    printed = bench("speed", "--quick", "--repeats", "1", "--threads", "1", "--precision", precision)
    head, _, _, _, *rows = printed.splitlines()
    assert head.startswith("bfloat16" if precision == "bf16-mixed" else "float32")
    assert {row[:52].strip(): float(row[52:].split()[0]) > 0 for row in rows} == dict.fromkeys(
        STAGE_TWO + STAGE_ONE, True
    )


def test_beside_the_original(bench, reference):
    printed = bench("speed", "--quick", "--repeats", "1", "--threads", "1")
    rows = {row[:52].strip(): row[52:].split() for row in printed.splitlines()[4:]}
    with_reference = {name for name, figures in rows.items() if figures[-1].endswith("x")}
    assert rows.keys() - with_reference == {STAGE_TWO[-1], STAGE_ONE[-1]}  # the original has no such step
    ending = ", as it comes"
    assert {name for name in rows if name.endswith(ending)} == {
        name + ending for name in (*STAGE_ONE[:3], "PVDM-tiny training step", "PVDM-tiny iteration, pair")
    }
    assert {name.removesuffix(ending) for name in rows} == {*STAGE_ONE, *STAGE_TWO}
