"""What a CreateHyperParameterTuningJob request must fulfil beyond the constraints of its members; what it asks for."""

import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from imclass.errors import HyperparameterError
from imclass.hyperparameters import FIELDS, parse
from imclass.sagemaker.control_plane.api.account import Account
from imclass.sagemaker.control_plane.api.errors import invalid
from imclass.sagemaker.control_plane.store.buckets import Buckets
from imclass.sagemaker.control_plane.store.state import MissingError, State
from imclass.sagemaker.control_plane.training.documents import METRICS
from imclass.sagemaker.control_plane.training.requests import check_capacity, check_training_request, completed
from imclass.sagemaker.control_plane.tuning.documents import (
    ACTIVE,
    KIND,
    definitions,
    objective_of,
    parameter_ranges,
    training_request,
)
from imclass.tuning.parameter_ranges import BadRangesError, parse_ranges
from imclass.tuning.ranges import Range
from imclass.tuning.search import HyperbandEpochs, Search, grid_size

MOST_HYPERPARAMETERS = 100
MEMBERS_OF_SINGLE = {"HyperParameterTuningJobObjective": "TuningObjective", "ParameterRanges": "HyperParameterRanges"}
"""Members of the configuration, and what they are called in one definition of several."""


def check_tuning_request(
    request: Mapping[str, Any], state: State, buckets: Buckets, account: Account, most_hosts: int
) -> None:
    """Check a request whose members fulfil their constraints.

    Args:
        most_hosts: how many hosts a training job can have.

    Raises:
        ApiError: everything that this server cannot do with it.
    """
    problems = list(_structure_problems(request))
    if not problems:
        problems = [*_config_problems(request["HyperParameterTuningJobConfig"]), *_definition_problems(request)]
    if not problems:
        problems = [*_search_problems(request), *_warm_start_problems(request, state)]
    if problems:
        raise invalid(" ".join(problems))
    for number in range(len(definitions(request))):
        trial = {"name": request["HyperParameterTuningJobName"], "definition": number, "values": {}}
        asked = completed(training_request(request, trial))
        check_training_request(asked, buckets, account)
        check_capacity(asked, most_hosts)


def searches(request: Mapping[str, Any]) -> list[Search]:
    """What is searched, for each definition.

    Raises:
        HyperparameterError: it cannot be searched.
    """
    config = request["HyperParameterTuningJobConfig"]
    limits, strategy = config["ResourceLimits"], config["Strategy"]
    found = []
    for definition in definitions(request):
        ranges = parse_ranges(_without_empty(parameter_ranges(request, definition)))
        grid = grid_size(ranges)
        # Several definitions share the trials; each grid is searched as a whole.
        trials = limits.get("MaxNumberOfTrainingJobs", grid)
        found.append(
            Search(
                ranges=ranges,
                trials=grid if strategy == "Grid" and len(definitions(request)) > 1 else trials,
                parallel=limits["MaxParallelTrainingJobs"],
                objective=objective_of(request),
                strategy=strategy,
                seed=config.get("RandomSeed", zlib.crc32(request["HyperParameterTuningJobName"].encode())),
                early_stopping=config.get("TrainingJobEarlyStoppingType", "Off"),
                hyperband=_epochs(config, definition) if strategy == "Hyperband" else None,
            )
        )
    return found


def most_training_jobs(request: Mapping[str, Any]) -> int:
    """How many training jobs there are at most; a grid says so itself."""
    limits = request["HyperParameterTuningJobConfig"]["ResourceLimits"]
    return int(limits.get("MaxNumberOfTrainingJobs", sum(search.trials for search in searches(request))))


def _epochs(config: Mapping[str, Any], definition: Mapping[str, Any]) -> HyperbandEpochs:
    """What Hyperband shares out: as asked for, or the epochs of a training job."""
    asked = config.get("StrategyConfig", {}).get("HyperbandStrategyConfig", {})
    static = definition.get("StaticHyperParameters", {})
    if "MaxResource" not in asked and "epochs" not in static:
        raise HyperparameterError(
            "Hyperband needs HyperbandStrategyConfig.MaxResource, or epochs among the static ones"
        )
    epochs = parse({name: value for name, value in static.items() if name == "epochs"}).epochs
    most = asked.get("MaxResource", epochs)
    return HyperbandEpochs(asked.get("MinResource", 1), most, cuts=epochs > most)


def _without_empty(ranges: Mapping[str, Any]) -> dict[str, Any]:
    return {name: entries for name, entries in ranges.items() if entries}


