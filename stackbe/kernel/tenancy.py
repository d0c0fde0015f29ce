"""Rows that belong to a tenant or to one of its apps, and the only way to query them.

Wall 2 of 3: `Model.objects` refuses every query until `.within(scope)`. Row-level security
stands underneath it (walls.py), and the architecture tests above it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar
from uuid import UUID

from django.core.exceptions import ObjectDoesNotExist
from django.db import models

from stackbe.kernel import ids
from stackbe.kernel.errors import NotFound

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope

M_co = TypeVar("M_co", bound=models.Model, covariant=True)


class UnscopedQuery(RuntimeError):
    """A query that named no scope. Always a bug, never a response."""


class ScopedQuerySet(models.QuerySet[M_co]):
    """Rows of one scope."""

    def fetch(self, public_id: str | UUID, error: type[NotFound] = NotFound) -> M_co:
        """Return the row that a public id names, or the API's 404.

        A foreign row, no row and a malformed id look alike to the caller.
        """
        try:
            return self.get(pk=self._uuid(public_id))
        except (ObjectDoesNotExist, ids.MalformedId):
            raise error(f"No such {self.model._meta.verbose_name}.") from None

    def _uuid(self, public_id: str | UUID) -> UUID:
        if isinstance(public_id, UUID):
            return public_id
        return ids.decode(self.model.id_prefix, public_id)  # type: ignore[attr-defined]  # every model here is a Row

    def locked(self) -> Self:
        """Hold the rows until the change ends."""
        return self.select_for_update(of=("self",))


class ScopedManager(models.Manager[M_co]):
    """Refuses every query until it is told whose rows it may see."""

    def get_queryset(self) -> ScopedQuerySet[M_co]:
        """Refuse: there is no such thing as all rows."""
        raise UnscopedQuery(f"{self.model.__name__}.objects needs .within(scope)")

    def within(self, scope: Scope) -> ScopedQuerySet[M_co]:
        """Return the scope's rows: its app's for an app's model, else its tenant's."""
        rows: ScopedQuerySet[M_co] = ScopedQuerySet(self.model, using=self._db)
        if issubclass(self.model, AppOwned):
            return rows.filter(tenant_id=scope.tenant_id, app_id=scope.app)
        return rows.filter(tenant_id=scope.tenant_id)

    def across_apps(self, scope: Scope) -> ScopedQuerySet[M_co]:
        """Return the rows of all apps of the scope's tenant: for upkeep, which no single app asks for."""
        rows: ScopedQuerySet[M_co] = ScopedQuerySet(self.model, using=self._db)
        return rows.filter(tenant_id=scope.tenant_id)


class Row(models.Model):
    """A row with a UUIDv7 key and a prefix under which the public sees it."""

    id_prefix = "row"

    id = models.UUIDField(primary_key=True, default=ids.new_id, editable=False)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        """Name the row without a word of its content."""
        return self.public_id

    @property
    def public_id(self) -> str:
        """Return the id that the API shows."""
        return ids.encode(self.id_prefix, self.id)


class TenantOwned(Row):
    """Base of every row that a tenant owns as a whole."""

    tenant_id = models.UUIDField(editable=False)

    objects: ClassVar[ScopedManager[Self]] = ScopedManager()
    unscoped: ClassVar[models.Manager[Self]] = models.Manager()

    class Meta:
        abstract = True
        default_manager_name = "unscoped"
        base_manager_name = "unscoped"


class AppOwned(TenantOwned):
    """Base of every row that an app owns. Unique constraints of its subclasses name `app_id`."""

    app_id = models.UUIDField(editable=False)

    class Meta(TenantOwned.Meta):
        abstract = True


def owned_by(scope: Scope) -> dict[str, Any]:
    """Return the columns that make a new row the scope's own."""
    return {"tenant_id": scope.tenant_id, "app_id": scope.app}
