import os
import subprocess
import sys

import pytest

from tests.sandbox.conftest import ROOT

GOOD = {"STRIPE_SECRET_KEY": "sk_test_x1234567890", "STRIPE_CLIENT_ID": "ca_x"}


def start(tmp_path, environment, *arguments):
    command = [
        sys.executable,
        "-m",
        "billing.stripe.sandbox",
        "--port",
        "0",
        "--state",
        str(tmp_path / "s"),
        *arguments,
    ]
    return subprocess.run(
        command,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


@pytest.mark.parametrize(
    "environment",
    [
        {**GOOD, "STRIPE_SECRET_KEY": "sk_live_1234567890"},
        {**GOOD, "OTHER_KEYS": "harmless,rk_live_1234567890"},
        {**GOOD, "STRIPE_SECRET_KEY": ""},
        {**GOOD, "STRIPE_CLIENT_ID": "client"},
    ],
)
def test_it_refuses_to_start_beside_a_live_key_or_without_a_test_key(tmp_path, environment):
    ended = start(tmp_path, environment)

    assert ended.returncode == 2
    assert "sandbox:" in ended.stderr
    assert "1234567890" not in ended.stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.10", "example.com", "::"])
def test_it_binds_to_loopback_only(tmp_path, host):
    ended = start(tmp_path, GOOD, "--host", host)

    assert ended.returncode == 2
    assert "loopback" in ended.stderr


def test_a_taken_port_is_said(tmp_path, sandbox):
    ended = start(tmp_path, GOOD, "--port", str(sandbox.port))

    assert ended.returncode == 2
    assert "in use" in ended.stderr


def test_it_loads_no_django(tmp_path):
    asked = "import sys, billing.stripe.sandbox.server; print(sorted(m for m in sys.modules if m.split('.')[0] in ('django', 'djstripe', 'stripe', 'stackbe')))"

    ended = subprocess.run(
        [sys.executable, "-c", asked], cwd=ROOT, capture_output=True, text=True, timeout=20, check=True
    )

    assert ended.stdout.strip() == "[]"
