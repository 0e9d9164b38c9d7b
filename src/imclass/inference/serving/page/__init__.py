"""The page to try a model on: three files that the server sends as one.

`page.html` names `page.css` and `page.js`; both are put in its place. The page loads nothing else and talks only to the
server that it came from, and the browser is told to enforce that: the Content-Security-Policy allows this one style and
this one script, by their hashes, pictures that the page itself holds, and connections to its own origin.
"""

import base64
import hashlib
from dataclasses import dataclass
from importlib.resources import files

_STYLE = '<link rel="stylesheet" href="page.css">'
_SCRIPT = '<script type="module" src="page.js"></script>'
_TOKEN = 'data-needs-token="false"'


@dataclass(frozen=True)
class Page:
    """What `GET /` answers.

    Attributes:
        content: HTML.
        headers: that go with it.
    """

    content: str
    headers: dict[str, str]


def load_page(*, needs_token: bool) -> Page:
    """Put the page together.

    Args:
        needs_token: whether the page has to ask for a token before it asks the server anything.
    """
    html, style, script = (_read(f"page.{suffix}") for suffix in ("html", "css", "js"))
    assert html.count(_STYLE) == html.count(_SCRIPT) == html.count(_TOKEN) == 1
    assert "</" not in style, "it would end its element"
    assert "</script" not in script, "it would end its element"
    html = html.replace(_TOKEN, f'data-needs-token="{str(needs_token).lower()}"')
    html = html.replace(_STYLE, f"<style>{style}</style>")
    content = html.replace(_SCRIPT, f'<script type="module">{script}</script>')
    policy = {
        "default-src": "'none'",
        "style-src": _hash(style),
        "script-src": _hash(script),
        "img-src": "blob: data:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    headers = {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
    }
    return Page(content, headers)


def _read(name: str) -> str:
    return files(__name__).joinpath(name).read_text("utf-8")


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"
