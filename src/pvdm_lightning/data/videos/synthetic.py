"""Videos computed on the fly: shapes that move over smooth backgrounds. Nothing on disk, nothing to download.

A video is a function of (seed, index) alone and is drawn at whatever resolution is asked for. Its class is the kind of
its first shape. Lengths are in units of the picture's height: y runs from 0 to 1, x from 0 to width / height.
"""

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from pvdm_lightning.data.clips.transforms import to_pixels

MOTIONS = ("bounce", "circle", "oscillate", "grow_and_turn")
SHAPES = ("disc", "square", "triangle", "ring")
Backgrounds = Literal["coloured", "plain"]
EDGE_PIXELS = 1.5  # width of an edge's ramp from 0 to 1


@dataclass(frozen=True)
class _Shape:
    kind: str
    colour: np.ndarray  # float32 [3] in [0, 1]
    size: float
    centre: np.ndarray  # (y, x), x as a share of the width
    velocity: np.ndarray  # share of the way a frame
    radius: float
    frequency: float  # radians a frame
    phase: float


class SyntheticVideos:
    """A source of drawn videos.

    Args:
        first: Index of the first video: sets with disjoint index ranges have no video in common.
        num_videos: How many videos.
        video_frames: Frames in each.
        seed: Other seeds give other videos.
        max_shapes: Each video has 1 to so many shapes.
        backgrounds: coloured, or plain: one dark colour, so that nearly all there is to learn is the shapes.

    Attributes:
        class_names: The kinds of shapes.
    """

    class_names = SHAPES

    def __init__(
        self,
        first: int,
        num_videos: int,
        video_frames: int,
        seed: int,
        max_shapes: int = 2,
        backgrounds: Backgrounds = "coloured",
    ) -> None:
        self.first, self.seed, self.max_shapes, self.backgrounds = first, seed, max_shapes, backgrounds
        self.lengths = np.full(num_videos, video_frames, dtype=np.int64)
        self.problems: dict[int, str] = {}

    @cached_property
    def labels(self) -> np.ndarray:
        """int64 [N], the kind of each video's first shape: a tenth of a millisecond per video, on first use."""
        pixel = np.zeros((1, 1), dtype=np.float32)  # what is drawn of a video does not depend on its resolution
        kinds = (self._draw(index, pixel, pixel)[1][0].kind for index in range(len(self.lengths)))
        return np.fromiter(map(SHAPES.index, kinds), dtype=np.int64)

    def name(self, index: int) -> str:
        """What messages call the video."""
        return f"synthetic video {self.first + index}"

    def stamps(self) -> bytes:
        """Nothing: there are no files."""
        return b""

    def read(self, index: int, frames: Sequence[int], resolution: tuple[int, int]) -> Tensor:
        """Draw frames of a video.

        Args:
            index: Which video.
            frames: Frame numbers.
            resolution: (height, width).

        Returns:
            uint8 [3, S, height, width].
        """
        height, width = resolution
        y = ((np.arange(height, dtype=np.float32) + 0.5) / height)[:, None]
        x = ((np.arange(width, dtype=np.float32) + 0.5) / height)[None, :]
        time = np.asarray(frames, dtype=np.float32)
        background, shapes = self._draw(index, y, x)
        canvas = np.repeat(background[:, None], len(time), axis=1)
        for shape in shapes:
            _paint(canvas, shape, MOTIONS[(self.first + index) % len(MOTIONS)], time, y, x)
        return to_pixels(torch.from_numpy(canvas * 255.0))

    def _draw(self, index: int, y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, list[_Shape]]:
        """The background of a video, float32 [3, H, W] in [0, 1], and its shapes, the first one at the back."""
        rng = np.random.default_rng((self.seed, self.first + index))
        draw_background = _draw_coloured if self.backgrounds == "coloured" else _draw_plain
        background, hue = draw_background(rng, y, x)
        number = rng.integers(1, self.max_shapes + 1)
        return background, [_draw_shape(rng, hue + (position + 1) * 0.27) for position in range(number)]


def _draw_plain(rng: np.random.Generator, y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, float]:
    """One dark colour, lighter towards the top: float32 [3, H, W] in [0, 1], and a hue that makes shapes stand out."""
    hue = rng.random()
    colour = _colour(hue, 0.45, rng.uniform(0.18, 0.34))
    return colour[:, None, None] * (1.25 - 0.5 * y + 0 * x), hue + rng.uniform(0.08, 0.38)


