"""The page of a folder of videos: one HTML file that needs no server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from pvdm_lightning.data.output.writing import WRITERS
from pvdm_lightning.escaping import html_text, one_line

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --line: #8884; }}
body {{ font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 1500px; padding: 0 1.5rem; }}
h1 {{ font-size: 1.35rem; font-weight: 600; margin: 0 0 1rem; }}
h2 {{ font-size: 1.05rem; font-weight: 600; margin: 1.5rem 0 .6rem; overflow-wrap: anywhere; }}
.videos {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(200px, 1fr)); gap: 14px; }}
figure {{ margin: 0; }}
figure video, figure img {{ width: 100%; border-radius: 6px; display: block; image-rendering: pixelated; }}
figcaption {{ font-size: .8rem; opacity: .75; padding-top: 4px; }}
table {{ border-collapse: collapse; margin-top: 2rem; font-size: .85rem; }}
td {{ border-top: 1px solid var(--line); padding: 4px 20px 4px 0; vertical-align: top; overflow-wrap: anywhere; }}
td:first-child {{ white-space: nowrap; opacity: .75; }}
</style></head><body>
<h1>{title}</h1>
{grids}
<table>
{rows}
</table>
</body></html>
"""


def index_page(
    title: str, folder: Path, classes: Mapping[int, str], formats: Sequence[str], facts: Mapping[str, object]
) -> str:
    """A grid of playing videos for each class, and a table of how they were made.

    Args:
        title: Title of the page.
        folder: That holds the videos, video_<index>; links are relative to it.
        classes: Numbers of the videos, and the class of each; "" is none.
        formats: They were written in; the first that a browser plays is shown.
        facts: Rows of the table.
    """
    figures: dict[str, list[str]] = {}
    for index, name in classes.items():
        figures.setdefault(name, []).append(_figure(folder, index, name, formats))
    grids = "\n".join(_grid(name, own) for name, own in figures.items())
    rows = "\n".join(f"<tr><td>{html_text(key)}</td><td>{html_text(value)}</td></tr>" for key, value in facts.items())
    return _PAGE.format(title=html_text(title), grids=grids, rows=rows)


def _grid(class_name: str, figures: Sequence[str]) -> str:
    heading = f"<h2>{html_text(one_line(class_name))}</h2>\n" if class_name else ""
    return "\n".join([f'{heading}<div class="videos">', *figures, "</div>"])


def _figure(folder: Path, index: int, class_name: str, formats: Sequence[str]) -> str:
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
    said = " &middot; ".join([f"video {index}", *([html_text(one_line(class_name))] if class_name else []), links])
    return f"<figure>{shown}<figcaption>{said}</figcaption></figure>"
