"""The page of a folder of videos."""

from html.parser import HTMLParser

import pytest

from pvdm_lightning.callbacks.index_page import index_page


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.sources, self.links, self.text = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if "src" in attributes:
            self.sources.append((tag, attributes["src"]))
        if "href" in attributes:
            self.links.append(attributes["href"])

    def handle_data(self, data):
        self.text.append(data)


@pytest.mark.parametrize(
    "formats, shown",
    [
        (("mp4", "gif"), ("video", "video_00007.mp4")),
        (("npy", "gif"), ("img", "video_00007.gif")),
        (("png",), ("img", "video_00007/frame_00000.png")),
    ],
)
def test_a_browser_gets_what_it_plays(tmp_path, formats, shown):
    page = Page(index_page("title", tmp_path, {7: ""}, formats, {}))
    assert page.sources == [shown]
    assert len(page.links) == len(formats)


def test_nothing_of_a_name_is_markup(tmp_path):
    evil = "<script>alert(1)</script>&\"'"
    text = index_page(evil, tmp_path, {0: evil}, ["mp4"], {"checkpoint": evil})
    assert "<script" not in text
    assert Page(text).text.count(evil) == 4  # title, heading, heading of the class, table
    assert "http" not in text  # it needs no network
    assert f"video 0 · {evil} · " in "".join(Page(text).text)


def test_each_class_has_a_grid_below_its_name(tmp_path):
    text = index_page("title", tmp_path, {0: "b", 2: "b", 1: "a"}, ["gif"], {})
    first, second = text.split("<h2>")[1:]
    assert first.startswith("b</h2>") and [name for _, name in Page(first).sources] == [
        "video_00000.gif",
        "video_00002.gif",
    ]
    assert second.startswith("a</h2>") and second.count("<figure>") == 1
    assert "<h2>" not in index_page("title", tmp_path, {0: ""}, ["gif"], {})
