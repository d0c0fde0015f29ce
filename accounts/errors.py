"""The failures of tenants, apps, members and customers."""

from __future__ import annotations

from stackbe.kernel.errors import Conflict, NotFound


class AppNotFound(NotFound):
    """Another tenant's app, an archived one and none at all look alike."""

    code = "APP_NOT_FOUND"
    message = "No such app."


class CustomerNotFound(NotFound):
    """Another app's customer, a deleted one and none at all look alike."""

    code = "CUSTOMER_NOT_FOUND"
    message = "No such customer."


class TenantNotFound(NotFound):
    """The developer is no member of it, or it does not exist."""

    message = "No such tenant."


class MemberNotFound(NotFound):
    """Nobody with that id is a member of this tenant."""

    message = "No such member."


class EmailTaken(Conflict):
    """Addresses are compared without regard to case."""

    message = "A customer with this email exists."


class ExternalIdTaken(Conflict):
    """An externalId names one customer of an app."""

    message = "A customer with this externalId exists."


class LastOwner(Conflict):
    """A tenant that nobody owns could never be handed over again."""

    message = "A tenant keeps at least one owner. Make somebody else an owner first."


class AlreadyMember(Conflict):
    """One person has one place in a tenant."""

    message = "This person is a member already."
