"""API keys that were found in public: refused from the next request on, and their owners told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apikeys.authentication import find, genuine
from apikeys.models import ApiKey
from apikeys.services.keys import revoke_api_key
from apikeys.text import read
from stackbe.kernel.audit import audit
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.jobs import enqueue
from stackbe.kernel.scope import system_scope
from stackbe.kernel.transactions import change
from stackbe.trust.leak_mail import mail_leaked_key

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_PLACE = 500


def revoke_leaked(token: str, told: Mapping[str, str]) -> bool:
    """Revoke the key that a token is, and say whether it is one: a secret of ours, dead or alive.

    A token that only looks like one is no key, and a publishable key is public by design. The owners are mailed once: a
    second report of the same key changes nothing.
    """
    text = read(token)
    found = find(text) if text is not None else None
    if text is None or found is None or found.kind != ApiKey.Kind.SECRET or not genuine(text, found):
        return False
    scope = system_scope(found.tenant_id, actor_name="secret scanning")
    with change(scope):
        row = ApiKey.objects.within(scope).locked().get(pk=found.id)
        if row.revoked_at is None or row.revoked_at > wall_clock():
            revoke_api_key(scope, row)
            detail = {name: str(told.get(name, ""))[:LONGEST_PLACE] for name in ("url", "source")}
            audit(scope, "api_key.leaked", row.public_id, detail=detail)
            enqueue(mail_leaked_key, tenant_id=str(scope.tenant_id), key_id=str(row.id))
    return True
