"""The picture of the scaling benchmark: work, memory and seconds of a step over frames and over resolution."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sweep import OURS, PIXEL, SAMPLING, TRAINING, Clip, Sweep

COLOURS = {OURS: "tab:blue", PIXEL: "tab:red"}


def problem(path: Path) -> str | None:
    """Why the picture could not be written, and the remedy; None if it can."""
    if find_spec("matplotlib") is None:
        return 'matplotlib is not installed. Install it: pip install -e ".[benchmark]"'
    if path.suffix != ".png":
        return "is not the name of a PNG file. Give one that ends in .png."
    if not path.parent.is_dir():
        return f"the folder {path.parent} does not exist. Make it, or give another."
    return None


def draw(sweep: Sweep, path: Path) -> None:
    """Write the picture; under a temporary name first."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, rows = plt.subplots(2, 3, figsize=(13, 8.5), sharex="row", layout="constrained")
    series = (
        (sweep.by_frames, sweep.frames, f"frames of {sweep.at} x {sweep.at} pixels"),
        (sweep.by_side, sweep.sides, f"side in pixels, {sweep.frames[0]} frames"),
    )
    for axes, (clips, sizes, label) in zip(rows, series):
        _work(axes[0], sweep, clips, sizes)
        _steps(axes[1], sweep, clips, sizes, "gib", "GiB at the peak")
        _steps(axes[2], sweep, clips, sizes, "seconds", "seconds, where it ran")
        for panel in axes:
            panel.set(xscale="log", yscale="log", xlabel=label)
            panel.set_xticks(sizes, [str(size) for size in sizes])
            panel.minorticks_off()
            panel.grid(True, alpha=0.3)
    for panel in rows[0]:  # what the lines are is the same in both rows
        panel.legend(fontsize=8, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    figure.suptitle(f"One step at batch 1, float32, {sweep.base_channels} base channels")
    unfinished = path.with_suffix(".unfinished.png")
    figure.savefig(unfinished, dpi=80)
    plt.close(figure)
    unfinished.replace(path)


def _work(panel: Any, sweep: Sweep, clips: list[Clip], sizes: tuple[int, ...]) -> None:
    panel.set_ylabel("GFLOP of one sampling step")
    for name in sweep.builds(clips[0]):
        cost, style = {clip: sweep.arithmetic[name, clip] for clip in clips}, {"color": COLOURS[name]}
        convolution = [cost[clip].convolution for clip in clips]
        attention = [cost[clip].attention for clip in clips]
        panel.plot(sizes, convolution, marker="o", label=f"{name}, convolutions", **style)
        panel.plot(sizes, attention, marker="s", linestyle="--", label=f"{name}, attention", **style)
        if name == OURS:
            tokens = [clip.shape.num_tokens for clip in clips]
            _theory(panel, sizes, tokens, convolution[0], "as L")
            _theory(panel, sizes, [number**2 for number in tokens], attention[0], "as L squared", "-.")
        else:
            _theory(panel, sizes, [clip.frames * clip.side**2 for clip in clips], convolution[0], "as S H W")


def _theory(panel: Any, sizes: tuple[int, ...], law: list[int], first: float, label: str, linestyle: str = ":") -> None:
    """Draw the law through what was counted on the first clip."""
    panel.plot(
        sizes, [first * here / law[0] for here in law], color="black", linewidth=1, linestyle=linestyle, label=label
    )


def _steps(panel: Any, sweep: Sweep, clips: list[Clip], sizes: tuple[int, ...], of: str, label: str) -> None:
    panel.set_ylabel(label)
    for name in sweep.builds(clips[0]):
        for kind, style in ((SAMPLING, {"marker": "o"}), (TRAINING, {"marker": "s", "linestyle": "--"})):
            values = [getattr(sweep.steps[kind, clip], of).get(name) for clip in clips]
            known = [(size, value) for size, value in zip(sizes, values) if value is not None]
            if known:
                panel.plot(*zip(*known), color=COLOURS[name], label=f"{name}, {kind} step", **style)
