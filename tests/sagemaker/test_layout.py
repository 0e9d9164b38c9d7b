"""Paths."""

from pathlib import Path

from imclass.sagemaker.layout import Layout


def test_the_paths_of_the_contract() -> None:
    layout = Layout.of({})
    paths = [
        layout.hyperparameters,
        layout.input_data_config,
        layout.resource_config,
        layout.channel("train"),
        layout.model,
        layout.output_data,
        layout.failure,
        layout.checkpoints,
    ]
    assert [str(path) for path in paths] == [
        "/opt/ml/input/config/hyperparameters.json",
        "/opt/ml/input/config/inputdataconfig.json",
        "/opt/ml/input/config/resourceconfig.json",
        "/opt/ml/input/data/train",
        "/opt/ml/model",
        "/opt/ml/output/data",
        "/opt/ml/output/failure",
        "/opt/ml/checkpoints",
    ]


def test_one_variable_moves_them_all(tmp_path: Path) -> None:
    assert Layout.of({"SAGEMAKER_BASE_DIR": str(tmp_path)}).model == tmp_path / "model"
    assert Layout.of({"SAGEMAKER_BASE_DIR": ""}).model == Path("/opt/ml/model")
