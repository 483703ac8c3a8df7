"""What a training step spends its time on."""

from __future__ import annotations

from collections.abc import Callable

from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from proof.section import Proof
from proof.steps import quieten

TOP = 10
PROFILED = 3  # steps
NAME_LENGTH = 70


def busiest(proof: Proof, title: str, step: Callable[[], None], compiled: bool) -> None:
    """Report the operators that take the longest, kernels if `compiled`, and the share of time in which none runs."""
    quieten()
    count = 1 if proof.tiny else PROFILED
    plain = proof.seconds(step, at_least=count, budget=0.0)
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if proof.on_gpu else [])]
    with profile(activities=activities, acc_events=True) as profiled:
        for _ in range(count):
            step()
        proof.synchronize()
    operators: dict[str, float] = {}
    kernels: dict[str, float] = {}
    for event in profiled.key_averages():
        on_device = event.device_type != DeviceType.CPU
        # Annotations of the profiler's user, such as the optimizer's, repeat the kernels inside them.
        if on_device and event.is_user_annotation:
            continue
        spent = event.self_device_time_total if proof.on_gpu else event.self_cpu_time_total
        times = kernels if on_device else operators
        times[event.key] = times.get(event.key, 0.0) + spent / 1e3 / count
    chosen = kernels if compiled and proof.on_gpu else operators
    busy = sum((kernels if proof.on_gpu else operators).values())
    outside = 100 * (1 - busy / plain / 1e3)
    proof.row(**{"profile": title, "ms a step": 1e3 * plain, "ms in kernels": busy, "outside %": outside})
    for key, milliseconds in sorted(chosen.items(), key=lambda item: -item[1])[:TOP]:
        name = f"{title}: `{key[:NAME_LENGTH]}`"
        proof.row(**{"busiest": name, "ms": milliseconds, "% of kernels": 100 * milliseconds / busy})
