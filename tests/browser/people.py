"""What a visitor does to become somebody: registering, and following the link in the email."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.browser.server import Site

#: Who registers, and waits to be approved.
NEWCOMER = "newcomer"
#: The invented patient of the study that all these tests use, and the frames of its films.
NAME = "QUIXANDER^ZULEIKHA"
FRAMES = 24
PASSWORD = "a-long-enough-password-7"


def sign_in(page: Page, email: str, password: str) -> None:
    page.goto("/accounts/login/")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("main").get_by_role("button", name="Sign in").click()


def register(page: Page, site: Site, *, name: str, email: str) -> None:
    """Fill in the form, as a consultant of the second trust, and confirm the address."""
    page.goto("/accounts/signup/")
    page.get_by_label("Full name").fill(name)
    page.get_by_label("Email").fill(email)
    page.get_by_label("Your trust").select_option(label=site.people["colleague"].trust)
    page.get_by_label("Consultant").check()
    page.get_by_label("I accept the terms and conditions").check()
    page.get_by_label("I have read and accept the privacy policy").check()
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Password (again)").fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Register").click()
    expect(page.get_by_role("heading", name="Check your email")).to_be_visible()
    page.goto(_link_in(site.mail_to(email, "confirm-email")))
    page.get_by_role("button", name="Confirm").click()
    page.wait_for_url(lambda url: "confirm-email" not in url)


def _link_in(mail: str) -> str:
    link = re.search(r"https?://\S+/accounts/confirm-email/\S+", mail)
    assert link is not None, f"No link in the message: {mail!r}"
    return link[0]
