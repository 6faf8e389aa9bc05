"""The page in a real browser; skipped where there is no Chromium."""

import re

import pytest
from page.samples import SLUG, hostile_verdict, publish, verdict

from tractable.page.export import export_site

PHONE = {"width": 360, "height": 780}
DESK = {"width": 1280, "height": 900}


@pytest.fixture
def opened(browser, filled, serving):
    """Open pages that may neither complain nor ask another host; gives (open, address)."""
    contexts, wrong = [], []

    def open_page(path="/", *, base=None, **options):
        context = browser.new_context(**({"viewport": DESK} | options))
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("requestfailed", lambda asked: wrong.append(f"failed: {asked.url}"))
        at_home = (serving, "data:", *([base] if base else []))
        page.on("request", lambda asked: None if asked.url.startswith(at_home)
                else wrong.append(f"asked {asked.url}"))  # fmt: skip
        page.goto((base or serving) + path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not wrong


def shown(page):
    return page.locator("article:visible").count()


def follow(page, target):
    """Click what leads to another page, and wait until that page and its style are there."""
    with page.expect_navigation():
        target.click()


def is_too_wide(page):
    return page.evaluate("document.documentElement.scrollWidth > window.innerWidth")


@pytest.mark.parametrize("scripts", [True, False])
def test_search_filter_open_and_back(opened, scripts):
    page = opened(java_script_enabled=scripts)
    assert shown(page) == 64
    page.get_by_label("Your problem in words").fill("users must see an item several times")
    follow(page, page.get_by_role("button", name="Search"))
    assert page.locator("article h3 a").first.get_attribute("href") == f"/paper/{SLUG}"
    follow(page, page.get_by_role("link", name=re.compile("^agrees")))
    assert shown(page) == 1
    assert "q=" in page.url
    follow(page, page.locator("article h3 a"))
    assert page.url.endswith(f"/paper/{SLUG}")
    assert page.locator("svg.figure:visible").count() == 2
    page.go_back()
    assert shown(page) == 1
    follow(page, page.get_by_role("link", name="show all"))
    assert shown(page) == 64


def test_the_whole_way_by_keyboard(opened):
    page = opened()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "q":
            break
    page.keyboard.type("bandit with exposure")
    page.keyboard.press("Enter")
    page.wait_for_url("**q=bandit**")
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('article h3 a')"):
            break
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/paper/{SLUG}")
    page.locator("details.values summary").first.focus()
    page.keyboard.press("Enter")
    assert page.locator("details.values[open] table:visible").count() == 1


@pytest.mark.parametrize("path", ["/", f"/paper/{SLUG}", "/paper/hamming", "/paper/mkor", "/none"])
def test_a_phone_needs_no_sideways_scrolling(browser, filled, serving, path):
    context = browser.new_context(viewport=PHONE)
    page = context.new_page()
    page.goto(serving + path)
    assert not is_too_wide(page)
    assert page.locator(".wide:visible").count() == 0
    context.close()


def test_the_narrow_figure_is_the_phones(opened):
    page = opened(f"/paper/{SLUG}", viewport=PHONE)
    assert page.locator(".narrow:visible").count() == 2
    assert page.locator(".key:visible").count() == 2


CONTRAST = """() => {
  const luminance = (text) => {
    const parts = text.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255);
    const line = parts.map((p) => p <= 0.03928 ? p / 12.92 : ((p + 0.055) / 1.055) ** 2.4);
    return 0.2126 * line[0] + 0.7152 * line[1] + 0.0722 * line[2];
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (!colour.startsWith("rgba(0, 0, 0, 0")) return colour;
    }
    return getComputedStyle(document.documentElement).backgroundColor;
  };
  const low = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!own || element.closest("svg") || !element.checkVisibility()) continue;
    const a = luminance(getComputedStyle(element).color), b = luminance(behind(element));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) low.push(`${element.className} ${element.textContent.slice(0, 30)} ${ratio}`);
  }
  return low;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/", f"/paper/{SLUG}", "/?verdict=agrees"])
def test_both_themes_can_be_read(opened, scheme, path):
    page = opened(path, color_scheme=scheme)
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == {"light": "rgb(251, 250, 246)", "dark": "rgb(20, 22, 26)"}[scheme]
    assert page.evaluate(CONTRAST) == []


def test_hostile_rows_do_nothing(opened, serving_hostile):
    for path in ("/", f"/paper/{SLUG}"):
        page = opened(path, base=serving_hostile)
        assert page.locator("script").count() == 0
        assert page.locator("[onclick]").count() == 0
        assert not is_too_wide(page)


def test_the_export_opens_from_the_file_system(opened, tmp_path):
    export_site(tmp_path / "site")
    base = (tmp_path / "site").as_uri()
    page = opened("/index.html", base=base)
    assert shown(page) == 64
    assert page.evaluate("getComputedStyle(document.body).fontFamily").startswith("system-ui")
    page.get_by_label("Your problem in words").fill("arms that need exposure bandit")
    assert shown(page) < 5
    page.get_by_label("Your problem in words").fill("")
    assert shown(page) == 64
    follow(page, page.get_by_role("link", name=re.compile("^disagrees")))
    assert shown(page) == 1
    follow(page, page.locator("article h3 a"))
    assert page.locator("h1").inner_text().startswith("Faster Algorithms")
    follow(page, page.get_by_role("link", name="All papers"))
    assert shown(page) == 64


def test_the_export_needs_no_script(opened, tmp_path):
    export_site(tmp_path / "site")
    page = opened("/index.html", base=(tmp_path / "site").as_uri(), java_script_enabled=False)
    assert shown(page) == 64
    assert page.locator("form:visible").count() == 0
    follow(page, page.get_by_role("link", name=re.compile("^learning theory")))
    assert shown(page) == 5


@pytest.fixture
def serving_hostile(serve_now, published_folder, store):
    publish(published_folder, hostile_verdict())
    store.add_verdict(verdict(sentence="x" * 3000))
    return serve_now()
