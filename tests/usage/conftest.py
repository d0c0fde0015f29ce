"""A customer on a plan, with metrics."""

from __future__ import annotations

import pytest

from tests.usage.stage import Subscriber, make_subscriber


@pytest.fixture
def ada(acme) -> Subscriber:
    """Acme's customer: 10 API calls a month, hard; 5 exports ever, soft."""
    return make_subscriber(acme)
