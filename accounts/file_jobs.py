"""The jobs that import and export customers' files and copy logos. A row is judged as the API judges a customer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from accounts.lookups import known_app
from accounts.serializers import CustomerInput
from accounts.services.exports import EXPORT_CUSTOMERS, run_export
from accounts.services.imports import IMPORT_CUSTOMERS, run_import
from accounts.services.logos import COPY_LOGO, copy_logo
from stackbe.kernel.errors import ValidationFailed
from stackbe.kernel.jobs import job

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope


@job(IMPORT_CUSTOMERS)
def import_customers(tenant_id: str, app_id: str, file_id: str) -> None:
    """Try a file or take it in, from where it stands."""
    scope = _scope(tenant_id, app_id)
    if scope is not None:
        run_import(scope, UUID(file_id), judge)


@job(EXPORT_CUSTOMERS)
def export_customers(tenant_id: str, app_id: str, file_id: str) -> None:
    """Write all customers of an app into a file."""
    scope = _scope(tenant_id, app_id)
    if scope is not None:
        run_export(scope, UUID(file_id))


@job(COPY_LOGO)
def copy_app_logo(tenant_id: str, app_id: str) -> None:
    """Copy the logo that an app names now."""
    scope = _scope(tenant_id, app_id)
    if scope is not None:
        copy_logo(scope)


def judge(values: dict[str, Any]) -> dict[str, Any]:
    """Return a row's values as the API's input shape cleans them; raises `ValidationFailed` as it refuses."""
    given = CustomerInput(data=values)
    if not given.is_valid():
        raise ValidationFailed(fields={name: [str(error) for error in errors] for name, errors in given.errors.items()})
    return dict(given.validated_data)


def _scope(tenant_id: str, app_id: str) -> Scope | None:
    app = known_app(UUID(app_id))
    if app is None or app.closed or app.tenant_id != UUID(tenant_id):
        return None
    return app.system_scope("customer file")
