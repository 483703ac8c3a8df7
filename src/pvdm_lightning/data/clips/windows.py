"""The position of clips inside a video, as arithmetic on frame numbers.

Words: a *clip* is the frames a model sees; *stride* the source frames from one clip frame to the next; the *window*
is the source span a clip covers, ``(frames - 1) * stride + 1``; *hop* the source frames from one window's start to
the next one's.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Windows:
    """The windows that single clips or pairs of consecutive clips take in a video.

    Args:
        frames: Frames in a clip (S).
        stride: Source frames from one clip frame to the next.
        hop: Source frames from a window's start to the next window's. None: ``frames * stride``, so that the second
            clip of a pair goes on exactly where the first one ended.
        clips: Clips in a sample, 1 or 2.
    """

    frames: int
    stride: int = 1
    hop: int | None = None
    clips: int = 1

    def __post_init__(self) -> None:
        assert self.frames >= 1 and self.stride >= 1 and self.clips in (1, 2), self
        assert self.hop is None or self.hop >= 1, self

    @property
    def step(self) -> int:
        """The hop in source frames, its default filled in."""
        return self.frames * self.stride if self.hop is None else self.hop

    @property
    def clip_span(self) -> int:
        """Source frames that one clip covers."""
        return (self.frames - 1) * self.stride + 1

    @property
    def pair_span(self) -> int:
        """Source frames that two consecutive clips cover together."""
        return self.step + self.clip_span

    def is_pair(self, length: int) -> bool:
        """Whether a video of `length` frames gives pairs: they are wanted, and it is long enough."""
        return self.clips == 2 and length >= self.pair_span

    def num_starts(self, length: int) -> int:
        """How many first frames a sample may have in a video of `length` frames; 0 if it is too short for one clip."""
        span = self.pair_span if self.is_pair(length) else self.clip_span
        return max(length - span + 1, 0)

    def count(self, length: int) -> int:
        """How many clips a video of `length` frames holds, one every hop."""
        return max(length - self.clip_span + self.step, 0) // self.step

    def clip_frames(self, start: int) -> list[int]:
        """The source frames of the clip whose window starts at `start`."""
        return list(range(start, start + self.clip_span, self.stride))
