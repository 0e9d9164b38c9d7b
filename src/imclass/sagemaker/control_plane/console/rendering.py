"""Pages from templates, and the headers that go with them.

The pages load one style and one script, from this server, which the Content-Security-Policy knows by a number that is
new on every page. Nothing else is loaded, and all that templates are given is escaped.
"""

import hashlib
import secrets
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from importlib.resources import files
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from imclass.sagemaker.control_plane.console import charts, words
from imclass.sagemaker.control_plane.console.sections import ENDPOINTS, MODELS, TRAINING, Section

PREFIX = "/_console"
"""Of all addresses of the console but its first, which is `/`. No bucket can have this name."""

ASSETS = {"console.css": "text/css; charset=utf-8", "console.js": "text/javascript; charset=utf-8"}
POLICY = {
    "default-src": "'none'",
    "style-src": "'nonce-{nonce}'",
    "script-src": "'nonce-{nonce}'",
    "img-src": "blob: data:",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}
PAGES_OF_MEMBERS = {"ModelName": MODELS.path, "TrainingJobName": TRAINING.path, "EndpointName": ENDPOINTS.path}
"""Where the things are that members of descriptions name."""

SECONDS_OF_A_YEAR = 365 * 24 * 3600


@dataclass(frozen=True)
class Frame:
    """What all pages have around their content.

    Attributes:
        sections: in the navigation.
        proof: for forms.
        has_store: whether there is an S3 to look into.
        can_sign_out: whether the visitor has signed in.
    """

    sections: tuple[Section, ...]
    proof: str
    has_store: bool
    can_sign_out: bool

    def has(self, path: str) -> bool:
        """Whether there is a section at this path."""
        return any(section.path == path for section in self.sections)


NO_FRAME = Frame((), "", has_store=False, can_sign_out=False)
"""Of pages for those who may see nothing."""


def page(
    template: str,
    frame: Frame,
    *,
    title: str,
    http_status: int = HTTPStatus.OK,
    refresh_seconds: float | None = None,
    **content: Any,
) -> Response:
    """A page.

    Args:
        title: of it, without the program's name.
        refresh_seconds: after which its live parts are asked for again; None when nothing changes any more.
        content: what the template names.
    """
    nonce = secrets.token_urlsafe(16)
    html = (
        _environment()
        .get_template(template)
        .render(content, frame=frame, title=title, nonce=nonce, refresh_seconds=refresh_seconds)
    )
    headers = {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in POLICY.items()).format(nonce=nonce),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",  # without it, browsers would not say from where a form comes
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cache-Control": "no-store",
        "Vary": "Accept",
    }
    return HTMLResponse(html, http_status, headers)


def asset(name: str) -> Response:
    """The style or the script; their addresses change with their content.

    Raises:
        KeyError: there is no such file.
    """
    kind = ASSETS[name]
    headers = {"Cache-Control": f"public, max-age={SECONDS_OF_A_YEAR}, immutable", "X-Content-Type-Options": "nosniff"}
    return Response(_read(name), media_type=kind, headers=headers)


def address(*parts: str, **query: str) -> str:
    """An address below the console; parts are names, which may hold anything, or paths of keys."""
    path = "/".join([PREFIX, *(quote(part, safe="/" if place else "") for place, part in enumerate(parts))])
    wanted = "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items() if value)
    return f"{path}?{wanted}" if wanted else path


@cache
def _read(name: str) -> str:
    return files(__package__).joinpath("assets", name).read_text("utf-8")


def asset_address(name: str) -> str:
    return address(name, version=hashlib.sha256(_read(name).encode()).hexdigest()[:12])


@cache
def _environment() -> Environment:
    assert __package__ is not None
    environment = Environment(
        loader=PackageLoader(__package__),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= words.FILTERS
    environment.globals |= {
        "address": address,
        "asset_address": asset_address,
        "prefix": PREFIX,
        "charts": charts,
        "pages_of_members": PAGES_OF_MEMBERS,
    }
    return environment
