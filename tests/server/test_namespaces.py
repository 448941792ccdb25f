"""Namespaces appear with their first use."""

from modelbox.wire.messages import ExperimentCreate, ModelCreate, PageQuery
from modelbox_server.service.context import Caller
from modelbox_server.testing.samples import NAMESPACE
from modelbox_server.wiring import Services


def test_first_use_makes_a_namespace_once(services: Services, caller: Caller) -> None:
    assert services.namespaces.list(caller, PageQuery()).items == []
    services.experiments.create(caller, ExperimentCreate(name="a", namespace=NAMESPACE))
    services.models.create(caller, ModelCreate(name="a", namespace=NAMESPACE))
    services.models.create(caller, ModelCreate(name="a"))
    assert [record.name for record in services.namespaces.list(caller, PageQuery()).items] == ["default", NAMESPACE]


def test_namespaces_come_in_pages(services: Services, caller: Caller) -> None:
    for name in "cab":
        services.models.create(caller, ModelCreate(name="a", namespace=name))
    first = services.namespaces.list(caller, PageQuery(limit=2))
    second = services.namespaces.list(caller, PageQuery(limit=2, page_token=first.next_page_token))
    assert [record.name for record in first.items + second.items] == ["a", "b", "c"]
    assert second.next_page_token is None
