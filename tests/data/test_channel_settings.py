"""What `inputdataconfig.json` says about channels."""

import pytest

from imclass.data import ChannelSettings, parse_input_data_config
from imclass.errors import DataError


def test_the_settings_of_a_job() -> None:
    settings = parse_input_data_config(
        {
            "train": {
                "ContentType": "application/x-recordio; label-format=class-id",
                "TrainingInputMode": "Pipe",
                "S3DistributionType": "ShardedByS3Key",
                "RecordWrapperType": "RecordIO",
                "KeyOfTheFuture": {"x": 1},
            },
            "validation": {"TrainingInputMode": "FastFile", "ContentType": None},
            "model": {},
        }
    )
    train = settings["train"]
    assert train.content_type == "application/x-recordio; label-format=class-id"
    assert (train.is_pipe, train.is_sharded, train.is_wrapped) == (True, True, True)
    assert (settings["validation"].is_pipe, settings["validation"].content_type) == (False, None)
    assert settings["model"] == ChannelSettings()
    assert settings["model"].is_wrapped is None
    assert parse_input_data_config({"train": {"RecordWrapperType": "None"}})["train"].is_wrapped is False


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(DataError) as caught:
        parse_input_data_config(
            {"train": {"TrainingInputMode": "Pip", "RecordWrapperType": 3}, "validation": "Pipe"}, "config.json"
        )
    text = str(caught.value)
    assert text.startswith("config.json: ")
    assert "train: TrainingInputMode is 'Pip', not one of File, Pipe, FastFile, did you mean 'Pipe'?" in text
    assert "train: RecordWrapperType is 3, not one of None, RecordIO" in text
    assert "validation: an object" in text
