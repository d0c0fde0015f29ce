"""What can be wrong with an endpoint or an event."""

from __future__ import annotations

from stackbe.kernel.errors import Conflict, ValidationFailed


class UrlRefused(ValidationFailed):
    """Events may not be sent to this URL."""

    message = "Events cannot be sent to this URL."


class TooManyEndpoints(Conflict):
    """The app has all the endpoints that it may have."""

    message = "This app has the most webhook endpoints that one may have. Delete one first."


class EndpointDisabled(Conflict):
    """Nothing is sent to an endpoint that is switched off."""

    message = "This webhook endpoint is disabled. Enable it first."


class NobodyListens(Conflict):
    """No enabled endpoint asked for such events."""

    message = "No enabled webhook endpoint takes this event, by its type and filter."


class EventErased(Conflict):
    """The event told of a person who has been erased."""

    message = "This event's content was erased together with the person it told of."


class SampleInLiveApp(Conflict):
    """A live app's server would take a made-up payment for a real one."""

    message = "A live app sends webhook.test alone. Try the other types in a test app."
