"""Where requests go, on instances that are none."""

from collections import Counter
from pathlib import Path
from typing import cast

import pytest

from imclass.sagemaker.control_plane.hosting.instance import Instance
from imclass.sagemaker.control_plane.hosting.routing import (
    NoInstanceError,
    NoRouteError,
    NoVariantError,
    Route,
    RoutedVariant,
    Router,
)
from imclass.sagemaker.control_plane.hosting.serving_process import ServingProcess


def instance(*, is_healthy: bool = True) -> Instance:
    """An instance; of its process only matters whether it has one."""

    def launch(_: Instance) -> ServingProcess:
        raise AssertionError("nothing is started here")

    made = Instance(Path("/nowhere"), 1.0, launch, lambda: None)
    made.process = cast(ServingProcess, object()) if is_healthy else None
    return made


def router_of(*variants: RoutedVariant) -> Router:
    router = Router()
    router.set("e", Route(variants))
    return router


def names(router: Router, count: int, target: str | None = None) -> list[str]:
    chosen = []
    for _ in range(count):
        with router.lease("e", target) as lease:
            chosen.append(lease.variant)
    return chosen


def test_the_split_is_fair_at_every_moment() -> None:
    router = router_of(*(RoutedVariant(name, weight, [instance()]) for name, weight in (("A", 5), ("B", 2), ("C", 1))))
    chosen = names(router, 80)
    for end in range(1, 81):
        counts = Counter(chosen[:end])
        for name, share in (("A", 5 / 8), ("B", 2 / 8), ("C", 1 / 8)):
            assert abs(counts[name] - share * end) < 1.5
    assert Counter(chosen) == {"A": 50, "B": 20, "C": 10}


def test_fractions_of_weights() -> None:
    router = router_of(RoutedVariant("A", 0.9, [instance()]), RoutedVariant("B", 0.1, [instance()]))
    assert Counter(names(router, 1000)) == {"A": 900, "B": 100}


def test_a_variant_without_weight_is_only_asked_by_name() -> None:
    router = router_of(RoutedVariant("A", 0.0, [instance()]), RoutedVariant("B", 1.0, [instance()]))
    assert set(names(router, 10)) == {"B"}
    assert names(router, 2, "A") == ["A", "A"]
    with pytest.raises(NoVariantError, match="A, B"):
        names(router, 1, "C")


def test_the_instance_with_the_fewest_requests_gets_the_next() -> None:
    instances = [instance(), instance(), instance()]
    router = router_of(RoutedVariant("A", 1.0, instances))
    with router.lease("e") as first, router.lease("e") as second:
        assert (first.instance, second.instance) == (instances[0], instances[1])
        with router.lease("e") as third:
            assert third.instance is instances[2]
        with router.lease("e") as fourth:
            assert fourth.instance is instances[2]
    assert [each.requests for each in instances] == [0, 0, 0]


def test_idle_instances_take_turns() -> None:
    instances = [instance(), instance(), instance()]
    router = router_of(RoutedVariant("A", 1.0, instances))
    chosen = []
    for _ in range(6):
        with router.lease("e") as lease:
            chosen.append(lease.instance)
    assert chosen == instances * 2


def test_ill_instances_and_their_variants_are_passed_over() -> None:
    ill, avoided, healthy = instance(is_healthy=False), instance(), instance()
    router = router_of(
        RoutedVariant("A", 5.0, [ill]), RoutedVariant("B", 1.0, [avoided, healthy]), RoutedVariant("C", 1.0, [ill])
    )
    assert set(names(router, 10)) == {"B"}
    for _ in range(3):
        with router.lease("e", avoided=avoided) as lease:
            assert lease.instance is healthy
    with pytest.raises(NoInstanceError):
        names(router, 1, "A")


def test_routes_come_and_go_beside_requests() -> None:
    old, new = instance(), instance()
    router = router_of(RoutedVariant("A", 1.0, [old]))
    with router.lease("e") as lease:
        router.set("e", Route([RoutedVariant("A", 1.0, [new])]))
        assert (lease.instance, old.requests) == (old, 1)
        with router.lease("e") as later:
            assert later.instance is new
    assert old.requests == 0
    router.remove("e")
    router.remove("e")
    with pytest.raises(NoRouteError):
        names(router, 1)


def test_a_request_that_fails_is_over_too() -> None:
    busy = instance()
    router = router_of(RoutedVariant("A", 1.0, [busy]))
    with pytest.raises(ZeroDivisionError), router.lease("e"):
        raise ZeroDivisionError
    assert busy.requests == 0