def _draw_coloured(rng: np.random.Generator, y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, float]:
    """A gradient between two muted colours with two slow waves in it: float32 [3, H, W] in [0, 1], and its hue."""
    hue = rng.random()
    ends = [_colour(hue + shift, rng.uniform(0.25, 0.55), rng.uniform(0.25, 0.75)) for shift in (0.0, 0.1)]
    angle = rng.uniform(0, 2 * np.pi)
    ramp = 0.5 + 0.5 * ((y - 0.5) * np.sin(angle) + (x - 0.5) * np.cos(angle))
    for _ in range(2):
        fy, fx = rng.uniform(-1.5, 1.5, 2)
        ramp = ramp + 0.12 * np.cos(2 * np.pi * (fy * y + fx * x) + rng.uniform(0, 2 * np.pi))
    ramp = np.clip(ramp, 0, 1)
    return (ends[0][:, None, None] * (1 - ramp) + ends[1][:, None, None] * ramp).astype(np.float32), hue


def _draw_shape(rng: np.random.Generator, hue: float) -> _Shape:
    turn = rng.uniform(0, 2 * np.pi)
    return _Shape(
        kind=SHAPES[rng.integers(len(SHAPES))],
        colour=_colour(hue, rng.uniform(0.5, 0.8), rng.uniform(0.7, 0.95)),
        size=rng.uniform(0.17, 0.26),
        centre=rng.uniform(0.36, 0.64, 2),
        velocity=rng.uniform(0.012, 0.028) * np.array([np.sin(turn), np.cos(turn)]),
        radius=rng.uniform(0.1, 0.16),
        frequency=rng.choice([-1, 1]) * rng.uniform(0.1, 0.2),
        phase=rng.uniform(0, 2 * np.pi),
    )


def _paint(canvas: np.ndarray, shape: _Shape, motion: str, time: np.ndarray, y: np.ndarray, x: np.ndarray) -> None:
    """Blend one moving shape into float32 [3, S, H, W], in place."""
    aspect = float(x.shape[1]) / y.shape[0]
    centre_y, centre_x, scale, angle = _trajectory(shape, motion, time, aspect)
    # Turn and scale the picture's coordinates rather than the shape: then one distance function serves every frame.
    away_y, away_x = y[None] - centre_y[:, None, None], x[None] - centre_x[:, None, None]
    cos, sin = np.cos(angle)[:, None, None], np.sin(angle)[:, None, None]
    along, across = away_x * cos + away_y * sin, away_y * cos - away_x * sin
    size = (shape.size * scale)[:, None, None]
    inside = -shape_distance(shape.kind, along, across, size)
    alpha = np.clip(0.5 + inside * (y.shape[0] / EDGE_PIXELS), 0, 1)
    light = np.clip(1.0 - 0.25 * away_y / size, 0.7, 1.2)  # lit from above
    for channel in range(3):
        colour = np.minimum(shape.colour[channel] * light, 1)
        canvas[channel] += alpha * (colour - canvas[channel])


def _trajectory(
    shape: _Shape, motion: str, time: np.ndarray, aspect: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Centre (y, x), scale and angle of a shape at each time: float32 [S] each."""
    still, turn = np.zeros_like(time), shape.frequency * time + shape.phase
    y, x = shape.centre[0] + still, shape.centre[1] + still
    scale, angle = 1 + still, still  # upright, unless it turns
    if motion == "bounce":
        y, x = _bounce(y + shape.velocity[0] * time), _bounce(x + shape.velocity[1] * time)
    elif motion == "circle":
        y, x = y + shape.radius * np.sin(turn), x + shape.radius * np.cos(turn) / aspect
    elif motion == "oscillate":
        swing = shape.radius * np.sin(turn)
        y, x = y + swing * np.sin(shape.phase), x + swing * np.cos(shape.phase) / aspect
    else:
        scale, angle = 1 + 0.35 * np.sin(turn), turn
    as_float = (np.float32(1) * part for part in (y, x * aspect, scale, angle))
    y, x, scale, angle = (part.astype(np.float32) for part in as_float)
    return y, x, scale, angle


def _bounce(position: np.ndarray) -> np.ndarray:
    """Reflect a position at 0.22 and 0.78 as often as needed."""
    low, high = 0.22, 0.78
    folded = np.mod((position - low) / (high - low), 2.0)
    return low + (high - low) * (1 - np.abs(1 - folded))


def shape_distance(kind: str, x: np.ndarray, y: np.ndarray, size: np.ndarray) -> np.ndarray:
    """How far outside of a shape a point lies (negative inside)."""
    if kind == "disc":
        return np.sqrt(x * x + y * y) - size
    if kind == "ring":
        return np.abs(np.sqrt(x * x + y * y) - size * 0.8) - size * 0.3
    if kind == "square":
        return np.maximum(np.abs(x), np.abs(y)) - size * 0.88
    # An equilateral triangle: the three edges' half planes.
    return np.maximum(y, np.abs(x) * 0.866 - y * 0.5) - size * 0.62


def _colour(hue: float, saturation: float, value: float) -> np.ndarray:
    return np.array(colorsys.hsv_to_rgb(hue % 1.0, saturation, value), dtype=np.float32)
