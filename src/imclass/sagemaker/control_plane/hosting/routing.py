"""Where each request goes: to a variant by the weights, to the instance of it that has the fewest requests.

Variants take turns, so that the split is as fair as it can be at every moment and not only on average: each request
adds to every variant's credit its weight, the one with the most credit gets it and pays the sum of all weights. With
weights 2 and 1 the order is A B A, A B A, ...
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from imclass.sagemaker.control_plane.hosting.data_capture import DataCapture
from imclass.sagemaker.control_plane.hosting.instance import Instance
from imclass.sagemaker.control_plane.hosting.serving_process import ServingProcess


class NoRouteError(Exception):
    """The endpoint answers no requests, or does not exist."""


class NoVariantError(Exception):
    """The endpoint has no such variant; the message names those that it has."""


class NoInstanceError(Exception):
    """No instance that the request could go to is healthy at the moment."""


@dataclass
class RoutedVariant:
    """A variant as requests see it."""

    name: str
    weight: float
    instances: Sequence[Instance]
    credit: float = field(default=0.0, init=False)
    turn: int = field(default=0, init=False)

    def choose(self, avoided: Instance | None) -> tuple[Instance, ServingProcess] | None:
        """The instance with the fewest requests; of equals, the next in turn."""
        order = [*self.instances[self.turn :], *self.instances[: self.turn]]
        healthy = [(each, each.process) for each in order if each is not avoided and each.process is not None]
        if not healthy:
            return None
        instance, process = min(healthy, key=lambda candidate: candidate[0].requests)
        assert process is not None
        self.turn = (self.instances.index(instance) + 1) % len(self.instances)
        return instance, process


@dataclass(frozen=True)
class Route:
    """Where the requests of an endpoint go, and what is kept of them."""

    variants: Sequence[RoutedVariant]
    capture: DataCapture | None = None

    def choose(self, target: str | None, avoided: Instance | None) -> tuple[RoutedVariant, Instance, ServingProcess]:
        """The variant and its instance for the next request.

        Args:
            target: name of the only variant that is asked for.
            avoided: an instance that has just failed.

        Raises:
            NoVariantError: there is none of this name.
            NoInstanceError: no instance is healthy.
        """
        candidates = [each for each in self.variants if (each.weight > 0 if target is None else each.name == target)]
        if target is not None and not candidates:
            raise NoVariantError(", ".join(each.name for each in self.variants))
        while candidates:
            variant = candidates[0] if target is not None else next_in_turn(candidates)
            if chosen := variant.choose(avoided):
                return variant, *chosen
            candidates = [each for each in candidates if each is not variant]
        raise NoInstanceError


def next_in_turn(variants: Sequence[RoutedVariant]) -> RoutedVariant:
    """The variant whose turn it is; see above."""
    for variant in variants:
        variant.credit += variant.weight
    chosen = max(variants, key=lambda variant: variant.credit)
    chosen.credit -= sum(variant.weight for variant in variants)
    return chosen


@dataclass(frozen=True)
class Lease:
    """What a request got: as long as it has it, the process is not ended."""

    variant: str
    instance: Instance
    process: ServingProcess
    capture: DataCapture | None


class Router:
    """The routes of all endpoints; for any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._routes: dict[str, Route] = {}

    def set(self, endpoint: str, route: Route) -> None:
        """From now on requests go there; those that are under way are not touched."""
        with self._lock:
            self._routes[endpoint] = route

    def remove(self, endpoint: str) -> None:
        """From now on no requests go to the endpoint."""
        with self._lock:
            self._routes.pop(endpoint, None)

    @contextmanager
    def lease(self, endpoint: str, target: str | None = None, avoided: Instance | None = None) -> Iterator[Lease]:
        """An instance for one request, for the time of the block.

        Raises:
            NoRouteError, NoVariantError, NoInstanceError: see there.
        """
        with self._lock:  # between the choice and the count nobody may take the instance for idle
            if endpoint not in self._routes:
                raise NoRouteError
            route = self._routes[endpoint]
            variant, instance, process = route.choose(target, avoided)
            instance.requests += 1
        try:
            yield Lease(variant.name, instance, process, route.capture)
        finally:
            with self._lock:
                instance.requests -= 1
