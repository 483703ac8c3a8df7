"""Renames the keys of an original state dict, and checks that all of them fit."""

from collections.abc import Collection, Mapping

from torch import Tensor, nn


def strip_prefix(state_dict: Mapping[str, Tensor], anchor: str) -> dict[str, Tensor]:
    """Remove the prefix before `anchor`, a key that every such state dict has, from all keys.

    Wrappers leave prefixes such as ``module.`` or ``diffusion_model.``, alone or together.

    Raises:
        ValueError: No key ends with `anchor`.
    """
    prefixes = [key.removesuffix(anchor) for key in state_dict if key == anchor or key.endswith(f".{anchor}")]
    if not prefixes:
        raise ValueError(f"no key ends with {anchor!r}, so this is not such a state dict; it holds {_some(state_dict)}")
    prefix = min(prefixes, key=len)
    return {key.removeprefix(prefix): value for key, value in state_dict.items()}


def load_renamed(
    module: nn.Module, state_dict: Mapping[str, Tensor], names: Mapping[str, str], derived: Collection[str] = ()
) -> None:
    """Load `state_dict` into `module` under our names.

    Args:
        module: Receives the weights.
        state_dict: Keys of the original, without prefix.
        names: Our key -> the original's key, complete.
        derived: The original's keys that may be there and hold nothing learned (tables it keeps as buffers).

    Raises:
        ValueError: A key is missing, left over or has another shape; the message names it.
    """
    own = module.state_dict()
    assert own.keys() == names.keys(), sorted(own.keys() ^ names.keys())[:4]
    missing = [key for key in names.values() if key not in state_dict]
    extra = [key for key in state_dict if key not in set(names.values()) and key not in derived]
    misshapen = [
        f"{key} {list(state_dict[key].shape)} instead of {list(own[ours].shape)}"
        for ours, key in names.items()
        if key in state_dict and state_dict[key].shape != own[ours].shape
    ]
    problems = [
        f"{what}: {_some(keys)}"
        for what, keys in (("missing", missing), ("not known", extra), ("of another shape", misshapen))
        if keys
    ]
    if problems:
        raise ValueError("the state dict does not fit; keys " + "; ".join(problems))
    module.load_state_dict({ours: state_dict[key] for ours, key in names.items()})


def _some(keys: Collection[str], most: int = 5) -> str:
    shown = ", ".join(list(keys)[:most])
    return shown if len(keys) <= most else f"{shown} and {len(keys) - most} more"
