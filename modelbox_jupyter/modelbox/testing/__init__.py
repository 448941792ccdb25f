"""For the tests of code that uses ModelBox: connections that leave nothing behind, and stores that fail on demand.

>>> import modelbox.testing
>>> with modelbox.testing.memory_connection() as box:
...     with box.start("demo") as run:
...         run.log(loss=0.5)
...     run.all_metrics()["loss"][0].value
0.5

:mod:`modelbox.testing.fixtures` has the same as pytest fixtures.
"""

from modelbox.testing.connections import memory_connection
from modelbox.testing.faulty import FaultyTransport

__all__ = ["FaultyTransport", "memory_connection"]
