"""The whole catalogue as one document: plans as code.

Everything in it goes by the name that a developer gave it (a metric's name, a feature's key, the slug of a product or
a plan), never by an id, so that one document fits a test app and a live one. Putting what was got changes nothing.
"""

from __future__ import annotations

from contextlib import contextmanager
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import Count

from billing.events import price_as_event
from billing.models import Plan, Product, Subscription
from billing.services.catalogue import archive_product, create_product, lock_catalogue, update_product
from billing.services.features import (
    archive_feature,
    create_feature,
    live_features,
    unknown_sentence,
    update_feature,
)
from billing.services.plans import archive_plan, create_plan, plans_with_contents, update_plan
from billing.services.pricing import SHORT_FORM
from stackbe.kernel.errors import ApiError, Conflict, ValidationFailed
from stackbe.kernel.transactions import require_change
from usage.models import usual_thresholds
from usage.services.metrics import archive_metric, create_metric, live_metrics, restore_metric, update_metric

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from stackbe.kernel.scope import Scope

    Document = dict[str, list[dict[str, Any]]]

# By what a section's rows are told apart, and what one of them is called.
SECTIONS = {
    "metrics": ("name", "metric"),
    "features": ("key", "feature"),
    "products": ("slug", "product"),
    "plans": ("slug", "plan"),
}
# What a plan is where the document does not say.
PLAIN = {
    "trial_days": 0,
    "trial_requires_card": True,
    "usage": [],
    "credits": [],
    "seats": None,
    "entitlements": {},
    "is_default": False,
}
# What of a plan is not handed on as it is said.
APART = frozenset({"product", "add_ons", *SHORT_FORM})
COUNTING = ("aggregation", "unit", "resets", "thresholds")
NOT_IN_DOCUMENT = ("id", "stripePriceId")


class _Undone(Exception):
    """Ends a rehearsal; it is no failure."""


def catalogue_document(scope: Scope) -> Document:
    """Return what the app sells now, without what is archived, each section in the order of its names."""
    plans = list(plans_with_contents(scope).filter(active=True).select_related("product").order_by("slug"))
    slugs = {plan.pk: plan.slug for plan in plans}
    products = sorted(Product.objects.within(scope).filter(active=True), key=lambda product: product.key)
    return {
        "metrics": [
            {"name": metric.name, **{field: getattr(metric, field) for field in COUNTING}}
            for metric in live_metrics(scope).order_by("name")
        ],
        "features": [
            {"key": feature.key, "name": feature.name, "type": feature.type}
            | ({"metric": feature.metric} if feature.metric else {})
            for feature in live_features(scope).order_by("key")
        ],
        "products": [
            {
                "slug": product.key,
                "name": product.name,
                "description": product.description,
                "metadata": product.metadata or {},
                **({"taxCode": product.tax_code} if product.tax_code else {}),
            }
            for product in products
        ],
        "plans": [_plan(plan, slugs) for plan in plans],
    }


def put_catalogue(scope: Scope, wanted: Mapping[str, Any], *, dry_run: bool) -> dict[str, Any]:
    """Make the catalogue what a document says; return `{dryRun, changed, changes}`.

    A section that the document lacks stays as it is; what a section leaves out is archived. It is all done in
    this change or, where one part is refused, none of it. A dry run does it all and takes it back, so that it
    is refused for the same reasons. Raises `ValidationFailed`, each field with its place in the document, and
    `Conflict` for what is in use.
    """
    lock_catalogue(scope)
    _refuse_repeats(wanted)
    before, versions = catalogue_document(scope), _versions(scope)
    answer: dict[str, Any] = {}
    try:
        with transaction.atomic():
            _apply(scope, wanted, before)
            changes = _difference(before, catalogue_document(scope), versions, _versions(scope), _subscribers(scope))
            answer = {"dryRun": dry_run, "changed": bool(changes), "changes": changes}
            if dry_run:
                raise _Undone
    except _Undone:
        pass
    return answer


def _plan(plan: Plan, slugs: Mapping[Any, str]) -> dict[str, Any]:
    version = plan.current_version()
    prices = [price_as_event(price) for price in version.live_prices()]
    return {
        "slug": plan.slug,
        "name": plan.name,
        "product": plan.product.key,
        "prices": [{name: price[name] for name in price if name not in NOT_IN_DOCUMENT} for price in prices],
        "trialDays": version.trial_days,
        "trialRequiresCard": version.trial_requires_card,
        "usage": version.usage,
        "credits": version.credits,
        "seats": version.seats,
        "addOns": [slugs[add_on] for add_on in version.add_ons if add_on in slugs],
        "entitlements": version.entitlements,
        "isDefault": plan.is_default,
    }


