"""Published protocols by name: which settings each fixes, and whether an evaluation has them.

A protocol is a file of configs/evaluation. Its sections `evaluation` and `metrics` and its `resolution` are options of
`pvdm test` and `pvdm evaluate`, which the command line lays under those of the user. `also` lists further values that
the protocol has, and `not_expressed` what of it no option gives. A setting that the file leaves out is not fixed by the
protocol.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import yaml  # type: ignore[import-untyped]

from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.evaluation.chosen_networks import published_name
from pvdm_lightning.evaluation.clip_options import USUAL_COUNT
from pvdm_lightning.metrics import FRAME_DIFFERENCES
from pvdm_lightning.shipped import config_folder

if TYPE_CHECKING:  # options name a protocol
    from pvdm_lightning.evaluation.feature_networks import FoundNetworks
    from pvdm_lightning.evaluation.options import Evaluation
    from pvdm_lightning.evaluation.report import MeasuredMetric

CUSTOM = "custom"
"""Name of no protocol."""
ROWS = ("frames", "distances", "networks")
"""Settings of which each value gives rows of its own: some of them may be left out."""
_NO_SETTINGS = ("protocol", "bootstrap", "dir", "real.seed", "generated.seed")


@dataclass(frozen=True)
class NamedProtocol:
    """A protocol.

    Attributes:
        name: Its name.
        options: What it fixes, by the names of options: ``evaluation.real.choice``, ``metrics.i3d_resize``,
            ``resolution``.
        also: Further values that it has, by the names of settings: ``real.choice``, ``resolution``.
        not_expressed: What of it no option gives.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    also: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    not_expressed: Sequence[str] = ()

    @classmethod
    def find(cls, name: str) -> NamedProtocol:
        """The protocol of a name.

        Raises:
            InvalidArgumentError: There is none.
        """
        check_protocol("Evaluation.protocol", name)
        if name == CUSTOM:
            return cls(name)
        path = config_folder() / "evaluation" / f"{name}.yaml"
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        also, not_expressed = content.pop("also", {}), content.pop("not_expressed", [])
        return cls(name, dict(_flat(content)), also, not_expressed)

    @property
    def settings(self) -> dict[str, Any]:
        """What it fixes, as `settings_of` names it."""
        found = {key.removeprefix("evaluation."): value for key, value in self.options.items()}
        return {key: value for key, value in found.items() if not key.startswith("metrics.")}

    def name_of(self, actual: Mapping[str, Any], metrics: Sequence[MeasuredMetric] = ()) -> str:
        """What a report calls an evaluation: the name if each setting is that of the protocol, else what differs.

        Args:
            actual: Its settings, see `settings_of`.
            metrics: What was measured; their counts are compared, too.
        """
        if self.name == CUSTOM:
            return CUSTOM
        fixed = {"real.fps": None, **self.settings}  # all of them take the frames of the files
        differing: list[str] = []
        alternatives: list[str] = []
        free: list[str] = []
        for key, value in actual.items():
            if key not in fixed:
                free.append(f"{key} {_text(key, value)}")
            elif not _agrees(key, value, fixed[key], actual):
                others = self.also.get(key, ())
                values = [[*fixed[key], *others]] if key in ROWS else others
                is_other = any(_agrees(key, value, other, actual) for other in values)
                (alternatives if is_other else differing).append(f"{key} {_text(key, value, fixed[key])}")
        differing += _missing_videos(fixed, metrics)
        # A file whose published hash is not known is no deviation, one that has another hash is.
        unknown = [name for name in actual["networks"] if "unverified" in name]
        differing += [name for name in actual["networks"] if "unrecognised" in name]
        caveats = [*self.not_expressed, *(f"no hash is on record of the file of {published_name(n)}" for n in unknown)]
        if differing:
            return f"{CUSTOM} ({self.name} but: {'; '.join(differing)})"
        name = self.name + (f" with {', '.join(alternatives)}" if alternatives else "")
        name += f", apart from what cannot be had here: {'; '.join(caveats)}" if caveats else ""
        return name + (f". Not fixed by it: {', '.join(free)}" if free else "")


