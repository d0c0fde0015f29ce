"""`manage.py rotate_jwt_keys`: replace the key pairs that session tokens are signed with."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from accounts.lookups import known_app
from accounts.models import App, SigningKey
from accounts.services.tokens import PUBLISHED_AHEAD, rotate_signing_key
from stackbe.kernel import ids
from stackbe.kernel.jobs import every_tenant
from stackbe.kernel.scope import system_scope
from stackbe.kernel.transactions import change, reading
from stackbe.trust.services.rotation.telling import tell_owners


class Command(BaseCommand):
    help = (
        "Replace the key pairs of one app or of all. The new key is published now and signs six minutes later;"
        " the old one verifies until its last token has expired. Prints each app with its new key's id."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--app", help="the app's id, app_…")
        which.add_argument("--all", action="store_true", help="every app that has a key")
        parser.add_argument(
            "--at-once",
            action="store_true",
            help="for a key that has leaked: refuse the tokens of all older keys from now on; clients refresh",
        )

    def handle(self, **options: Any) -> None:
        at_once: bool = options["at_once"]
        chosen = self._all() if options["all"] else [self._one(options["app"])]
        for tenant_id, app_id in chosen:
            scope = system_scope(tenant_id, app_id, actor_name="operator")
            with change(scope):
                key = rotate_signing_key(scope, at_once=at_once)
            self.stdout.write(f"{ids.encode(App.id_prefix, app_id)} {key.public_id}")
        for tenant_id in dict.fromkeys(tenant_id for tenant_id, _ in chosen):
            tell_owners(system_scope(tenant_id, actor_name="operator"))
        minutes = int(PUBLISHED_AHEAD.total_seconds() // 60)
        told = "Older tokens are refused now." if at_once else f"The new key signs in {minutes} minutes."
        self.stderr.write(told)

    def _one(self, app_id: str) -> tuple[UUID, UUID]:
        try:
            app = known_app(ids.decode(App.id_prefix, app_id))
        except ids.MalformedId:
            app = None
        if app is None:
            raise CommandError(f"There is no app {app_id}. The dashboard shows an app's id under Settings.")
        return app.tenant_id, app.id

    def _all(self) -> list[tuple[UUID, UUID]]:
        found: list[tuple[UUID, UUID]] = []
        for tenant_id in every_tenant():
            scope = system_scope(tenant_id, actor_name="operator")
            with reading(scope):
                keys = SigningKey.objects.across_apps(scope).filter(retired_at__isnull=True)
                found += [(tenant_id, app_id) for app_id in keys.values_list("app_id", flat=True)]
        return found
