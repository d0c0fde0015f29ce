"""A receiver, and a dispatcher that runs inside the test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.webhooks.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver that answers 200 unless the test sets `answer`."""
    with Receiver() as running:
        yield running
