"""The console as an operator and a caller meet it, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.seeded import LONG, seed
from tests.browser.test_chat_axe import AXE, KINDS, NAMES, RUN
from tests.running_service import RunningService, running_service

pytestmark = [
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(600),
]
PAGES = (
    "overview", "experts", "decisions", "decisions/dec_000000000000000000000000000b00", "spend",
    "quality", "routers", "routers/rtr_1", "marks", "marks/lrn_1", "batches", "alarms", "keys",
    "budgets",
)  # fmt: skip
OPERATOR, SHOP = "the-operators-key", "the-shops-key"


@pytest.fixture(scope="session")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service with a month of traffic and no key."""
    folder = tmp_path_factory.mktemp("busy")
    seed(folder)
    with running_service(folder, COLLEGIUM_EMBEDDED="false") as service:
        yield service


@pytest.fixture(scope="session")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """The same with keys, and a thousand experts."""
    folder = tmp_path_factory.mktemp("keyed")
    seed(folder, decisions=600, experts=1000)
    keys = {"COLLEGIUM_API_KEY": OPERATOR, "COLLEGIUM_CALLER_KEYS": f'{{"shop": "{SHOP}"}}'}
    with running_service(folder, COLLEGIUM_EMBEDDED="false", **keys) as service:
        yield service


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service that nobody has asked anything, without experts."""
    folder = tmp_path_factory.mktemp("empty")
    with running_service(folder, COLLEGIUM_EMBEDDED="false") as service:
        yield service


class Console:
    """A person at the console."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url

    async def go(self, place: str) -> None:
        """Open a page and wait until it is there."""
        await self.page.goto(f"{self.url}/console#/{place}")
        await expect(self.page.locator("#page")).to_have_attribute("aria-busy", "false")

    async def text(self) -> str:
        """What the page says."""
        return await self.page.locator("#page").inner_text()

    async def violations(self) -> list[Any]:
        """What axe finds, of any weight."""
        await self.page.evaluate(AXE.read_text())
        found: list[Any] = await self.page.evaluate(RUN)
        return found

    async def overflow(self) -> int:
        """By how many pixels the page is wider than the window."""
        return int(await self.page.evaluate("document.documentElement.scrollWidth - innerWidth"))

    def button(self, name: str) -> Any:
        """A button by its name."""
        return self.page.get_by_role("button", name=name, exact=True)


async def console_of(service: RunningService, open_page: OpenPage, **options: Any) -> Console:
    return Console((await open_page(service, **options)).page, service.url)


@pytest.mark.parametrize("options", KINDS, ids=NAMES)
async def test_nothing_is_wrong_on_any_page(
    busy: RunningService, open_page: OpenPage, options: dict[str, Any]
) -> None:
    """By axe, and none is wider than the window."""
    console = await console_of(busy, open_page, **options)
    for place in PAGES:
        await console.go(place)
        assert await console.violations() == [], place
        assert await console.overflow() <= 0, place
        assert not re.search(r"undefined|NaN|\[object", await console.text()), place


@pytest.mark.parametrize("options", [KINDS[0], KINDS[3]], ids=[NAMES[0], NAMES[3]])
async def test_without_any_data_it_says_what_to_do(
    empty: RunningService, open_page: OpenPage, options: dict[str, Any]
) -> None:
    """Every list has words in its place."""
    console = await console_of(empty, open_page, **options)
    for place in ("overview", "experts", "decisions", "spend", "quality", "routers", "marks",
                  "batches", "alarms", "keys", "budgets"):  # fmt: skip
        await console.go(place)
        await expect(console.page.locator(".empty").first).to_be_visible()
        assert await console.violations() == [], place


async def test_decisions_are_found_and_explained(busy: RunningService, open_page: OpenPage) -> None:
    """By filters that the address keeps, to one decision with its reason and candidates."""
    console = await console_of(busy, open_page)
    await console.go("decisions")
    page = console.page
    await page.get_by_label("State").select_option("error")
    await expect(page).to_have_url(re.compile("status=error"))
    await expect(page.locator("tbody .chip").first).to_have_text("error")
    await page.get_by_label("Expert").fill("large")
    await page.get_by_label("Expert").press("Enter")
    await expect(page).to_have_url(re.compile("expert=large"))
    await expect(page.locator("tbody .name").first).to_have_text("large")
    assert set(await page.locator("tbody .name").all_inner_texts()) == {"large"}
    await page.locator("tbody a").first.click()
    await expect(page.get_by_role("heading", name="Why this expert")).to_be_visible()
    await expect(page.get_by_role("region", name="Candidates, as forecast")).to_contain_text(
        "coder"
    )
    await console.button("Back").click()
    await expect(page.get_by_label("State")).to_have_value("error")


