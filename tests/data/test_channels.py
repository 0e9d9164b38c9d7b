"""The original's channels."""

import shutil
from pathlib import Path

import pytest

from imclass.data import PipeChannel, find_model, open_channels, parse_input_data_config
from imclass.data.channel_settings import parse_content_type
from imclass.errors import DataError
from tests.data.golden_files import GOLDEN, write_records


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder laid out as the original's input: channels with records, images and lists."""
    for name in ("train", "validation"):
        (tmp_path / name / "deep").mkdir(parents=True)
        write_records(tmp_path / name / "deep" / "part.rec", [0, 1])
        shutil.copytree(GOLDEN / "im2rec" / "images", tmp_path / f"{name}_images")
        (tmp_path / f"{name}_lst").mkdir()
        shutil.copy(GOLDEN / "im2rec" / "fruit.lst", tmp_path / f"{name}_lst" / "any.lst")
        (tmp_path / f"{name}_lst" / "readme.txt").touch()
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.tar.gz").touch()
    return tmp_path


def test_records_at_any_depth_and_no_validation(data: Path) -> None:
    (data / "train" / ".old").mkdir()
    write_records(data / "train" / ".old" / "hidden.rec", [7])
    channels = open_channels({"train": data / "train"})
    assert len(channels.train) == 2
    assert channels.validation is None
    assert channels.model is None


def test_images_with_lists(data: Path) -> None:
    channels = open_channels(
        {
            "train": data / "train_images",
            "train_lst": data / "train_lst",
            "validation": data / "validation_images",
            "validation_lst": data / "validation_lst" / "any.lst",
            "model": data / "model",
        },
        content_types=dict.fromkeys(("train", "train_lst", "validation", "validation_lst"), "application/jpeg"),
    )
    assert channels.validation is not None
    assert (len(channels.train), len(channels.validation)) == (10, 10)
    assert channels.train[0].key == "banana/b_00.jpg"
    assert channels.model == data / "model" / "model.tar.gz"


def test_content_type_chooses_between_records_and_a_list(data: Path) -> None:
    shutil.copy(data / "train" / "deep" / "part.rec", data / "train_images")
    paths = {"train": data / "train_images", "train_lst": data / "train_lst"}
    assert len(open_channels(paths).train) == 10
    assert len(open_channels(paths, content_types={"train": "application/x-image"}).train) == 10
    assert len(open_channels(paths, content_types={"train": "Application/X-RecordIO; x=y"}).train) == 2


def test_label_format_of_a_content_type(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"A")
    (tmp_path / "x.manifest").write_text('{"source-ref": "a.jpg", "class": "[0, 2]"}\n')
    channels = {"train": tmp_path, "validation": tmp_path}
    types = dict.fromkeys(channels, 'application/x-recordio; label-format="class-id"')
    opened = open_channels(channels, content_types=types, num_classes=4)
    assert opened.validation is not None
    assert opened.train.labels.tolist() == opened.validation.labels.tolist() == [[1, 0, 1, 0]]
    with pytest.raises(DataError, match=r"label format 'class-ids' .*did you mean 'class-id'"):
        open_channels({"train": tmp_path}, content_types={"train": "x/y;label-format=class-ids"})


def test_class_folders_of_both_channels_share_a_table(tmp_path: Path) -> None:
    for path in ("t/a", "t/c", "v/b", "v/c"):
        (tmp_path / path).mkdir(parents=True)
        (tmp_path / path / "1.jpg").touch()
    opened = open_channels({"train": tmp_path / "t", "validation": tmp_path / "v"})
    assert opened.train.class_names == ("a", "b", "c")
    assert opened.validation is not None
    assert opened.validation.labels.tolist() == [[1], [2]]


