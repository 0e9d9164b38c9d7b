"""The page in a browser: what is open, what people see and do, and the pictures that they choose."""

import re
from typing import Any

import cv2
import numpy as np

from tests.inference.serving.browser import Watched


def picture(width: int = 120, height: int = 80, suffix: str = ".png") -> bytes:
    """A bright spot to the upper left on a dark ground with noise."""
    pixels = np.random.default_rng(0).integers(0, 40, (height, width, 3)).astype(np.uint8)
    cv2.circle(pixels, (width // 3, height // 3), height // 6, (255, 255, 255), -1)
    return cv2.imencode(suffix, pixels)[1].tobytes()


def as_file(data: bytes, name: str = "photo.png", kind: str = "image/png") -> dict[str, Any]:
    return {"name": name, "mimeType": kind, "buffer": data}


class Visit:
    """A page that is open, what it did, and shorthands for what people see and do."""

    def __init__(self, page: Any, url: str) -> None:
        self.page = page
        self.url = url
        self.watched = Watched(page)
        # Listened to from the start: a listener that comes with the key press can be too late for it.
        page.on("filechooser", lambda chooser: None)

    def open(self) -> "Visit":
        self.page.goto(self.url)
        return self

    def choose(self, *files: dict[str, Any]) -> None:
        self.page.set_input_files("#file", files[0])

    def text(self, selector: str) -> str:
        return str(self.page.inner_text(selector))

    def see(self, selector: str, words: str | re.Pattern[str]) -> None:
        from playwright.sync_api import expect

        found = self.page.locator(selector)
        expect(found).to_contain_text(words, timeout=30_000)
        expect(found).to_be_visible()

    def see_image(self, selector: str) -> None:
        """Wait until an image is there and decoded."""
        from playwright.sync_api import expect

        expect(self.page.locator(selector)).to_be_visible(timeout=30_000)
        assert self.page.locator(selector).evaluate("image => image.decode().then(() => image.naturalWidth)") > 0

    def is_visible(self, selector: str) -> bool:
        return bool(self.page.is_visible(selector))

    def focused(self) -> str:
        return str(self.page.evaluate("() => document.activeElement.id || document.activeElement.name || ''"))

    def focus_next(self) -> str:
        self.page.keyboard.press("Tab")
        return self.focused()

    def paths(self) -> list[tuple[str, str]]:
        """Methods and paths of what the page asked of its server; it must ask nobody else."""
        asked = [(method, url) for method, url in self.watched.requests if not url.startswith(("data:", "blob:"))]
        assert [url for _, url in asked if not url.startswith(self.url)] == []
        return [(method, "/" + url.removeprefix(self.url)) for method, url in asked]
