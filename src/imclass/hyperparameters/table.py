"""The generated parts of docs/hyperparameters.md.

`python -m imclass.hyperparameters.table` prints them; with `--write docs/hyperparameters.md` it puts them
between the markers of that page.
"""

import argparse
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from imclass.errors import DataError, UserError
from imclass.hyperparameters.combinations import COMBINATIONS, REMARKS, WITHOUT_EFFECT
from imclass.hyperparameters.fields import FIELDS, FieldFacts
from imclass.hyperparameters.recipes import ADJUSTMENTS, RECIPES


def field_table(fields: Iterable[FieldFacts]) -> str:
    """Write facts as a Markdown table."""
    rows = [
        (
            f"`{facts.name}`",
            facts.kind.replace("_", " "),
            facts.range_text,
            facts.default_text,
            facts.help,
            _tunable_text(facts),
        )
        for facts in fields
    ]
    return _markdown(("name", "type", "values", "default", "meaning", "tuning range"), rows)


def recipe_table() -> str:
    """Write what each set of the modern recipe changes as a Markdown table, beside the defaults."""
    sets = RECIPES["modern"]
    names = [name for name in FIELDS if any(name in values for values in sets.values())]
    rows = [
        (f"`{name}`", FIELDS[name].default_text, *(_cell(values, name) for values in sets.values())) for name in names
    ]
    return _markdown(("name", "sagemaker", *(f"modern: {name.replace('_', '-')}" for name in sets)), rows)


def adjustment_list() -> str:
    """Write when a recipe's value gives way as a Markdown list."""
    return _bullets(f"`{adjustment.name}`: {adjustment.when}" for adjustment in ADJUSTMENTS)


def combination_list() -> str:
    """Write the refused combinations as a Markdown list."""
    return _bullets(_without_values(rule.message) for rule in COMBINATIONS)


def warning_list() -> str:
    """Write what is only warned about as a Markdown list."""
    needs = (f"{', '.join(need.names)}: no effect without {need.condition}" for need in WITHOUT_EFFECT)
    return _bullets([*(_without_values(rule.message) for rule in REMARKS), *needs])


def sections() -> dict[str, str]:
    """Give the generated text of every marked part of the page, by the name in its markers."""
    return {
        "original hyperparameters": field_table(facts for facts in FIELDS.values() if facts.original),
        "extensions": field_table(facts for facts in FIELDS.values() if not facts.original),
        "recipes": recipe_table(),
        "adjustments": adjustment_list(),
        "combinations": combination_list(),
        "warnings": warning_list(),
    }


def updated(page: str) -> str:
    """Put the generated parts between the markers of a page.

    Raises:
        DataError: when the page lacks a pair of markers or has one twice.
    """
    for name, text in sections().items():
        begin, end = f"<!-- generated: {name} -->", f"<!-- end: {name} -->"
        pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        count = len(pattern.findall(page))
        if count != 1:
            raise DataError(f"{count} places for {name!r}", fix=f"Write once: {begin} and {end}")
        filled = f"{begin}\n{text}\n{end}"
        page = pattern.sub(filled.replace("\\", r"\\"), page)
    return page


def write(path: Path) -> None:
    """Bring a page up to date; it is replaced as a whole or not at all."""
    page = updated(path.read_text(encoding="utf-8"))
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, delete=False) as temporary:
        temporary.write(page)
    replacement = Path(temporary.name)
    replacement.chmod(path.stat().st_mode)
    replacement.replace(path)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the generated parts, or write them into the page named by --write."""
    parser = argparse.ArgumentParser(prog="python -m imclass.hyperparameters.table", description=__doc__)
    parser.add_argument("--write", type=Path, metavar="PAGE", help="page whose marked parts are replaced")
    page = parser.parse_args(arguments).write
    if page is None:
        print("\n\n".join(f"## {name}\n\n{text}" for name, text in sections().items()))
        return
    try:
        write(page)
    except (UserError, OSError) as error:
        parser.error(f"{page}: {error}")


def _tunable_text(facts: FieldFacts) -> str:
    tunable = facts.tunable
    if tunable is None:
        return ""
    if tunable.kind == "categorical":
        return ", ".join(tunable.choices)
    return f"{tunable.minimum:g} to {tunable.maximum:g}"


def _cell(values: Mapping[str, object], name: str) -> str:
    return FIELDS[name].display(values[name]) if name in values else ""


def _without_values(message: str) -> str:
    """Turn a message template into a general sentence: "epochs={epochs}" becomes "epochs"."""
    return re.sub(r"=\{\w+\}", "", message)


def _markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def _bullets(items: Iterable[str]) -> str:
    return "\n".join(f"- {item}" for item in items)


if __name__ == "__main__":
    main()
