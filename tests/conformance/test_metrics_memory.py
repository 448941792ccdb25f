"""The metrics store in memory keeps the promises of every metrics store."""

import pytest

from modelbox_server.storage.interfaces import MetricsStore
from modelbox_server.storage.metrics.memory import MemoryMetricsStore
from modelbox_server.testing.metrics_suite import MetricsStoreSuite


class TestMemoryMetrics(MetricsStoreSuite):
    @pytest.fixture
    def store(self) -> MetricsStore:
        return MemoryMetricsStore()
