"""Sets the environment before Django's settings are read, and starts the tests' own PostgreSQL.

Loaded by `-p tests.plugin` in pytest.ini: pytest-django reads the settings before any conftest.
"""

from __future__ import annotations

import base64
import os
import secrets
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit, urlunsplit

from stackbe.runner import devdb

if TYPE_CHECKING:
    import pytest

ROLES = {
    "DATABASE_URL": "stackbe_web",
    "DATABASE_OWNER_URL": "stackbe_owner",
    "DATABASE_WORKER_URL": "stackbe_worker",
    "DATABASE_STAFF_URL": "stackbe_staff",
}


def as_role(url: str, role: str, database: str) -> str:
    """Return the URL of a database whose connections become a role as they open."""
    parts = urlsplit(url)
    query = f"{parts.query}&options={quote(f'-c role={role}')}"
    return urlunsplit((parts.scheme, parts.netloc, f"/{database}", query, ""))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hand out single tests, and the files of a group to one worker process."""
    if config.getvalue("dist") != "loadgroup":
        return None
    from tests.groups import Groups  # noqa: PLC0415  # pytest wants to load pytest-xdist itself, which it has by now

    return Groups(config, log)


def _set_environment() -> None:
    maintenance, _ = devdb.start_for_tests()
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    database = f"stackbe_{worker}_{os.getpid()}"
    os.environ["STACKBE_TEST_MAINTENANCE_URL"] = maintenance
    os.environ["STACKBE_TEST_DATABASE"] = database
    for variable, role in ROLES.items():
        os.environ[variable] = as_role(maintenance, role, database)
    os.environ |= {
        "STACKBE_ENV": "test",
        "STACKBE_ROLE": "web",
        "BASE_URL": "http://localhost:8000",
        "SECRET_KEY": "a-secret-of-the-tests-alone-that-opens-nothing-else-0123456789",
        "STACKBE_MASTER_KEY": f"test:{base64.b64encode(secrets.token_bytes(32)).decode()}",
        "STACKBE_ALLOW_LOCAL_WEBHOOKS": "1",
        "STRIPE_SECRET_KEY": "sk_test_ofTheTestsAlone",
        "STRIPE_CLIENT_ID": "ca_ofTheTestsAlone",
        "STRIPE_API_BASE": "http://127.0.0.1:9",
        "STRIPE_CONNECT_BASE": "http://127.0.0.1:9",
        "STRIPE_PLATFORM_ENDPOINT_ID": "0199aaaa-0000-4000-8000-000000000001",
        "STRIPE_CONNECT_ENDPOINT_ID": "0199aaaa-0000-4000-8000-000000000002",
        "STRIPE_PLATFORM_WEBHOOK_SECRETS": "whsec_platformOfTheTests",
        "STRIPE_CONNECT_WEBHOOK_SECRETS": "whsec_connectOfTheTests",
        "LOG_LEVEL": "ERROR",
    }
    os.environ.pop("REDIS_URL", None)
    os.environ.pop("EMAIL_URL", None)


_set_environment()
