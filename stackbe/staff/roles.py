"""What each staff role may see and do. One table, walked by a test over every console URL."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from accounts.models import User

if TYPE_CHECKING:
    from collections.abc import Mapping

SUPPORT, BILLING = User.StaffRole.SUPPORT, User.StaffRole.BILLING
SECURITY, ADMINISTRATOR = User.StaffRole.SECURITY, User.StaffRole.ADMINISTRATOR
EVERYONE = frozenset({SUPPORT, BILLING, SECURITY, ADMINISTRATOR})


class Power(StrEnum):
    """Something that a role may do in the console."""

    REVEAL = "reveal"  # see a person's address or name, with a reason
    SUSPEND = "suspend"  # stop a tenant, an app or a key, and let it go on
    VISIT = "visit"  # look through a tenant's dashboard, with its consent
    RERUN = "rerun"  # process a Stripe event again, send a webhook again
    RETRY = "retry"  # put a job that was given up back into the queue
    ANSWER = "answer"  # answer tickets and put them away
    VERIFY = "verify"  # have an audit chain gone through now
    APPOINT = "appoint"  # give and take staff roles


POWERS: Mapping[Power, frozenset[User.StaffRole]] = {
    Power.REVEAL: frozenset({SUPPORT, SECURITY, ADMINISTRATOR}),
    Power.SUSPEND: frozenset({SECURITY, ADMINISTRATOR}),
    Power.VISIT: frozenset({SUPPORT, SECURITY, ADMINISTRATOR}),
    Power.RERUN: frozenset({BILLING, ADMINISTRATOR}),
    Power.RETRY: frozenset({SECURITY, ADMINISTRATOR}),
    Power.ANSWER: frozenset({SUPPORT, SECURITY, ADMINISTRATOR}),
    Power.VERIFY: frozenset({SECURITY, ADMINISTRATOR}),
    Power.APPOINT: frozenset({ADMINISTRATOR}),
}

# Which roles see which lists. What is not named here is seen by nobody.
VIEWS: Mapping[str, frozenset[User.StaffRole]] = {
    "accounts.Tenant": EVERYONE,
    "accounts.App": EVERYONE,
    "accounts.Customer": EVERYONE,
    "accounts.User": frozenset({SECURITY, ADMINISTRATOR}),
    "apikeys.ApiKey": frozenset({SUPPORT, SECURITY, ADMINISTRATOR}),
    "billing.Plan": EVERYONE,
    "billing.Subscription": EVERYONE,
    "billing.InvoiceReference": frozenset({SUPPORT, BILLING, ADMINISTRATOR}),
    "billing.StripeEvent": frozenset({BILLING, SECURITY, ADMINISTRATOR}),
    "djstripe.Account": frozenset({BILLING, ADMINISTRATOR}),
    "djstripe.Subscription": frozenset({BILLING, ADMINISTRATOR}),
    "trust.Chain": frozenset({SECURITY, ADMINISTRATOR}),
    "trust.Ticket": frozenset({SUPPORT, SECURITY, ADMINISTRATOR}),
    "webhooks.WebhookEndpoint": EVERYONE,
    "webhooks.Delivery": EVERYONE,
    "procrastinate.ProcrastinateJob": frozenset({SECURITY, ADMINISTRATOR}),
    "kernel.AuditEvent": frozenset({SECURITY, ADMINISTRATOR}),
}


def may_view(role: str, label: str) -> bool:
    """Say whether a role sees a model's rows."""
    return role in VIEWS.get(label, frozenset())


def may(role: str, power: Power) -> bool:
    """Say whether a role has a power."""
    return role in POWERS[power]
