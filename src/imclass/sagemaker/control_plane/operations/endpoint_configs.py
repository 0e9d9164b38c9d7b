"""SageMaker's operations on endpoint configurations."""

from collections.abc import Iterable

from imclass.sagemaker.control_plane.api.errors import ApiError, invalid
from imclass.sagemaker.control_plane.api.service_models import described
from imclass.sagemaker.control_plane.hosting.documents import CONFIG, MODEL, request_document
from imclass.sagemaker.control_plane.jobs.request_problems import place_problems
from imclass.sagemaker.control_plane.operations.hosting_lookups import add, found, remove
from imclass.sagemaker.control_plane.operations.listing import next_token, selection_of
from imclass.sagemaker.control_plane.operations.plane import Operation, Plane, Values

MOST_INSTANCES = 64
"""Of an endpoint: each is a process of this machine."""

CAPTURE_MEMBER = "DataCaptureConfig.DestinationS3Uri"
UNSUPPORTED = ("AsyncInferenceConfig", "ExplainerConfig", "ShadowProductionVariants", "CrossRegionTrafficConfig")
UNSUPPORTED_OF_VARIANTS = ("ServerlessConfig", "InstancePools", "ManagedInstanceScaling", "AcceleratorPartitionLayouts")


def create_endpoint_config(plane: Plane, request: Values) -> Values:
    name, variants = request["EndpointConfigName"], request["ProductionVariants"]
    capture = request.get("DataCaptureConfig")
    problems = [
        *(f"{member} is not supported." for member in UNSUPPORTED if member in request),
        *_variant_problems(variants),
        *(place_problems(CAPTURE_MEMBER, capture["DestinationS3Uri"], plane.buckets) if capture is not None else ()),
    ]
    if problems:
        raise invalid(" ".join(problems))
    check_instance_count(sum(variant["InitialInstanceCount"] for variant in variants))
    for variant in variants:
        found(plane, MODEL, variant["ModelName"])
    document = request_document(request, EndpointConfigArn=plane.account.arn(CONFIG, name))
    return {"EndpointConfigArn": add(plane, CONFIG, name, document, request)}


def _variant_problems(variants: list[Values]) -> Iterable[str]:
    names = [variant["VariantName"] for variant in variants]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"The variant name {name!r} is given twice."
    for variant in variants:
        name = variant["VariantName"]
        for member in UNSUPPORTED_OF_VARIANTS:
            if member in variant:
                yield f"The variant {name!r} has a {member}, which is not supported; give InitialInstanceCount."
        for member in ("ModelName", "InitialInstanceCount"):
            if member not in variant and "ServerlessConfig" not in variant:
                yield f"The variant {name!r} must have {member}."
    if not sum(variant.get("InitialVariantWeight", 1.0) for variant in variants):
        yield "At least one variant must have an InitialVariantWeight above 0."


def check_instance_count(count: int) -> None:
    """Check that an endpoint has not too many instances.

    Raises:
        ApiError: it has.
    """
    if count > MOST_INSTANCES:
        raise ApiError(
            "ResourceLimitExceeded",
            f"The limit of instances of an endpoint is {MOST_INSTANCES} on this server, and {count} were asked for.",
        )


def describe_endpoint_config(plane: Plane, request: Values) -> Values:
    document = found(plane, CONFIG, request["EndpointConfigName"])
    variants = [{"InitialVariantWeight": 1.0, **variant} for variant in document["ProductionVariants"]]
    return described(document, "DescribeEndpointConfigOutput") | {"ProductionVariants": variants}


def list_endpoint_configs(plane: Plane, request: Values) -> Values:
    page = plane.state.select(CONFIG, selection_of(request, "Descending"))
    summaries = [described(each, "EndpointConfigSummary") for each in page.documents]
    return {"EndpointConfigs": summaries, **next_token(page)}


def delete_endpoint_config(plane: Plane, request: Values) -> Values:
    """Forget a configuration; endpoints that were made of it go on."""
    remove(plane, CONFIG, request["EndpointConfigName"])
    return {}


OPERATIONS: dict[str, Operation] = {
    "CreateEndpointConfig": create_endpoint_config,
    "DescribeEndpointConfig": describe_endpoint_config,
    "ListEndpointConfigs": list_endpoint_configs,
    "DeleteEndpointConfig": delete_endpoint_config,
}
