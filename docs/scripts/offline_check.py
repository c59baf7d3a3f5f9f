"""Checks that a built site loads nothing from other hosts: `offline_check.py SITE`."""

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

_STYLE_URL = re.compile(
    r"url\(\s*['\"]?(?=(?:https?:)?//)([^'\")]+)|@import\s+['\"]((?:https?:)?//[^'\"]+)"
)
# Attributes that a browser loads by itself. Links that a reader follows are excluded.
_LOADED = {
    "audio": "src", "embed": "src", "iframe": "src", "img": "src", "link": "href",
    "object": "data", "script": "src", "source": "src", "video": "src",
}  # fmt: skip
_NOT_LOADED = {"canonical", "next", "prev", "alternate"}


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        url = given.get(_LOADED.get(tag, ""))
        if url and (given.get("rel") or "") not in _NOT_LOADED:
            self.loaded.append(url)


def remote(path: Path) -> Iterator[str]:
    """The addresses on other hosts that a browser would load for a file."""
    text = path.read_text("utf-8")
    if path.suffix == ".html":
        page = _Page()
        page.feed(text)
        yield from (url for url in page.loaded if re.match(r"(https?:)?//", url))
    yield from (first or second for first, second in _STYLE_URL.findall(text))


def main(site: str) -> int:
    """Prints what the site would load from elsewhere; returns the exit code."""
    files = [path for path in Path(site).rglob("*") if path.suffix in {".html", ".css", ".svg"}]
    found = [(path, url) for path in sorted(files) for url in remote(path)]
    for path, url in found:
        print(f"{path}: loads {url}", file=sys.stderr)
    if not files:
        print(f"{site}: no pages", file=sys.stderr)
    return 1 if found or not files else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