async def test_pages_of_decisions_follow_one_another(
    busy: RunningService, open_page: OpenPage
) -> None:
    """Older and newer, without losing any."""
    console = await console_of(busy, open_page)
    await console.go("decisions")
    links = console.page.locator("tbody th a")
    first = [await link.get_attribute("href") for link in await links.all()]
    await console.button("Older").click()
    await expect(links.first).not_to_have_attribute("href", first[0] or "")
    second = [await link.get_attribute("href") for link in await links.all()]
    assert not set(first) & set(second)
    await console.button("Newer").click()
    await expect(links.first).to_have_attribute("href", first[0] or "")


async def test_an_expert_is_disabled_and_enabled(busy: RunningService, open_page: OpenPage) -> None:
    """By keyboard; the focus stays on the button."""
    console = await console_of(busy, open_page)
    await console.go("experts")
    await console.button("Disable coder").press("Enter")
    await expect(console.button("Enable coder")).to_be_focused()
    await expect(console.page.locator("tr", has_text="coder").first).to_contain_text("disabled")
    await console.button("Enable coder").press("Enter")
    await expect(console.button("Disable coder")).to_be_focused()


async def test_the_chat_page_tells_of_an_open_alarm(
    busy: RunningService, open_page: OpenPage
) -> None:
    """Above the conversation, with the command that closes it."""
    page = (await open_page(busy)).page
    await page.goto(busy.url)
    banner = page.get_by_text("Alarm: ")
    await expect(banner).to_be_visible()
    await expect(banner).to_contain_text("collegium alarms close alm_")


async def test_an_alarm_is_closed(busy: RunningService, open_page: OpenPage) -> None:
    """With a reason; Escape changes nothing."""
    console = await console_of(busy, open_page)
    await console.go("alarms")
    await console.button("Close the alarm drift").click()
    await console.page.keyboard.press("Escape")
    await expect(console.page.get_by_role("dialog")).to_be_hidden()
    await console.button("Close the alarm drift").click()
    await console.page.get_by_label("What was done (optional)").fill("retrained")
    await console.button("Close the alarm").click()
    await expect(console.page.locator("tbody")).to_contain_text("retrained")
    await expect(console.button("Close the alarm drift")).to_have_count(0)


async def test_marks_are_confirmed_by_keyboard(busy: RunningService, open_page: OpenPage) -> None:
    """1, 2, t and s; each mark is kept at once, and a skipped one is asked again."""
    console = await console_of(busy, open_page)
    await console.go("marks/lrn_1")
    page = console.page
    await page.get_by_role("button", name="Skip").focus()
    for number, key in enumerate(("1", "t", "s"), start=1):
        await expect(page.get_by_text(f"{number} of 3")).to_be_visible()
        await page.keyboard.press(key)
    await expect(page.get_by_text("2 marks are kept.")).to_be_visible()
    await console.button("Another sample").click()
    await expect(page.get_by_text("1 of 1")).to_be_visible()


async def test_a_refusal_is_told(busy: RunningService, open_page: OpenPage) -> None:
    """Why a router is not promoted, in the service's words, and the page stays."""
    console = await console_of(busy, open_page)
    await console.go("routers")
    await console.button("Promote rtr_1").click()
    await console.button("Promote").click()
    await expect(console.page.get_by_role("alert")).to_be_visible()
    await expect(console.page.get_by_role("link", name="rtr_1")).to_be_visible()


async def test_a_service_that_goes_away_leaves_what_was_shown(
    busy: RunningService, open_page: OpenPage
) -> None:
    """And says so, until it is back."""
    console = await console_of(busy, open_page)
    await console.go("experts")
    await console.page.context.set_offline(True)
    stale = console.page.locator("#stale")
    await expect(stale).to_contain_text("can't be reached")
    await expect(console.page.locator("tbody").first).to_contain_text("coder")
    await console.page.context.set_offline(False)
    await expect(stale).to_be_hidden()


async def test_the_key_is_asked_for_and_kept_for_this_tab_alone(
    keyed: RunningService, open_page: OpenPage
) -> None:
    """Never in the address, nor where the next tab would find it."""
    console = await console_of(keyed, open_page)
    page = console.page
    await page.goto(f"{keyed.url}/console")
    await page.get_by_label("API key").fill("wrong")
    await console.button("Use this key").click()
    await expect(page.get_by_text("The service refused that key")).to_be_visible()
    await page.get_by_label("API key").fill(OPERATOR)
    await console.button("Use this key").click()
    await expect(page.get_by_text("Open alarms").first).to_be_visible()
    assert OPERATOR not in page.url
    assert await page.evaluate("localStorage.getItem('collegium.api_key')") is None
    await page.reload()
    await expect(page.get_by_text("Requests today")).to_be_visible()


