"""Pages fetched from the system (minor faults) tell what the allocator did."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

LARGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")
COUNT = """
import resource, torch
def faults(times):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        torch.ones(2**24)  # 64 MiB: 16384 small pages, 32 large ones
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
"""
KEPT = "from pvdm_lightning.cpu.memory import keep_freed_memory; keep_freed_memory()" + COUNT
# The large blocks fit into the heap's holes after some rounds.
KEPT += "faults(16); print(faults(8))"
# All that the command imports before it starts to work.
STARTED = "import pvdm_lightning.__main__ as command, sys; sys.argv[1:] = ['--version']\n"
STARTED += "try: command.main()\nexcept SystemExit: pass\n" + COUNT + "print(faults(1))"


def printed(program, **environment):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_", "THP_"))}
    run = subprocess.run([sys.executable, "-c", program], env={**kept, **environment}, capture_output=True, check=True)
    return int(run.stdout.split()[-1])


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's allocator is told")
def test_freed_blocks_are_used_again_unless_the_user_chose_otherwise():
    assert printed(KEPT) < 1000
    assert printed(KEPT, MALLOC_MMAP_THRESHOLD_="131072") > 10000


@pytest.mark.skipif(
    not LARGE_PAGES.exists() or "[madvise]" not in LARGE_PAGES.read_text(),
    reason="the system does not leave the choice",
)
def test_the_command_asks_for_large_pages_in_time():
    assert printed(STARTED) < 2000
    assert printed(STARTED, THP_MEM_ALLOC_ENABLE="0") > 16000
