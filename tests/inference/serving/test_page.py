"""The page, as people use it: a real browser, a real server."""

import base64
import re
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest

from imclass.inference.serving.limits import Limits
from imclass.inference.serving.page import load_page
from tests.inference.serving.browser import needs_chromium
from tests.inference.serving.parts import ExampleBackend, Workbench, description
from tests.inference.serving.visits import Visit, as_file, picture

TWELVE = tuple(f"class {letter}" for letter in "abcdefghijkl")


# ---------------------------------------------------------------------------------------- what the server sends


@pytest.mark.anyio
async def test_the_page_is_one_file_that_may_load_nothing_else(workbench: Workbench) -> None:
    async with workbench.client() as client:
        response = await client.get("/")
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "page.css" not in response.text
    assert "page.js" not in response.text
    assert re.findall(r"(?:src|href)=\"(?!data:)", response.text) == []
    outside = set(re.findall(r"https?://[^\s'\"]+", response.text))
    assert outside == {"http://www.w3.org/2000/svg"}, "a name in the icon, which nothing loads"


def test_the_hashes_of_the_policy_are_those_of_the_page() -> None:
    import hashlib

    page = load_page(needs_token=False)
    for tag, directive in (("style", "style-src"), ("script", "script-src")):
        (text,) = re.findall(rf"<{tag}[^>]*>(.*?)</{tag}>", page.content, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in page.headers["Content-Security-Policy"]


def test_the_page_knows_whether_a_token_is_needed() -> None:
    assert 'data-needs-token="true"' in load_page(needs_token=True).content
    assert 'data-needs-token="true"' not in load_page(needs_token=False).content


# ------------------------------------------------------------------------------------------------- in a browser


def twelve(workbench: Workbench) -> ExampleBackend:
    """A model of twelve classes, the last of which is the likeliest."""
    workbench.description = description(num_classes=12, class_names=TWELVE)
    return ExampleBackend(np.arange(12, dtype=np.float32) / 66)


@needs_chromium
def test_a_picture_is_answered_and_explained(visit: Any, workbench: Workbench) -> None:
    seen = visit()
    seen.see("#about", "ResNet-8 v2 · 2 classes · 16 \N{MULTIPLICATION SIGN} 16 pixels · float32 on cpu")
    seen.see("#waiting", "appears here")
    seen.choose(as_file(picture()))
    seen.see("#verdict", "cat 62.6%")
    assert seen.page.locator(".choice").all_inner_texts() == ["cat\n62.6%", "dog\n37.4%"]
    widths = seen.page.locator(".choice i").evaluate_all("bars => bars.map((bar) => bar.style.width)")
    assert [float(width.rstrip("%")) for width in widths] == pytest.approx([62.578, 37.421], abs=0.01)
    seen.see("#times", re.compile(r"Total\s*[\d.]+ ms\s*Decoding\s*[\d.]+ ms\s*Model\s*[\d.]+ ms\s*Map\s*[\d.]+ ms"))
    seen.see("#explained", "cat (62.6%)")
    seen.see_image("#photo")
    seen.see_image("#overlay")
    photo, overlay = (seen.page.locator(name).bounding_box() for name in ("#photo", "#overlay"))
    assert photo == overlay, "the map lies exactly over the picture"
    assert photo["width"] / photo["height"] == pytest.approx(1.5, abs=0.02)
    assert "cat" in seen.page.get_attribute("#overlay", "alt")
    place = r"(It is strongest (in the middle|at the [a-z ]+) of the picture|Nothing in the picture does)\."
    assert re.match(rf"cat, 62\.6%\. {place}", seen.text("#announcement"))
    assert not seen.is_visible("#waiting")
    assert not seen.is_visible("#problem")
    assert not seen.is_visible("#token-form")
    assert not seen.is_visible("#model-choice")
    assert not seen.is_visible("#other-choice"), "all classes are named already"
    assert seen.watched.complaints == []
    assert seen.paths() == [
        ("GET", "/"),
        ("GET", "/models"),
        ("GET", "/models/model"),
        ("POST", "/models/model/explain"),
    ]


@needs_chromium
def test_what_the_model_did_not_see_is_marked(visit: Any) -> None:
    seen = visit()
    seen.choose(as_file(picture(120, 80)))
    seen.see("#where", "only what is in the white frame")
    frame, photo = (seen.page.locator(name).bounding_box() for name in ("#seen", "#photo"))
    scale = photo["width"] / 120
    assert frame["x"] - photo["x"] == pytest.approx(52 * scale, abs=1.5)
    assert frame["width"] == pytest.approx(16 * scale, abs=1.5)


@needs_chromium
def test_no_frame_around_a_picture_that_was_seen_whole(visit: Any, workbench: Workbench) -> None:
    workbench.description = description(resize_mode="stretch")
    seen = visit()
    seen.choose(as_file(picture(120, 80)))
    seen.see("#verdict", "cat")
    assert not seen.is_visible("#seen")
    assert "frame" not in seen.text("#where")


@needs_chromium
def test_another_class_is_explained(visit: Any, workbench: Workbench) -> None:
    seen = visit(workbench.service("model", twelve(workbench)))
    seen.choose(as_file(picture()))
    seen.see("#verdict", "class l 16.7%")
    first = seen.page.get_attribute("#overlay", "src")
    seen.page.get_by_role("radio", name="class j").check()
    seen.see("#explained", "class j (13.6%)")
    second = seen.page.get_attribute("#overlay", "src")
    seen.page.get_by_label("Any other class").select_option("class b")
    seen.see("#explained", "class b (1.5%)")
    assert seen.page.locator("[name=class]:checked").count() == 0
    assert len({first, second, seen.page.get_attribute("#overlay", "src")}) == 3
    seen.see("#verdict", "class l 16.7%")
    seen.page.get_by_role("radio", name="class l").check()
    seen.see("#explained", "class l")
    assert seen.page.input_value("#other") == ""
    queries = [path.partition("?")[2] for method, path in seen.paths() if method == "POST"]
    assert queries == ["", "class=9", "class=1", "class=11"]
    assert seen.watched.complaints == []


@needs_chromium
def test_the_slider_fades_the_map(visit: Any) -> None:
    seen = visit()
    seen.choose(as_file(picture()))
    seen.see_image("#overlay")
    slider = seen.page.get_by_label("Strength of the map")
    for value in (0, 30, 100):
        slider.fill(str(value))
        assert float(seen.page.locator("#overlay").evaluate("image => image.style.opacity")) == value / 100
        assert slider.get_attribute("aria-valuetext") == f"{value}%"


@needs_chromium
@pytest.mark.parametrize(
    ("data", "kind", "said"),
    [
        (b"a letter to a friend", "text/plain", "The image cannot be read: neither JPEG nor PNG but something"),
        (picture()[:300], "image/png", "The image cannot be read: the PNG is truncated"),
        (b"", "image/jpeg", "The body is empty: send an image."),
    ],
)
def test_errors_are_shown_and_gone_with_the_next_picture(visit: Any, data: bytes, kind: str, said: str) -> None:
    seen = visit()
    seen.choose(as_file(data, "file", kind))
    seen.see("#problem", said)
    assert seen.page.get_attribute("#problem", "role") == "alert"
    assert not seen.is_visible("#answer")
    assert not seen.is_visible("#again"), "it would go no better"
    seen.choose(as_file(picture()))
    seen.see("#verdict", "cat")
    assert not seen.is_visible("#problem")


@needs_chromium
def test_a_fault_of_the_server_can_be_tried_again(
    visit: Any, workbench: Workbench, caplog: pytest.LogCaptureFixture
) -> None:
    seen = visit()
    workbench.backend.fault = RuntimeError("broken")
    seen.choose(as_file(picture()))
    seen.see("#problem", "A fault of the server")
    workbench.backend.fault = None
    seen.page.get_by_role("button", name="Try again").click()
    seen.see("#verdict", "cat")
    assert not seen.is_visible("#problem")


@needs_chromium
def test_a_server_that_is_gone(visit: Any) -> None:
    seen = visit()
    seen.see("#about", "ResNet")
    seen.page.context.set_offline(True)
    seen.choose(as_file(picture()))
    seen.see("#problem", "The server cannot be reached. Is it still running?")
    seen.page.context.set_offline(False)
    seen.page.get_by_role("button", name="Try again").click()
    seen.see("#verdict", "cat")


@needs_chromium
def test_a_file_that_is_too_large_is_made_smaller(visit: Any, workbench: Workbench) -> None:
    workbench.limits = Limits(body_bytes=1 << 20)
    pixels = np.random.default_rng(0).integers(0, 256, (1600, 2400, 3)).astype(np.uint8)
    pixels = cv2.resize(pixels[::8, ::8], (2400, 1600))
    large = cv2.imencode(".png", pixels)[1].tobytes()
    assert len(large) > 1 << 20
    seen = visit()
    seen.see("#about", "ResNet")
    seen.choose(as_file(large))
    seen.see("#verdict", "cat")
    seen.see("#note", re.compile(r"too large for the server \(\d+\.\d MiB\): a JPEG of 2048 . 1365 pixels was sent"))
    assert seen.watched.complaints == []


@needs_chromium
def test_a_picture_of_another_format_is_converted(visit: Any) -> None:
    webp = cv2.imencode(".webp", cv2.imdecode(np.frombuffer(picture(), np.uint8), cv2.IMREAD_COLOR))[1].tobytes()
    seen = visit()
    seen.see("#about", "ResNet")
    seen.choose(as_file(webp, "a.webp", "image/webp"))
    seen.see("#verdict", "cat")
    seen.see("#note", "neither JPEG nor PNG: a JPEG of 120 \N{MULTIPLICATION SIGN} 80 pixels was sent")


def dispatch(seen: Visit, event: str, data: bytes | None) -> None:
    """A drop, or a paste, of a file; or of text."""
    seen.page.evaluate(
        """([event, data]) => {
            const transfer = new DataTransfer();
            if (data === null) transfer.setData("text/plain", "no file");
            else {
                const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
                transfer.items.add(new File([bytes], "photo.png", { type: "image/png" }));
            }
            const init = { bubbles: true, cancelable: true, clipboardData: transfer, dataTransfer: transfer };
            const made = event === "paste" ? new ClipboardEvent(event, init) : new DragEvent(event, init);
            document.getElementById("frame").dispatchEvent(made);
        }""",
        [event, None if data is None else base64.b64encode(data).decode()],
    )


@needs_chromium
@pytest.mark.parametrize(("event", "said"), [("drop", "What was dropped is no file"), ("paste", "holds no picture")])
def test_pictures_are_dropped_and_pasted(visit: Any, event: str, said: str) -> None:
    seen = visit()
    dispatch(seen, event, None)
    seen.see("#problem", said)
    dispatch(seen, event, picture())
    seen.see("#verdict", "cat")
    assert not seen.is_visible("#problem")
    assert seen.watched.complaints == []


@needs_chromium
def test_the_keyboard_alone_is_enough(visit: Any, workbench: Workbench) -> None:
    seen = visit(workbench.service("model", twelve(workbench)))
    seen.see("#about", "ResNet")
    keyboard = seen.page.keyboard
    keyboard.press("Tab")
    assert seen.focused() == "file"
    outline = seen.page.locator("#file + .button").evaluate("label => getComputedStyle(label).outlineStyle")
    assert outline == "solid", "one sees where the focus is"
    with seen.page.expect_file_chooser() as chooser:
        keyboard.press("Enter")
    chooser.value.set_files(as_file(picture()))
    seen.see("#verdict", "class l")
    assert seen.focused() == "file", "an answer does not move the focus"
    visited = [seen.focus_next() for _ in range(6)]
    assert {"class", "other", "opacity", "file"} <= set(visited)
    assert "camera" not in visited, "there is no button for it here"
    while seen.focus_next() != "class":
        pass
    keyboard.press("ArrowUp")
    seen.see("#explained", "class h")
    assert seen.page.evaluate("() => document.activeElement.value") == "7", "the focus stays where it was"
    while seen.focus_next() != "opacity":
        pass
    keyboard.press("Home")
    assert seen.page.locator("#overlay").evaluate("image => image.style.opacity") == "0"
    assert seen.watched.complaints == []


@needs_chromium
def test_several_models(visit: Any, workbench: Workbench) -> None:
    other = ExampleBackend(np.array([0.25, 0.75], np.float32))
    seen = visit(workbench.service("first"), workbench.service("second", other))
    seen.see("#about", "ResNet")
    seen.choose(as_file(picture()))
    seen.see("#verdict", "cat 62.6%")
    seen.page.get_by_label("Model").select_option("second")
    seen.see("#verdict", "dog 75.0%")
    assert seen.paths()[-1] == ("POST", "/models/second/explain")
    assert seen.watched.complaints == []


@needs_chromium
def test_a_token(visit: Any) -> None:
    seen = visit(token="s3cret")
    seen.see("#token-form", "This server answers only to those who know its token.")
    assert seen.paths() == [("GET", "/")], "it asks nothing that would be refused"
    seen.choose(as_file(picture()))
    seen.see("#problem", "Type the server's token first.")
    seen.page.get_by_label("Token").fill("wrong")
    seen.page.get_by_role("button", name="Use it").click()
    seen.see("#problem", "The server does not accept this token.")
    seen.page.get_by_label("Token").fill("s3cret")
    seen.page.keyboard.press("Enter")
    seen.see("#verdict", "cat")
    assert not seen.is_visible("#token-form")
    assert not seen.is_visible("#problem")


@needs_chromium
def test_many_labels(visit: Any, workbench: Workbench) -> None:
    workbench.description = description(multi_label=True)
    backend = ExampleBackend(np.array([0.9, 0.7], np.float32))
    seen = visit(workbench.service("model", backend))
    seen.choose(as_file(picture()))
    seen.see("#verdict", "cat, dog")
    backend.answer = np.array([0.2, 0.1], np.float32)
    seen.choose(as_file(picture()))
    seen.see("#verdict", "No class is above 50%")


@needs_chromium
def test_only_the_last_picture_counts(visit: Any, workbench: Workbench) -> None:
    seen = visit()
    seen.see("#about", "ResNet")
    workbench.backend.may_go_on.clear()
    seen.choose(as_file(picture(), "first.png"))
    seen.page.wait_for_selector("#results[aria-busy=true]")
    seen.choose(as_file(b"no picture", "second.png"))
    seen.see("#problem", "neither JPEG nor PNG")
    workbench.backend.may_go_on.set()
    seen.page.wait_for_timeout(200)
    assert not seen.is_visible("#answer")


@needs_chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(390, 844), (1280, 800)])
def test_nothing_is_cut_off_and_all_text_can_be_read(
    visit: Any, workbench: Workbench, scheme: str, size: tuple[int, int], tmp_path: Path
) -> None:
    width, height = size
    is_phone = width < 500
    context = {"viewport": {"width": width, "height": height}, "color_scheme": scheme}
    if is_phone:
        context |= {"has_touch": True, "is_mobile": True}
    seen = visit(workbench.service("model", twelve(workbench)), context=context)
    seen.see("#about", "ResNet")
    assert seen.is_visible("label[for=camera]") == is_phone
    seen.choose(as_file(picture(1200, 800, ".jpg"), "a.jpg", "image/jpeg"))
    seen.see("#verdict", "class l")
    assert seen.page.evaluate("() => document.documentElement.scrollWidth") <= width
    for selector in ("#about", "#verdict", ".choice span", "#where", "#times dd", ".button"):
        assert contrast(seen.page, selector) >= 4.5, selector
    for box in seen.page.locator("label.button:visible, .choice").all():
        assert box.bounding_box()["height"] >= 40, "large enough for a finger"


