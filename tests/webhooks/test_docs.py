"""docs/webhooks.md: its snippets verify what we send, and it names what there is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests import databases
from webhooks.catalogue import EVENT_TYPES
from webhooks.sending import SendError
from webhooks.signing import new_secret, sign
from webhooks.snippets import snippets

if TYPE_CHECKING:
    from pathlib import Path

PAGE = (databases.ROOT / "docs/webhooks.md").read_text()
PYTHON = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
BODY = json.dumps({"id": "evt_1", "name": "Äda"}, ensure_ascii=False).encode()


def signed(secret: str, age_seconds: int = 0) -> dict[str, str]:
    return sign([new_secret(), secret], "evt_1", int(time.time()) - age_seconds, BODY)


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


NODE_HARNESS = """
const [secret, headers, body] = JSON.parse(process.argv[1]);
console.log(JSON.parse(JSON.stringify(receive(secret, headers, Buffer.from(body, "hex")))).name);
"""
PHP_HARNESS = """
[$secret, $headers, $body] = json_decode($argv[1], true);
echo receive($secret, $headers, hex2bin($body))['name'];
"""
JAVA_HARNESS = """
class Main {
    public static void main(String[] given) throws Exception {
        Map<String, String> headers = Map.of(
            "webhook-id", given[1], "webhook-timestamp", given[2], "webhook-signature", given[3]);
        byte[] body = java.util.HexFormat.of().parseHex(given[4]);
        new java.io.PrintStream(System.out, true, "UTF-8").println(StackBeWebhooks.receive(given[0], headers, body));
    }
}
"""


def program(language: str, folder: Path, secret: str, headers: dict[str, str], body: bytes) -> list[str]:
    """Return the command that gives a message to the language's snippet."""
    code = snippets()[language]
    arguments = json.dumps([secret, headers, body.hex()])
    if language == "Node":
        return ["node", "-e", code + NODE_HARNESS, arguments]
    if language == "PHP":
        return ["php", "-r", code + PHP_HARNESS, arguments]
    imports, found, rest = code.partition("final class")
    file = folder / "Main.java"
    file.write_text(imports + JAVA_HARNESS + found + rest)
    names = ("webhook-id", "webhook-timestamp", "webhook-signature")
    return ["java", "-XX:TieredStopAtLevel=1", str(file), secret, *(headers[name] for name in names), body.hex()]


@pytest.mark.parametrize("language", ["Node", "PHP", "Java"])
def test_the_other_snippets_verify_what_we_send_and_nothing_else(language: str, tmp_path: Path) -> None:
    if shutil.which(language.lower()) is None:
        pytest.skip(f"NOT RUN: {language} is not installed")
    secret = new_secret()

    def run(given_secret: str, headers: dict[str, str], body: bytes) -> str:
        command = program(language, tmp_path, given_secret, headers, body)
        done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
        return done.stdout.strip() if done.returncode == 0 else done.stderr + done.stdout

    assert "Äda" in run(secret, signed(secret), BODY)
    assert "not signed by us" in run(new_secret(), signed(secret), BODY)
    if language != "Java":  # each run of it compiles; the two above show that it judges
        assert "not signed by us" in run(secret, signed(secret), BODY + b" ")
    assert "too old" in run(secret, signed(secret, age_seconds=301), BODY)


def test_the_dashboard_shows_the_snippets_that_need_no_library() -> None:
    found = snippets()

    assert list(found) == ["Python", "Node", "PHP", "Java"]
    assert "standardwebhooks" not in found["Python"]


def test_every_type_and_error_is_named() -> None:
    for name in EVENT_TYPES:
        noun, past = name.split(".")
        assert re.search(rf"`{noun}\.[^|]*\.?{past}`", PAGE), name
    for error in SendError:
        assert error.value in PAGE
