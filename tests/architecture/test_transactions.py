"""One change holds all that must commit together; nothing waits for the network inside one."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import pytest

from accounts.services.customers import create_customer
from billing.stripe.gateway import ConnectedAccount, Intent
from stackbe.kernel.audit import audit
from stackbe.kernel.ids import new_id
from stackbe.kernel.transactions import change, reading
from tests import databases
from webhooks.models import Event
from webhooks.outbox import emit
from webhooks.sending import __file__ as sending

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

APPS = ("accounts", "apikeys", "billing", "usage", "webhooks", "stackbe/archive", "stackbe/staff", "stackbe/trust")
# What decides; all else of an app asks it to. The sandbox is another program, with a store of its own.
DECIDES = {"services", "backups", "stripe", "dispatch", "management", "migrations", "sandbox"}
# Backups decide and note how they went; tasks, erasure, the outbox and the link's mail are services by another name, each with a reason in its docstring.
DECIDES_TOO = {
    "tasks.py",
    "subjects.py",
    "erasure.py",
    "link_mail.py",
    "outgoing.py",
    "outbox.py",
    "services.py",
    "models.py",
    "developer_subjects.py",
    "factor_subjects.py",
    "member_mail.py",
}
WRITES = {
    "save", "create", "delete", "bulk_create", "bulk_update", "get_or_create", "update_or_create",
    "acreate", "asave", "adelete",
}  # fmt: skip
NETWORK = {"stripe", "requests", "httpx", "pycurl", "urllib3"}
MAY_CALL_OUT = {
    "billing/stripe/gateway.py",
    "webhooks/sending.py",
    "webhooks/fetching.py",
    "webhooks/wire.py",
    "webhooks/dispatch",
    "billing/stripe/sandbox",
    "stackbe/runner",
}


def sources() -> Iterator[tuple[str, Path]]:
    for app in APPS:
        for path in sorted((databases.ROOT / app).rglob("*.py")):
            yield path.relative_to(databases.ROOT).as_posix(), path


def test_an_event_outside_of_a_change_is_refused(acme):
    with pytest.raises(RuntimeError, match="no change"):
        emit(acme.scope, "customer.created", {})
    with reading(acme.scope), pytest.raises(RuntimeError, match="inside reading"):
        emit(acme.scope, "customer.created", {})


def test_an_audit_row_outside_of_a_change_is_refused(acme):
    with pytest.raises(RuntimeError, match="no change"):
        audit(acme.scope, "customer.created", "cust_x")


@pytest.mark.parametrize("opening", [change, reading])
def test_stripe_cannot_be_called_while_a_transaction_is_open(acme, opening):
    account = ConnectedAccount("acct_x")
    calls = {
        "read": lambda: account.fetch("product", "prod_x"),
        "write": lambda: account.create("product", {"name": "x"}, intent=Intent(new_id())),
        "account": account.account,
    }
    for call in calls.values():
        with opening(acme.scope), pytest.raises(RuntimeError, match="while holding a database transaction"):
            call()


def test_changes_do_not_nest(acme):
    for inner in (change, reading):
        with change(acme.scope), pytest.raises(RuntimeError, match="do not nest"), inner(acme.scope):
            pass


def test_a_row_and_its_event_commit_together_or_not_at_all(acme):
    with pytest.raises(ZeroDivisionError), change(acme.scope):
        create_customer(acme.scope, email="grace@example.com")
        _ = 1 / 0
    with reading(acme.scope):
        assert not Event.objects.within(acme.scope).exists()


def test_only_services_and_tasks_write():
    """Views, pages and serializers ask a service: one place decides, announces and audits."""
    found = [
        f"{name}:{node.lineno}"
        for name, path in sources()
        if not (DECIDES & set(path.parts) or path.name in DECIDES_TOO)
        for node in ast.walk(ast.parse(path.read_text()))
        if writes(node)
    ]

    assert found == []


def writes(node: ast.AST) -> bool:
    """Say whether a node is `row.save(…)`, `rows.delete()` or their like; a browser session is no row."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return False
    held = ast.unparse(node.func.value)
    if held.endswith("session"):
        return False
    updates = node.func.attr == "update" and ("objects" in held or "filter(" in held or "within(" in held)
    return updates or (node.func.attr in WRITES and not held.startswith("super"))


def test_the_network_is_reached_from_named_modules_alone():
    """What waits for others is easy to find, and each of these refuses inside a transaction."""
    assert sending.endswith("webhooks/sending.py")
    found = []
    for name, path in sources():
        if any(name.startswith(place) for place in MAY_CALL_OUT):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and node.level == 0 else []
            found += [f"{name}: {n}" for n in names if n.split(".")[0] in NETWORK]

    assert found == []
