"""Plans: made, edited into new versions, archived.

What a subscriber agreed to is a version. Editing the price of a plan that has subscribers makes a
new one and leaves theirs alone; all else is edited in the newest version, and its subscribers have
it at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from django.db.models import F, Prefetch

from billing.errors import PlanNotFound, ProductNotFound, SlugTaken
from billing.metrics import resets_by_metric
from billing.models import Plan, PlanVersion, Price, Product, Subscription
from billing.packs import checked_packs
from billing.services import access
from billing.services.catalogue import create_product, free_slug, lock_catalogue
from billing.services.features import live_features, refuse_unfit_entitlements, unknown_sentence
from billing.services.pricing import SHORT_FORM, PriceSpec, asked_prices, scheme_columns, spec_of
from billing.stripe.queue import defer_push_plan
from stackbe.kernel.audit import audit
from stackbe.kernel.clock import now
from stackbe.kernel.errors import ValidationFailed
from stackbe.kernel.tenancy import owned_by
from stackbe.kernel.transactions import require_change

if TYPE_CHECKING:
    from uuid import UUID

    from stackbe.kernel.scope import Scope
    from stackbe.kernel.tenancy import ScopedQuerySet

CONTENTS = ("entitlements", "usage", "credits", "seats", "trial_days", "trial_requires_card", "add_ons")
PRICING = frozenset({*SHORT_FORM, "prices"})


def plans_with_contents(scope: Scope) -> ScopedQuerySet[Plan]:
    """Return the app's plans, each with its newest version and that one's prices preloaded."""
    prices = Prefetch("prices", Price.objects.within(scope))
    newest = PlanVersion.objects.within(scope).filter(number=F("plan__version")).prefetch_related(prices)
    return Plan.objects.within(scope).prefetch_related(Prefetch("versions", newest, to_attr="current_versions"))


def find_plan(scope: Scope, plan_id: str | UUID) -> Plan:
    """Return an app's plan, archived or not, with its contents; raise `PlanNotFound`."""
    return plans_with_contents(scope).fetch(plan_id, PlanNotFound)


def create_plan(
    scope: Scope,
    *,
    name: str,
    product_id: str | UUID | None = None,
    slug: str | None = None,
    is_default: bool = False,
    active: bool = True,
    **asked: Any,
) -> Plan:
    """Add a plan, with a product of its own name where none is named.

    `asked` holds the price (short form or `prices`) and the contents (`entitlements`, `usage`, `credits`,
    `seats`, `trial_days`, `trial_requires_card`, `add_ons`). It is pushed to Stripe in the
    background once an account is connected. Raises `SlugTaken` and `ValidationFailed`.
    """
    require_change()
    lock_catalogue(scope)
    specs = asked_prices(_given(asked, PRICING), [])
    contents = _contents(scope, {name: asked[name] for name in CONTENTS if name in asked})
    _refuse_contradictions(specs, contents.get("trial_days", 0), is_default=is_default, active=active)
    _refuse_mixed_pack(specs, contents)
    product = _product(scope, product_id, name)
    moment = now(scope)
    plan = Plan(
        **owned_by(scope),
        product=product,
        name=name,
        slug=_slug(scope, slug, name),
        active=active,
        created_at=moment,
        updated_at=moment,
    )
    plan.save(force_insert=True)
    version = PlanVersion.unscoped.create(**owned_by(scope), plan=plan, created_at=moment, **contents)
    _write_prices(scope, version, specs)
    audit(scope, "plan.created", plan.public_id, detail={"name": name, "slug": plan.slug})
    if is_default:
        _make_default(scope, plan)
    defer_push_plan(scope, plan.id)
    return find_plan(scope, plan.id)


def update_plan(scope: Scope, plan_id: str | UUID, **asked: Any) -> Plan:
    """Edit a plan. A changed price with subscribers makes a new version, which they do not get.

    Takes what `create_plan` does. Changed entitlements and allowances reach the subscribers of the
    newest version at once.
    """
    require_change()
    lock_catalogue(scope)
    plan = Plan.objects.within(scope).locked().fetch(plan_id, PlanNotFound)
    version = plan.current_version()
    before = [spec_of(price) for price in version.live_prices()]
    specs = asked_prices(_given(asked, PRICING), before)
    contents = _contents(scope, {name: asked[name] for name in CONTENTS if name in asked}, plan.id)
    is_default, active = asked.get("is_default", plan.is_default), asked.get("active", plan.active)
    if not active and "is_default" not in asked:
        is_default = False
    trial_days = contents.get("trial_days", version.trial_days)
    _refuse_contradictions(specs, trial_days, is_default=is_default, active=active)
    _refuse_mixed_pack(specs, {**{name: getattr(version, name) for name in CONTENTS}, **contents})

    changed = _rename(scope, plan, asked)
    if specs != before:
        changed.append("prices")
        version = _reprice(scope, plan, version, specs)
    edited = [name for name, value in contents.items() if getattr(version, name) != value]
    if edited:
        for name in edited:
            setattr(version, name, contents[name])
        version.save(update_fields=edited)
        changed += edited
    if is_default != plan.is_default:
        changed.append("is_default")
        _make_default(scope, plan) if is_default else _drop_default(scope, plan)
    if changed:
        _saved(scope, plan, changed)
    return find_plan(scope, plan.id)


