"""Stripe in the tests: the sandbox runs as its own process, and our settings point at it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from billing.models import StripeConnection
from billing.stripe.connect import connect_sandbox_account
from tests.stack import free_port
from tests.stripe import sandbox as process

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cast import Company
    from tests.stripe.sandbox import Sandbox


@pytest.fixture(scope="session")
def sandbox_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """One sandbox for all tests of a worker process; every test has accounts of its own on it."""
    running = process.start(free_port(), tmp_path_factory.mktemp("sandbox") / "state.sqlite")
    yield running
    process.stop(running)


@pytest.fixture
def stripe(sandbox_process: Sandbox, settings: Any) -> Iterator[Sandbox]:
    """The sandbox, free of faults, with our settings pointing at it."""
    settings.STRIPE_API_BASE = settings.STRIPE_CONNECT_BASE = sandbox_process.url
    settings.STRIPE_SANDBOX = True
    settings.STRIPE_TIMEOUT_SECONDS = 4
    yield sandbox_process
    sandbox_process.heal()


@pytest.fixture
def connected(stripe: Sandbox, acme: Company) -> StripeConnection:
    """Acme's app, connected to a fresh account."""
    return connect_sandbox_account(acme.scope)
