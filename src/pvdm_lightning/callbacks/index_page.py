"""The page of a folder of videos: one HTML file that needs no server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from pvdm_lightning.data.output.writing import WRITERS
from pvdm_lightning.escaping import html_text

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --line: #8884; }}
body {{ font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 1500px; padding: 0 1.5rem; }}
h1 {{ font-size: 1.35rem; font-weight: 600; margin: 0 0 1rem; }}
.videos {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(200px, 1fr)); gap: 14px; }}
figure {{ margin: 0; }}
figure video, figure img {{ width: 100%; border-radius: 6px; display: block; image-rendering: pixelated; }}
figcaption {{ font-size: .8rem; opacity: .75; padding-top: 4px; }}
table {{ border-collapse: collapse; margin-top: 2rem; font-size: .85rem; }}
td {{ border-top: 1px solid var(--line); padding: 4px 20px 4px 0; vertical-align: top; overflow-wrap: anywhere; }}
td:first-child {{ white-space: nowrap; opacity: .75; }}
</style></head><body>
<h1>{title}</h1>
<div class="videos">
{figures}
</div>
<table>
{rows}
</table>
</body></html>
"""


def index_page(
    title: str, folder: Path, indices: Sequence[int], formats: Sequence[str], facts: Mapping[str, object]
) -> str:
    """A grid of playing videos, and a table of how they were made.

    Args:
        title: Title of the page.
        folder: That holds the videos, video_<index>; links are relative to it.
        indices: Numbers of the videos.
        formats: They were written in; the first that a browser plays is shown.
        facts: Rows of the table.
    """
    figures = "\n".join(_figure(folder, index, formats) for index in indices)
    rows = "\n".join(f"<tr><td>{html_text(key)}</td><td>{html_text(value)}</td></tr>" for key, value in facts.items())
    return _PAGE.format(title=html_text(title), figures=figures, rows=rows)


def _figure(folder: Path, index: int, formats: Sequence[str]) -> str:
    names = {name: f"video_{index:05d}{WRITERS[name][0]}" for name in formats if name in WRITERS}
    links = " ".join(f'<a href="{quote(name)}">{html_text(kind)}</a>' for kind, name in names.items())
    if "mp4" in names:
        hover = 'onmouseover="this.controls=true" onmouseout="this.controls=false"'
        shown = f'<video src="{quote(names["mp4"])}" autoplay loop muted playsinline {hover}></video>'
    elif "gif" in names:
        shown = f'<img src="{quote(names["gif"])}" alt="video {index}">'
    elif "png" in names:
        first = min((path.name for path in (folder / names["png"]).glob("*.png")), default="frame_00000.png")
        shown = f'<img src="{quote(names["png"])}/{quote(first)}" alt="first frame of video {index}">'
    else:
        shown = ""
    return f"<figure>{shown}<figcaption>video {index} &middot; {links}</figcaption></figure>"
