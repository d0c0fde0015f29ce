"""Who may have a trial: each customer once, and each company once where the app says so.

A company is told by its e-mail domain, compared by the keyed hash that customers are stored with. Domains at
which anybody gets an address tell of no company.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from accounts.models import Customer
from billing.errors import TrialUsed
from billing.models import Checkout, PlanVersion, Subscription
from billing.models.stripe import PAYABLE
from billing.services.due import settings_of
from stackbe.kernel.clock import now
from stackbe.kernel.transactions import require_change

if TYPE_CHECKING:
    from stackbe.kernel.scope import Scope
    from stackbe.kernel.tenancy import ScopedQuerySet

PUBLIC_DOMAINS = frozenset({
    "126.com", "139.com", "163.com", "aim.com", "alice.it", "aol.com", "arcor.de", "bigpond.com", "bluewin.ch",
    "bol.com.br", "btinternet.com", "centrum.cz", "comcast.net", "cox.net", "docomo.ne.jp", "duck.com", "email.com",
    "email.cz", "fastmail.com", "free.fr", "freenet.de", "gmail.com", "gmx.at", "gmx.ch", "gmx.com", "gmx.de",
    "gmx.net", "googlemail.com", "hanmail.net", "hey.com", "hotmail.co.uk", "hotmail.com", "hotmail.de",
    "hotmail.es", "hotmail.fr", "hotmail.it", "hushmail.com", "icloud.com", "inbox.lv", "inbox.ru", "interia.pl",
    "kakao.com", "laposte.net", "libero.it", "list.ru", "live.co.uk", "live.com", "live.fr", "live.nl", "mac.com",
    "mail.com", "mail.de", "mail.ee", "mail.ru", "mailbox.org", "me.com", "msn.com", "naver.com", "o2.pl",
    "onet.pl", "online.de", "optonline.net", "orange.fr", "outlook.com", "outlook.de", "outlook.es", "outlook.fr",
    "outlook.jp", "pm.me", "posteo.de", "proton.me", "protonmail.ch", "protonmail.com", "qq.com", "rediffmail.com",
    "rocketmail.com", "rogers.com", "sapo.pt", "sbcglobal.net", "seznam.cz", "sfr.fr", "shaw.ca", "sina.com",
    "sky.com", "startmail.com", "t-online.de", "terra.com.br", "tiscali.it", "tuta.com", "tutanota.com", "ukr.net",
    "uol.com.br", "verizon.net", "virgilio.it", "virginmedia.com", "wanadoo.fr", "web.de", "wp.pl", "xtra.co.nz",
    "yahoo.ca", "yahoo.co.in", "yahoo.co.jp", "yahoo.co.uk", "yahoo.com", "yahoo.com.br", "yahoo.de", "yahoo.es",
    "yahoo.fr", "yahoo.it", "yandex.com", "yandex.ru", "yeah.net", "ymail.com", "zoho.com",
})  # fmt: skip


def trial_days(scope: Scope, customer: Customer, version: PlanVersion, asked: int | None) -> int:
    """Return how long a trial a checkout offers: what the caller says, else the plan's for who never had one.

    What the caller says stands above every guard. Raises `TrialUsed` where somebody of the same company had one: the
    caller decides whether they are to pay at once.
    """
    if asked is not None:
        return asked
    if not version.trial_days or had_trial(scope, customer):
        return 0
    refuse_used_by_company(scope, customer)
    return version.trial_days


def had_trial(scope: Scope, customer: Customer, plan_id: UUID | None = None) -> bool:
    """Say whether a customer has had a trial, of a plan where one is given."""
    had = Subscription.objects.within(scope).filter(customer_id=customer.pk, trial_start__isnull=False)
    return (had.filter(plan_id=plan_id) if plan_id else had).exists()


def hold_company(scope: Scope, customer: Customer) -> None:
    """Let colleagues take turns until the change is over: of two who ask at once, one is told of the other's trial.

    Where the app grants one trial per company, the oldest customer of the company is held. Call it before
    anything of the customer's is held, since what is older is held first.
    """
    require_change()
    if _guarded(scope, customer):
        rows = Customer.objects.within(scope).select_for_update(no_key=True).only("id")
        rows.filter(domain_index=customer.domain_index).order_by("id").first()


def pages_of_colleagues(scope: Scope, customer: Customer) -> ScopedQuerySet[Checkout]:
    """Return the open pages on which others of the customer's company could begin the one trial that it has."""
    rows = Checkout.objects.within(scope)
    if not _guarded(scope, customer):
        return rows.none()
    rows = rows.filter(status__in=PAYABLE, expires_at__gt=now(scope), trial_days__gt=0)
    return rows.filter(customer__domain_index=customer.domain_index).exclude(customer_id=customer.pk)


def refuse_used_by_company(scope: Scope, customer: Customer) -> None:
    """Raise `TrialUsed` where the app grants one trial per company and another of its people has had it."""
    if not _guarded(scope, customer):
        return
    had = Subscription.objects.within(scope).filter(trial_start__isnull=False)
    if had.filter(customer__domain_index=customer.domain_index).exclude(customer_id=customer.pk).exists():
        raise TrialUsed(
            f"Somebody else at {_domain(customer)} has had a trial, and this app grants one per company. Send"
            " trialDays: 0 to have them pay at once, or the number of days to grant a trial all the same."
        )


def refuse_offered_to_company(scope: Scope, customer: Customer) -> None:
    """Raise `TrialUsed` while a colleague may still begin the company's trial on an open checkout page."""
    if pages_of_colleagues(scope, customer).exists():
        raise TrialUsed(
            f"Somebody else at {_domain(customer)} has a checkout with a trial open, and this app grants one per"
            " company. Ask again once it has closed, within a day, or send trialDays to grant one all the same."
        )


def _guarded(scope: Scope, customer: Customer) -> bool:
    """Say whether the customer's trial is their company's: the app wants it so, and the domain tells of a company."""
    return _domain(customer) not in PUBLIC_DOMAINS and settings_of(scope).trial_once_per_domain


def _domain(customer: Customer) -> str:
    return (customer.email or "").rpartition("@")[2].lower()
