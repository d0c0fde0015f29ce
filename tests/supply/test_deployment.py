"""What deploys it: workflows, the update bot, the blueprint of a platform, the image. Each calls what this tree has."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import check_jsonschema
import pytest
from jsonschema.validators import validator_for
from ruamel.yaml import YAML

from stackbe.trust.checks.data import PROMISED_REGION
from tests.databases import ROOT
from tests.kernel.test_settings import SAFE

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SCHEMAS = Path(check_jsonschema.__file__).parent / "builtin_schemas" / "vendor"
PINNED = re.compile(r"^ +- uses: [\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")
# The regions of the platform that lie in the United States, as the security page tells them.
REGIONS = {"oregon": "us-west", "ohio": "us-east", "virginia": "us-east"}


def read(path):
    return YAML(typ="safe", pure=True).load(path)


def steps(workflow):
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def procfile():
    return dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        *(("github-workflows", path) for path in WORKFLOWS),
        ("dependabot", ROOT / ".github" / "dependabot.yml"),
    ],
    ids=lambda each: getattr(each, "name", each),
)
def test_files_for_github_are_as_its_schemas_want_them(schema, path):
    wanted = json.loads((SCHEMAS / f"{schema}.json").read_text())

    faults = list(validator_for(wanted)(wanted).iter_errors(read(path)))

    assert not faults, faults[0].message


def test_workflows_call_the_steps_of_ci_with_the_least_rights_and_pinned_actions():
    known = set(re.findall(r"^    (\w+)\)", (ROOT / ".ci" / "run").read_text(), re.MULTILINE))
    called = set()
    for path in WORKFLOWS:
        workflow = read(path)
        assert workflow["permissions"] == {"contents": "read"}, path
        assert "pull_request_target" not in workflow["on"]
        assert all(PINNED.match(line) for line in path.read_text().splitlines() if "uses:" in line), path
        for job in workflow["jobs"].values():
            assert job["timeout-minutes"] <= 40
            own = [shlex.split(step["run"])[1:] for step in job["steps"] if step.get("run", "").startswith(".ci/run")]
            called |= {(words or ["all"])[0] for words in own}
            whole = job["steps"][0].get("with", {}).get("fetch-depth") == 0
            assert whole or [] not in own, "without the whole history the scan for secrets is not run"
        # What a stranger may name, a branch or a title, never becomes part of a script.
        assert not [step for step in steps(workflow) if "${{" in step.get("run", "")]
    assert called == known - {"lint"}  # a part of `all`


def test_the_update_bot_looks_at_each_kind_of_thing_that_is_pinned():
    bot = {each["package-ecosystem"]: each for each in read(ROOT / ".github" / "dependabot.yml")["updates"]}

    assert (ROOT / bot["docker"]["directory"].lstrip("/") / "Dockerfile").is_file()
    assert (ROOT / bot["npm"]["directory"].lstrip("/") / "package-lock.json").is_file()
    found = {f"/{p.parent.relative_to(ROOT)}".replace("/.", "/.") for p in ROOT.glob(".requirements/*.txt")}
    assert {"/", "/tests", *found} == set(bot["pip"]["directories"])
    assert "github-actions" in bot
    assert any("schedule" in read(path)["on"] and ".ci/run lock" in path.read_text() for path in WORKFLOWS)


@pytest.fixture(scope="module")
def blueprint():
    return read(ROOT / ".deploy" / "render.yaml")


def variables(blueprint, service):
    """Return a service's variables, those of its group among them, by name."""
    groups = {group["name"]: group["envVars"] for group in blueprint["envVarGroups"]}
    found = {}
    for each in service["envVars"]:
        for variable in groups[each["fromGroup"]] if "fromGroup" in each else [each]:
            assert variable["key"] not in found
            found[variable["key"]] = {name: value for name, value in variable.items() if name != "key"}
    return found


def test_the_blueprint_runs_what_the_procfile_names_in_the_united_states(blueprint):
    services = {each["name"].removeprefix("stackbe-"): each for each in blueprint["services"]}
    # Backups of ours want a role that may replicate, which a managed database has not: no archiver there.
    commands = {name: each for name, each in procfile().items() if name != "archiver"}
    web = services["web"]

    assert web["startCommand"] == f"env -u DATABASE_ADMIN_URL -u DATABASE_OWNER_URL {commands.pop('web')}"
    assert web["preDeployCommand"] == f"python manage.py roles && {commands.pop('release')}"
    assert {name: services[name]["startCommand"] for name in commands} == commands
    assert web["healthCheckPath"] == "/healthz"
    assert all("--require-hashes" in each["buildCommand"] for each in services.values())
    assert {each["autoDeployTrigger"] for each in services.values()} == {"checksPass"}
    (database,) = blueprint["databases"]
    (region,) = {each["region"] for each in (*services.values(), database)}
    stated = variables(blueprint, web)["STATED_REGION"]["value"]
    assert stated == REGIONS[region]
    assert stated.startswith(PROMISED_REGION)
    assert database["ipAllowList"] == []
    assert int(database["postgresMajorVersion"]) >= 16


