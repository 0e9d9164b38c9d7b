"""The colours of series."""

ON_LIGHT = ("#1f6fb4", "#c2571a", "#2f8f4e", "#7b52ab", "#b03060", "#8a6d1c", "#2a8c94", "#6b7280")
"""On a light page and in PNG files; the ninth series has the first again."""
ON_DARK = ("#5ea8e9", "#f08c50", "#62c07f", "#b594e0", "#ea7ba2", "#d3b45c", "#63c3cb", "#a3adbb")
"""On a dark page."""


def style() -> str:
    """A style sheet that calls them --s0, --s1 and so on."""
    light, dark = (_variables(colours) for colours in (ON_LIGHT, ON_DARK))
    return f":root {{ {light} }}\n@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n"


def _variables(colours: tuple[str, ...]) -> str:
    return " ".join(f"--s{number}: {colour};" for number, colour in enumerate(colours))
