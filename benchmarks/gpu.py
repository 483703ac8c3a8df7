"""Proves on a GPU, with one command and in a fixed time, what the project claims; `make gpu` runs it.

    python benchmarks/gpu.py --minutes 8 --out gpu
    REFERENCE=checkout python benchmarks/gpu.py --minutes 8 --out gpu
    python benchmarks/gpu.py --device cpu --tiny --out gpu

Sections run in order of worth, each in a process of its own with its own share of the time: parity with the recorded
results, training steps of both stages, sampling, the original beside them (REFERENCE), the largest batches, and with
all the time that is left both stages trained on the embedded data. Compiled training steps are measured by
`--only compiled`, in a run of their own. What is known is written as it comes, to gpu.json and gpu.md. Needs no network
and no installation: packages that are missing are taken from a folder of wheels.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[1]
say = sys.stdout.write


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """What was asked for; a mistake ends in one line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=8.0, help="for everything; shares are those of 8 minutes")
    parser.add_argument("--out", type=Path, default=Path("gpu"), help="folder of the results")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="toy sizes: shows that it runs, not how fast")
    parser.add_argument("--only", nargs="+", metavar="SECTION", help="these sections alone, in their order")
    parser.add_argument(
        "--wheels", type=Path, default=ROOT / ".wheels", help="folder of wheels for packages that are missing here"
    )
    args = parser.parse_args(arguments)
    if not args.minutes > 0:
        parser.error(f"--minutes {args.minutes}: is no time. Give minutes, such as 8.")
    if args.out.exists() and not args.out.is_dir():
        parser.error(f"--out {args.out}: is a file. Name a folder.")
    return args


def unpack_missing(wheels: Path, folder: Path) -> list[str]:
    """Unpack the wheels whose package is not installed into a folder that is importable then; their names."""
    unpacked = []
    for wheel in sorted(wheels.glob("*.whl")):
        name = wheel.name.split("-")[0]
        if find_spec(name) is None:
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(folder)
            unpacked.append(wheel.name)
    return unpacked


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the sections, and print the report at the end."""
    args = options(arguments)
    sys.path[:0] = [str(ROOT / "src"), str(ROOT / "benchmarks")]
    with tempfile.TemporaryDirectory() as folder:
        unpacked = unpack_missing(args.wheels, Path(folder))
        sys.path.append(folder)
        _run(args, unpacked)


def _run(args: argparse.Namespace, unpacked: list[str]) -> None:
    from proof.report import Report
    from proof.runner import run_sections
    from proof.sections import COMPILED, SECTIONS

    names = [section.name for section in (*SECTIONS, COMPILED)]
    if args.only and not set(args.only) <= set(names):
        sys.exit(
            f"gpu.py: error: --only {' '.join(args.only)}: names no such section. Give some of {', '.join(names)}."
        )
    if args.device == "cuda" and not _has_gpu():
        sys.exit("gpu.py: error: --device cuda: PyTorch finds no GPU. Give --device cpu --tiny to try the command.")
    args.out.mkdir(parents=True, exist_ok=True)
    settings = {
        "device": args.device,
        "tiny": args.tiny,
        "minutes": args.minutes,
        "wheels": unpacked,
        "files": "gpu.md has the tables",
    }
    about = f"`make gpu`: {args.minutes:g} minutes on {args.device}{', toy sizes' if args.tiny else ''}."
    report = Report(args.out, about, settings)

    def update(section: object, rows: list[dict[str, object]], state: str, seconds: float) -> None:
        report.update(section, rows, state, seconds)  # type: ignore[arg-type]
        if state != "running":
            say(f"{section.name}: {state}, {len(rows)} rows, {seconds:.0f} s\n")  # type: ignore[attr-defined]
            sys.stdout.flush()

    chosen = [section for section in (*SECTIONS, COMPILED) if section.name in args.only] if args.only else SECTIONS
    run_sections(chosen, args.device, args.tiny, args.out, args.minutes, update)
    say("\n" + report.markdown())


def _has_gpu() -> bool:
    """Asked in a process of its own: this one stays without a context on the GPU."""
    import subprocess

    question = "import sys, torch; sys.exit(not torch.cuda.is_available())"
    return subprocess.run([sys.executable, "-c", question]).returncode == 0


if __name__ == "__main__":
    main()
