"""Make tenants, keys, plans and customers in a database of ours; print what to ask for as JSON."""

import json
import sys

import django


def main():
    tenants, customers = int(sys.argv[1]), int(sys.argv[2])
    django.setup()
    # Models and services exist after setup() alone.
    from accounts.models import App, Customer, Tenant, domain_index, email_index  # noqa: PLC0415
    from apikeys.services.keys import issue_api_key  # noqa: PLC0415
    from billing.models import Access, Plan, Product  # noqa: PLC0415
    from stackbe.kernel.ids import new_id  # noqa: PLC0415
    from stackbe.kernel.scope import system_scope  # noqa: PLC0415
    from stackbe.kernel.tenancy import owned_by  # noqa: PLC0415
    from stackbe.kernel.transactions import change  # noqa: PLC0415
    from usage.services.metrics import create_metric  # noqa: PLC0415

    asked = []
    for number in range(tenants):
        tenant_id, app_id = new_id(), new_id()
        scope = system_scope(tenant_id, app_id, actor_name="bench")
        with change(scope) as unit:
            unit.keys.create_tenant_key(tenant_id)
            Tenant.unscoped.create(id=tenant_id, name=f"company {number}")
            App.unscoped.create(id=app_id, tenant_id=tenant_id, name="app", settings={}, hot_limit_per_minute=1_000_000)
            _, key = issue_api_key(scope, name="bench", environment="test", app_id=app_id)
            create_metric(scope, name="api_calls", aggregation="sum", unit="call", resets="month")
            product = Product.unscoped.create(**owned_by(scope), name="Pro", metadata={})
            plan = Plan.unscoped.create(**owned_by(scope), product=product, name="Pro", slug="pro")
            secret = unit.keys.secret("blind_index", app_id)
            people = []
            for person in range(customers):
                email = f"person-{person}@example.com"
                row = Customer(
                    **owned_by(scope),
                    email=email,
                    metadata={},
                    email_index=email_index(secret, email),
                    domain_index=domain_index(secret, email),
                )
                row.save()
                people.append(row)
            Access.unscoped.bulk_create(
                [
                    Access(
                        **owned_by(scope),
                        customer=row,
                        plan_id=plan.id,
                        plan_name="Pro",
                        status="active",
                        source="plan:pro",
                        entitlements={"sso": True, "api_calls": 10**9, "seats": 5, "support": "priority"},
                        limits={"api_calls": {"included": 10**9, "mode": "hard", "resets": "month"}},
                    )
                    for row in people
                ]
            )
            asked.append({"key": key, "customers": [row.public_id for row in people]})
    print(json.dumps(asked))


main()
