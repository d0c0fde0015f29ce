"""Signing in, in every way a person may want to."""

from __future__ import annotations

import re

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("live")]


def test_a_newcomer_signs_in_by_link_and_is_asked_what_they_sell(visitors):
    ada = visitors()

    ada.sign_in()

    ada.page.get_by_role("heading", name="What do you sell?").wait_for()


def test_the_token_leaves_the_address_before_anything_is_sent(visitors):
    ada = visitors()
    asked = []
    ada.page.on("request", lambda request: asked.append(request.url))
    ada.go("/login")
    ada.page.get_by_label("E-mail").fill(ada.email)
    ada.page.keyboard.press("Enter")
    ada.page.get_by_role("heading", name="Check your inbox").wait_for()
    link = ada.mail()["links"][0]

    ada.page.goto(link)
    ada.page.get_by_role("button", name=re.compile("Sign in as .•••@example.com")).wait_for()

    token = re.split("[#=]", link)[-1]
    assert "#" not in ada.page.url
    assert [url for url in asked if token in url.partition("#")[0]] == []


def test_opening_a_link_many_times_spends_nothing(visitors):
    ada = visitors()
    ada.go("/login")
    ada.page.get_by_label("E-mail").fill(ada.email)
    ada.page.keyboard.press("Enter")
    ada.page.get_by_role("heading", name="Check your inbox").wait_for()
    link = ada.mail()["links"][0]

    for _ in range(5):
        ada.page.goto("about:blank")
        ada.page.goto(link)
        ada.page.get_by_role("button", name="Sign in as").wait_for()
    ada.page.get_by_role("button", name="Sign in as").click()

    ada.page.wait_for_url("**/dashboard/**")


def test_a_link_opened_in_another_browser_names_the_account_and_warns(visitors):
    ada, scanner = visitors(), visitors()
    ada.go("/login")
    ada.page.get_by_label("E-mail").fill(ada.email)
    ada.page.keyboard.press("Enter")
    ada.page.get_by_role("heading", name="Check your inbox").wait_for()

    scanner.page.goto(ada.mail()["links"][0])

    scanner.page.get_by_text("Asked for in another browser").wait_for()
    scanner.page.get_by_role("button", name="Sign in as").wait_for()


def test_a_spent_link_says_so_and_offers_a_new_one(visitors):
    ada = visitors()
    ada.sign_in()
    link = ada.mail()["links"][0]

    ada.page.goto("about:blank")
    ada.page.goto(link)

    ada.page.get_by_role("heading", name="This link no longer works").wait_for()
    ada.page.get_by_role("link", name="Ask for a new link").wait_for()


def test_without_scripts_the_code_signs_in(visitors):
    ada = visitors(java_script_enabled=False)
    ada.go("/login")
    ada.page.get_by_label("E-mail").fill(ada.email)
    ada.page.get_by_role("button", name="E-mail me a sign-in link").click()
    code = ada.mail()["code"]

    ada.page.get_by_label("Code").fill(code)
    ada.page.get_by_role("button", name="Sign in with the code").click()

    ada.page.wait_for_url("**/dashboard/**")


def test_a_link_without_scripts_leads_to_the_code(visitors):
    ada = visitors(java_script_enabled=False)
    ada.go("/login")
    ada.page.get_by_label("E-mail").fill(ada.email)
    ada.page.get_by_role("button", name="E-mail me a sign-in link").click()
    mail = ada.mail()

    ada.page.goto(mail["links"][0])
    ada.page.get_by_role("heading", name="Enter your code").wait_for()
    ada.page.get_by_label("E-mail").fill(ada.email)
    ada.page.get_by_label("Code").fill(mail["code"])
    ada.page.get_by_role("button", name="Sign in").click()

    ada.page.wait_for_url("**/dashboard/**")


def test_the_keyboard_alone_signs_in(visitors):
    ada = visitors()
    ada.go("/login")

    ada.page.keyboard.type(ada.email)
    ada.page.keyboard.press("Enter")
    ada.page.get_by_role("heading", name="Check your inbox").wait_for()
    ada.page.goto(ada.mail()["links"][0])
    ada.page.get_by_role("button", name="Sign in as").wait_for()
    ada.page.keyboard.press("Tab")
    focused = ada.page.evaluate("document.activeElement.textContent")
    ada.page.keyboard.press("Enter")

    assert focused.startswith("Sign in as")
    ada.page.wait_for_url("**/dashboard/**")


def test_the_first_tab_offers_to_skip_the_navigation(visitors):
    ada = visitors()
    ada.sign_in()

    ada.page.keyboard.press("Tab")
    while ada.page.evaluate("document.activeElement.textContent") != "Skip to content":
        ada.page.keyboard.press("Shift+Tab")
    ada.page.keyboard.press("Enter")

    assert ada.page.evaluate("document.activeElement.id") == "main"


def test_signing_out_ends_the_session(visitors):
    ada = visitors()
    ada.sign_in()

    ada.page.get_by_role("button", name="Your account").click()
    ada.page.get_by_role("button", name="Sign out").click()
    ada.page.wait_for_url("**/login**")
    ada.go("/dashboard/")

    assert "/login" in ada.page.url
