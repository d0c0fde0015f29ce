"""What `bench.scale` stands on: one app with a thousand customers, and how it grows."""

import json
from contextlib import contextmanager
from pathlib import Path

from bench import processes, rounds
from bench.stand import Contender, analyze, database_in, make_peers_databases, run
from stackbe.kernel.ids import encode
from stackbe.runner import roles

CUSTOMERS = """
with model as (select * from accounts_customer order by id limit 1), made as (
  insert into accounts_customer (id, tenant_id, app_id, email, email_index, domain_index, metadata, created_at,
    updated_at)
  select uuidv7(), m.tenant_id, m.app_id, m.email, sha256(('email' || n)::bytea),
    sha256(('domain' || mod(n, 1000))::bytea), m.metadata, now(), now()
  from model m, generate_series(1, %s::int - (select count(*)::int from accounts_customer)) n
  returning id, tenant_id, app_id
)
insert into billing_access (id, tenant_id, app_id, customer_id, plan_id, plan_name, status, source, entitlements,
  limits, overrides, version, updated_at)
select uuidv7(), c.tenant_id, c.app_id, c.id, a.plan_id, a.plan_name, a.status, a.source, a.entitlements, a.limits,
  a.overrides, 1, now()
from made c, (select * from billing_access order by id limit 1) a
"""
APPS = """
with companies as (
  insert into accounts_tenant (id, name, created_at)
  select uuidv7(), 'company ' || n, now() from generate_series(1, %s::int - (select count(*)::int from accounts_app)) n
  returning id
), apps as (
  insert into accounts_app (id, tenant_id, name, environment, settings, clock_offset_ms, api_limit_per_minute,
    hot_limit_per_minute, session_limit_per_minute, created_at, updated_at)
  select uuidv7(), id, 'app', 'test', '{}', 0, 1000, 60000, 100, now(), now() from companies
  returning id, tenant_id
)
insert into apikeys_apikey (id, tenant_id, app_id, kind, environment, name, prefix, lookup, digest, text, scopes,
  allowed_ips, created_at)
select uuidv7(), a.tenant_id, a.id, k.kind, k.environment, k.name, 'sbk_test_' || left(md5(a.id::text), 8),
  left(md5(a.id::text), 8), sha256(a.id::text::bytea), k.text, k.scopes, k.allowed_ips, now()
from apps a, (select * from apikeys_apikey where kind = 'secret' order by id limit 1) k
on conflict do nothing
"""
SOME = "select id from accounts_customer tablesample system_rows(1000)"


@contextmanager
def small(folder, customers):
    """Stand up one app with so many customers, beside the plain view."""
    with database_in(folder) as stand:
        make_peers_databases(stand.database)
        numbers = ["1", str(customers)]
        [ours] = json.loads(run(["-m", "bench.seed", *numbers], stand.ours))
        peers = json.loads(run(["-m", "bench.peers.seed", *numbers], stand.peers | {"PEER": "drf"}))
        analyze(stand.database)
        asked = {"check": [ours], "track": [ours], "hot": [one_customer(ours)], "batch": [ours]}
        server = stand.django("stackbe", "stackbe.wsgi", stand.ours)
        plain = stand.django("plain", "bench.peers.wsgi", stand.peers | {"PEER": "plain"})
        stand.contenders = {
            "stackbe": Contender(server, asked, rounds.PROXIED),
            "plain": Contender(plain, {"check": peers, "track": peers, "hot": [one_customer(peers[0])]}),
        }
        for each in stand.servers:
            each.wait()
        yield stand


def one_customer(asked):
    """Return the same for one customer alone."""
    return {**asked, "customers": asked["customers"][:1]}


def more_customers(stand, number):
    """Let the app have so many customers; a thousand of all of them are asked for from now on."""
    with _owner(stand) as connection:
        connection.execute("create extension if not exists tsm_system_rows")
        connection.execute(CUSTOMERS, [number])
        connection.execute("vacuum analyze")
        found = [encode("cust", row[0]) for row in connection.execute(SOME)]
    [ours] = stand.contenders["stackbe"].asked["check"]
    stand.contenders["stackbe"].asked["check"] = [{**ours, "customers": found}]
    return number


def more_apps(stand, number):
    """Let there be so many apps, each of a tenant of its own with a key."""
    with _owner(stand) as connection:
        connection.execute(APPS, [number])
        connection.execute("vacuum analyze")
    return number


def exact(stand):
    """Return how many events were counted; stop where the counters hold another number than the records."""
    with _owner(stand) as connection:
        (counted,) = connection.execute("select coalesce(sum(used), 0)::bigint from usage_counter").fetchone()
        (recorded,) = connection.execute("select count(*) from usage_record").fetchone()
    if counted != recorded:
        raise SystemExit(f"{counted} counted, {recorded} recorded")
    return counted


def soaked(stand, requests):
    """Send so many checks; say what the workers' memory was before and after."""
    before = _megabytes(stand)
    stand.load("stackbe", "check", 0, least=requests)
    after = _megabytes(stand)
    return f"memory of the workers: {before:.1f} MB before {requests} checks, {after:.1f} MB after"


def _megabytes(stand):
    """Return the resident memory of the workers that is theirs alone."""
    total = 0
    for pid in processes.children(stand.contenders["stackbe"].server.process.pid):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))
    return total / 1024


def _owner(stand):
    return roles.connect(stand.database.url("postgres"))