def protocol_names() -> list[str]:
    """All protocols, and `custom`."""
    return [*sorted(path.stem for path in (config_folder() / "evaluation").glob("*.yaml")), CUSTOM]


def check_protocol(argument: str, name: str) -> None:
    """Raise `InvalidArgumentError` for a name that no protocol has."""
    if name == CUSTOM or name in protocol_names():
        return
    near = difflib.get_close_matches(name.lower().replace("-", "_"), protocol_names(), n=2, cutoff=0.4)
    meant = f"Did you mean {' or '.join(near)}? " if near else ""
    remedy = f"{meant}There are {', '.join(protocol_names())}."
    raise InvalidArgumentError(argument, name, "is no protocol", remedy)


def settings_of(
    evaluation: Evaluation,
    frames: Sequence[int],
    resolution: tuple[int, int],
    networks: FoundNetworks,
    real_stride: int,
    split: str | None = None,
    real_fps: float | None = None,
) -> dict[str, Any]:
    """The settings of an evaluation, with defaults filled in.

    Args:
        evaluation: Its options.
        frames: Lengths that are measured.
        resolution: (height, width).
        networks: That measure.
        real_stride: Stride of real clips.
        split: Where the real videos come from; None where their folder decides.
        real_fps: Frames per second to which they were resampled, if they were.
    """
    found = {key: value for key, value in _flat(asdict(evaluation)) if key not in _NO_SETTINGS}
    found |= {
        "frames": list(frames),
        "resolution": list(resolution),
        "networks": [one.name for one in (*networks.video, *networks.c3d) if one is not FRAME_DIFFERENCES],
        "real.choice": evaluation.real.choice or "random",
        "real.stride": real_stride,
        "generated.codec": evaluation.generated.codec or evaluation.preparation.codec,
    }
    if split is None:
        del found["split"]
    else:
        found["split"] = split
    if real_fps is not None:
        found["real.fps"] = real_fps
    if evaluation.repeats == 1:
        del found["repeat_over"]
    if evaluation.inception_splits == 0 or not networks.c3d:
        del found["inception_loops"]
    return found


def _flat(node: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def _agrees(key: str, actual: Any, fixed: Any, settings: Mapping[str, Any]) -> bool:
    """Whether a setting gives no row that the protocol has not."""
    if key in ROWS:
        return {published_name(str(one)) for one in actual} <= {str(one) for one in fixed}
    if key == "frame_step":  # where it leaves fewer than 9 frames, it is not measured
        return actual in (1, fixed) or max(settings["frames"]) // actual < 9
    if key == "inception_splits":
        return actual in (0, fixed) or not any("c3d" in name for name in settings["networks"])
    if key == "real.num":
        return bool((actual or USUAL_COUNT) == (fixed or USUAL_COUNT))
    if key == "real.min_frames":
        return bool((actual or 1) == (fixed or 1))
    if key == "resolution":
        return list(actual) == [fixed, fixed]
    return bool(actual == fixed)


def _text(key: str, value: Any, fixed: Any = None) -> str:
    if key in ROWS:
        value = [one for one in value if fixed is None or published_name(str(one)) not in map(str, fixed)]
        return ", ".join(map(str, value))
    if key == "resolution":
        return " x ".join(map(str, value))
    if value is None:
        return f"{USUAL_COUNT} or all" if key == "real.num" else "default"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _missing_videos(fixed: Mapping[str, Any], metrics: Sequence[MeasuredMetric]) -> list[str]:
    """Sides that have fewer videos than the protocol asks for; of a number of null it takes what there is."""
    found = []
    for side in ("real", "generated"):
        wanted = fixed.get(f"{side}.num")
        counts = [count for one in metrics if one.network and (count := getattr(one, side)) is not None]
        if isinstance(wanted, int) and counts and min(counts) < wanted:
            found.append(f"{min(counts):,} of {wanted:,} {side} clips")
    return found