def contrast(page: Any, selector: str) -> float:
    """Of a text with its background, as WCAG 2 defines it."""
    colours = page.locator(selector).first.evaluate(
        """element => {
            let behind = element;
            while (getComputedStyle(behind).backgroundColor === "rgba(0, 0, 0, 0)") behind = behind.parentElement;
            return [getComputedStyle(element).color, getComputedStyle(behind).backgroundColor];
        }"""
    )
    lights = sorted(luminance([int(level) for level in re.findall(r"\d+", colour)[:3]]) for colour in colours)
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def luminance(rgb: list[int]) -> float:
    linear = [(v / 255 / 12.92) if v <= 10 else ((v / 255 + 0.055) / 1.055) ** 2.4 for v in rgb]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@needs_chromium
def test_every_control_has_a_name(visit: Any) -> None:
    seen = visit()
    seen.choose(as_file(picture()))
    seen.see("#verdict", "cat")
    nameless = seen.page.evaluate(
        """() => [...document.querySelectorAll("input, select, button")]
            .filter((each) => each.checkVisibility() && each.type !== "submit")
            .filter((each) => !(each.labels?.[0]?.textContent || each.textContent || each.ariaLabel).trim())
            .map((each) => each.id)"""
    )
    assert nameless == []
    assert seen.page.get_attribute("html", "lang") == "en"
    assert httpx.get(seen.url).status_code == 200
