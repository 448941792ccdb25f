"""What a server does by itself ends with it, however soon that is."""

import asyncio
import threading

from modelbox_server.standalone import StandaloneServer
from modelbox_server.testing.live_server import live_server
from modelbox_server.wiring import Services, ephemeral_services


def beating() -> set[str]:
    return {thread.name for thread in threading.enumerate()} & {"modelbox-background", "modelbox-tidying"}


def test_it_runs_while_the_server_does() -> None:
    opened = threading.Event()

    def slowly() -> Services:
        services = ephemeral_services()
        opened.set()
        return services

    with live_server(slowly):
        assert opened.wait(30)
        while beating() != {"modelbox-background", "modelbox-tidying"}:
            pass
    assert beating() == set()


def test_a_server_that_stops_while_it_opens_its_stores_leaves_nothing_running() -> None:
    stopping = threading.Event()

    def when_it_stops() -> Services:
        assert stopping.wait(30)
        return ephemeral_services()

    async def run() -> None:
        server = StandaloneServer(when_it_stops, port=0)
        await server.start()
        asyncio.get_running_loop().call_later(0.2, stopping.set)
        await server.stop()
        await asyncio.get_running_loop().shutdown_default_executor()

    asyncio.run(run())
    assert stopping.is_set()
    assert beating() == set()
