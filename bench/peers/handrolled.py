"""The usual way: DRF, djangorestframework-api-key, and the ORM queries that the models suggest."""

from django.db import IntegrityError, transaction
from django.db.models import F
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_api_key.permissions import BaseHasAPIKey, KeyParser

from bench.peers.models import CompanyKey, Counter, Event, Grant, Subscription


class BearerParser(KeyParser):
    keyword = "Bearer"


class HasKey(BaseHasAPIKey):
    """The package's permission, which keeps the company for the view so that the key is looked up once."""

    model = CompanyKey
    key_parser = BearerParser()

    def has_permission(self, request, view):
        text = self.get_key(request)
        if not text:
            return False
        try:
            key = CompanyKey.objects.get_from_key(text)
        except CompanyKey.DoesNotExist:
            return False
        if key.has_expired:
            return False
        request.company = key.company
        return True


def subscription_of(company, reference):
    found = Subscription.objects.select_related("customer", "plan")
    return found.filter(customer__company=company, customer__reference=reference, status="active").first()


def grant_of(subscription, name):
    return Grant.objects.select_related("feature").filter(plan=subscription.plan, feature__name=name).first()


class Check(APIView):
    permission_classes = (HasKey,)

    def get(self, request, feature):
        subscription = subscription_of(request.company, request.query_params["customerId"])
        grant = subscription and grant_of(subscription, feature)
        if grant is None:
            return Response({"hasAccess": False}, status=404)
        return Response({"hasAccess": True, "value": grant.limit})


class Track(APIView):
    permission_classes = (HasKey,)

    def post(self, request):
        asked = request.data
        quantity = asked.get("quantity", 1)
        with transaction.atomic():
            subscription = subscription_of(request.company, asked["customerId"])
            grant = subscription and grant_of(subscription, asked["metric"])
            if grant is None:
                return Response({"success": False}, status=404)
            whose = {"customer": subscription.customer, "feature": grant.feature}
            try:
                with transaction.atomic():
                    Event.objects.create(**whose, key=asked["idempotencyKey"], quantity=quantity)
            except IntegrityError:
                return Response({"success": True, "duplicate": True})
            where = {**whose, "period_start": subscription.period_start}
            Counter.objects.get_or_create(**where)
            rows = Counter.objects.filter(**where)
            if grant.limit is not None:
                rows = rows.filter(used__lte=grant.limit - quantity)
            if not rows.update(used=F("used") + quantity):
                transaction.set_rollback(True)
                return Response({"success": False}, status=409)
            used = Counter.objects.filter(**where).values_list("used", flat=True).get()
        return Response({"success": True, "currentUsage": used})
