"""The colours of series."""

import re

from imclass.drawing.colours import ON_DARK, ON_LIGHT, style


def luminance(colour: str) -> float:
    """Relative luminance of WCAG 2, 0 to 1."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_every_colour_stands_out_from_its_page() -> None:
    white, night = luminance("#ffffff"), luminance("#14171c")
    assert all((white + 0.05) / (luminance(colour) + 0.05) >= 3 for colour in ON_LIGHT)
    assert all((luminance(colour) + 0.05) / (night + 0.05) >= 3 for colour in ON_DARK)
    assert len(set(ON_LIGHT)) == len(set(ON_DARK)) == len(ON_LIGHT)


def test_the_style_sheet_names_all_of_them_twice() -> None:
    names = re.findall(r"--s(\d+): (#[0-9a-f]{6});", style())
    assert names == [(str(number), colour) for side in (ON_LIGHT, ON_DARK) for number, colour in enumerate(side)]