def _versions(scope: Scope) -> dict[str, int]:
    return dict(Plan.objects.within(scope).filter(active=True).values_list("slug", "version"))


def _subscribers(scope: Scope) -> dict[str, int]:
    """Return how many live subscriptions each plan has, by its slug."""
    live = Subscription.objects.within(scope).exclude(status=Subscription.Status.CANCELED)
    return dict(live.values_list("plan__slug").annotate(Count("pk")).order_by())


def _refuse_repeats(wanted: Mapping[str, Any]) -> None:
    for section, rows in wanted.items():
        name, noun = SECTIONS[section]
        seen: set[str] = set()
        for place, row in enumerate(rows):
            if row[name] in seen:
                raise ValidationFailed(fields={f"{section}.{place}.{name}": [f"This {noun} is listed twice."]})
            seen.add(row[name])
    defaults = [place for place, row in enumerate(wanted.get("plans", ())) if row.get("is_default")]
    if len(defaults) > 1:
        raise ValidationFailed(fields={f"plans.{defaults[1]}.isDefault": ["Only one plan can be the default."]})


def _apply(scope: Scope, wanted: Mapping[str, Any], before: Document) -> None:
    """Bring in what others name before those that name it, and archive in the opposite order."""
    require_change()
    for place, row in enumerate(wanted.get("metrics", ())):
        with _at("metrics", place):
            _put_metric(scope, row)
    for place, row in enumerate(wanted.get("features", ())):
        with _at("features", place):
            _put_feature(scope, row)
    for place, row in enumerate(wanted.get("products", ())):
        with _at("products", place):
            _put_product(scope, row)
    products = {product.key: product for product in Product.objects.within(scope).filter(active=True)}
    for place, row in enumerate(wanted.get("plans", ())):
        with _at("plans", place):
            _put_plan(scope, row, products, whole="products" in wanted)
    _put_add_ons(scope, wanted.get("plans", ()))
    _archive(scope, wanted, before)


def _put_metric(scope: Scope, row: Mapping[str, Any]) -> None:
    asked = {"thresholds": usual_thresholds(), **{name: row[name] for name in COUNTING if name in row}}
    metric = live_metrics(scope).filter(name=row["name"]).first() or restore_metric(scope, row["name"])
    if metric is None:
        create_metric(scope, name=row["name"], **asked)
    elif changes := {name: value for name, value in asked.items() if getattr(metric, name) != value}:
        update_metric(scope, metric.public_id, changes)


def _put_feature(scope: Scope, row: Mapping[str, Any]) -> None:
    feature = live_features(scope).filter(key=row["key"]).first()
    if feature is None:
        create_feature(scope, **row)
        return
    if feature.type != row["type"]:
        sentence = f"This feature is a {feature.type}, and plans were checked by that. Give a new one another key."
        raise ValidationFailed(fields={"type": [sentence]})
    named = {"name": row["name"]} if "name" in row else {}
    update_feature(scope, feature.key, metric=row.get("metric"), **named)


def _put_product(scope: Scope, row: Mapping[str, Any]) -> None:
    rows = Product.objects.within(scope)
    found = rows.filter(slug=row["slug"]).order_by("-active", "-pk").first()
    if found is None:
        found = next((each for each in rows.filter(slug="") if each.public_id == row["slug"]), None)
    described = {name: row.get(name, "") for name in ("name", "description", "tax_code")}
    if found is None:
        create_product(scope, slug=row["slug"], metadata=row.get("metadata"), **described)
        return
    wanted = row.get("metadata") or {}
    metadata = {**dict.fromkeys(found.metadata or {}), **wanted}
    update_product(scope, found.pk, active=True, metadata=metadata, **described)


def _put_plan(scope: Scope, row: Mapping[str, Any], products: Mapping[str, Product], *, whole: bool) -> None:
    """Make or change a plan; one that was archived is sold again. Its add-ons come once all plans are there."""
    asked = {
        **deepcopy(PLAIN),
        **{name: value for name, value in row.items() if name not in {"product", "add_ons", *SHORT_FORM}},
    }
    asked["prices"] = _prices(row)
    if "product" in row:
        if row["product"] not in products:
            raise ValidationFailed(fields={"product": [unknown_sentence("product", row["product"], products)]})
        asked["product_id"] = products[row["product"]].pk
    elif whole:
        raise ValidationFailed(fields={"product": ["Name the product, since the document lists them."]})
    found = Plan.objects.within(scope).filter(slug=row["slug"]).order_by("-active", "-pk").first()
    if found is None:
        create_plan(scope, **asked)
    else:
        update_plan(scope, found.pk, active=True, **asked)


