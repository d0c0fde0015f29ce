"""Where an app lets its customers sign in: configured, tried out, taken away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings

from accounts.models import App
from accounts.services.social_protocol import GITHUB_ISSUER, GOOGLE_ISSUER, Client
from accounts.services.social_wire import wants_https
from accounts.social_errors import ProviderNotFound, TooManyProviders
from accounts.social_models import GITHUB, GOOGLE, SocialAttempt, SocialProvider
from stackbe.kernel.audit import audit
from stackbe.kernel.clock import wall_clock
from stackbe.kernel.errors import ValidationFailed
from stackbe.kernel.ids import encode
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import require_change
from webhooks.addresses import TargetRefused, judge_url

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from stackbe.kernel.scope import Scope
    from stackbe.kernel.tenancy import ScopedQuerySet

MOST_PROVIDERS = 20
LONGEST_TROUBLE = 300
OPENID = "openid"
KNOWN_ISSUERS = {GOOGLE: GOOGLE_ISSUER, GITHUB: GITHUB_ISSUER}
KNOWN_NAMES = {GOOGLE: "Google", GITHUB: "GitHub"}
FIRST_SCOPES = {GITHUB: ("read:user", "user:email")}
OPENID_SCOPES = (OPENID, "email", "profile")


def providers_of(scope: Scope) -> ScopedQuerySet[SocialProvider]:
    """Return the app's providers, those that are turned off too."""
    return SocialProvider.objects.within(scope)


def find_provider(scope: Scope, slug: str) -> SocialProvider:
    """Return the app's provider of that name, or raise `ProviderNotFound`."""
    found = providers_of(scope).filter(slug=slug).first() if slug.isprintable() else None
    if found is None:
        raise ProviderNotFound
    return found


def put_provider(
    scope: Scope,
    slug: str,
    *,
    client_id: str,
    client_secret: str | None = None,
    issuer: str | None = None,
    name: str | None = None,
    scopes: Sequence[str] | None = None,
    enabled: bool = True,
) -> tuple[SocialProvider, bool]:
    """Configure a provider, and return it and whether it is new. What is not given has its default.

    The secret alone may be left out of a provider that has one, since nobody can read it back. It must be given
    anew with another issuer or client id: else whoever changes the issuer would have it sent to themselves.
    """
    require_change()
    issuer = _settled_issuer(slug, issuer, _environment(scope))
    provider = providers_of(scope).locked().filter(slug=slug).first()
    if provider is None and providers_of(scope).count() >= MOST_PROVIDERS:
        raise TooManyProviders
    moved = provider is None or (provider.issuer, provider.client_id) != (issuer, client_id)
    if moved and client_secret is None:
        sentence = "Give the secret that belongs to this client id and issuer."
        raise ValidationFailed(fields={"clientSecret": [sentence]})
    is_new, moment = provider is None, wall_clock()
    before = {} if provider is None else _shown(provider)
    provider = provider or SocialProvider(**owned_by(scope), slug=slug, created_at=moment)
    provider.name = name or KNOWN_NAMES.get(slug, slug)
    provider.issuer, provider.client_id = issuer, client_id
    provider.scopes = _settled_scopes(slug, scopes)
    provider.enabled = enabled
    provider.updated_at = moment
    if client_secret is not None:
        provider.client_secret, provider.secret_set_at = client_secret, moment
        provider.trouble, provider.trouble_at = "", None
    provider.save(force_insert=is_new)
    if moved or not enabled:
        SocialAttempt.objects.within(scope).filter(provider=provider).delete()
    after = _shown(provider)
    changed = {key: {"from": before.get(key), "to": after[key]} for key in after if before.get(key) != after[key]}
    detail = {"provider": slug, "changed": changed, "secretSet": client_secret is not None}
    audit(
        scope, "sign_in_provider.created" if is_new else "sign_in_provider.updated", provider.public_id, detail=detail
    )
    return provider, is_new


def delete_provider(scope: Scope, slug: str) -> None:
    """Forget a provider and its secret. Accounts that were connected by it stay, should it come back."""
    require_change()
    provider = find_provider(scope, slug)
    SocialAttempt.objects.within(scope).filter(provider=provider).delete()
    public_id = provider.public_id
    provider.delete()
    audit(scope, "sign_in_provider.deleted", public_id, detail={"provider": slug})


def client_of(scope: Scope, provider: SocialProvider) -> Client:
    """Return what a call to the provider takes, opened, so that it can leave the transaction."""
    return Client(
        slug=provider.slug,
        name=provider.name,
        issuer=provider.issuer,
        client_id=provider.client_id,
        client_secret=provider.client_secret,
        scopes=tuple(provider.scopes),
        environment=_environment(scope),
        redirect_uri=redirect_uri(scope.app, provider.slug),
    )


def redirect_uri(app_id: UUID, slug: str) -> str:
    """Return the URL to register at the provider: one of its own for each, against mix-ups (RFC 9700, 4.4.2)."""
    return f"{settings.BASE_URL}/auth/social/callback/{encode(App.id_prefix, app_id)}/{slug}"


def note_trouble(scope: Scope, slug: str, detail: str) -> None:
    """Keep the last failure for the app's developers; an empty one clears it."""
    require_change()
    sentence = "".join(character if character.isprintable() else " " for character in detail)[:LONGEST_TROUBLE]
    rows = providers_of(scope).filter(slug=slug)
    if sentence:
        rows.update(trouble=sentence, trouble_at=wall_clock())
    else:
        rows.exclude(trouble="").update(trouble="", trouble_at=None)


def _environment(scope: Scope) -> str:
    return str(App.objects.within(scope).get(pk=scope.app).environment)


def _settled_issuer(slug: str, given: str | None, environment: str) -> str:
    known = KNOWN_ISSUERS.get(slug)
    if known is not None:
        if given not in {None, known}:
            raise ValidationFailed(fields={"issuer": [f"Leave it out: {KNOWN_NAMES[slug]} is {known}."]})
        return known
    if not given:
        raise ValidationFailed(fields={"issuer": ["Give the provider's issuer, such as https://login.example.com."]})
    fault = "The issuer has no query (?…)." if "?" in given else None
    try:
        judge_url(given, live=wants_https(environment), allow_local=settings.ALLOW_LOCAL_WEBHOOKS)
    except TargetRefused as refused:
        fault = str(refused).replace("A live app's webhooks go to", "Sign-in providers are spoken to by")
    if fault is not None:
        raise ValidationFailed(fields={"issuer": [fault]})
    return given


def _settled_scopes(slug: str, given: Sequence[str] | None) -> list[str]:
    otherwise: Sequence[str] = FIRST_SCOPES.get(slug, OPENID_SCOPES)
    scopes = list(dict.fromkeys(given or otherwise))
    if slug == GITHUB:
        if not {"user", "user:email"} & set(scopes):
            raise ValidationFailed(fields={"scopes": ["GitHub tells no address without user:email."]})
    elif OPENID not in scopes:
        raise ValidationFailed(fields={"scopes": ["OpenID Connect wants the scope openid."]})
    return scopes


def _shown(provider: SocialProvider) -> dict[str, object]:
    """Return what the audit log says of a provider: all but its secret."""
    return {
        "name": provider.name,
        "issuer": provider.issuer,
        "clientId": provider.client_id,
        "scopes": provider.scopes,
        "enabled": provider.enabled,
    }
