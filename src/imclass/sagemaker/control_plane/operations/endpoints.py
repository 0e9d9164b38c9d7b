"""SageMaker's operations on endpoints. What takes time is done by `hosting`, and the state says what there is to do."""

from collections.abc import Callable, Iterable

from imclass.sagemaker.control_plane.api.errors import invalid, not_found
from imclass.sagemaker.control_plane.api.service_models import described
from imclass.sagemaker.control_plane.hosting.deployment import Deployment, new_deployment, rescaled, retained
from imclass.sagemaker.control_plane.hosting.documents import (
    CHANGEABLE,
    CONFIG,
    CREATING,
    DELETING,
    ENDPOINT,
    MODEL,
    ask_for,
    deployment_of,
    describe,
    new_endpoint,
)
from imclass.sagemaker.control_plane.operations.endpoint_configs import check_instance_count
from imclass.sagemaker.control_plane.operations.hosting_lookups import add, found
from imclass.sagemaker.control_plane.operations.listing import next_token, selection_of
from imclass.sagemaker.control_plane.operations.models import check_model_data
from imclass.sagemaker.control_plane.operations.plane import Operation, Plane, Values
from imclass.sagemaker.control_plane.store.state import Document, MissingError

ALL_AT_ONCE = "ALL_AT_ONCE"


def create_endpoint(plane: Plane, request: Values) -> Values:
    """Remember an endpoint and let its instances be started."""
    name = request["EndpointName"]
    check_deployment_config(request)
    deployment = deployment_of_config(plane, request["EndpointConfigName"])
    document = new_endpoint(request, plane.account.arn(ENDPOINT, name), deployment)
    arn = add(plane, ENDPOINT, name, document, request, CREATING)
    plane.endpoints.wake(name)
    return {"EndpointArn": arn}


def check_deployment_config(request: Values) -> None:
    """Check how an endpoint is to be updated.

    Raises:
        ApiError: in a way that this server does not know.
    """
    config = request.get("DeploymentConfig", {})
    routing = config.get("BlueGreenUpdatePolicy", {}).get("TrafficRoutingConfiguration", {}).get("Type", ALL_AT_ONCE)
    alarms = config.get("AutoRollbackConfiguration", {}).get("Alarms")
    if "RollingUpdatePolicy" in config or routing != ALL_AT_ONCE or alarms:
        raise invalid(
            "DeploymentConfig: this server starts the new instances, sends all requests to them once they are healthy, "
            f"and then ends the old ones ({ALL_AT_ONCE}), without alarms."
        )


def deployment_of_config(plane: Plane, name: str) -> Deployment:
    """What a configuration asks for.

    Raises:
        ApiError: it is gone, or one of its models is.
    """
    config = found(plane, CONFIG, name)
    models = {each["ModelName"]: found(plane, MODEL, each["ModelName"]) for each in config["ProductionVariants"]}
    for model in models.values():
        check_model_data(plane, model)
    return new_deployment(config, models)


def describe_endpoint(plane: Plane, request: Values) -> Values:
    name = request["EndpointName"]
    return describe(found(plane, ENDPOINT, name), plane.endpoints.healthy_counts(name))


def list_endpoints(plane: Plane, request: Values) -> Values:
    page = plane.state.select(ENDPOINT, selection_of(request, "Descending"))
    summaries = [
        described(document, "EndpointSummary") | {"EndpointStatus": document["status"]} for document in page.documents
    ]
    return {"Endpoints": summaries, **next_token(page)}


def update_endpoint(plane: Plane, request: Values) -> Values:
    """Let an endpoint be moved to another configuration, without a break."""
    check_deployment_config(request)
    new = deployment_of_config(plane, request["EndpointConfigName"])
    excluded = {each["VariantPropertyType"] for each in request.get("ExcludeRetainedVariantProperties", ())}

    def change(document: Document) -> Deployment:
        old = deployment_of(document, "deployed")
        assert old is not None, "what is in service was deployed"
        if "DeploymentConfig" in request:
            document["LastDeploymentConfig"] = request["DeploymentConfig"]
        return retained(new, old, excluded) if request.get("RetainAllVariantProperties") else new

    return _change(plane, request["EndpointName"], change)


def update_endpoint_weights_and_capacities(plane: Plane, request: Values) -> Values:
    """Let the variants of an endpoint have other weights and numbers of instances."""
    wanted = request["DesiredWeightsAndCapacities"]

    def change(document: Document) -> Deployment:
        deployed = deployment_of(document, "deployed")
        assert deployed is not None, "what is in service was deployed"
        problems = list(_scaling_problems(wanted, deployed))
        if problems:
            raise invalid(" ".join(problems))
        return rescaled(deployed, {each["VariantName"]: each for each in wanted})

    return _change(plane, request["EndpointName"], change)


def _scaling_problems(wanted: list[Values], deployed: Deployment) -> Iterable[str]:
    names = [variant.name for variant in deployed.variants]
    for each in wanted:
        if each["VariantName"] not in names:
            yield f"The endpoint has no variant {each['VariantName']!r}; it has {', '.join(names)}."
        if each.get("DesiredInstanceCount") == 0:
            yield f"DesiredInstanceCount of {each['VariantName']!r} must be at least 1."
        if "ServerlessUpdateConfig" in each:
            yield "ServerlessUpdateConfig is not supported."
    changed = rescaled(deployed, {each["VariantName"]: each for each in wanted})
    if not sum(variant.weight for variant in changed.variants):
        yield "At least one variant must have a weight above 0."


def _change(plane: Plane, name: str, change: Callable[[Document], Deployment]) -> Values:
    """Ask an endpoint for another deployment.

    Raises:
        ApiError: there is no such endpoint, it is not in service, or `change` refuses.
    """
    arn = plane.account.arn(ENDPOINT, name)
    try:
        with plane.state.changing(ENDPOINT, name) as document:
            if document["status"] not in CHANGEABLE:
                raise invalid(f'Cannot update endpoint "{arn}" in status {document["status"]}.')
            deployment = change(document)
            check_instance_count(deployment.instance_count)
            ask_for(document, deployment)
    except MissingError as error:
        raise not_found("endpoint", arn) from error
    plane.endpoints.wake(name)
    return {"EndpointArn": arn}


def delete_endpoint(plane: Plane, request: Values) -> Values:
    """Let an endpoint end, whatever it is doing; asking twice is no error."""
    name = request["EndpointName"]
    try:
        with plane.state.changing(ENDPOINT, name) as document:
            document["status"] = DELETING
    except MissingError as error:
        raise not_found("endpoint", plane.account.arn(ENDPOINT, name)) from error
    plane.endpoints.wake(name)
    return {}


OPERATIONS: dict[str, Operation] = {
    "CreateEndpoint": create_endpoint,
    "DescribeEndpoint": describe_endpoint,
    "ListEndpoints": list_endpoints,
    "UpdateEndpoint": update_endpoint,
    "UpdateEndpointWeightsAndCapacities": update_endpoint_weights_and_capacities,
    "DeleteEndpoint": delete_endpoint,
}
