"""All pages: links lead somewhere, commands and options exist, figures are not invented."""

import re
import shlex
from pathlib import Path

import pytest

from imclass.cli.lazy_group import load
from imclass.hyperparameters import FIELDS
from tests.documentation.pages import DOCS, PAGES, ROOT, anchors, blocks, code_spans, links

COMMANDS = (
    *("train", "tune", "evaluate", "report", "compare", "predict", "transform", "serve", "convert"),
    *("pack", "unpack", "inspect", "control-plane"),
)
OF_EVERY_COMMAND = {"--help", "--version", "--install-completion"}
GUIDES = ("getting-started.md", "coming-from-sagemaker.md", "choosing-hyperparameters.md", "data.md")

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in links(page.read_text()):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text())):
            broken.append(link)
    assert broken == []


def test_the_index_has_every_page() -> None:
    named = {link.partition("#")[0] for link in links((DOCS / "README.md").read_text())}
    assert sorted({page.name for page in DOCS.glob("*.md")} - named) == ["README.md"]


@each_page
def test_commands_and_their_options_exist(page: Path) -> None:
    unknown = [problem for line in commands_on(page) for problem in unknown_words(line)]
    assert unknown == []


def commands_on(page: Path) -> list[str]:
    """Command lines of imclass in blocks and between backticks, with continued lines put together."""
    text = page.read_text()
    lines = [line for block in blocks(text) for line in block.text.replace("\\\n", " ").splitlines()]
    lines += code_spans(text)
    return [line.removeprefix("$ ") for line in lines if re.match(r"(\$ )?imclass [a-z]", line)]


def unknown_words(line: str) -> list[str]:
    words = shlex.split(line.partition("|")[0].partition(" #")[0])
    if words[1] not in COMMANDS:
        return [f"{line}: there is no such command"]
    options = {
        option for parameter in load(words[1]).params for option in (*parameter.opts, *parameter.secondary_opts)
    } | OF_EVERY_COMMAND
    given = [word.partition("=")[0] for word in words[2:] if re.match(r"--?[a-z]", word)]
    return [f"{line}: {option}" for option in given if option not in options]


def test_an_unknown_option_would_be_found() -> None:
    assert unknown_words("imclass train photos --output run1 --epochs 3") == []
    assert unknown_words("imclass train photos --outptu run1") == ["imclass train photos --outptu run1: --outptu"]
    assert unknown_words("imclass trian photos") == ["imclass trian photos: there is no such command"]


@pytest.mark.parametrize("name", GUIDES)
def test_figures_of_the_guides_stand_in_another_page(name: str) -> None:
    """The pages that are no guides say how a figure was measured."""
    others = "\n".join(page.read_text() for page in PAGES if page.name not in GUIDES)
    shares = re.findall(r"\d[\d.]* %", (DOCS / name).read_text())
    speeds = re.findall(r"(\d[\d,.]*) images/s", (DOCS / name).read_text())
    assert [share for share in shares if not re.search(rf"(?<![\d.]){re.escape(share)}", others)] == []
    assert [speed for speed in speeds if not re.search(rf"(?<![\d.,]){re.escape(speed)}(?![\d.])", others)] == []


@pytest.mark.parametrize("name", GUIDES)
def test_hyperparameters_of_the_guides_exist(name: str) -> None:
    assignments = [found for span in code_spans((DOCS / name).read_text()) for found in re.findall(r"^(\w+)=\S", span)]
    assert [assigned for assigned in assignments if assigned not in FIELDS] == []


def test_pages_are_in_plain_characters() -> None:
    assert [page.name for page in PAGES if re.search("[\u2013\u2014]", page.read_text())] == []


def test_examples_are_run_by_tests() -> None:
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    programs = [path.name for path in (ROOT / "examples").iterdir() if path.suffix in (".py", ".sh")]
    assert [name for name in programs if name != "script.py" and f'"{name}"' not in tests] == []
