"""docs/webhooks.md: its snippets verify what we send, and it names what there is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from typing import Any

import pytest

from tests import databases
from webhooks.catalogue import EVENT_TYPES
from webhooks.sending import SendError
from webhooks.signing import new_secret, sign

PAGE = (databases.ROOT / "docs/webhooks.md").read_text()
PYTHON = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
NODE = re.findall(r"^```js\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
BODY = json.dumps({"id": "evt_1", "name": "Äda"}, ensure_ascii=False).encode()


def signed(secret: str, age_seconds: int = 0) -> dict[str, str]:
    return sign([new_secret(), secret], "evt_1", int(time.time()) - age_seconds, BODY)


def test_there_are_snippets_in_both_languages() -> None:
    assert (len(PYTHON), len(NODE)) == (2, 1)


@pytest.mark.parametrize("snippet", PYTHON)
def test_the_python_snippets_verify_what_we_send_and_nothing_else(snippet: str) -> None:
    names: dict[str, Any] = {}
    exec(snippet, names)  # noqa: S102  # our own documentation
    receive, secret = names["receive"], new_secret()

    assert receive(secret, signed(secret), BODY)["name"] == "Äda"
    for given_secret, headers, body in (
        (new_secret(), signed(secret), BODY),
        (secret, signed(secret), BODY + b" "),
        (secret, signed(secret, age_seconds=301), BODY),
    ):
        with pytest.raises(Exception, match=r"old|signed|signature"):
            receive(given_secret, headers, body)


def test_the_node_snippet_verifies_what_we_send_and_nothing_else() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("NOT RUN: node is not installed")
    secret = new_secret()

    def run(given_secret: str, headers: dict[str, str], body: bytes) -> str:
        script = f"{NODE[0]}\nconst [secret, headers, body] = JSON.parse(process.argv[1]);\n"
        script += "console.log(receive(secret, headers, Buffer.from(body, 'hex')).name);"
        arguments = json.dumps([given_secret, headers, body.hex()])
        done = subprocess.run([node, "-e", script, arguments], capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else done.stderr

    assert run(secret, signed(secret), BODY) == "Äda"
    assert "not signed by us" in run(new_secret(), signed(secret), BODY)
    assert "not signed by us" in run(secret, signed(secret), BODY + b" ")
    assert "too old" in run(secret, signed(secret, age_seconds=301), BODY)


def test_every_type_and_error_is_named() -> None:
    for name in EVENT_TYPES:
        noun, past = name.split(".")
        assert re.search(rf"`{noun}\.[^|]*\.?{past}`", PAGE), name
    for error in SendError:
        assert error.value in PAGE
