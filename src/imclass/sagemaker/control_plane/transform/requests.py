"""What a CreateTransformJob request must fulfil beyond the constraints of its members."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from imclass.data.json_path import EVERYTHING, JsonPath
from imclass.errors import DataError
from imclass.sagemaker.control_plane.api.account import Account
from imclass.sagemaker.control_plane.api.errors import invalid, no_objects
from imclass.sagemaker.control_plane.hosting.served_models import data_of, model_of
from imclass.sagemaker.control_plane.jobs.request_problems import environment_problems, place_problems
from imclass.sagemaker.control_plane.store.buckets import Buckets, Place
from imclass.sagemaker.control_plane.store.state import MissingError, State
from imclass.sagemaker.control_plane.transform.container.order import TransformOrder
from imclass.sagemaker.control_plane.transform.container.processing import is_json
from imclass.sagemaker.control_plane.transform.container.records import SPLITS
from imclass.sagemaker.control_plane.transform.objects import TransformObject

DATA_TYPES = ("S3Prefix", "ManifestFile")
LARGEST_PAYLOAD_IN_MB = 100
"""Of one request, and of all that are under way together."""


def check_transform_request(request: Mapping[str, Any], state: State, buckets: Buckets, account: Account) -> None:
    """Check a request whose members fulfil their constraints.

    Raises:
        ApiError: everything that this server cannot do with it.
    """
    problems = [
        *_model_problems(request["ModelName"], state, buckets, account),
        *_input_problems(request["TransformInput"]),
        *_size_problems(request),
        *_strategy_problems(request),
        *_filter_problems(request),
        *environment_problems(request.get("Environment", {}), "jobs"),
        *place_problems("TransformOutput", request["TransformOutput"]["S3OutputPath"], buckets),
    ]
    if request.get("DataCaptureConfig"):
        problems.append("DataCaptureConfig is not supported: results are in S3OutputPath.")
    if problems:
        raise invalid(" ".join(problems))
    source = request["TransformInput"]["DataSource"]["S3DataSource"]
    place = Place.of(source["S3Uri"])
    if next(buckets.objects(place), None) is None:
        raise no_objects(source["S3Uri"], place.bucket, account.role_arn, account)


def order_of(request: Mapping[str, Any], objects: Sequence[TransformObject], data_log: str) -> TransformOrder:
    """What a job has to do.

    Args:
        request: that was checked.
        data_log: file of the stream that tells of objects.
    """
    given, output = request["TransformInput"], request["TransformOutput"]
    client, processing = request.get("ModelClientConfig", {}), request.get("DataProcessing", {})
    members = {
        "content_type": given.get("ContentType"),
        "accept": output.get("Accept"),
        "compression_type": given.get("CompressionType"),
        "split_type": given.get("SplitType"),
        "assemble_with": output.get("AssembleWith"),
        "max_concurrent_transforms": request.get("MaxConcurrentTransforms"),
        "max_payload_in_mb": request.get("MaxPayloadInMB"),
        "invocations_timeout": client.get("InvocationsTimeoutInSeconds"),
        "invocations_max_retries": client.get("InvocationsMaxRetries"),
        "input_filter": processing.get("InputFilter"),
        "output_filter": processing.get("OutputFilter"),
        "join_source": processing.get("JoinSource"),
    }
    names, places = [each.name for each in objects], [each.place for each in objects]
    given_members = {name: value for name, value in members.items() if value is not None}
    return TransformOrder(names, places, data_log, **given_members)


def _model_problems(name: str, state: State, buckets: Buckets, account: Account) -> Iterable[str]:
    try:
        model = model_of(state, name)
        if not data_of(model, buckets):
            yield f"ModelName: there is no model data at {model.data}."
    except MissingError:
        yield f'Could not find model "{account.arn("model", name)}".'
    except ValueError as error:
        yield f"ModelName: {error}."


def _input_problems(given: Mapping[str, Any]) -> Iterable[str]:
    source = given["DataSource"]["S3DataSource"]
    if source["S3DataType"] not in DATA_TYPES:
        yield f"S3DataType {source['S3DataType']} is not supported: this server reads {', '.join(DATA_TYPES)}."
    try:
        Place.of(source["S3Uri"])
    except ValueError as error:
        yield f"TransformInput: {error}."
    split = given.get("SplitType", "None")
    if split not in SPLITS:
        yield f"SplitType {split} is not supported: this server splits {', '.join(SPLITS)}."


def _size_problems(request: Mapping[str, Any]) -> Iterable[str]:
    payload, concurrent = request.get("MaxPayloadInMB"), request.get("MaxConcurrentTransforms")
    if payload == 0:
        yield "MaxPayloadInMB 0 is not supported: the algorithm takes no chunks of any length."
    elif payload is not None and payload > LARGEST_PAYLOAD_IN_MB:
        yield f"MaxPayloadInMB must not be more than {LARGEST_PAYLOAD_IN_MB}."
    elif payload is not None and concurrent is not None and payload * concurrent > LARGEST_PAYLOAD_IN_MB:
        yield f"MaxConcurrentTransforms * MaxPayloadInMB must not be more than {LARGEST_PAYLOAD_IN_MB} MB."


def _strategy_problems(request: Mapping[str, Any]) -> Iterable[str]:
    split = request["TransformInput"].get("SplitType", "None")
    if split != "None" and request.get("BatchStrategy") == "MultiRecord":
        yield (
            "BatchStrategy MultiRecord puts several records into a request, and the algorithm takes one image a "
            "request: give SingleRecord, or nothing."
        )


def _filter_problems(request: Mapping[str, Any]) -> Iterable[str]:
    processing = request.get("DataProcessing", {})
    for name in ("InputFilter", "OutputFilter"):
        try:
            JsonPath(processing.get(name, EVERYTHING))
        except DataError as error:
            yield f"DataProcessing.{name} {processing[name]}, {error.what}."
    content_type = request["TransformInput"].get("ContentType")
    if processing.get("InputFilter", EVERYTHING) != EVERYTHING and not is_json(content_type):
        yield f"DataProcessing.InputFilter selects in JSON, and the ContentType is {content_type}."
