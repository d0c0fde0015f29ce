"""Make tenants, sessions and links in a database of ours; print what to ask for as JSON.

Links are asked for and minted as the worker mints them, which is measured on the way: it is the other half of
what a link costs.
"""

import json
import re
import sys
import time
from datetime import timedelta

import django
from django.conf import settings
from django.core import mail

from bench import processes

TOKEN = re.compile(r"token=(sbm_\S+)")
RETURN = "https://app.example.com/callback"


def main():
    tenants, sessions, links, postmaster = (int(text) for text in sys.argv[1:5])
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    django.setup()
    apps = [make_app(number, sessions // tenants, links // tenants + 1) for number in range(tenants)]
    asked = {"session": [], "issue": [], "waiting": []}
    for app in apps:
        for name, found in app.items():
            asked[name] += found
    before = time.process_time(), processes.cpu_seconds(processes.children(postmaster))
    redeem = [minted(each) for each in asked.pop("waiting")]
    spent = time.process_time() - before[0]
    spent_there = processes.cpu_seconds(processes.children(postmaster)) - before[1]
    asked |= {
        "redeem": redeem,
        "mint_us": (spent + spent_there) / len(redeem) * 1e6,
        "mint_postgres_us": spent_there / len(redeem) * 1e6,
    }
    print(json.dumps(asked))


def make_app(number, sessions, links):
    # Models and services exist after setup() alone.
    from accounts.lookups import known_app  # noqa: PLC0415
    from accounts.models import App, MagicLink, Tenant  # noqa: PLC0415
    from accounts.services import tokens  # noqa: PLC0415
    from accounts.services.customers import create_customer  # noqa: PLC0415
    from accounts.services.magic_links import LinkKeys, request_magic_link  # noqa: PLC0415
    from accounts.services.sessions import start_session  # noqa: PLC0415
    from apikeys.services.keys import issue_api_key  # noqa: PLC0415
    from stackbe.kernel.ids import encode, new_id  # noqa: PLC0415
    from stackbe.kernel.scope import system_scope  # noqa: PLC0415
    from stackbe.kernel.transactions import change  # noqa: PLC0415

    # Access tokens of 15 minutes would end in the middle of a long run.
    tokens.LONGEST_LIFE = timedelta(days=1)
    tenant_id, app_id = new_id(), new_id()
    scope = system_scope(tenant_id, app_id, actor_name="bench")
    where = f"/v1/apps/{encode('app', app_id)}/auth"
    opened = []
    with change(scope) as unit:
        unit.keys.create_tenant_key(tenant_id)
        Tenant.unscoped.create(id=tenant_id, name=f"company {number}")
        App.unscoped.create(
            id=app_id,
            tenant_id=tenant_id,
            name="app",
            settings={"callback_urls": [RETURN], "access_token_ttl_minutes": 1440, "magic_link_expiry_minutes": 1440},
            api_limit_per_minute=1_000_000,
            session_limit_per_minute=1_000_000,
        )
        _, key = issue_api_key(scope, name="bench", environment="test", app_id=app_id)
        for person in range(max(sessions, links)):
            customer = create_customer(scope, email=f"person-{person}@example.com", name=f"Person {person}")
            if person < sessions:
                opened.append(start_session(scope, customer).access_token)
    app = known_app(app_id)
    with change(scope):
        keys = LinkKeys.of(scope)
        for person in range(links):
            request_magic_link(scope, app, keys, email=f"person-{person}@example.com", redirect_url=RETURN)
        ids = list(MagicLink.objects.within(scope).values_list("pk", flat=True))
    return {
        "session": [{"path": f"{where}/session", "headers": {"Authorization": f"Bearer {each}"}} for each in opened],
        "issue": [{"path": f"{where}/magic-link", "headers": {"Authorization": f"Bearer {key}"}}],
        "waiting": [(f"{where}/verify", str(tenant_id), str(app_id), str(each)) for each in ids],
    }


def minted(link):
    """Run the worker's job for a link; return how it is redeemed."""
    from accounts.link_mail import mail_magic_link  # noqa: PLC0415

    path, tenant_id, app_id, link_id = link
    mail_magic_link(tenant_id=tenant_id, app_id=app_id, link_id=link_id)
    token = TOKEN.search(mail.outbox.pop().body)[1]
    return {"method": "POST", "path": path, "body": {"token": token}}


main()
