"""Text from files and servers, made safe to show: in a terminal or a log, in Markdown, in HTML."""

from __future__ import annotations

import html

LONGEST = 300
"""Characters that one value of unknown origin takes in a document."""


def printable(text: object, keep: str = "") -> str:
    """A text in which a terminal finds no commands.

    Control characters, ANSI sequences, line breaks, bidirectional and invisible characters and unpaired surrogates are
    replaced by their escapes, such as ``\\x1b`` and ``\\u202e``. Names of files are bytes and may hold any of them.

    Args:
        text: Text of any origin.
        keep: Characters to leave as they are, such as the line breaks of our own text.
    """
    text = str(text)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else ascii(c)[1:-1] for c in text)


def one_line(text: object, longest: int = LONGEST) -> str:
    """As `printable`, with each run of white space as one space, cut to `longest` characters."""
    line = printable(" ".join(str(text)[: 16 * longest].split()))
    return line if len(line) <= longest else f"{line[: longest - 3]}..."


def markdown_code(text: object) -> str:
    """A text as inline code in Markdown, where neither Markdown nor HTML in it means anything."""
    return f"`{html.escape(one_line(text), quote=False).replace('`', chr(39)) or ' '}`"


def html_text(text: object) -> str:
    """A text for the body or an attribute of an HTML page."""
    return html.escape(printable(text))
