"""Row-level security, keys that keep rows within one app, and look-ups by Stripe account."""

from django.db import migrations

from stackbe.kernel.walls import LookupFunction, TenantWall

APPS_OF_ACCOUNT = """
  select c.tenant_id, c.app_id, a.environment::text, a.clock_offset_ms, c.livemode
  from billing_stripeconnection c join accounts_app a on a.id = c.app_id
  where c.account_id = $1 and c.status = 'connected' and a.archived_at is null
  order by c.app_id
"""
CONNECTIONS = """
  select c.tenant_id, c.app_id, a.environment::text, a.clock_offset_ms, c.account_id::text, c.livemode
  from billing_stripeconnection c join accounts_app a on a.id = c.app_id
  where c.status = 'connected' and a.archived_at is null
  order by c.id
"""
CHANGING = """
  select x.tenant_id, x.app_id, x.customer_id, a.environment::text, a.clock_offset_ms
  from billing_access x join accounts_app a on a.id = x.app_id
  where x.changes_at is not null
    and x.changes_at <= $1 + a.clock_offset_ms * interval '1 millisecond'
  order by x.changes_at limit $2
"""
WALLED = [
    "access", "checkout", "defaultaccess", "entitlementoverride", "feature", "invoicereference",
    "plan", "planversion", "price", "product", "stripecustomer", "stripeintent", "stripelease",
    "stripeobject", "subscription", "subscriptiontransition",
]
CUSTOMERS = "accounts_customer"
SAME_APP = [
    ("plan", "product_id", "billing_product"),
    ("planversion", "plan_id", "billing_plan"),
    ("price", "plan_version_id", "billing_planversion"),
    ("stripecustomer", "customer_id", CUSTOMERS),
    ("checkout", "customer_id", CUSTOMERS),
    ("checkout", "plan_id", "billing_plan"),
    ("checkout", "plan_version_id", "billing_planversion"),
    ("checkout", "price_id", "billing_price"),
    ("subscription", "customer_id", CUSTOMERS),
    ("subscription", "plan_id", "billing_plan"),
    ("subscription", "plan_version_id", "billing_planversion"),
    ("subscription", "price_id", "billing_price"),
    ("subscriptiontransition", "subscription_id", "billing_subscription"),
    ("invoicereference", "customer_id", CUSTOMERS),
    ("invoicereference", "subscription_id", "billing_subscription"),
    ("access", "customer_id", CUSTOMERS),
    ("access", "plan_id", "billing_plan"),
    ("access", "subscription_id", "billing_subscription"),
    ("defaultaccess", "plan_id", "billing_plan"),
    ("entitlementoverride", "customer_id", CUSTOMERS),
]


def same_app(table: str, column: str, target: str) -> migrations.RunSQL:
    """Return the foreign key that only takes a row of the same tenant and app."""
    name = f"{table}_{column}_same_app"
    return migrations.RunSQL(
        f"alter table billing_{table} add constraint {name} foreign key (tenant_id, app_id, {column})"
        f" references {target} (tenant_id, app_id, id) deferrable initially deferred",
        f"alter table billing_{table} drop constraint {name}",
    )


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0001_initial"),
        ("accounts", "0002_walls"),
        ("kernel", "0002_walls"),
    ]

    operations = [
        *[TenantWall(f"billing_{table}", app_key=True) for table in WALLED],
        TenantWall("billing_stripeconnection", app_key=True, lookup=True),
        TenantWall("billing_stripeevent", app_key=True, queue=True),
        *[same_app(*key) for key in SAME_APP],
        migrations.RunSQL(
            "revoke update, delete on billing_subscriptiontransition"
            " from stackbe_web, stackbe_worker, stackbe_staff;"
            "create policy lookup_reads on billing_access for select to stackbe_lookup using (true);"
            "grant select (tenant_id, app_id, customer_id, changes_at) on billing_access"
            " to stackbe_lookup;",
            "drop policy lookup_reads on billing_access;",
        ),
        LookupFunction(
            "stripe_apps(account text)",
            "table (tenant_id uuid, app_id uuid, environment text, clock_offset_ms bigint,"
            " livemode boolean)",
            APPS_OF_ACCOUNT,
        ),
        LookupFunction(
            "stripe_connections()",
            "table (tenant_id uuid, app_id uuid, environment text, clock_offset_ms bigint,"
            " account text, livemode boolean)",
            CONNECTIONS,
        ),
        LookupFunction(
            "changing_access(moment timestamptz, most integer)",
            "table (tenant_id uuid, app_id uuid, customer_id uuid, environment text,"
            " clock_offset_ms bigint)",
            CHANGING,
        ),
    ]