def _structure_problems(request: Mapping[str, Any]) -> Iterable[str]:
    config = request["HyperParameterTuningJobConfig"]
    if ("TrainingJobDefinition" in request) == ("TrainingJobDefinitions" in request):
        yield "Exactly one of TrainingJobDefinition and TrainingJobDefinitions must be given."
        return
    if "Autotune" in request:
        yield "Autotune is not supported: give ParameterRanges."
    for in_config, in_definition in MEMBERS_OF_SINGLE.items():
        if "TrainingJobDefinition" in request:
            holders = {f"HyperParameterTuningJobConfig.{in_config}": in_config in config}
            if in_definition in request["TrainingJobDefinition"]:
                yield f"{in_definition} is for TrainingJobDefinitions; give HyperParameterTuningJobConfig.{in_config}."
        else:
            holders = {
                f"TrainingJobDefinitions.{number}.{in_definition}": in_definition in definition
                for number, definition in enumerate(request["TrainingJobDefinitions"], 1)
            }
            if in_config in config:
                yield f"HyperParameterTuningJobConfig.{in_config} is for a single TrainingJobDefinition."
        yield from (f"{name} must be given." for name, is_there in holders.items() if not is_there)
    names = [definition.get("DefinitionName") for definition in request.get("TrainingJobDefinitions", [])]
    if None in names or len(set(names)) < len(names):
        yield "Each of TrainingJobDefinitions needs a DefinitionName of its own."


def _config_problems(config: Mapping[str, Any]) -> Iterable[str]:
    limits, criteria = config["ResourceLimits"], config.get("TuningJobCompletionCriteria", {})
    if "MaxNumberOfTrainingJobs" not in limits and config["Strategy"] != "Grid":
        yield "ResourceLimits.MaxNumberOfTrainingJobs must be given, except with the strategy Grid."
    if criteria.get("ConvergenceDetected", {}).get("CompleteOnConvergence") == "Enabled":
        yield "TuningJobCompletionCriteria.ConvergenceDetected is not supported; BestObjectiveNotImproving is."
    if "StrategyConfig" in config and config["Strategy"] != "Hyperband":
        yield "StrategyConfig is for the strategy Hyperband."


def _definition_problems(request: Mapping[str, Any]) -> Iterator[str]:
    config = request["HyperParameterTuningJobConfig"]
    objectives = [
        definition.get("TuningObjective", config.get("HyperParameterTuningJobObjective"))
        for definition in definitions(request)
    ]
    if any(objective != objectives[0] for objective in objectives):
        yield "All TrainingJobDefinitions must have the same TuningObjective, or no best training job could be told."
    name = objectives[0]["MetricName"]
    if name not in METRICS:
        yield f"The objective metric {name!r} is not one of this algorithm's: {', '.join(METRICS)}."
    for definition in definitions(request):
        static = definition.get("StaticHyperParameters", {})
        unknown = sorted(static.keys() - FIELDS.keys())
        if unknown:
            yield f"StaticHyperParameters: {', '.join(unknown)} unknown to this algorithm."
        if parameter_ranges(request, definition).get("AutoParameters"):
            yield "AutoParameters are not supported: give ranges."


def _search_problems(request: Mapping[str, Any]) -> Iterable[str]:
    try:
        found = searches(request)
        for search in found:
            search.check()
    except BadRangesError as error:
        yield from (f"ParameterRanges: {problem}." for problem in error.problems)
        return
    except HyperparameterError as error:
        yield f"{error}."
        return
    for search, definition in zip(found, definitions(request), strict=True):
        yield from _name_problems(search.ranges, definition.get("StaticHyperParameters", {}))


def _name_problems(ranges: tuple[Range, ...], static: Mapping[str, str]) -> Iterable[str]:
    both = sorted(one.name for one in ranges if one.name in static)
    if both:
        yield f"{', '.join(both)} must not be both static and tuned."
    if len(ranges) + len(static) + 1 > MOST_HYPERPARAMETERS:
        yield f"There are more than {MOST_HYPERPARAMETERS - 1} static and tuned hyperparameters."


def _warm_start_problems(request: Mapping[str, Any], state: State) -> Iterable[str]:
    for parent_name in parents(request):
        try:
            parent = state.get(KIND, parent_name)
        except MissingError:
            yield f"The parent tuning job {parent_name} does not exist."
            continue
        if parent["status"] in ACTIVE:
            yield f"The parent tuning job {parent_name} is in status {parent['status']}; it must have ended."
        if objective_of(parent) != objective_of(request):
            yield f"The parent tuning job {parent_name} has another objective."
        if _hyperparameters(parent) != _hyperparameters(request):
            yield (
                f"The parent tuning job {parent_name} has {_hyperparameters(parent)} static and tuned hyperparameters, "
                f"and this one {_hyperparameters(request)}; both numbers must be the same."
            )


def parents(request: Mapping[str, Any]) -> list[str]:
    """Names of the tuning jobs that a request starts from."""
    entries = request.get("WarmStartConfig", {}).get("ParentHyperParameterTuningJobs", [])
    return [str(entry["HyperParameterTuningJobName"]) for entry in entries if "HyperParameterTuningJobName" in entry]


def _hyperparameters(request: Mapping[str, Any]) -> int:
    """Static and tuned hyperparameters of the first definition together."""
    definition = definitions(request)[0]
    ranges = parse_ranges(_without_empty(parameter_ranges(request, definition)))
    return len(ranges) + len(definition.get("StaticHyperParameters", {}))
