"""Look at every video of a set without training: what it is, how it will be read, what is wrong with it."""

import json
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from tqdm import tqdm  # type: ignore[import-untyped]

from pvdm_lightning.atomic_write import atomic_write
from pvdm_lightning.data.index import probing
from pvdm_lightning.data.index.build_index import load_or_build, num_cores
from pvdm_lightning.data.index.video_index import VideoIndex
from pvdm_lightning.data.index.video_info import DecodeError, Route, VideoInfo
from pvdm_lightning.data.index.video_tree import find_frame_folders, find_videos
from pvdm_lightning.data.videos import frame_folder
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.escaping import printable


@dataclass(frozen=True)
class CheckedVideo:
    """What a check found out about one video.

    Args:
        path: Path of the file or the frame folder.
        status: "good"; "flawed" if it is used in spite of its `reason`; "broken" if it is left out.
        reason: What is wrong; "" with a good one.
        frames: Frames that can be read.
        height: In pixels, as shown.
        width: In pixels, as shown.
        fps: Frames a second; 0 if unknown.
        codec: FFmpeg's name of it, or the pictures' format.
        route: How frames are reached: broken, decord, seek, scan, images or array.
    """

    path: str
    status: str
    reason: str
    frames: int
    height: int
    width: int
    fps: float
    codec: str
    route: str


def check_videos(root: str | Path, progress: bool = True) -> list[CheckedVideo]:
    """Check every video file and every frame folder below a folder.

    Args:
        root: The folder.
        progress: Whether bars show how far it is.

    Returns:
        One entry a video, files first, each sorted by path.

    Raises:
        InvalidArgumentError: If there is no such folder, or no video in it.
    """
    root = Path(root)
    if not root.is_dir():
        raise InvalidArgumentError("DataModule.root", root, "there is no such folder", "Give the folder of a data set.")
    files = find_videos(root)
    folders = [name for name in find_frame_folders(root) if name not in files]  # those that cannot be read are in both
    if not files and not folders:
        raise InvalidArgumentError(
            "DataModule.root", root, "there are no videos and no pictures in it", "See data/README.md."
        )
    checked = []
    for names, probe in ((files, probing.probe), (folders, frame_folder.probe)):
        if names:
            checked += check_index(load_or_build(root, names, probe, progress), progress)
    return checked


def check_index(index: VideoIndex, progress: bool = True) -> list[CheckedVideo]:
    """Check the videos of an index: files were decoded for it from start to end, pictures are all read now.

    Args:
        index: Index of any videos.
        progress: Whether a bar shows how far it is.
    """

    def check(row: int) -> CheckedVideo:
        path, info = index.path(row), index.info(row)
        return _describe(path, info, _first_bad_picture(path, info) if info.route == Route.IMAGES else "")

    with ThreadPoolExecutor(max_workers=num_cores()) as pool:
        rows = range(len(index))
        return list(tqdm(pool.map(check, rows), "checking videos", len(index), unit="video", disable=not progress))


def _first_bad_picture(folder: Path, info: VideoInfo) -> str:
    try:
        frame_folder.read_frames(folder, info, range(info.frames), lambda picture: None)
    except DecodeError as error:
        return str(error)
    return ""


def _describe(path: Path, info: VideoInfo, bad_picture: str) -> CheckedVideo:
    broken = info.route == Route.BROKEN or bool(bad_picture)
    reason = bad_picture or info.problem
    return CheckedVideo(
        path=str(path),
        status="broken" if broken else "flawed" if reason else "good",
        reason=reason,
        frames=info.frames,
        height=info.height,
        width=info.width,
        fps=round(info.fps, 3),
        codec=info.codec,
        route=info.route.name.lower(),
    )


_STATUS = {"good": "good", "flawed": "damaged but usable", "broken": "broken"}
_ROUTE = {
    "array": "opening arrays",
    "decord": "seeking with decord",
    "images": "opening pictures",
    "scan": "decoding from the start",
    "seek": "seeking with FFmpeg",
}


def summarise(checked: Sequence[CheckedVideo]) -> str:
    """The result of a check in readable lines: one for each video that is not good, then the totals."""
    bad = [video for video in checked if video.status != "good"]
    lines = [f"{_STATUS[video.status]}: {printable(video.path)}: {video.reason}" for video in bad]
    counts = Counter(video.status for video in checked)
    routes = Counter(video.route for video in checked if video.status != "broken")
    frames = sum(video.frames for video in checked if video.status != "broken")
    # Of damaged ones nothing is said where there are none: most sets have none.
    totals = ", ".join(f"{counts[key]} {words}" for key, words in _STATUS.items() if counts[key] or key != "flawed")
    lines.append(f"{len(checked)} videos, {frames} frames: {totals}")
    if routes:
        ways = (f"{_ROUTE[route]} ({number} videos)" for route, number in sorted(routes.items()))
        lines.append("frames are reached by " + ", ".join(ways))
    return "\n".join(lines)


def write_report(checked: Sequence[CheckedVideo], path: str | Path) -> None:
    """Write a check as JSON: ``{"counts": {status: number}, "videos": [entry, ...]}``.

    Raises:
        OSError: It cannot be written.
    """
    counts = Counter(video.status for video in checked)
    report = {"counts": dict(counts), "videos": [asdict(video) for video in checked]}
    with atomic_write(Path(path)) as partial:
        # Names that are no text come back by os.fsencode from what json.loads gives.
        partial.write_text(json.dumps(report, indent=1) + "\n", encoding="ascii")
