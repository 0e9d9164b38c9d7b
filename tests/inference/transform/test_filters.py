"""SageMaker's DataProcessing: what is filtered before, joined, and filtered after."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import imclass
from imclass.errors import UserError
from imclass.inference.transform import AssembleWith, Format, JoinSource, Request, transform
from tests.inference.transform.conftest import CPU


class Silent:
    def begin(self, images: int, already: int) -> None: ...

    def advance(self, images: int) -> None: ...


@pytest.fixture
def request_of(model: Path, photos: Path, tmp_path: Path) -> Callable[..., Request]:
    """Two photographs in a manifest, whose lines name them one level down."""
    lines = [
        {"id": 7, "picture": {"file-ref": "b/0001.png", "size": [16, 16]}},
        {"id": 4, "picture": {"file-ref": "a/0000.png", "size": [16, 16]}},
    ]
    manifest = tmp_path / "x.manifest"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    request = Request(model, manifest, tmp_path / "results", image_root=photos, computing=CPU, format=Format.JSONL)

    def make(**changes: object) -> Request:
        return replace(request, **{"input_filter": "$.picture", **changes})  # type: ignore[arg-type]

    return make


def lines_of(request: Request) -> list[object]:
    transform(request, Silent())
    return [json.loads(line) for line in (Path(request.output) / "predictions.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("input_filter", ["$.picture", "$.picture['file-ref']", "$['picture'].file-ref"])
def test_the_whole_line_is_joined_whatever_the_input_filter_selects(
    request_of: Callable[..., Request], photos: Path, input_filter: str
) -> None:
    request = request_of(input_filter=input_filter, join_source=JoinSource.INPUT)
    lines = lines_of(request)
    assert [list(line) for line in lines] == [["id", "picture", "SageMakerOutput"]] * 2  # type: ignore[call-overload]
    expected = imclass.load(request.model, device="cpu").predict([photos / "b/0001.png", photos / "a/0000.png"])
    found = [line["SageMakerOutput"]["prediction"] for line in lines]  # type: ignore[index]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_output_filter_selects_in_what_is_joined(request_of: Callable[..., Request], tmp_path: Path) -> None:
    whole = lines_of(request_of(join_source=JoinSource.INPUT))
    filters: dict[str, Callable[[dict[str, dict[str, list[float]]]], object]] = {
        "$['id','SageMakerOutput']": lambda line: {name: line[name] for name in ("id", "SageMakerOutput")},
        "$.SageMakerOutput.prediction[0,-1]": lambda line: [line["SageMakerOutput"]["prediction"][k] for k in (0, -1)],
        "$.id": lambda line: line["id"],
    }
    for number, (path, expected) in enumerate(filters.items()):
        request = request_of(join_source=JoinSource.INPUT, output_filter=path, output=tmp_path / str(number))
        assert lines_of(request) == [expected(line) for line in whole]  # type: ignore[arg-type]


def test_without_a_join_the_result_itself_is_filtered(
    request_of: Callable[..., Request], photos: Path, tmp_path: Path
) -> None:
    keyed = lines_of(request_of(output_filter="$['key']"))
    assert keyed == ["b/0001.png", "a/0000.png"]
    request = request_of(
        format=Format.OUT, output=tmp_path / "files", output_filter="$.prediction[0]", assemble_with=AssembleWith.LINE
    )
    transform(request, Silent())
    content = (tmp_path / "files" / "a/0000.png.out").read_bytes()
    first = imclass.load(request.model, device="cpu").predict([photos / "a/0000.png"])[0, 0]
    assert content.endswith(b"\n")
    assert float(content) == pytest.approx(float(first), abs=1e-6)
    assert float(np.float32(float(content))) == float(content)  # the very float32, as without a filter


def test_what_is_not_in_a_result_is_told_with_its_image(request_of: Callable[..., Request]) -> None:
    with pytest.raises(UserError, match=r"b/0001\.png: the output filter \$\['id','none'\] .* column 9: .* 'none'"):
        lines_of(request_of(join_source=JoinSource.INPUT, output_filter="$['id','none']"))


def test_other_filters_are_another_job(request_of: Callable[..., Request]) -> None:
    lines_of(request_of())
    with pytest.raises(UserError, match=r"output_filter: \$ there, \$\.key now"):
        lines_of(request_of(output_filter="$.key"))


def test_lines_that_the_input_filter_does_not_fit_are_all_told(
    request_of: Callable[..., Request], tmp_path: Path
) -> None:
    with pytest.raises(UserError) as caught:
        lines_of(request_of(input_filter="$.picture.name"))
    assert "line 1: the input filter $.picture.name: column 11: there is no member 'name'" in str(caught.value)
    assert "line 2: " in str(caught.value)
    with pytest.raises(UserError, match=r"line 1: '\$\.id' is not a path but '7'"):
        lines_of(request_of(input_filter="$.id"))
    with pytest.raises(UserError, match=r"line 1: no attribute \.\.\.-ref names the image"):
        lines_of(request_of(input_filter="$"))
