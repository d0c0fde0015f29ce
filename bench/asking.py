"""How each operation is spelt as an HTTP request: (method, path, headers, body)."""

import json

BATCH = 1000


def every(plan):
    """Yield requests: every tenant and customer in turn, no idempotency key and no new address twice."""
    spelt, asked, number = SPELT[plan["operation"]], plan["asked"], 0
    while True:
        method, path, headers, body = spelt(asked[number % len(asked)], number // len(asked), f"{plan['run']}-{number}")
        yield whole(plan, method, path, headers, body)
        number += 1


def whole(plan, method, path, headers, body):
    """Return the bytes of a request."""
    head = f"Host: localhost\r\nAccept: */*\r\n{plan['headers']}"
    head += "" if plan["kept"] else "Connection: close\r\n"
    for name, value in headers.items():
        head += f"{name}: {value}\r\n"
    text = "" if body is None else json.dumps(body)
    if body is not None:
        head += f"Content-Type: application/json\r\nContent-Length: {len(text)}\r\n"
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n{text}".encode()


def bearer(asked):
    """Return the header of a key or token."""
    return {"Authorization": f"Bearer {asked['key']}"}


def customer_of(asked, turn):
    """Return a tenant's customer, another in each turn."""
    return asked["customers"][turn % len(asked["customers"])]


def check(asked, turn, _unique):
    path = f"/v1/entitlements/check/sso?customerId={customer_of(asked, turn)}"
    return "GET", path, bearer(asked), None


def track(asked, turn, unique):
    body = {
        "customerId": customer_of(asked, turn),
        "metric": "api_calls",
        "quantity": 1,
        "idempotencyKey": unique,
    }
    return "POST", "/v1/usage/track", bearer(asked), body


def batch(asked, turn, unique):
    """Return a batch of a thousand events, another customer in each."""
    events = [
        {
            "customerId": customer_of(asked, turn * BATCH + place),
            "metric": "api_calls",
            "quantity": 1,
            "idempotencyKey": f"{unique}-{place}",
        }
        for place in range(BATCH)
    ]
    return "POST", "/v1/usage/track/batch", bearer(asked), {"events": events}


def mixed(asked, turn, unique):
    """Return what an app asks all day long: mostly whether, often how much, and now and then all else."""
    kind = turn * 37 % 100
    if kind < 55:
        return check(asked, turn, unique)
    if kind < 80:
        return track(asked, turn, unique)
    # Another for the same question each time: credits of one customer alone would pile up.
    customer = customer_of(asked, turn + turn // 100)
    if kind < 85:
        return "GET", f"/v1/usage/check?customerId={customer}&metric=api_calls", bearer(asked), None
    if kind < 90:
        return "GET", f"/v1/customers/{customer}/state", bearer(asked), None
    if kind < 93:
        method, path, headers, body = batch(asked, turn, unique)
        return method, path, headers, {"events": body["events"][:20]}
    event = {"customerId": customer, "metric": "api_calls", "quantity": 1}
    if kind < 96:
        return "POST", "/v1/usage/reservations", bearer(asked), event | {"expiresInSeconds": 30}
    if kind < 98:
        body = {"metric": "api_calls", "quantity": 1, "reason": "soak"}
        return "POST", f"/v1/customers/{customer}/credits", bearer(asked), body
    return "POST", "/v1/customers", bearer(asked), {"email": f"soak-{unique}@example.com"}


def session(asked, _turn, _unique):
    return "GET", asked["path"], asked["headers"], None


def issue(asked, _turn, unique):
    return "POST", asked["path"], asked["headers"], {"email": f"reader-{unique}@example.com"}


def redeem(asked, _turn, _unique):
    return asked["method"], asked["path"], {}, asked["body"]


SPELT = {
    "check": check,
    "track": track,
    "hot": track,
    "batch": batch,
    "mixed": mixed,
    "session": session,
    "issue": issue,
    "redeem": redeem,
}
