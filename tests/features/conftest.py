"""A real Redis for the tests that ask for one."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests import redis_server
from tests.redis_server import RedisServer


@pytest.fixture(scope="session")
def redis() -> Iterator[RedisServer]:
    """A running Redis; skipped where Redis or its client is not installed, never for want of a server in CI."""
    pytest.importorskip("hiredis", reason="the extra redis is not installed")
    pytest.importorskip("redis", reason="the extra redis is not installed")
    program = redis_server.binary()
    if program is None:
        assert not os.environ.get("CI"), "Redis is not installed: .ci/run installs it"
        pytest.skip("redis-server is not installed")
    with redis_server.server(program) as running:
        yield running
