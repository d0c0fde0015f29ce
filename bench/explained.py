"""Ask each hot route through the whole application, and print as JSON what plans its statements had.

    python3 -m bench.explained ASKED.json

It stands beside `bench.plans`, whose database has auto_explain tell every plan.
"""

import io
import json
import sys
from pathlib import Path

import django


def main():
    whole = json.loads(Path(sys.argv[1]).read_text())
    django.setup()
    from django.db import connection  # noqa: PLC0415  # it exists after setup() alone

    from stackbe.wsgi import application  # noqa: PLC0415  # likewise

    plans = []
    connection.ensure_connection()
    connection.connection.add_notice_handler(lambda notice: plans.append(notice.message_primary))
    told = []
    for name, method, path, headers, body in asked(whole):
        for _ in range(2):  # The first request of a process reads what it then keeps.
            plans.clear()
            status = ask(application, method, path, headers, body(name) if callable(body) else body)
            if status not in {200, 201}:
                raise SystemExit(f"{name}: {status}")
        told.append({"operation": name, **read(plans, whole["large"], whole["small"])})
    print(json.dumps(told))


def asked(whole):
    """Return (name, method, path, headers, body) of every hot request."""
    [mine] = whole["counted"]
    key, customer = {"Authorization": f"Bearer {mine['key']}"}, mine["customers"][3]
    event = {"customerId": customer, "metric": "api_calls"}
    session, issue = whole["sign_in"]["session"][0], whole["sign_in"]["issue"][0]
    links = iter(whole["sign_in"]["redeem"])
    keys = iter(range(1000))
    return [
        ("check", "GET", f"/v1/entitlements/check/sso?customerId={customer}", key, None),
        ("check, several", "POST", "/v1/entitlements/check", key, {"customerId": customer, "features": ["sso", "x"]}),
        ("track", "POST", "/v1/usage/track", key, lambda _: event | {"idempotencyKey": f"k{next(keys)}"}),
        ("track/batch", "POST", "/v1/usage/track/batch", key,
         lambda _: {"events": [event | {"idempotencyKey": f"b{next(keys)}"}, event]}),
        ("usage/check", "GET", f"/v1/usage/check?customerId={customer}&metric=api_calls", key, None),
        ("reservations", "POST", "/v1/usage/reservations", key, event | {"quantity": 1}),
        ("state", "GET", f"/v1/customers/{customer}/state", key, None),
        ("entitlements", "GET", f"/v1/entitlements?customerId={customer}", key, None),
        ("session", "GET", session["path"], session["headers"], None),
        ("magic link", "POST", issue["path"], issue["headers"],
         lambda _: {"email": f"reader-{next(keys)}@example.com"}),
        ("redeem a link", "POST", whole["sign_in"]["redeem"][0]["path"], {}, lambda _: next(links)["body"]),
    ]  # fmt: skip


def ask(application, method, path, headers, body):
    """Serve one request; return its status."""
    where, _, query = path.partition("?")
    content = b"" if body is None else json.dumps(body).encode()
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": where,
        "QUERY_STRING": query,
        "SCRIPT_NAME": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "443",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(content)),
        "HTTP_HOST": "localhost",
        "HTTP_X_FORWARDED_PROTO": "https",
        "HTTP_X_FORWARDED_FOR": "192.0.2.7",
        "wsgi.url_scheme": "https",
        "wsgi.input": io.BytesIO(content),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "wsgi.version": (1, 0),
        **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()},
    }
    told = []
    answer = application(environ, lambda status, _headers, _failure=None: told.append(int(status[:3])))
    content = b"".join(answer)
    if told[0] not in {200, 201}:
        print(content.decode(), file=sys.stderr)
    return told[0]


def read(plans, large, small):
    """Return how many statements there were, the indexes that they used, and large tables that one read whole."""
    indexes, read_whole, statements = set(), [], 0
    for text in plans:
        _, _, document = text.partition("plan:\n")
        if not document:
            continue
        statements += 1
        for node in nodes(json.loads(document)["Plan"]):
            if "Index Name" in node:
                indexes.add(node["Index Name"])
            name = node.get("Relation Name")
            if node["Node Type"] in {"Seq Scan", "Sample Scan"} and large.get(name, 0) > small:
                read_whole.append((name, large[name]))
    return {"statements": statements, "indexes": sorted(indexes), "read_whole": read_whole}


def nodes(plan):
    """Yield a plan's nodes."""
    yield plan
    for inner in plan.get("Plans", ()):
        yield from nodes(inner)


if __name__ == "__main__":
    main()
