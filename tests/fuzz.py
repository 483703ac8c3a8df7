"""Looks for files that break their reading: test_fuzz.py in rounds, each from a seed of its own, until time is up.

python tests/fuzz.py --minutes 10 [--seed N]

It ends with the first failure. What is found becomes an `@example` of its test, so that it stays mended.
"""

import argparse
import os
import random
import subprocess
import sys
import time
from pathlib import Path

EXAMPLES = 60
"""Of each test in a round: enough that a round is not all preparation."""


def main(args=None):
    """Run rounds; returns 0 if nothing was found, else what pytest returned."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10, help="how long to look")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), help="of the first round")
    options, for_pytest = parser.parse_known_args(args)
    end, seed = time.monotonic() + 60 * options.minutes, options.seed
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-n",
        "0",
        "--show-capture=no",
        str(Path(__file__).parent / "end_to_end/test_fuzz.py"),
    ]
    while (left := end - time.monotonic()) > 0:
        print(f"seed {seed}, {left / 60:.1f} minutes left", flush=True)
        try:
            done = subprocess.run(
                [*command, f"--hypothesis-seed={seed}", *for_pytest],
                env={**os.environ, "PVDM_FUZZ_EXAMPLES": str(EXAMPLES)},
                timeout=left,
            )
        except subprocess.TimeoutExpired:
            break
        if done.returncode:
            print(f"found with seed {seed}; once more: make fuzz SEED={seed}")
            return done.returncode
        seed += 1
    print(f"nothing was found from seed {options.seed} to {seed}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
