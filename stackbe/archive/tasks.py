"""Periodic work on deletions, and the list of erasures beside the backups."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings

from stackbe.archive import notices
from stackbe.archive.services import deletion, files
from stackbe.archive.services.reapply import erasure_list
from stackbe.kernel.jobs import every_tenant, periodic
from stackbe.kernel.scope import PLATFORM

# Importing them declares their jobs to the worker.
JOBS = (files.write_archive_job, deletion.erase_tenant_job, notices.mail_deletion_notice)


@periodic("archive.look_after_deletions", "41 * * * *")
def look_after_deletions(timestamp: int) -> None:
    """Remind owners, and erase tenants whose day has come."""
    for tenant_id in every_tenant():
        if tenant_id != PLATFORM:
            deletion.look_after_deletion(tenant_id)


@periodic("archive.keep_erasure_list", "* * * * *")
def keep_erasure_list(timestamp: int) -> None:
    """Write the list of erasures where the operator wants it, whole or not at all."""
    if not settings.ERASURE_LIST:
        return
    path = Path(settings.ERASURE_LIST)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.draft")
    draft.write_text("".join(f"{line}\n" for line in erasure_list()), encoding="utf-8")
    draft.replace(path)
