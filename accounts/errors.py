"""The failures of tenants, apps, members and customers."""

from __future__ import annotations

from stackbe.kernel.errors import BadRequest, Conflict, Forbidden, NotFound, Unauthorized


class AppNotFound(NotFound):
    """Another tenant's app, an archived one and none at all look alike."""

    code = "APP_NOT_FOUND"
    message = "No such app."


class AccountSuspended(Forbidden):
    """Staff have suspended the account or the app; its members are told why."""

    message = "This account is suspended."


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


class ErasureNotFound(NotFound):
    """Another app's receipt and none at all look alike."""

    message = "No such erasure."


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


class TokenInvalid(Unauthorized):
    """Never issued, or spent so long ago that nothing of it is kept."""

    code = "TOKEN_INVALID"
    message = "This link or code is not valid. Ask for a new one."


class TokenExpired(Unauthorized):
    """Issued, and its time is over."""

    code = "TOKEN_EXPIRED"
    message = "This link or code has expired. Ask for a new one."


class TokenAlreadyUsed(Unauthorized):
    """Spent. It can be told until the link would have expired, by its random id alone."""

    code = "TOKEN_ALREADY_USED"
    message = "This link or code has been used already. Ask for a new one."


class SessionInvalid(Unauthorized):
    """Forged, of another app, signed out, or ended because a refresh token came twice."""

    code = "SESSION_INVALID"
    message = "This session is not valid. Sign in again."


class SessionExpired(Unauthorized):
    """Genuine, and its time is over: refresh it, or sign in again."""

    code = "SESSION_EXPIRED"
    message = "This session has expired. Refresh it, or sign in again."


class SecondFactorRequired(Forbidden):
    """The first proof was right and is spent. `factor` in the body says how to go on."""

    code = "SECOND_FACTOR_REQUIRED"
    message = "This customer has a second factor to give. Send its code to auth/factor, or lead them to factor.url."


class SecondFactorInvalid(Unauthorized):
    """Mistyped, of another moment, or used before. The sign-in goes on waiting."""

    code = "SECOND_FACTOR_INVALID"
    message = "This code is not right, or was used before. Type the one that the app shows now."


class FreshProofRequired(Forbidden):
    """Who holds a session may not be who signed in: factors are changed after one was given a moment ago."""

    code = "FRESH_PROOF_REQUIRED"
    message = "Give a code at auth/factors/prove first. It counts for ten minutes."


class RedirectNotAllowed(BadRequest):
    """A customer is only ever sent to a URL that the app has registered, letter by letter."""

    code = "REDIRECT_NOT_ALLOWED"
    message = "This redirect URL is not registered in settings.callbackUrls."


class UnknownCustomer(BadRequest):
    """Told only to the app's own backend; anybody else gets the same answer for all addresses."""

    code = "CUSTOMER_NOT_FOUND"
    message = "No customer has this address, and settings.autoCreateCustomer is off."


class AlreadyInvited(Conflict):
    """An address has one open invitation of a tenant."""

    message = "This address was invited already. Send that invitation again, or revoke it first."


class InvitationNotFound(NotFound):
    """Taken, revoked, over, another tenant's, or for another address."""

    message = "No such invitation."


class InvitedSomebodyElse(Conflict):
    """An invitation is taken by the address that it was mailed to, and by no other."""

    message = "This invitation is for another address. Sign out and open it again."


class NotYourself(Conflict):
    """Ownership goes to somebody else."""

    message = "Choose another member: you are an owner already."


class AuthenticatorExists(Conflict):
    """A developer has one authenticator app; another takes its place once it is removed."""

    message = "You have an authenticator app already. Remove it before you add another."


class FactorNotFound(NotFound):
    """Removed already, never confirmed, or somebody else's."""

    message = "No such second factor."


class WrongCode(BadRequest):
    """Mistyped, of another moment, or used before."""

    message = "This code is not right. Type the one that your app shows now."


class PasskeyRefused(BadRequest):
    """The authenticator's answer does not fit what it was asked, or who was asked."""

    message = "This passkey was not accepted. Try again, or use a code."


class TooManyPasskeys(Conflict):
    """More than anybody carries."""

    message = "You have ten passkeys. Remove one before you add another."


class DeviceNotFound(NotFound):
    """Signed out already, or somebody else's."""

    message = "No such browser."
