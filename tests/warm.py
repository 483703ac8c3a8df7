"""Processes that have imported PyTorch and Lightning already: forks of one that did, with no thread but its own."""

import multiprocessing
import os
import runpy
import socket
import sys
from pathlib import Path

import torch

_PRELOADED = ["pvdm_lightning.cli.program", "pvdm_lightning.__main__"]


def context():
    """Starts processes as `multiprocessing.get_context` says; where the system does not fork, cold ones."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    forkserver = multiprocessing.get_context("forkserver")
    forkserver.set_forkserver_preload(_PRELOADED)
    return forkserver


def _work(program, args, folder, environment, output, threads):
    os.chdir(folder)
    os.environ.clear()  # that of the process it is a fork of, which may be older than what a test has set
    os.environ.update(environment)
    for name in ("PL_GLOBAL_SEED", "PL_SEED_WORKERS", "PVDM_RESUMED_FROM"):
        os.environ.pop(name, None)
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    sys.stdout, sys.stderr = (open(number, "w", buffering=1, closefd=False) for number in (1, 2))  # noqa: SIM115
    torch.set_num_threads(threads)
    sys.argv = [program, *args]
    if Path(program).suffix == ".py":
        runpy.run_path(program, run_name="__main__")
    else:
        runpy.run_module(program, run_name="__main__", alter_sys=True)


def start(program, args, folder, output, **environment):
    """Start `python -m PROGRAM ARGS`, or a script, in a folder; what it prints goes into the file `output`."""
    whole = {**os.environ, **environment}
    # As many threads as the test has: sums depend on them in their last digits.
    work = (str(program), [str(arg) for arg in args], str(folder), whole, str(output), torch.get_num_threads())
    process = context().Process(target=_work, args=work)
    process.start()
    return process


def finish(processes, outputs, timeout=300):
    """Wait for processes that all succeed; returns what they printed, one after the other."""
    for process in processes:
        process.join(timeout)
    codes = [process.exitcode for process in processes]
    for process in processes:
        if process.is_alive():
            process.kill()
    said = "".join(Path(output).read_text() for output in outputs)
    assert codes == [0] * len(codes), f"ended with {codes}\n{said}"
    return said


def run(program, args, folder, ranks=1):
    """Run a program in as many processes as it has ranks, which find each other as those of torchrun do."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes, outputs = [], []
    for rank in range(ranks):
        outputs.append(Path(folder) / f".printed{rank}")
        group = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "NODE_RANK": "0"}
        group |= {"LOCAL_RANK": str(rank), "WORLD_SIZE": str(ranks)}
        processes.append(start(program, args, folder, outputs[-1], **(group if ranks > 1 else {})))
    return finish(processes, outputs)