def test_the_blueprint_gives_each_process_what_production_wants_and_holds_no_secret(blueprint):
    given = {each["name"]: variables(blueprint, each) for each in blueprint["services"]}
    example = (ROOT / ".env.example").read_text()
    web = given["stackbe-web"]

    for name, found in given.items():
        # Which role of the database a process is, manage.py and gunicorn's default say.
        role = set() if name == "stackbe-web" else {"DATABASE_WORKER_URL"}
        assert (SAFE.keys() - {"STACKBE_ROLE"}) | role <= found.keys(), name
        for variable, source in found.items():
            assert variable in example or variable in {"PYTHON_VERSION", "METRICS_TOKEN", "DATABASE_ADMIN_URL"}
            if "fromService" in source:
                assert source["fromService"] == {"type": "web", "name": "stackbe-web", "envVarKey": variable}
                assert variable in web
            elif re.search(r"SECRET|KEY|URL|TOKEN", variable):
                assert "value" not in source, variable
    # Who may change tables is known where they are changed, and nowhere else; the process that serves there drops it.
    owners = {name for name, found in given.items() if found.keys() & {"DATABASE_OWNER_URL", "DATABASE_ADMIN_URL"}}
    assert owners == {"stackbe-web"}


def test_the_blueprints_settings_start_production(blueprint):
    values = {}
    for name, source in variables(blueprint, blueprint["services"][0]).items():
        values[name] = source["value"] if "value" in source else SAFE.get(name, "")
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    command = [
        sys.executable,
        "-c",
        "from django.conf import settings; print(settings.TRUSTED_PROXIES, settings.COUNTRY_HEADER)",
    ]

    done = subprocess.run(
        command, cwd=ROOT, check=False, capture_output=True, text=True,
        env={**inherited, **values, "DJANGO_SETTINGS_MODULE": "stackbe.settings"},
    )  # fmt: skip

    assert done.stdout == "2 CF-IPCountry\n", done.stderr


def instructions(path):
    """Return `(instruction, words)` of an image's file, lines that go on joined."""
    text = re.sub(r"^#.*\n", "", path.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [tuple(line.split(None, 1)) for line in text.splitlines() if line.strip()]


def test_the_image_runs_as_nobody_from_a_fixed_base_with_packages_of_the_lock_alone():
    found = instructions(ROOT / ".deploy" / "Dockerfile")
    last = max(place for place, (what, _) in enumerate(found) if what == "FROM")
    (build, run) = (words for what, words in found if what == "FROM")
    served = dict(found[last:])

    assert {what for what, _ in found} <= {
        "FROM",
        "ENV",
        "WORKDIR",
        "COPY",
        "RUN",
        "USER",
        "EXPOSE",
        "HEALTHCHECK",
        "CMD",
    }
    assert re.fullmatch(r"docker\.io/library/python:3\.\d+\.\d+-slim-\w+", run)
    assert build == f"{run} AS build"
    user, group = map(int, served["USER"].split(":"))
    assert min(user, group) > 999
    assert "RUN" not in served
    assert all("--from=build" in words for what, words in found[last:] if what == "COPY")
    (pip,) = [words for what, words in found if what == "RUN" and "pip install" in words]
    assert "--require-hashes --only-binary :all: -r requirements.txt" in pip
    assert shlex.join(json.loads(served["CMD"])) == procfile()["web"]
    assert json.loads(served["HEALTHCHECK"].partition("CMD ")[2]) == ["python", ".deploy/healthy.py"]
    # Neither an argument nor a variable of the image is a secret; a build that wants one would leave it in a layer.
    assert not [words for what, words in found if what == "ENV" and re.search(r"SECRET|KEY|TOKEN|PASSWORD|URL=", words)]


def test_nothing_comes_into_the_image_but_what_runs():
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    let_in = {line[1:] for line in lines if line.startswith("!")}
    tracked = {line.split("/")[0] for line in subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).split()}

    assert lines[0] == "**"
    assert all((ROOT / each).exists() for each in let_in)
    assert not [each for each in (".git", ".env", ".stackbe", ".venv", "tests", "bench") if each in let_in]
    packages = {path.parent.name for path in ROOT.glob("*/apps.py")} | {"stackbe", "templates", "docs"}
    assert packages <= let_in & tracked
    kept_out = [line for line in lines if not line.startswith("!")]
    for secret in ("stackbe/.env", "stackbe/.env.local", "docs/.stackbe", "accounts/__pycache__"):
        assert any(fnmatch.fnmatch(secret, pattern) for pattern in kept_out[1:]), secret


@pytest.mark.parametrize(("listening", "status"), [(True, 0), (False, 1)])
def test_the_images_health_check_asks_the_web_process(live_site, listening, status):
    environment = {
        "PATH": os.environ["PATH"],
        "BASE_URL": "https://billing.example.com",
        "PORT": str(live_site(listening)),
    }

    done = subprocess.run([sys.executable, ROOT / ".deploy" / "healthy.py"], env=environment, check=False)

    assert done.returncode == status
