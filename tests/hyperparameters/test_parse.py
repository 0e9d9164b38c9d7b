import pickle
from collections.abc import Mapping

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from imclass.errors import HyperparameterError
from imclass.hyperparameters import (
    FIELDS,
    BadHyperparametersError,
    FieldFacts,
    Hyperparameters,
    combination_problems,
    is_possible_depth,
    parse,
    to_strings,
)


def _problems(raw: Mapping[str, object]) -> tuple[str, ...]:
    with pytest.raises(BadHyperparametersError) as caught:
        parse(raw)
    return caught.value.problems


def test_nothing_given_gives_the_defaults() -> None:
    assert parse({}) == Hyperparameters()
    assert parse(dict.fromkeys(FIELDS)) == Hyperparameters()


def test_a_container_s_file() -> None:
    hyperparameters = parse(
        {
            "image_shape": "3,224,224",
            "num_layers": "18",
            "num_training_samples": "15420",
            "num_classes": "257",
            "mini_batch_size": "64",
            "epochs": "2",
            "learning_rate": "0.01",
            "_tuning_objective_metric": "validation:accuracy",
        }
    )
    assert hyperparameters == Hyperparameters(
        image_shape=(3, 224, 224),
        num_layers=18,
        num_training_samples=15420,
        num_classes=257,
        mini_batch_size=64,
        epochs=2,
        learning_rate=0.01,
        tuning_objective_metric="validation:accuracy",
    )


def test_a_tuning_job_s_spellings() -> None:
    hyperparameters = parse(
        {
            "optimizer": '"adam"',
            "mini_batch_size": "37",
            "learning_rate": "9.999999974752427e-07",
            "eps": "0.24266119474442166",
            "early_stopping": "True",
            "use_pretrained_model": "0",
        }
    )
    assert hyperparameters.optimizer == "adam"
    assert hyperparameters.mini_batch_size == 37
    assert hyperparameters.learning_rate == 9.999999974752427e-07
    assert hyperparameters.eps == 0.24266119474442166
    assert hyperparameters.early_stopping is True
    assert hyperparameters.use_pretrained_model is False


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mini_batch_siz", "mini_batch_size"),
        ("batch_size", "mini_batch_size"),
        ("learning-rate", "learning_rate"),
        ("Epochs", "epochs"),
        ("use_lr_scheduler", "lr_schedule"),
        ("tuning_objective_metric", "_tuning_objective_metric"),
    ],
)
def test_unknown_names_get_the_nearest_known_one(name: str, expected: str) -> None:
    (problem,) = _problems({name: "1"})
    assert problem.startswith(f"'{name}': unknown name; did you mean {expected}")


def test_unknown_name_like_no_other() -> None:
    assert _problems({"qqqq": "1"}) == ("'qqqq': unknown name, and no name is like it",)


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("epochs", "ten", "epochs='ten': must be an integer, at least 1"),
        ("epochs", 0, "epochs=0: must be an integer, at least 1"),
        ("learning_rate", "2", "learning_rate='2': must be a number, 0 to 1"),
        ("momentum", "nan", "momentum='nan': must be a number, 0 to 1 (not a finite number)"),
        ("ema_decay", 1, "ema_decay=1: must be a number, 0 to below 1"),
        ("warmup_epochs", "-1", "warmup_epochs='-1': must be a number, at least 0"),
        ("multi_label", "maybe", "multi_label='maybe': must be a switch, 0 or 1"),
        ("early_stopping", "2", "early_stopping='2': must be a switch, True or False"),
        (
            "optimizer",
            "sdg",
            "optimizer='sdg': must be one of sgd, adam, rmsprop, nag, muon (did you mean sgd?)",
        ),
        (
            "lr_scheduler_step",
            "0,10",
            "lr_scheduler_step='0,10': must be integers separated by commas such as 10,20, each at least 1",
        ),
        (
            "image_shape",
            "2,32,32",
            "image_shape='2,32,32': must be channels,height,width such as 3,224,224, 3 or 1 channels, sides from "
            "1 to 4096 (2 channels)",
        ),
        (
            "num_layers",
            "19",
            "num_layers='19': must be an integer, 18, 34, 50, 101, 152, 200, 20, 32, 44, 56, 110 or another 6n + 2 "
            "(nearest possible: 18 and 20)",
        ),
        ("_tuning_objective_metric", 3, "_tuning_objective_metric=3: must be text that is not empty"),
        ("seed", "9" * 100, f"seed='{'9' * 59}...: must be an integer, at least 0 (larger than 64 bits)"),
    ],
)
def test_bad_values_say_what_is_allowed(name: str, value: object, problem: str) -> None:
    assert _problems({name: value}) == (problem,)


def test_all_problems_come_together() -> None:
    raw = {
        "num_clases": "3",
        "learning_rate": "2",
        "epochs": "ten",
        "use_weighted_loss": "1",
        "top_k": "5",
        "num_classes": "4",
    }
    assert _problems(raw) == (
        "'num_clases': unknown name; did you mean num_classes?",
        "learning_rate='2': must be a number, 0 to 1",
        "epochs='ten': must be an integer, at least 1",
        "use_weighted_loss=1 needs multi_label=1; with one label an image use class_weights=balanced",
        "top_k=5 must be less than num_classes=4: otherwise every image counts as right",
    )


