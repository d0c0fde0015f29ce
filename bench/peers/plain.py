"""The floor: a Django view without middleware, and one statement."""

import hashlib
import json

from django.db import connection
from django.http import JsonResponse

from bench.peers.statements import CHECK, TRACK


def digest(request):
    return hashlib.sha256(request.META["HTTP_AUTHORIZATION"][7:].encode()).digest()


def check(request, feature):
    with connection.cursor() as cursor:
        cursor.execute(CHECK, [request.GET["customerId"], feature, digest(request)])
        row = cursor.fetchone()
    if row is None:
        return JsonResponse({"hasAccess": False}, status=404)
    return JsonResponse({"hasAccess": True, "value": row[0]})


def track(request):
    asked = json.loads(request.body)
    with connection.cursor() as cursor:
        cursor.execute(
            TRACK,
            [digest(request), asked["customerId"], asked["metric"], asked.get("quantity", 1), asked["idempotencyKey"]],
        )
        total = cursor.fetchone()[0]
    if total is None:
        return JsonResponse({"success": False}, status=404)
    return JsonResponse({"success": True, "currentUsage": total})