async def test_a_caller_sees_its_own_alone(keyed: RunningService, open_page: OpenPage) -> None:
    """Its decisions and spend; the operator's pages say whose they are."""
    console = await console_of(keyed, open_page)
    page = console.page
    await page.goto(f"{keyed.url}/console#/decisions")
    await page.get_by_label("API key").fill(SHOP)
    await console.button("Use this key").click()
    await expect(page.locator("tbody tr").first).to_be_visible()
    await expect(page.get_by_role("columnheader", name="Key")).to_have_count(0)
    await console.go("alarms")
    await expect(page.get_by_text("This page is for the operator.")).to_be_visible()
    await console.go("experts")
    await expect(page.get_by_role("button", name=re.compile("^Disable"))).to_have_count(0)


async def test_a_key_is_made_rotated_and_revoked(
    keyed: RunningService, open_page: OpenPage
) -> None:
    """Its secret is on the page once, and good; after that it is nowhere."""
    console = await console_of(keyed, open_page)
    page = console.page
    await page.goto(f"{keyed.url}/console#/keys")
    await page.get_by_label("API key").fill(OPERATOR)
    await console.button("Use this key").click()
    await console.button("Make a key").click()
    await page.get_by_label("Name").fill("robot")
    await console.button("Make it").click()
    shown = page.get_by_role("region", name="The secret").locator("pre")
    first = await shown.inner_text()
    assert await status_of(page, keyed, first) == 200
    await console.button("Rotate robot").click()
    await console.button("Rotate").click()
    await expect(shown).not_to_have_text(first)
    second = await shown.inner_text()
    assert [await status_of(page, keyed, key) for key in (first, second)] == [401, 200]
    assert await console.violations() == []
    await console.button("Put it away").click()
    await console.button("Revoke robot").click()
    await console.button("Revoke").click()
    await expect(page.locator("tr", has_text="robot")).to_contain_text("revoked")
    assert await status_of(page, keyed, second) == 401
    assert second not in await page.content()


async def status_of(page: Page, service: RunningService, key: str) -> int:
    """What a key is answered."""
    headers = {"authorization": f"Bearer {key}"}
    return (await page.request.get(f"{service.url}/v1/caller", headers=headers)).status


async def test_a_thousand_experts_are_searched(keyed: RunningService, open_page: OpenPage) -> None:
    """A hundred at a time; the search keeps its place while it is typed in."""
    console = await console_of(keyed, open_page)
    page = console.page
    await page.goto(f"{keyed.url}/console#/experts")
    await page.get_by_label("API key").fill(OPERATOR)
    await console.button("Use this key").click()
    rows = page.get_by_role("region", name="Experts", exact=True).locator("tbody tr")
    await expect(rows).to_have_count(100)
    await page.get_by_label("Search experts").press_sequentially("nobody-would")
    await expect(page.get_by_label("Search experts")).to_be_focused()
    await expect(rows).to_have_count(1)
    await expect(rows).to_contain_text(LONG)


async def test_the_whole_page_is_drawn_anew_only_where_it_changed(
    busy: RunningService, open_page: OpenPage
) -> None:
    """A refresh with the same data leaves the elements as they are: nothing flickers."""
    console = await console_of(busy, open_page)
    await console.go("batches")
    await console.page.evaluate("document.querySelector('tbody').dataset.seen = 'yes'")
    async with console.page.expect_response("**/v1/batches*", timeout=20_000):
        pass
    await console.page.wait_for_timeout(300)
    assert await console.page.evaluate("document.querySelector('tbody').dataset.seen") == "yes"


async def test_every_picture_has_its_numbers(busy: RunningService, open_page: OpenPage) -> None:
    """In words for who does not see it, and as a table."""
    console = await console_of(busy, open_page)
    for place in ("overview", "spend", "quality"):
        await console.go(place)
        figures = console.page.locator("figure")
        assert await figures.count() >= 2
        for figure in await figures.all():
            assert await figure.locator("svg[role=img]").get_attribute("aria-label")
            await figure.locator("summary").click()
            await expect(figure.locator("tbody tr").first).to_be_visible()


async def test_a_budget_is_set_changed_and_removed(
    busy: RunningService, open_page: OpenPage
) -> None:
    """What is used of it is shown in words."""
    console = await console_of(busy, open_page)
    await console.go("budgets")
    page = console.page
    await console.button("Set a budget").click()
    await page.get_by_label("Of a").select_option("application")
    await page.get_by_label("Name").fill("support-chat")
    await page.get_by_label("At most").fill("5")
    await console.button("Set it").click()
    row = page.locator("tbody tr", has_text="support-chat")
    await expect(row).to_contain_text("of $5.00")
    assert await console.violations() == []
    await row.get_by_role("button", name=re.compile("^Change")).click()
    await page.get_by_label("At most").fill("7.5")
    await console.button("Set it").click()
    await expect(row).to_contain_text("of $7.50")
    await row.get_by_role("button", name=re.compile("^Remove")).click()
    await console.button("Remove").click()
    await expect(row).to_have_count(0)
