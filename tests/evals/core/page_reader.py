"""Reads a report page as a browser would."""

import re
from html.parser import HTMLParser

HOSTILE = "a$b$ <script>alert('x')</script> --> & \"q\" | \\"
VOID = {"meta", "link", "br", "img", "input"}


class Reader(HTMLParser):
    """Read a page: its text, its ids and addresses, and whether its elements close."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.tags.add(tag)
        self.ids += [value or "" for name, value in attrs if name == "id"]
        addresses = {"src", "href", "xlink:href", "srcset", "action", "data"}
        self.links += [value or "" for name, value in attrs if name in addresses]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element that closes itself."""
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        """Check that the innermost element closes."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Keep the text."""
        self.texts.append(data.strip())


def check_alone(page: str) -> None:
    """Every element closes; no script, no address that leaves the page, no id twice."""
    reader = Reader(page)
    assert reader.open == []
    assert not {"script", "link", "iframe", "img", "object", "base"} & reader.tags
    assert all(link.startswith("#") for link in reader.links)
    assert not re.search(r"https?:|//\w|@import|url\((?!#)|\son\w+=", page)
    assert len(reader.ids) == len(set(reader.ids))
