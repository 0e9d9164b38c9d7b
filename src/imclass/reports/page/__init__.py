"""The pages: each one file that loads nothing, from its template, `page.css` and `page.js`.

The browser is told to enforce that: the Content-Security-Policy allows this one style and this one script, by their
hashes, and pictures that the page itself holds.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from imclass.drawing import colours
from imclass.drawing.charts import percent
from imclass.drawing.svg import legend, svg


def render(name: str, content: Mapping[str, object]) -> str:
    """Fill a page.

    Args:
        name: of its template.
        content: what the template names.
    """
    style, script = colours.style() + _read("page.css"), _read("page.js")
    assert "</" not in style, "it would end its element"
    assert "</script" not in script, "it would end its element"
    environment = Environment(
        loader=PackageLoader("imclass.reports.page", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "count": _count, "number": _number, "data": _data}
    environment.globals |= {"svg": svg, "legend": legend}
    policy = (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    template = environment.get_template(name)
    return template.render(content, policy=policy, style=Markup(style), script=Markup(script))


def _read(name: str) -> str:
    return files(__name__).joinpath(name).read_text("utf-8")


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _count(number: int) -> str:
    return f"{number:,}"


def _number(value: float) -> str:
    return f"{value:.4g}"


def _data(value: object) -> Markup:
    """JSON for an element `<script type="application/json">`, which no text in it can end."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return Markup(text.replace("<", r"\u003c").replace("\u2028", r"\u2028").replace("\u2029", r"\u2029"))
