"""The key that asks for a sign-in link, read in one call: see the migration of `apikeys_link_wanted`."""

from __future__ import annotations

import json
from typing import NamedTuple
from uuid import UUID

from accounts.lookups import KnownApp
from accounts.services.magic_links import LinkKeys
from apikeys.hot import COUNTED, Proof, allowance, forget
from stackbe.kernel import crypto
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.ids import encode
from stackbe.kernel.limits import Allowance
from stackbe.kernel.statements import Statement


class Row(NamedTuple):
    """The row of that call. `settings` is the text of JSON; what is sealed stays so."""

    outcome: str
    key_id: UUID
    tenant_id: UUID
    app_id: UUID
    scopes: str
    api_limit: int
    remaining: int
    reset_ms: int
    name: str
    environment: str
    clock_offset_ms: int
    settings: str
    tenant_key_id: UUID | None
    tenant_key: bytes | None
    index_key: bytes | None
    index_sealed_by: UUID | None
    index_sealing_key: bytes | None

    @property
    def allowance(self) -> Allowance:
        """Return what the key's limit answered."""
        return allowance(self.outcome, self.api_limit, self.remaining, self.reset_ms)

    @property
    def actor(self) -> str:
        """Return the key as logs name it."""
        return encode("key", self.key_id)

    @property
    def app(self) -> KnownApp:
        """Return the key's app, which is in service."""
        settings = json.loads(self.settings)
        return KnownApp(
            self.app_id, self.tenant_id, self.name, self.environment, self.clock_offset_ms, settings, closed=False
        )

    def may(self, scope: str) -> bool:
        """Say whether the key carries the scope, by name or by `*`."""
        return bool({scope, "*"} & set(self.scopes.split()))

    def opened(self) -> LinkKeys | None:
        """Return the keys that a link takes; None where the app has none yet."""
        if self.tenant_key is None or self.tenant_key_id is None:
            return None
        if self.index_key is None or self.index_sealing_key is None or self.index_sealed_by is None:
            return None
        sealing = crypto.open_tenant_key(self.index_sealing_key, self.tenant_id, self.index_sealed_by)
        context = crypto.secret_context(self.tenant_id, self.app_id, "blind_index")
        return LinkKeys(
            index=crypto.open_secret(self.index_key, sealing, context),
            key_id=self.tenant_key_id,
            key=crypto.open_tenant_key(self.tenant_key, self.tenant_id, self.tenant_key_id),
        )


COLUMNS = ", ".join("array_to_string(scopes, ' ')" if name == "scopes" else name for name in Row._fields)
WANTED = Statement("apikeys_link_wanted", f"select {COLUMNS} from apikeys_link_wanted(%s, %s, %s, %s)")  # noqa: S608  # our own column names


def link_wanted(proof: Proof) -> Row | None:
    """Prove and count a key; None where the ordinary way must answer."""
    row = Row(*WANTED.row(proof.text.lookup, proof.digest, proof.wanted_app, wall_clock()))
    if row.outcome not in COUNTED:
        forget(proof, row.outcome)
        return None
    return row
