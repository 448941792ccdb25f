"""Page tokens: opaque to honest users, harmless from others."""

import pytest

from modelbox.entities.records import ExperimentRecord, Json
from modelbox.errors import InvalidQuery
from modelbox.wire.messages import ExperimentCreate, ExperimentsQuery
from modelbox_server.service.context import Caller
from modelbox_server.service.paging import query_bytes, sealed
from modelbox_server.storage.interfaces import Order
from modelbox_server.wiring import Services


@pytest.mark.parametrize(
    "position",
    [
        None,
        "a",
        1,
        {},
        [],
        [1],
        [1, 2],
        [None, "a"],
        [{"us": 1}, "a", "b"],
        [{"us": 2**62}, "a"],
        [{"us": "1"}, "a"],
        [{"x": 1}, "a"],
        ["a", "b"],
    ],
)
def test_a_token_that_somebody_made_up_is_refused(services: Services, caller: Caller, position: Json) -> None:
    """The digest is no secret; what it covers is still checked."""
    services.experiments.create(caller, ExperimentCreate(name="e"))
    query = query_bytes(ExperimentRecord, [], Order("created_at", descending=True))
    token = sealed(position, query)
    with pytest.raises(InvalidQuery):
        services.experiments.list(caller, ExperimentsQuery(page_token=token))
