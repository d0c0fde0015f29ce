"""`manage.py export_tenant`: a whole tenant into one signed file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import Tenant
from stackbe.archive.services.leaving import write_tenant
from stackbe.archive.wrapping import SHORTEST, new_wrapping
from stackbe.kernel import attest
from stackbe.kernel.audit import audit
from stackbe.kernel.ids import MalformedId, decode
from stackbe.kernel.scope import system_scope
from stackbe.kernel.transactions import change, snapshot


class Command(BaseCommand):
    help = "Write a tenant, whole and signed, into a file; its keys are wrapped under a passphrase."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("tenant", help="ten_…")
        parser.add_argument("--to", type=Path, required=True)
        parser.add_argument("--passphrase-file", type=Path, required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        passphrase = passphrase_of(options["passphrase_file"])
        try:
            tenant_id = decode("ten", options["tenant"])
        except MalformedId:
            raise CommandError("Name the tenant by its id, such as ten_01jd….") from None
        scope = system_scope(tenant_id, actor_name="operator")
        with change(scope):
            if not Tenant.unscoped.filter(pk=tenant_id, erased_at__isnull=True).exists():
                raise CommandError("No such tenant.")
            attest.public_keys()
            audit(scope, "tenant.exported", options["tenant"])
        wrapping = new_wrapping()
        outer, draft = wrapping.key(passphrase), options["to"].with_name(f"{options['to'].name}.part")
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with open(descriptor, "wb") as out, snapshot(scope):
                rows = write_tenant(scope, out, wrapping, outer)
            draft.replace(options["to"])
        except OSError as failure:
            raise CommandError(f"{options['to']} cannot be written: {failure.strerror}.") from None
        self.stdout.write(f"{rows} rows of {options['tenant']} are in {options['to']}.")


def passphrase_of(file: Path) -> str:
    """Return the passphrase in a file, or say what is wrong with it."""
    try:
        passphrase = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise CommandError(f"{file} cannot be read as text.") from None
    if len(passphrase) < SHORTEST:
        raise CommandError(f"A passphrase has at least {SHORTEST} characters; the archive's keys lie under it alone.")
    return passphrase
