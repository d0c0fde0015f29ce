"""What the benchmark of the dispatcher does inside of Django: fill the queue, time claims, make events.

    python3 -m bench.inside fill URL TENANTS ENDPOINTS EVENTS | claims ROUNDS | announce PER_SECOND SECONDS

Each prints one line of JSON.
"""

import json
import statistics
import sys
import time

from django.db import connection

from accounts.models import App, Tenant
from stackbe.kernel.ids import new_id
from stackbe.kernel.scope import system_scope
from stackbe.kernel.transactions import change
from webhooks.dispatch.fanout import fan_out
from webhooks.dispatch.queue import Room, claim
from webhooks.dispatch.record import release
from webhooks.outbox import emit, write_event
from webhooks.services.endpoints import create_endpoint

BODY = {
    "subscription": {"id": "sub_01jd8x6g3qfk2r9v5m7t0n4b8c", "status": "active", "quantity": 1, "planId": "plan_x"},
    "customer": {"id": "cust_01jd8x6g3qfk2r9v5m7t0n4b8c", "email": "person@example.com", "metadata": {"a": "b" * 200}},
    "plan": {"id": "plan_01jd8x6g3qfk2r9v5m7t0n4b8c", "name": "Pro", "priceCents": 2900, "entitlements": {"sso": True}},
}
AT_ONCE = 200


def company(number):
    """Make a tenant with an app; return its scope."""
    tenant_id, app_id = new_id(), new_id()
    scope = system_scope(tenant_id, app_id, actor_name="bench")
    with change(scope) as unit:
        unit.keys.create_tenant_key(tenant_id)
        Tenant.unscoped.create(id=tenant_id, name=f"company {number}")
        App.unscoped.create(id=app_id, tenant_id=tenant_id, name="app", settings={})
    return scope


def scopes():
    """Return the companies that `fill` made."""
    with connection.cursor() as cursor:
        cursor.execute("select id from lookup.tenants()")
        tenants = [row[0] for row in cursor.fetchall()]
    found = []
    for tenant in tenants:
        with connection.cursor() as cursor:
            cursor.execute("select app_id from webhooks_event where tenant_id = %s limit 1", [tenant])
            row = cursor.fetchone()
        if row:
            found.append(system_scope(tenant, row[0], actor_name="bench"))
    return found


def fill(url, tenants, endpoints, events):
    """Queue events for so many endpoints of each tenant; tell how fast they were fanned out."""

    spent = 0.0
    for number in range(tenants):
        scope = company(number)
        with change(scope):
            for one in range(endpoints):
                create_endpoint(scope, url=f"{url}/{number}/{one}")
        for begin in range(0, events // tenants, AT_ONCE):
            with change(scope):
                for _ in range(min(AT_ONCE, events // tenants - begin)):
                    write_event(scope, "subscription.created", BODY)
        began = time.perf_counter()
        while fan_out(scope):
            pass
        spent += time.perf_counter() - began
    return {"deliveries": events // tenants * tenants * endpoints, "fan_out_seconds": spent}


def claims(rounds):
    """Time claims of a full round of places; each is given back."""

    took, got = [], 0
    for _ in range(rounds):
        began = time.perf_counter()
        claimed = claim(Room(512, 16, 128), {}, {})
        took.append((time.perf_counter() - began) * 1000)
        got = len(claimed)
        release(claimed)
    return {"claimed": got, "p50_ms": statistics.median(took), "max_ms": max(took)}


def announce(per_second, seconds):
    """Make so many events a second, evenly, each in a change of its own."""

    known = scopes()
    began = time.perf_counter()
    for number in range(per_second * seconds):
        time.sleep(max(0.0, began + number / per_second - time.perf_counter()))
        scope = known[number % len(known)]
        with change(scope):
            emit(scope, "customer.updated", BODY)
    return {"events": per_second * seconds, "seconds": time.perf_counter() - began}


def main():
    """Do what the command line says."""
    work = {"fill": fill, "claims": claims, "announce": announce}[sys.argv[1]]
    print(json.dumps(work(*(int(part) if part.isdigit() else part for part in sys.argv[2:]))))
