"""Model fields for what must not lie in the clear."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.models.query_utils import DeferredAttribute

from stackbe.kernel import crypto
from stackbe.kernel.scope import PLATFORM
from stackbe.kernel.transactions import current

if TYPE_CHECKING:
    from uuid import UUID

    from django.db.backends.base.base import BaseDatabaseWrapper


MASK = "•••"

if TYPE_CHECKING:
    Column = models.BinaryField[Any, Any]
else:
    Column = models.BinaryField  # Django's fields take no parameters at run time.


class Ciphertext(bytes):
    """A sealed value as it came from the database, not opened yet."""


class SealedAttribute(DeferredAttribute):
    """Opens the value when it is first read and keeps it on the instance.

    An erased person's value reads as None: the key is gone.
    """

    field: Sealed

    def __get__(self, instance: models.Model | None, cls: Any = None) -> Any:
        """Return the plaintext."""
        value = super().__get__(instance, cls)
        if instance is None or not isinstance(value, Ciphertext):
            return value
        opened = self.field.open(instance, value)
        instance.__dict__[self.field.attname] = opened
        return opened

    def __set__(self, instance: models.Model, value: Any) -> None:
        """Take a plaintext; it is sealed when the row is saved."""
        instance.__dict__[self.field.attname] = value


class Sealed(Column):
    """Text (or JSON) sealed with AES-256-GCM, bound to its table, column and row.

    `subject` names the attribute that holds the person's id; without it the tenant's key is used.
    A model without `tenant_id` belongs to the platform. The value cannot be searched: keep a blind
    index beside it. `mask` is the text that stands for it where the scope is masked (a visit by staff):
    what reads the value must still make sense of that.
    """

    descriptor_class = SealedAttribute

    def __init__(
        self, *args: Any, subject: str | None = None, as_json: bool = False, mask: str | None = None, **kwargs: Any
    ) -> None:
        """Remember whose key to use and what comes out."""
        self.subject = subject
        self.as_json = as_json
        self.mask = mask if mask is not None else json.dumps({MASK: MASK}) if as_json else MASK
        kwargs.setdefault("editable", False)
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> tuple[str, str, Any, dict[str, Any]]:
        """Show migrations a plain binary column: how it is sealed is no matter of theirs."""
        name, _, args, kwargs = super().deconstruct()
        return name or "", "django.db.models.BinaryField", args, kwargs

    def from_db_value(self, value: Any, *_: Any) -> Ciphertext | None:
        """Wrap the column's bytes; they are opened on first read."""
        return None if value is None else Ciphertext(bytes(value))

    def pre_save(self, model_instance: models.Model, add: bool) -> bytes | None:  # noqa: FBT001  # Django's signature
        """Seal what is in the clear; leave alone what was never opened."""
        value = model_instance.__dict__.get(self.attname)
        if value is None or isinstance(value, Ciphertext):
            return value
        text = json.dumps(value, separators=(",", ":")) if self.as_json else value
        return self.seal_row(model_instance.pk, self._key(model_instance), text)

    def seal_row(self, pk: UUID, key: tuple[UUID, bytes], text: str) -> bytes:
        """Return the value of a row that is written without an instance, under a key of the unit's ring."""
        return crypto.seal(key[1], key[0].bytes, text.encode(), self._context(pk))

    def open(self, instance: models.Model, sealed: bytes) -> Any:
        """Return the plaintext of a row's value, None when its subject was erased."""
        text = self.open_row(instance.pk, self._owner(instance), sealed)
        return json.loads(text) if self.as_json and text is not None else text

    def open_row(self, pk: UUID, owner: UUID, sealed: bytes) -> str | None:
        """Return the text of a row that was read without an instance, None when its subject was erased."""
        unit = current()
        try:
            key = unit.keys.key(crypto.key_id_of(sealed), owner)
        except crypto.KeyDestroyed:
            return None
        if unit.scope.masked:
            return self.mask
        return crypto.unseal(key, sealed, self._context(pk)).decode()

    def get_lookup(self, lookup_name: str) -> Any:
        """Allow `isnull` alone: a sealed value has no order and no equality."""
        return super().get_lookup(lookup_name) if lookup_name == "isnull" else None

    def get_db_prep_value(
        self,
        value: Any,
        connection: BaseDatabaseWrapper,
        prepared: bool = False,  # noqa: FBT001, FBT002  # Django's signature
    ) -> Any:
        """Refuse plaintext that did not pass through `pre_save`, as in `update()`."""
        if isinstance(value, str):
            raise TypeError(f"{self.name} is sealed: set it on the instance and save()")
        return super().get_db_prep_value(value, connection, prepared)

    def _owner(self, instance: models.Model) -> UUID:
        owner: UUID = getattr(instance, "tenant_id", PLATFORM)
        return owner

    def _key(self, instance: models.Model) -> tuple[UUID, bytes]:
        keys = current().keys
        if self.subject is None:
            return keys.tenant_key(self._owner(instance))
        subject_id = getattr(instance, self.subject)
        if subject_id is None:
            return keys.tenant_key(self._owner(instance))
        return keys.subject_key(subject_id, self._owner(instance))

    def _context(self, pk: UUID) -> str:
        return f"{self.model._meta.db_table}.{self.column}|{pk}"