def archive_plan(scope: Scope, plan_id: str | UUID) -> None:
    """Take a plan off sale. Who has it keeps it. Archiving twice is harmless."""
    update_plan(scope, plan_id, active=False)


def _saved(scope: Scope, plan: Plan, changed: list[str]) -> None:
    plan.updated_at = now(scope)
    plan.push_state = Plan.Push.PENDING
    plan.save(update_fields=["updated_at", "push_state"])
    audit(scope, "plan.updated", plan.public_id, detail={"changed": sorted(changed)})
    if not {"name", "slug", *CONTENTS}.isdisjoint(changed):
        access.refresh_plan(scope, plan.id)
    defer_push_plan(scope, plan.id)


def _given(asked: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in asked.items() if name in names}


def _rename(scope: Scope, plan: Plan, asked: Mapping[str, Any]) -> list[str]:
    """Set the plan's own columns; return which changed."""
    wanted = {name: asked[name] for name in ("name", "active") if name in asked}
    if asked.get("product_id") is not None:
        wanted["product_id"] = _product(scope, asked["product_id"], plan.name).id
    if asked.get("slug") is not None and asked["slug"] != plan.slug:
        wanted["slug"] = _slug(scope, asked["slug"], plan.name)
    elif wanted.get("active") and not plan.active:
        _slug(scope, plan.slug, plan.name)
    changed = [name for name, value in wanted.items() if getattr(plan, name) != value]
    if "active" in changed and not wanted["active"] and plan.is_default:
        _drop_default(scope, plan)
    for name in changed:
        setattr(plan, name, wanted[name])
    if changed:
        plan.save(update_fields=changed)
    return changed


def _reprice(scope: Scope, plan: Plan, version: PlanVersion, specs: Sequence[PriceSpec]) -> PlanVersion:
    """Return the version that has the new prices: a new one where somebody pays the old."""
    subscribers = Subscription.objects.within(scope).filter(plan_version=version)
    if subscribers.exclude(status=Subscription.Status.CANCELED).exists():
        copied = {name: getattr(version, name) for name in CONTENTS}
        plan.version += 1
        plan.save(update_fields=["version"])
        version = PlanVersion.unscoped.create(
            **owned_by(scope), plan=plan, number=plan.version, created_at=now(scope), **copied
        )
    else:
        live = Price.objects.within(scope).filter(plan_version=version, replaced_at__isnull=True)
        live.update(replaced_at=now(scope))
    _write_prices(scope, version, specs)
    return version


def _write_prices(scope: Scope, version: PlanVersion, specs: Sequence[PriceSpec]) -> None:
    for position, spec in enumerate(specs):
        Price.unscoped.create(
            **owned_by(scope),
            plan_version=version,
            position=position,
            created_at=now(scope),
            **spec.columns(),
        )


def _make_default(scope: Scope, plan: Plan) -> None:
    Plan.objects.within(scope).filter(is_default=True).update(is_default=False)
    plan.is_default = True
    plan.save(update_fields=["is_default"])
    access.refresh_default(scope)


def _drop_default(scope: Scope, plan: Plan) -> None:
    plan.is_default = False
    plan.save(update_fields=["is_default"])
    access.refresh_default(scope)


def _product(scope: Scope, product_id: str | UUID | None, name: str) -> Product:
    if product_id is None:
        return create_product(scope, name=name)
    product = Product.objects.within(scope).fetch(product_id, ProductNotFound)
    if not product.active:
        raise ValidationFailed(fields={"productId": ["This product is archived."]})
    return product


def _slug(scope: Scope, wanted: str | None, name: str) -> str:
    """Return the slug that was asked for if it is free, else one made from the name."""
    taken = set(Plan.objects.within(scope).filter(active=True).values_list("slug", flat=True))
    if wanted is not None:
        if wanted in taken:
            raise SlugTaken
        return wanted
    return free_slug(name, taken, otherwise="plan")


def _refuse_contradictions(specs: Sequence[PriceSpec], trial_days: int, *, is_default: bool, active: bool) -> None:
    wrong: dict[str, list[str]] = {}
    if is_default and not all(spec.free for spec in specs):
        wrong["isDefault"] = ["The default plan is what customers have without paying: its price must be 0."]
    if is_default and not active:
        wrong["isDefault"] = ["An archived plan cannot be the default."]
    if trial_days and any(spec.interval == "one_time" for spec in specs):
        wrong["trialDays"] = ["A one-time price has no trial."]
    if wrong:
        raise ValidationFailed(fields=wrong)


