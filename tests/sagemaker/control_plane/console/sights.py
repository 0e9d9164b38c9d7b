"""What people see of a page that is open in a browser."""

import re
from typing import Any
from urllib.parse import urlsplit

from tests.inference.serving.browser import Watched

SECONDS = 60_000  # milliseconds that a page may take on a busy machine


class Opened:
    """A page of the console.

    Args:
        url: of the server, without a slash at its end.

    Attributes:
        page: of Playwright.
        watched: what it asked for, and complained about.
    """

    def __init__(self, page: Any, url: str, path: str) -> None:
        self.page = page
        self.url = url
        self.watched = Watched(page)
        # Listened to from the start: a listener that comes with the key press can be too late for it.
        page.on("filechooser", lambda chooser: None)
        page.goto(f"{url}{path}")

    def see(self, selector: str, words: str | re.Pattern[str]) -> None:
        """Wait for words that people can see."""
        from playwright.sync_api import expect

        found = self.page.locator(selector)
        expect(found).to_contain_text(words, timeout=SECONDS)
        expect(found).to_be_visible()

    def count(self, selector: str) -> int:
        return int(self.page.locator(selector).count())

    def outside_requests(self) -> list[str]:
        """Addresses of others that it has asked for something."""
        hosts = [(url, urlsplit(url)) for _, url in self.watched.requests if not url.startswith(("data:", "blob:"))]
        return [url for url, parts in hosts if f"{parts.scheme}://{parts.netloc}" != self.url]


def faint_texts(page: Any) -> list[str]:
    """Texts whose contrast with what is behind them is below 4.5, as WCAG 2 defines it."""
    found: list[str] = page.evaluate(
        """() => {
            const levels = (colour) => colour.match(/[\\d.]+/g).map(Number);
            const light = (colour) => levels(colour).slice(0, 3).map((level) => level / 255)
                .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
                .reduce((sum, v, index) => sum + v * [0.2126, 0.7152, 0.0722][index], 0);
            const behind = (element) => {
                for (let each = element; each; each = each.parentElement) {
                    const colour = getComputedStyle(each).backgroundColor;
                    if (levels(colour)[3] !== 0) return colour;
                }
                return "rgb(255, 255, 255)";
            };
            const isText = (node) => node.nodeType === Node.TEXT_NODE && node.data.trim() !== "";
            const hasText = (element) => [...element.childNodes].some(isText);
            return [...document.querySelectorAll("body *")]
                .filter((element) => hasText(element) && element.checkVisibility())
                .filter((element) => {
                    const style = getComputedStyle(element);
                    const front = element.closest("svg") ? style.fill : style.color;
                    const lights = [light(front), light(behind(element))].sort((one, other) => other - one);
                    return (lights[0] + 0.05) / (lights[1] + 0.05) < 4.5;
                })
                .map((element) => element.outerHTML.slice(0, 200));
        }"""
    )
    return found


def nameless_controls(page: Any) -> list[str]:
    """What can be used and says nothing to a screen reader."""
    found: list[str] = page.evaluate(
        """() => [...document.querySelectorAll("a, button, input, select, summary, [tabindex='0'], svg[role=img]")]
            .filter((each) => each.checkVisibility() && each.type !== "hidden")
            .filter((each) => {
                const label = each.labels?.[0]?.textContent || each.textContent;
                return !(each.ariaLabel || label || "").trim();
            })
            .map((each) => each.outerHTML.slice(0, 200))"""
    )
    return found
