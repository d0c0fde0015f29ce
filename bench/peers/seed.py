"""Make the peers' tables, their function, companies, keys and customers; print what to ask for as JSON."""

import hashlib
import json
import secrets
import sys
from datetime import UTC, datetime

import django
from django.core.management import call_command
from django.db import connection, transaction


def main():
    companies, customers = int(sys.argv[1]), int(sys.argv[2])
    django.setup()
    from bench.peers import models, statements  # noqa: PLC0415  # models exist after setup() alone

    call_command("migrate", run_syncdb=True, verbosity=0)
    asked = []
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(statements.TRACK_FUNCTION)
        for number in range(companies):
            company = models.Company.objects.create(name=f"company {number}")
            _, key = models.CompanyKey.objects.create_key(company=company, name="bench")
            models.Key.objects.create(company=company, digest=hashlib.sha256(key.encode()).digest())
            plan = models.Plan.objects.create(company=company, slug="pro")
            for name in ("sso", "api_calls"):
                feature = models.Feature.objects.create(company=company, name=name)
                models.Grant.objects.create(plan=plan, feature=feature, limit=10**9)
            people = models.Customer.objects.bulk_create(
                [models.Customer(company=company, reference=f"cust_{secrets.token_hex(13)}") for _ in range(customers)]
            )
            start = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
            models.Subscription.objects.bulk_create(
                [models.Subscription(customer=p, plan=plan, status="active", period_start=start) for p in people]
            )
            asked.append({"key": key, "customers": [p.reference for p in people]})
    with connection.cursor() as cursor:
        cursor.execute("analyze")
    print(json.dumps(asked))


main()
