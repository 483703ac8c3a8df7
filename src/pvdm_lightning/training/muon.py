"""Muon: momentum made orthogonal, for the matrices inside a network; AdamW for all else."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


class Muon(torch.optim.Optimizer):
    """One optimizer for a whole network: Muon for hidden matrices and kernels, AdamW for the other parameters.

    Muon replaces the momentum M of a matrix by U V^T of its singular value decomposition, so that all directions learn
    at the same pace (Jordan et al. 2024). A step has the size of AdamW's, 0.2 sqrt(max(rows, columns)) (Liu et al.
    2025, equation 4), and so one learning rate serves both. A kernel [out, in, height, width] counts as the matrix
    [out, in * height * width]; torch.optim.Muon takes matrices alone.

    Args:
        hidden: Weights of two or more dimensions.
        others: Parameters for AdamW: vectors, first and last layers.
        lr: The learning rate of both.
        betas: Coefficients of AdamW.
        momentum: Momentum of Muon.
        eps: Epsilon of AdamW.
        weight_decay: Decoupled weight decay of both.
    """

    def __init__(
        self,
        hidden: Iterable[Tensor],
        others: Iterable[Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.99),
        momentum: float = 0.95,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        groups = [{"params": list(hidden), "orthogonal": True}, {"params": list(others), "orthogonal": False}]
        defaults = {"lr": lr, "betas": betas, "momentum": momentum, "eps": eps, "weight_decay": weight_decay}
        super().__init__([group for group in groups if group["params"]], defaults)
        for group in self.param_groups:
            if group["orthogonal"] and any(weight.dim() < 2 for weight in group["params"]):
                raise ValueError("Muon takes weights of two or more dimensions, others are AdamW's")

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make one step."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if weights:
                if group["weight_decay"]:
                    torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
                (self._orthogonal_step if group["orthogonal"] else self._adam_step)(weights, group)
        return loss

    def _orthogonal_step(self, weights: list[Tensor], group: dict[str, Any]) -> None:
        by_shape: dict[tuple[int, ...], list[Tensor]] = {}
        for weight in weights:
            by_shape.setdefault(tuple(weight.flatten(1).shape), []).append(weight)
        for shape, same in by_shape.items():
            updates = []
            for weight in same:
                assert weight.grad is not None
                state = self.state[weight]
                if not state:
                    state["momentum"] = torch.zeros_like(weight)
                state["momentum"].lerp_(weight.grad, 1 - group["momentum"])
                updates.append(weight.grad.lerp(state["momentum"], group["momentum"]).flatten(1))  # Nesterov's
            directions = orthogonalize(torch.stack(updates))
            for weight, direction in zip(same, directions):
                weight.add_(direction.view_as(weight), alpha=-group["lr"] * 0.2 * max(shape) ** 0.5)

    def _adam_step(self, weights: list[Tensor], group: dict[str, Any]) -> None:
        for weight in weights:
            state = self.state[weight]
            if not state:
                state["step"] = torch.zeros(())
                state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(weight), torch.zeros_like(weight)
            state["step"] += 1
        first, second = group["betas"]
        states = [self.state[weight] for weight in weights]
        gradients: list[Tensor] = [weight.grad for weight in weights]  # type: ignore[misc]
        means, squares = [state["exp_avg"] for state in states], [state["exp_avg_sq"] for state in states]
        torch._foreach_lerp_(means, gradients, 1 - first)
        torch._foreach_mul_(squares, second)
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - second)
        steps = [float(state["step"]) for state in states]
        roots = torch._foreach_sqrt(squares)
        torch._foreach_div_(roots, [(1 - second**step) ** 0.5 for step in steps])
        torch._foreach_add_(roots, group["eps"])
        torch._foreach_addcdiv_(weights, means, roots, [-group["lr"] / (1 - first**step) for step in steps])


def orthogonalize(matrices: Tensor, steps: int = 5, dtype: torch.dtype | None = None) -> Tensor:
    """Bring the singular values of matrices [N R C] near 1, by Newton-Schulz iterations of fifth degree.

    The polynomial is steep at 0 instead of exact at 1: after 5 steps, singular values of at least 0.002 of the
    Frobenius norm are between 0.68 and 1.21, in bfloat16 to within a hundredth. The scale of a matrix does not matter
    unless its norm is near 1e-7 or below.

    Args:
        matrices: [N R C].
        steps: Iterations.
        dtype: Data type of the products; None is that of `product_dtype`.
    """
    a, b, c = NEWTON_SCHULZ
    wide = matrices.shape[1] <= matrices.shape[2]
    x = (matrices if wide else matrices.mT).float()
    x = (x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)).to(dtype or product_dtype(matrices.device))
    for _ in range(steps):
        squared = x @ x.mT
        # One rounding each of b A + c A A and of a X + (b A + c A A) X.
        x = torch.baddbmm(x, torch.baddbmm(squared, squared, squared, beta=b, alpha=c), x, beta=a)
    return (x if wide else x.mT).to(matrices.dtype)


def product_dtype(device: torch.device) -> torch.dtype:
    """Choose bfloat16 on a GPU that has it, as Jordan's own implementation does, which normalizes in it too."""
    fast = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if fast else torch.float32


def hidden_and_others(network: nn.Module, edges: tuple[str, ...]) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Split a network's parameters for `Muon`.

    Args:
        network: The one to train.
        edges: Names of its first and last layers, and of what else has two dimensions without being a matrix.
    """
    parameters = list(network.named_parameters())
    hidden = [name for name, p in parameters if p.dim() >= 2 and not any(part in edges for part in name.split("."))]
    chosen = set(hidden)
    return [p for name, p in parameters if name in chosen], [p for name, p in parameters if name not in chosen]
