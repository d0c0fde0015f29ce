"""The failures of signing in with an account elsewhere."""

from __future__ import annotations

from typing import ClassVar

from stackbe.kernel.errors import Conflict, NotFound


class ProviderNotFound(NotFound):
    """Never configured, or taken away. To customers one that is turned off looks the same."""

    message = "No such sign-in provider."


class IdentityNotFound(NotFound):
    """Disconnected already, or another customer's."""

    message = "No such connected account."


class TooManyProviders(Conflict):
    """More than any page has buttons for."""

    message = "An app has at most 20 sign-in providers. Delete one first."


class NotSignedIn(Exception):
    """Somebody came back from a provider and is not signed in.

    `error` goes to the app in its callback's query and `sentence` to the person; `detail` says to the app's
    developers what is wrong, where that is theirs or the provider's to mend.
    """

    error: ClassVar[str] = "sign_in_failed"
    sentence: ClassVar[str] = "You were not signed in. Try again."

    def __init__(self, detail: str = "") -> None:
        """Keep the detail; it never holds what a provider was told in secret."""
        super().__init__(detail or self.sentence)
        self.detail = detail

    def told(self, provider: str) -> str:
        """Return what the person reads."""
        return self.sentence.replace("PROVIDER", provider)


class Declined(NotSignedIn):
    """The person pressed Cancel at the provider."""

    error = "access_denied"
    sentence = "You did not allow the sign-in, so nothing was changed."


class AttemptGone(NotSignedIn):
    """Its state is spent, ten minutes old, forged, or another browser's: nobody knows who set out."""

    error = "state_invalid"
    sentence = (
        "This sign-in was finished already, took longer than ten minutes, or was begun in another browser."
        " Go back to where you signed in and start again."
    )


class ProviderUnavailable(NotSignedIn):
    """It did not answer in time, or with what is no answer."""

    error = "provider_unavailable"
    sentence = "PROVIDER could not be reached just now. Try again in a moment, or sign in by e-mail."


class ProviderRefused(NotSignedIn):
    """It would not take the app's client id, secret, redirect URI or code."""

    error = "provider_refused"
    sentence = "PROVIDER did not accept the sign-in. Try again; if it keeps happening, tell whoever runs this site."


class AnswerInvalid(NotSignedIn):
    """What it said of the person does not hold up: signature, issuer, audience, nonce or time."""

    error = "provider_answer_invalid"
    sentence = "The answer of PROVIDER could not be trusted, so you were not signed in. Start again."


class EmailUnverified(NotSignedIn):
    """An address that nobody has proven opens no account that goes by it, and makes none."""

    error = "email_unverified"
    sentence = (
        "PROVIDER did not tell us an e-mail address that it has verified, so we cannot tell which account is yours."
        " Sign in by e-mail first; then you can connect PROVIDER from your account."
    )


class NobodyHere(NotSignedIn):
    """The app makes no customers by itself, and has none with this address."""

    error = "customer_not_found"
    sentence = "Nobody with your e-mail address has an account here. Ask whoever runs this site for one."


class TakenBySomebody(NotSignedIn):
    """The account elsewhere signs another customer in already."""

    error = "identity_taken"
    sentence = "This PROVIDER account is connected to another account here already. Disconnect it there first."


class SessionOver(NotSignedIn):
    """Whoever began to connect an account has signed out since."""

    error = "session_over"
    sentence = "You have signed out meanwhile, so nothing was connected. Sign in and try again."
