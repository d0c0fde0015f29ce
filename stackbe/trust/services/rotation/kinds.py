"""The kinds of keys that `manage.py rotate_keys` knows, in the order in which it takes them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from stackbe.kernel import attest
from stackbe.kernel.models import SubjectKey, TenantSecret
from stackbe.kernel.scope import PLATFORM
from stackbe.trust.services.rotation import keys, peppers, tokens, values

if TYPE_CHECKING:
    from datetime import datetime

    from stackbe.kernel.scope import Scope


class Kind(ABC):
    """One kind of key. `moment` parts what is old, and will be replaced, from what is young enough."""

    name: ClassVar[str]
    says: ClassVar[str]
    only_by_name: ClassVar[bool] = False

    @abstractmethod
    def pending(self, scope: Scope, moment: datetime) -> int:
        """Return how many rows of a tenant a run would touch."""

    @abstractmethod
    def rotate(self, scope: Scope, moment: datetime, faults: list[str]) -> int:
        """Do it; return how many rows were touched, and name in `faults` what could not be read."""


class Master(Kind):
    """The key of the environment."""

    name, says = "master", "tenant keys wrapped by the current master key"

    def pending(self, scope: Scope, moment: datetime) -> int:
        """Return the tenant's keys that another master key wraps."""
        return keys.under_another_master(scope)

    def rotate(self, scope: Scope, moment: datetime, faults: list[str]) -> int:
        """Wrap them anew."""
        return keys.rewrap_under_master(scope)


class TenantKeys(Kind):
    """A tenant's own key."""

    name, says = "tenant", "secrets wrapped and rows sealed by tenants' newest keys"

    def pending(self, scope: Scope, moment: datetime) -> int:
        """Return all that lies under the tenant's older keys, or under any where it is due a new one."""
        under = keys.all_keys(scope) if keys.key_is_older(scope, moment) else None
        return keys.wrapped_by(scope, TenantSecret, under) + values.under_keys(scope, under)

    def rotate(self, scope: Scope, moment: datetime, faults: list[str]) -> int:
        """Make a key where the newest is old, and move what lies under others."""
        keys.replace_tenant_key(scope, moment)
        return keys.rewrap_secrets(scope) + values.reseal(scope, faults)


class SubjectKeys(Kind):
    """People's keys, which tenants' keys wrap."""

    name, says = "subject", "people's keys wrapped by tenants' newest keys"

    def pending(self, scope: Scope, moment: datetime) -> int:
        """Return the tenant's subject keys that an older key wraps, or all where it is due a new one."""
        return keys.wrapped_by(scope, SubjectKey, keys.all_keys(scope) if keys.key_is_older(scope, moment) else None)

    def rotate(self, scope: Scope, moment: datetime, faults: list[str]) -> int:
        """Wrap them anew."""
        return keys.rewrap_subject_keys(scope)


class Peppers(Kind):
    """What API keys and codes are hashed with."""

    name, says = "pepper", "peppers that are new; API keys follow when they are next used"

    def pending(self, scope: Scope, moment: datetime) -> int:
        """Return whether the tenant's is old."""
        return int(peppers.is_old(scope, peppers.PEPPER, moment))

    def rotate(self, scope: Scope, moment: datetime, faults: list[str]) -> int:
        """Replace it."""
        return int(peppers.replace_secret(scope, peppers.PEPPER, moment))


class Attestation(Kind):
    """What this instance signs archives, receipts and heads of the audit log with."""

    name, says = "attestation", "new key for signing archives, receipts and heads; the old one stays published"

    def pending(self, scope: Scope, moment: datetime) -> int:
        """Return whether it is old; it is the platform's."""
        return int(scope.tenant_id == PLATFORM and peppers.is_old(scope, attest.KIND, moment))

    def rotate(self, scope: Scope, moment: datetime, faults: list[str]) -> int:
        """Replace it."""
        return int(scope.tenant_id == PLATFORM and peppers.replace_secret(scope, attest.KIND, moment))


class SigningKeys(Kind):
    """Apps' key pairs of session tokens."""

    name, says = "jwt", "apps with a new key pair for session tokens, which signs in six minutes"

    def pending(self, scope: Scope, moment: datetime) -> int:
        """Return the apps with an old one."""
        return len(tokens.old_signing_keys(scope, moment))

    def rotate(self, scope: Scope, moment: datetime, faults: list[str]) -> int:
        """Give them new ones."""
        return tokens.rotate_signing_keys(scope, moment)


class EndpointSecrets(Kind):
    """Secrets that outgoing webhooks are signed with: their receivers hold them too, so only when asked for."""

    name, says = "webhook", "endpoints with a new secret; the old one signs along for 24 hours"
    only_by_name = True

    def pending(self, scope: Scope, moment: datetime) -> int:
        """Return the endpoints with an old one."""
        return len(tokens.old_endpoint_secrets(scope, moment))

    def rotate(self, scope: Scope, moment: datetime, faults: list[str]) -> int:
        """Give them new ones."""
        return tokens.rotate_endpoint_secrets(scope, moment)


KINDS: tuple[Kind, ...] = (
    Master(),
    TenantKeys(),
    SubjectKeys(),
    Peppers(),
    Attestation(),
    SigningKeys(),
    EndpointSecrets(),
)


def retire_where_done(scope: Scope, moment: datetime) -> None:
    """Mark a tenant's older keys as done with, once nothing that may be changed lies under them."""
    if not any(kind.pending(scope, moment) for kind in KINDS if kind.name in {"tenant", "subject"}):
        keys.retire_older(scope)