def _refuse_mixed_pack(specs: Sequence[PriceSpec], contents: Mapping[str, Any]) -> None:
    """Raise where a plan is a pack of credits and something else too: who buys a pack subscribes to nothing."""
    if not contents.get("credits"):
        return
    wrong = {}
    if any(spec.interval != "one_time" or spec.free for spec in specs):
        wrong["credits"] = ["A pack of credits is paid once. What renews includes so much each period, by usage."]
    for name, spoken in (
        ("entitlements", "entitlements"),
        ("usage", "usage"),
        ("seats", "seats"),
        ("add_ons", "addOns"),
    ):
        if contents.get(name):
            wrong[spoken] = ["A pack of credits grants its credits and nothing else."]
    if wrong:
        raise ValidationFailed(fields=wrong)


def _contents(scope: Scope, asked: dict[str, Any], plan_id: UUID | None = None) -> dict[str, Any]:
    """Return the contents as they are stored, checked against features, metrics and plans."""
    contents = dict(asked)
    if "entitlements" in contents:
        refuse_unfit_entitlements(scope, contents["entitlements"])
    if "usage" in contents:
        contents["usage"] = _usage(scope, contents["usage"])
    if "credits" in contents:
        contents["credits"] = checked_packs(scope, contents["credits"])
    if "add_ons" in contents:
        _refuse_unknown_add_ons(scope, contents["add_ons"], plan_id)
    _refuse_two_allowances(scope, contents)
    return contents


def _usage(scope: Scope, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    known, seen = resets_by_metric(scope), set()
    stored = []
    for place, row in enumerate(rows):
        where, metric = f"usage.{place}", row["metric"]
        if metric not in known:
            raise ValidationFailed(fields={f"{where}.metric": [unknown_sentence("metric", metric, known)]})
        if metric in seen:
            raise ValidationFailed(fields={f"{where}.metric": ["This metric is listed twice."]})
        seen.add(metric)
        stored.append(_allowance(row, where))
    return stored


def _allowance(row: Mapping[str, Any], where: str) -> dict[str, Any]:
    mode = row.get("mode", "hard")
    kept = {"metric": row["metric"], "included": row.get("included"), "mode": mode}
    if row.get("overage") is not None:
        if mode != "soft" or row.get("included") is None:
            raise ValidationFailed(fields={f"{where}.overage": ["Only a soft limit has an overage."]})
        shape = scheme_columns(row["overage"], f"{where}.overage")
        spoken = {
            "scheme": shape["scheme"],
            "unitAmountCents": shape["unit_amount_cents"],
            "tiers": shape["tiers"],
            "packageSize": shape["package_size"],
        }
        kept["overage"] = {name: value for name, value in spoken.items() if value not in (None, [])}
    if row.get("windows"):
        if len({window["per"] for window in row["windows"]}) != len(row["windows"]):
            raise ValidationFailed(fields={f"{where}.windows": ["One window per day and one per hour."]})
        kept["windows"] = [{"per": window["per"], "limit": window["limit"]} for window in row["windows"]]
    if row.get("spend_cap_cents") is not None:
        if "overage" not in kept:
            raise ValidationFailed(fields={f"{where}.spendCapCents": ["Only what has an overage price can be capped."]})
        kept["spendCapCents"] = row["spend_cap_cents"]
    if row.get("rollover") is not None:
        if row["included"] is None:
            raise ValidationFailed(fields={f"{where}.rollover": ["What has no limit has nothing left to roll over."]})
        kept["rollover"] = {"max": row["rollover"].get("max")}
    return kept


def _refuse_two_allowances(scope: Scope, contents: Mapping[str, Any]) -> None:
    """Raise where a metered feature and its metric's allowance say two different numbers."""
    entitlements, usage = contents.get("entitlements"), contents.get("usage")
    if not entitlements or not usage:
        return
    included = {row["metric"]: row["included"] for row in usage}
    for feature in live_features(scope).filter(type="metered", key__in=list(entitlements)):
        if feature.metric in included and included[feature.metric] != entitlements[feature.key]:
            sentence = f"usage includes another number for the metric {feature.metric}. Give it once."
            raise ValidationFailed(fields={f"entitlements.{feature.key}": [sentence]})


def _refuse_unknown_add_ons(scope: Scope, add_ons: Sequence[UUID], plan_id: UUID | None) -> None:
    found = set(Plan.objects.within(scope).filter(pk__in=add_ons).values_list("pk", flat=True))
    if plan_id in add_ons or len(found) != len(set(add_ons)):
        raise ValidationFailed(fields={"addOns": ["Must be ids of other plans of this app, each once."]})