def _prices(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a plan's prices; the short form is one flat price."""
    short = {name: row[name] for name in SHORT_FORM if name in row}
    if "prices" in row:
        if short:
            raise ValidationFailed(fields={"prices": ["Give either prices or the short form."]})
        return list(row["prices"])
    if not {"price_cents", "currency"} <= set(short):
        raise ValidationFailed(fields={"prices": ["Give prices, or priceCents and currency."]})
    return [{"unit_amount_cents": short.pop("price_cents"), **short}]


def _put_add_ons(scope: Scope, rows: Sequence[Mapping[str, Any]]) -> None:
    plans = {plan.slug: plan for plan in plans_with_contents(scope).filter(active=True)}
    slugs = {plan.pk: plan.slug for plan in plans.values()}
    for place, row in enumerate(rows):
        wanted, plan = row.get("add_ons", []), plans[row["slug"]]
        standing = [slugs[add_on] for add_on in plan.current_version().add_ons if add_on in slugs]
        with _at("plans", place):
            for slug in wanted:
                if slug not in plans:
                    raise ValidationFailed(fields={"addOns": [unknown_sentence("plan", slug, plans)]})
            if wanted != standing:
                update_plan(scope, plan.pk, add_ons=[plans[slug].pk for slug in wanted])


def _archive(scope: Scope, wanted: Mapping[str, Any], before: Document) -> None:
    gone = {section: _left_out(section, wanted, before) for section in SECTIONS}
    for plan in Plan.objects.within(scope).filter(active=True, slug__in=gone["plans"]):
        archive_plan(scope, plan.pk)
    for product in Product.objects.within(scope).filter(active=True):
        if product.key in gone["products"]:
            with _named(f"The product {product.key} is left out: "):
                archive_product(scope, product.pk)
    for key in gone["features"]:
        with _named(f"The feature {key} is left out: "):
            archive_feature(scope, key)
    for metric in live_metrics(scope).filter(name__in=gone["metrics"]):
        with _named(f"The metric {metric.name} is left out: "):
            archive_metric(scope, metric.public_id)


def _left_out(section: str, wanted: Mapping[str, Any], before: Document) -> list[str]:
    name, _ = SECTIONS[section]
    if section not in wanted:
        return []
    kept = {row[name] for row in wanted[section]}
    return [row[name] for row in before[section] if row[name] not in kept]


@contextmanager
def _at(section: str, place: int) -> Iterator[None]:
    """Have a refusal say at which place of the document it arose."""
    where = f"{section}.{place}"
    try:
        yield
    except ValidationFailed as refused:
        raise ValidationFailed(
            fields={f"{where}.{name}": why for name, why in (refused.fields or {}).items()}
        ) from None
    except Conflict as refused:
        raise type(refused)(f"{where}: {refused}") from None


@contextmanager
def _named(beginning: str) -> Iterator[None]:
    try:
        yield
    except ApiError as refused:
        raise type(refused)(f"{beginning}{refused}") from None


def _difference(
    before: Document,
    after: Document,
    versions: Mapping[str, int],
    new_versions: Mapping[str, int],
    subscribers: Mapping[str, int],
) -> list[dict[str, Any]]:
    changes = []
    for section, (name, noun) in SECTIONS.items():
        old, new = ({row[name]: row for row in document[section]} for document in (before, after))
        for key in sorted(old.keys() | new.keys()):
            if old.get(key) == new.get(key):
                continue
            action = "create" if key not in old else "archive" if key not in new else "update"
            change: dict[str, Any] = {"kind": noun, "key": key, "action": action}
            if action == "update":
                names = [name for name in {**old[key], **new[key]} if old[key].get(name) != new[key].get(name)]
                change["before"] = {name: old[key].get(name) for name in names}
                change["after"] = {name: new[key].get(name) for name in names}
            if noun == "plan" and action != "create":
                change["subscribers"] = subscribers.get(key, 0)
            if noun == "plan" and action == "update" and new_versions[key] != versions[key]:
                change["newVersion"] = new_versions[key]
            changes.append(change)
    return changes
