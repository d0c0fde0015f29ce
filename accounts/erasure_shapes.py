"""Shapes of erasures and their receipts."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from accounts.erasure_models import Erasure
from accounts.services.receipts import receipt_of, target_of
from stackbe.kernel.clock import render
from stackbe.kernel.serializers import Integer, Output, Text, Timestamp


class StatementOutput(Output):
    """What a receipt states. Its signature covers this object with sorted keys and without spaces."""

    format = Text()
    id = Text()
    kind = Text()
    target_id = Text()
    tenant_id = Text()
    app_id = Text()
    asked_at = Timestamp()
    done_at = Timestamp()
    rows = serializers.DictField(child=Integer())


class ReceiptOutput(Output):
    """A statement, signed with the instance's key (`/.well-known/stackbe-keys.json`)."""

    statement = StatementOutput()
    alg = Text()
    kid = Text()
    signature = Text()


class ErasureOutput(Output):
    """That somebody is being let go of, or was."""

    id = Text()
    kind = serializers.ChoiceField(choices=Erasure.Kind.choices)
    target_id = Text()
    status = serializers.ChoiceField(choices=["pending", "done"])
    asked_at = Timestamp()
    done_at = Timestamp(allow_null=True)
    receipt = ReceiptOutput(allow_null=True)

    def to_representation(self, instance: Erasure) -> dict[str, Any]:
        """Return the shape above."""
        return {
            "id": instance.public_id,
            "kind": instance.kind,
            "targetId": target_of(instance),
            "status": "done" if instance.done_at else "pending",
            "askedAt": render(instance.asked_at),
            "doneAt": render(instance.done_at),
            "receipt": receipt_of(instance),
        }
