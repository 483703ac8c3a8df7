"""What comes from files and servers, as a terminal, a Markdown page and an HTML page get it."""

import logging

from hypothesis import given
from hypothesis import strategies as st

from pvdm_lightning.cli.console.errors import OptionFormatter
from pvdm_lightning.errors import InvalidArgumentError
from pvdm_lightning.escaping import html_text, markdown_code, one_line, printable

EVIL = "\x1b]0;owned\x07\x1b[2J\u202egpj.exe\u2066\u200b\r\nline\x85\udce9\x9b2J\u2028 `x` <script>&amp; ![](http://x)"
TEXTS = st.one_of(st.just(EVIL), st.text(), st.text(st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp"])))


@given(text=TEXTS)
def test_no_text_reaches_a_terminal_as_a_command(text):
    shown = printable(text)
    assert shown.isprintable()
    shown.encode()  # no surrogate is left
    assert printable(shown) == shown
    assert all(c.isprintable() or c == "\n" for c in printable(text, keep="\n"))
    assert len(one_line(text, 40)) <= 40 and one_line(text, 40).isprintable()
    assert str(InvalidArgumentError("--x", text, text, text)).isprintable()


@given(text=TEXTS)
def test_what_is_said_of_files_in_a_log_is_one_line(text):
    for value in (text, ValueError(text)):
        record = logging.LogRecord("x", logging.INFO, "", 0, "ours:\n%s", (value,), None)
        assert OptionFormatter("%(message)s").format(record).count("\n") == 1
    record = logging.LogRecord("x", logging.INFO, "", 0, "%(a)s", ({"a": text},), None)
    assert "\x1b" not in OptionFormatter("%(message)s").format(record)


@given(text=TEXTS)
def test_neither_markdown_nor_html_in_a_text_means_anything(text):
    card = markdown_code(text)
    assert card.startswith("`") and card.endswith("`") and "`" not in card[1:-1] and len(card) > 2
    assert card.isprintable() and "<" not in card
    page = html_text(text)
    assert page.isprintable() and not set("<>\"'") & set(page)


def test_plain_text_stays_as_it_is():
    assert printable("Vidéo 1, 日本語 (ok)") == "Vidéo 1, 日本語 (ok)"
    assert markdown_code("pvdm_lightning.Synthetic") == "`pvdm_lightning.Synthetic`"