def test_all_problems_with_names_together(data: Path) -> None:
    with pytest.raises(DataError) as caught:
        open_channels(
            {"trian": data / "train", "validation_lst": data / "validation_lst"},
            content_types={"model": "application/x-sagemaker-model"},
        )
    message = str(caught.value)
    assert "unknown channel 'trian', did you mean 'train'?" in message
    assert "there is no 'train' channel" in message
    assert "there is no 'validation' channel, which validation_lst needs" in message
    assert "a content type for 'model', but no such channel is given" in message


def test_list_channel_without_or_with_several_lists(data: Path) -> None:
    paths = {"train": data / "train_images", "train_lst": data / "model"}
    with pytest.raises(DataError, match=r"channel train_lst.*one file that ends in \.lst is needed, 0 are there"):
        open_channels(paths)
    shutil.copy(data / "train_lst" / "any.lst", data / "train_lst" / "other.lst")
    with pytest.raises(DataError, match=r"2 are there\n  - any.lst\n  - other.lst"):
        open_channels({**paths, "train_lst": data / "train_lst"})
    with pytest.raises(DataError, match=r"channel train_lst.*no such file or folder"):
        open_channels({**paths, "train_lst": data / "missing"})


def test_channel_without_data(data: Path) -> None:
    with pytest.raises(DataError, match=r"looked for \.rec files(.|\n)*found: model.tar.gz"):
        open_channels({"train": data / "model"})


@pytest.mark.parametrize(
    ("text", "media_type", "parameters"),
    [
        ("application/x-recordio", "application/x-recordio", {}),
        ("A/B ; Label-Format = class-id;z", "a/b", {"label-format": "class-id", "z": ""}),
        ("", "", {}),
        ("nonsense", "nonsense", {}),
        ("a/b\r\nX: y", "a/b x: y", {}),
    ],
)
def test_content_types(text: str, media_type: str, parameters: dict[str, str]) -> None:
    parsed = parse_content_type(text)
    assert (parsed.media_type, dict(parsed.parameters)) == (media_type, parameters)


@pytest.mark.parametrize("name", ["model.json", "image-classification-symbol.json"])
def test_an_unpacked_model_is_the_folder_itself(tmp_path, name):
    (tmp_path / name).touch()
    (tmp_path / "backup.tar.gz").touch()
    assert find_model(tmp_path) == tmp_path


def test_channels_in_pipe_mode(data: Path) -> None:
    settings = parse_input_data_config(
        {"train": {"TrainingInputMode": "Pipe", "S3DistributionType": "ShardedByS3Key"}, "validation": {}}
    )
    channels = open_channels(
        {"train": data / "pipes" / "train", "validation": data / "validation"},
        settings=settings,
        content_types={"train": "application/x-recordio; label-format=class-id"},
    )
    assert isinstance(channels.train, PipeChannel)
    assert (channels.train.name, channels.train.label_format, channels.train.is_sharded) == ("train", "class-id", True)
    assert not isinstance(channels.validation, PipeChannel)
    assert len(channels.validation) == 2
    with pytest.raises(DataError, match=r"the label format 'class-idd' is not .*did you mean 'class-id'"):
        open_channels(
            {"train": data / "train", "validation": data / "validation"},
            settings=settings,
            content_types={"train": "x/y; label-format=class-idd"},
        )


def test_what_does_not_go_with_pipes(data: Path) -> None:
    pipe = {"TrainingInputMode": "Pipe"}
    for path in (data / "train" / "deep" / "part.rec", Path("/")):
        with pytest.raises(
            DataError, match=r"channel train, .*: in Pipe mode a channel is what the names of its FIFOs"
        ):
            open_channels({"train": path}, settings=parse_input_data_config({"train": pipe}))
    paths = {"train": data / "train", "train_lst": data / "train_lst"}
    with pytest.raises(DataError) as caught:
        open_channels(paths, settings=parse_input_data_config({"train": pipe, "train_lst": pipe, "validation": pipe}))
    assert "'train' channel is a pipe, which carries its labels; train_lst does not go with it" in str(caught.value)
    assert "'train_lst' channel cannot be a pipe" in str(caught.value)
    assert "settings for 'validation', but no such channel is given" in str(caught.value)
