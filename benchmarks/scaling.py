"""How the cost of a denoising step grows with frames and with resolution, beside a pixel-space video diffusion U-Net.

    python benchmarks/scaling.py --plot docs/scaling.png
    python benchmarks/scaling.py --base-channels 256 --limit 60

With L = H'W' + SW' + SH' tokens of the latent planes, theory says O(L) for convolutions and linear layers and O(L^2)
for attention (PVDM, section 3.2). GFLOP and memory are counted on fake tensors, for every size: each product, and each
tensor from its making to its end. Seconds are measured, where a step fits into the free memory and into --limit, with
the two denoisers in turn. All in float32, at batch 1. The last table has the form of the paper's comparison with VDM.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pixel_unet
import scaling_plot
import torch
import vdm_table
from measure import keep_memory, matmul_rate, parser, say, short
from step_times import Stopwatch
from sweep import KINDS, OURS, PIXEL, Clip, Sweep

PAPER = 256  # pixels a side of the paper's clips


def over_theory(sweep: Sweep, clip: Clip) -> tuple[float, float, float]:
    """PVDM's GFLOP: convolutions over L, attention across planes over L^2, inside planes over their squared lengths."""
    cost, shape = sweep.arithmetic[OURS, clip], clip.shape
    squares = sum(length**2 for length in shape.lengths)
    return cost.convolution / shape.num_tokens, cost.across / shape.num_tokens**2, cost.inside / squares


def growth(sweep: Sweep, clips: Sequence[Clip]) -> None:
    """Print a line a clip."""
    first = over_theory(sweep, clips[0])
    for clip in clips:
        cost = sweep.arithmetic[OURS, clip]
        work = "".join(f"{short(number):>10s}" for number in (cost.convolution, cost.across, cost.inside))
        ratios = "".join(f"{here / there:11.2f}" for here, there in zip(over_theory(sweep, clip), first))
        say(f"{clip!s:18s}{clip.shape.num_tokens:8d}{work}{ratios}\n")
    say("\n")


def beside(sweep: Sweep, columns: dict[str, Callable[[Clip], dict[str, float]]]) -> None:
    """Print a line a clip: of each column ours, that of pixels, and how many times ours it is."""
    say(f"{'':18s}" + "".join(f"{title:>26s}" for title in columns) + "\n")
    say(f"{'clip':18s}" + f"{OURS:>9s}{'pixels':>9s}{'ratio':>8s}" * len(columns) + "\n")
    for clips in (sweep.by_frames, sweep.by_side):
        for clip in clips:
            row = f"{clip!s:18s}"
            for numbers in (column(clip) for column in columns.values()):
                ours, theirs = numbers.get(OURS), numbers.get(PIXEL)
                ratio = "-" if ours is None or theirs is None else f"{theirs / ours:.1f}x"
                row += f"{short(ours):>9s}{short(theirs):>9s}{ratio:>8s}"
            say(row + "\n")
        say("\n")


def tables(sweep: Sweep) -> None:
    """Print the growth of ours against theory, then both denoisers beside each other."""
    say(f"{OURS}: GFLOP of one evaluation; then over what theory says, where the first line is 1\n\n")
    say(f"{'clip':18s}{'L':>8s}{'conv':>10s}{'across':>10s}{'inside':>10s}")
    say(f"{'conv/L':>11s}{'across/L^2':>11s}{'inside/l^2':>11s}\n")
    growth(sweep, sweep.by_frames)
    growth(sweep, sweep.by_side)
    say("conv: convolutions and linear layers; across: attention over the tokens of all three planes;\n")
    say("inside: attention over those of each plane; l^2: the sum of the squared lengths of the planes\n\n")
    work = {clip: {name: sweep.arithmetic[name, clip].total for name in sweep.builds(clip)} for clip in sweep.clips}
    memory = {f"GiB, {kind} step": partial(lambda kind, clip: sweep.steps[kind, clip].gib, kind) for kind in KINDS}
    seconds = {f"s, {kind} step": partial(lambda kind, clip: sweep.steps[kind, clip].seconds, kind) for kind in KINDS}
    beside(sweep, {"GFLOP, sampling step": work.__getitem__, **memory})
    beside(sweep, seconds)


def options() -> argparse.Namespace:
    """What the user gave, looked through before any work."""
    given = parser(__doc__)
    given.set_defaults(repeats=3)
    given.add_argument("--base-channels", type=int, default=128, help="width of both denoisers: 128 is S, 256 is L")
    given.add_argument("--frames", type=int, nargs="+", default=[16, 32, 64, 128], help="at 256 x 256 pixels")
    given.add_argument("--sides", type=int, nargs="+", default=[64, 128, 256, 512], help="at the least of --frames")
    given.add_argument("--limit", type=float, default=10.0, help="seconds; steps that take longer are only counted")
    given.add_argument("--plot", type=Path, help="draw the costs into this PNG file, too (needs matplotlib)")
    args = given.parse_args()
    if args.base_channels < 32 or args.base_channels % 32:
        given.error(f"--base-channels {args.base_channels}: is not a multiple of 32. Give 128 (S) or 256 (L).")
    if min(args.frames) < 2:
        given.error(f"--frames {min(args.frames)}: is too short for a clip. Give 2 or more.")
    wrong = next((side for side in args.sides if side < 32 or side % 8), None)
    if wrong is not None:
        given.error(f"--sides {wrong}: is not a multiple of the patch, 8, of at least 32. Give one, such as 64.")
    if not args.limit >= 0:
        given.error(f"--limit {args.limit:g}: is not a time. Give seconds, or 0 to count alone.")
    if args.repeats < 1:
        given.error(f"--repeats {args.repeats}: nothing would be timed. Give 1 or more, or --limit 0 to count alone.")
    problem = None if args.plot is None else scaling_plot.problem(args.plot)
    if problem is not None:
        given.error(f"--plot {args.plot}: {problem}")
    return args


def main() -> None:
    """Count, measure, print the tables, draw."""
    args = options()
    keep_memory()
    torch.set_num_threads(args.threads)
    warnings.filterwarnings("ignore", category=FutureWarning, module="video_diffusion_pytorch")
    if args.quick:
        sweep = Sweep(32, (4, 8), (32,), 32, (1,))
    else:
        sweep = Sweep(args.base_channels, tuple(sorted(args.frames)), tuple(sorted(args.sides)), PAPER)
    rate = matmul_rate(args)
    clock = "processor" if args.cpu_time else "clock"
    say(f"float32, batch 1, {sweep.base_channels} base channels, {args.threads} threads; ")
    say(f"float32 rate of this machine: {rate:.0f} GFLOP/s\n")
    say(f"GFLOP and GiB are counted; seconds are of the {clock}, medians of {args.repeats} after a first run\n")
    say("\n" if pixel_unet.installed() else pixel_unet.MISSING + "\n\n")
    sys.stdout.flush()
    stopwatch = Stopwatch(args.limit, rate, args)
    sweep.count()
    sweep.run(stopwatch)
    tables(sweep)
    vdm_table.show(sweep, stopwatch)
    say("".join(f"not run: {reason}\n" for reason in stopwatch.left_out))
    if args.plot is not None:
        scaling_plot.draw(sweep, args.plot)
        say(f"\nplot: {args.plot}\n")


if __name__ == "__main__":
    main()