def test_the_message_shows_them_all() -> None:
    with pytest.raises(HyperparameterError) as caught:
        parse({"epochs": "ten", "learning_rat": "1"})
    assert str(caught.value) == (
        "2 bad hyperparameters:\n"
        "  - 'learning_rat': unknown name; did you mean learning_rate?\n"
        "  - epochs='ten': must be an integer, at least 1\n"
        "imclass train --help lists every hyperparameter with its values."
    )


def test_many_problems_are_counted_in_the_message_and_kept_in_the_error() -> None:
    with pytest.raises(BadHyperparametersError, match=r"30 bad hyperparameters:(?s:.*)and 10 more") as caught:
        parse({f"unknown_{number}": "" for number in range(30)})
    assert len(caught.value.problems) == 30


def test_a_combination_with_a_bad_value_is_not_judged() -> None:
    assert _problems({"checkpoint_frequency": "50", "epochs": "x"}) == ("epochs='x': must be an integer, at least 1",)


def test_what_a_recipe_may_have_set_is_not_judged_beside_bad_values() -> None:
    raw = {"recipe": "modrn", "checkpoint_frequency": "50", "use_weighted_loss": "1", "multi_label": "0"}
    problems = _problems(raw)
    assert problems[0].startswith("recipe='modrn': must be one of sagemaker, modern")
    assert [problem.split("=")[0] for problem in problems] == ["recipe", "use_weighted_loss"]
    assert len(_problems({**raw, "recipe": "sagemaker"})) == 2


def test_the_error_can_go_to_another_process() -> None:
    with pytest.raises(BadHyperparametersError) as caught:
        parse({"epochs": "ten"})
    copy = pickle.loads(pickle.dumps(caught.value))  # noqa: S301
    assert (copy.problems, str(copy)) == (caught.value.problems, str(caught.value))


def test_strings_are_those_that_sagemaker_sends() -> None:
    strings = to_strings(
        parse(
            {
                "num_classes": 257,
                "image_shape": [3, 206, 206],
                "lr_scheduler_step": [10, 20],
                "use_pretrained_model": True,
                "early_stopping": True,
                "eps": 1e-8,
                "_tuning_objective_metric": "validation:accuracy",
            }
        )
    )
    assert all(isinstance(value, str) for value in strings.values())
    assert strings["num_classes"] == "257"
    assert strings["image_shape"] == "3,206,206"
    assert strings["lr_scheduler_step"] == "10,20"
    assert strings["use_pretrained_model"] == "1"
    assert strings["multi_label"] == "0"
    assert strings["early_stopping"] == "True"
    assert strings["eps"] == "1e-08"
    assert strings["learning_rate"] == "0.1"
    assert strings["_tuning_objective_metric"] == "validation:accuracy"
    assert not {"tuning_objective_metric", "resize", "top_k", "num_training_samples"} & strings.keys()


def _values_of(facts: FieldFacts) -> st.SearchStrategy[object]:
    match facts.kind:
        case "boolean":
            return st.booleans()
        case "choice":
            return st.sampled_from(facts.choices)
        case "number":
            return st.floats(facts.minimum, facts.maximum, exclude_max=facts.exclusive_maximum, allow_infinity=False)
        case "integer" if facts.name == "num_layers":
            return st.integers(8, 1001).filter(is_possible_depth)
        case "integer":
            assert facts.minimum is not None
            return st.integers(int(facts.minimum), 2**63 - 1)
        case "integers":
            return st.lists(st.integers(1, 500), max_size=4).map(tuple)
        case "image_shape":
            return st.tuples(st.sampled_from([1, 3]), st.integers(1, 999), st.integers(1, 999))
        case "text":
            return st.sampled_from(["validation:accuracy", "train:accuracy"])


ANY_VALUES = st.fixed_dictionaries({}, optional={facts.attribute: _values_of(facts) for facts in FIELDS.values()})


@settings(deadline=None, derandomize=True)
@given(ANY_VALUES, st.booleans())
def test_round_trip_through_strings(values: dict[str, object], fine_tuning: bool) -> None:
    hyperparameters = Hyperparameters.model_validate(values)
    assume(not combination_problems(hyperparameters))
    assert parse(to_strings(hyperparameters), fine_tuning=fine_tuning) == hyperparameters


@settings(deadline=None, derandomize=True)
@given(st.dictionaries(st.sampled_from(sorted(FIELDS)) | st.text(), st.text() | st.integers() | st.none()))
def test_any_input_gives_hyperparameters_or_problems(raw: dict[str, object]) -> None:
    problems: tuple[str, ...] = ()
    try:
        hyperparameters = parse(raw)
    except BadHyperparametersError as error:
        problems = error.problems
    assert problems or combination_problems(hyperparameters) == []
