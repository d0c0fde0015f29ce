"""What `bench.scale` stands on: one app with a thousand customers, and how it grows."""

import json
from contextlib import contextmanager

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
# What is kept of each customer besides: their usage, and a copy of the first row of what else there is.
USAGE = """
insert into usage_counter (id, tenant_id, app_id, customer_id, metric_id, period_start, period_end, used, credited,
  carried, passed_on, held, hour_start, hour_used, day_used, reached, billed, billing, updated_at)
select uuidv7(), c.tenant_id, c.app_id, c.id, m.id, date_trunc('month', now(), 'UTC'),
  date_trunc('month', now(), 'UTC') + interval '1 month', 5, 0, 0, 0, 0, date_trunc('hour', now()), 5, 5,
  '{}', 0, 0, now()
from accounts_customer c join usage_metric m on m.app_id = c.app_id;
insert into usage_record
select tenant_id, app_id, customer_id, metric_id, period_start, sha256(id::text::bytea), 5, now() from usage_counter;
insert into usage_bucket
select tenant_id, app_id, customer_id, metric_id, period_start, hour_start - interval '1 hour', 1, 5 from usage_counter;
insert into usage_credit (id, tenant_id, app_id, customer_id, metric_id, quantity, remaining, priority, reason,
  granted_by, created_at)
select uuidv7(), tenant_id, app_id, customer_id, metric_id, 5, 5, 50, '', 'bench', now() from usage_counter;
insert into usage_reservation (id, tenant_id, app_id, customer_id, metric_id, counter_id, quantity, status, expires_at,
  created_at)
select uuidv7(), tenant_id, app_id, customer_id, metric_id, id, 1, 'held', now() + interval '1 hour', now()
from usage_counter;
"""
BY_CUSTOMER = "sha256(c.id::text::bytea)"
COPIED = {
    "kernel_subjectkey": {"id": "uuidv7()", "subject_id": "c.id"},
    "accounts_customersession": {"id": "uuidv7()", "customer_id": "c.id"},
    "accounts_refreshtoken": {"id": "uuidv7()", "session_id": "c.id", "digest": BY_CUSTOMER},
    "accounts_magiclink": {"id": "uuidv7()", "email_index": BY_CUSTOMER, "token_digest": BY_CUSTOMER},
    "apikeys_apikey": {"id": "uuidv7()", "lookup": "left(md5(c.id::text), 8)", "digest": BY_CUSTOMER},
}
COLUMNS = """
select column_name from information_schema.columns
where table_schema = 'public' and table_name = %s and is_generated = 'NEVER' order by ordinal_position
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


def fill(stand, number):
    """Let there be so many customers and so much of what is kept of each; return the tables and their rows."""
    with _owner(stand) as connection:
        connection.execute(CUSTOMERS, [number])
        connection.execute(USAGE)
        for table, instead in COPIED.items():
            names = [name for (name,) in connection.execute(COLUMNS, [table])]
            values = ", ".join(instead.get(name, f"m.{name}") for name in names)
            connection.execute(
                f"insert into {table} ({', '.join(names)}) select {values}"
                f" from accounts_customer c, (select * from {table} limit 1) m on conflict do nothing"
            )
        connection.execute("vacuum analyze")
        found = connection.execute("select relname, reltuples::bigint from pg_class where relkind in ('r', 'p')")
        return dict(found.fetchall())


def tell_plans(stand, settings):
    """Have every statement of the web's role tell its plan."""
    with _owner(stand) as connection:
        for name, value in settings.items():
            connection.execute(f"alter role stackbe_web set {name} = '{value}'")


def more_apps(stand, number):
    """Let there be so many apps, each of a tenant of its own with a key."""
    with _owner(stand) as connection:
        connection.execute(APPS, [number])
        connection.execute("vacuum analyze")
    return number


def exact(stand):
    """Return how many events were counted; stop where the counters hold another number than the records."""
    with _owner(stand) as connection:
        if difference(connection):
            raise SystemExit(f"the counters hold {difference(connection)} more than was recorded")
        return connection.execute("select count(*) from usage_record").fetchone()[0]


def difference(connection):
    """Return by how many units the counters stand above what was recorded with a key."""
    statement = """
    select (select coalesce(sum(used), 0) from usage_counter) - (select coalesce(sum(quantity), 0) from usage_record)
    """
    return int(connection.execute(statement).fetchone()[0])


def soaked(stand, requests):
    """Send so many checks; say what the workers' memory was before and after."""
    before = processes.megabytes(stand.contenders["stackbe"].server.process.pid)
    stand.load("stackbe", "check", 0, least=requests)
    after = processes.megabytes(stand.contenders["stackbe"].server.process.pid)
    return f"memory of the workers: {before:.1f} MB before {requests} checks, {after:.1f} MB after"


@contextmanager
def _owner(stand):
    """Connect as somebody whose rows need no looking up of what they point at: a million of them are copies."""
    with roles.connect(stand.database.url("postgres")) as connection:
        connection.execute("set session_replication_role = replica")
        yield connection
