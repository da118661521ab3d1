"""The report in Chromium: what it shows is what the library computes, and all can use it."""

import shutil
from collections.abc import Callable, Iterator
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal

import numpy as np
import pytest

from routecast.evaluate.curve import CostQualityCurve, cost_quality_curve
from routecast.evaluate.discrimination import win_labels
from routecast.evaluate.reliability import reliability_curve
from routecast.evaluate.report import write_report
from routecast.evaluate.study import Study

pytest.importorskip("playwright", reason="Playwright, of the extra dev, drives the browser")
from playwright.sync_api import Browser, Page, sync_playwright

Opener = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    executable = shutil.which("chromium") or shutil.which("google-chrome")
    if executable is None:
        pytest.skip("neither chromium nor google-chrome is on the path")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def opened(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opener]:
    """Open a study's report; its console, errors and requests are kept on the page object."""
    context = browser.new_context(viewport={"width": 1200, "height": 900}, offline=True)

    def open_page(study: Study, *, with_prompts: bool = True) -> Page:
        path = tmp_path_factory.mktemp("report") / "report.html"
        write_report(study, path, with_prompts=with_prompts)
        page = context.new_page()
        page.set_default_timeout(5000)
        complaints[page], requested[page] = [], []
        page.on("console", lambda message: complaints[page].append(f"console: {message.text}"))
        page.on("pageerror", lambda error: complaints[page].append(f"error: {error}"))
        page.on("request", lambda request: requested[page].append(request.url))
        page.on("dialog", lambda dialog: complaints[page].append(f"dialog: {dialog.message}"))
        page.goto(path.as_uri())
        return page

    yield open_page
    context.close()


complaints: dict[Page, list[str]] = {}
requested: dict[Page, list[str]] = {}


@pytest.fixture(scope="module")
def page(opened: Opener, study: Study) -> Page:
    """The report that most tests share; each sets the controls that it reads."""
    return opened(study)


def rounded(value: float, n_digits: int) -> str:
    """The decimals of a double, halves up, written without the code under test."""
    text = str(Decimal(float(value)).quantize(Decimal(10) ** -n_digits, ROUND_HALF_UP))
    return text.replace("-", "−") if Decimal(text) else text.replace("-", "")


def curves(study: Study, number: int) -> tuple[CostQualityCurve, CostQualityCurve]:
    """Quality and cost of a router along the share of strong calls."""
    scores = study.routers[number].scores
    assert scores is not None
    assert study.weak_cost_usd is not None
    assert study.strong_cost_usd is not None
    return (
        cost_quality_curve(
            scores, weak_quality=study.weak_quality, strong_quality=study.strong_quality
        ),
        cost_quality_curve(
            scores, weak_quality=study.weak_cost_usd, strong_quality=study.strong_cost_usd
        ),
    )


def move_slider(page: Page, position: int) -> None:
    page.locator("#slider").evaluate(
        "(node, to) => { node.value = to; node.dispatchEvent(new Event('input')); }", position
    )


def signed(shown: str) -> str:
    return shown if shown == "0.000" or shown[0] == "−" else "+" + shown


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("position", [0, 1, 13, 30, 47, 60])
def test_the_slider_shows_the_librarys_numbers_to_the_last_digit(
    page: Page, study: Study, number: int, position: int
) -> None:
    page.select_option("#router", str(number))
    move_slider(page, position)
    router = study.routers[number]
    assert router.scores is not None
    assert router.band is not None
    n_strong = int(page.text_content("#count").split(" ")[0])  # type: ignore[union-attr]
    falling = np.sort(router.scores)[::-1]
    ends = [0, *(np.flatnonzero(np.append(falling[1:] != falling[:-1], True)) + 1)]
    assert abs(n_strong - position) == min(abs(end - position) for end in ends)

    quality, cost = curves(study, number)
    low = np.interp(n_strong / 60, router.band.strong_share, router.band.low)
    high = np.interp(n_strong / 60, router.band.strong_share, router.band.high)
    gains = [
        np.interp(n_strong / 60, router.band.strong_share, gain)
        for gain in (router.band.gain_low, router.band.gain_high)
    ]
    straight = quality.quality[0] + (quality.quality[-1] - quality.quality[0]) * n_strong / 60
    above = rounded(quality.quality[n_strong] - straight, 3)
    saved = cost.quality[-1] - cost.quality[n_strong]
    expected = {
        "share": rounded(100 * n_strong / 60, 1) + "%",
        "count": f"{n_strong} of 60",
        "quality": rounded(quality.quality[n_strong], 3),
        "quality-interval": f"[{rounded(low, 3)}, {rounded(high, 3)}]",
        "above-random": signed(above),
        "gain-interval": f"[{', '.join(signed(rounded(gain, 3)) for gain in gains)}]"
        if 0 < n_strong < 60
        else "",
        "of-strong": rounded(100 * quality.quality[n_strong] / quality.quality[-1], 1) + "%",
        "pgr": rounded(100 * quality.gap_recovered[n_strong], 1) + "%",
        "usd": "$" + rounded(1000 * cost.quality[n_strong], 2),
        "saved": "$" + rounded(1000 * saved, 2),
        "saved-share": rounded(100 * saved / cost.quality[-1], 1) + "%",
    }
    threshold = "above all scores"
    if n_strong:
        lowest = falling[n_strong - 1]
        threshold = rounded(lowest, 4) if router.is_probability else f"{lowest:.0f}"
        assert int((router.scores >= lowest).sum()) == n_strong
    assert page.text_content("#threshold") == threshold
    assert {name: page.text_content(f"#{name}") for name in expected} == expected


def test_the_ends_of_the_slider_are_the_single_models(page: Page, study: Study) -> None:
    page.select_option("#router", "0")
    move_slider(page, 0)
    assert page.text_content("#quality") == rounded(study.weak_quality.mean(), 3)
    assert page.text_content("#pgr") == "0.0%"
    move_slider(page, 60)
    assert page.text_content("#quality") == rounded(study.strong_quality.mean(), 3)
    assert page.text_content("#pgr") == page.text_content("#of-strong") == "100.0%"
    assert page.text_content("#saved") == "$0.00"


def test_a_typed_threshold_sends_the_prompts_that_it_would_in_a_gateway(
    page: Page, study: Study
) -> None:
    page.select_option("#router", "1")
    scores = study.routers[1].scores
    assert scores is not None
    for typed in (-1.0, 0.3, 0.5049, 0.61, 2.0):
        page.fill("#typed", str(typed))
        page.press("#typed", "Enter")
        assert page.text_content("#count") == f"{int((scores >= typed).sum())} of 60"


def test_the_keyboard_moves_the_slider(page: Page) -> None:
    page.select_option("#router", "0")
    page.focus("#slider")
    page.keyboard.press("Home")
    assert page.text_content("#share") == "0.0%"
    page.keyboard.press("End")
    assert page.text_content("#share") == "100.0%"
    assert "100.0% of calls" in (page.get_attribute("#slider", "aria-valuetext") or "")


def test_the_bins_of_the_reliability_diagram_are_the_librarys(page: Page, study: Study) -> None:
    page.select_option("#router", "0")
    scores = study.routers[0].scores
    assert scores is not None
    labels = win_labels(weak_quality=study.weak_quality, strong_quality=study.strong_quality)
    curve = reliability_curve(scores, labels)
    rows = page.locator("#bin-rows tr").all_text_contents()
    assert rows == [
        f"{number + 1}{n}{rounded(forecast, 3)}{rounded(won, 3)} "
        f"[{rounded(low, 3)}, {rounded(high, 3)}]"
        for number, (n, forecast, won, low, high) in enumerate(
            zip(
                curve.n_prompts,
                curve.mean_probability,
                curve.win_share,
                curve.low,
                curve.high,
                strict=True,
            )
        )
    ]


def test_scores_that_are_no_probabilities_have_no_reliability_diagram(page: Page) -> None:
    page.select_option("#router", "2")
    assert not page.is_visible("#reliability")
    assert "only an order" in (page.text_content("#trust-none") or "")


def test_the_worst_prompts_are_those_that_the_threshold_sends_wrong(
    page: Page, study: Study
) -> None:
    page.select_option("#router", "0")
    move_slider(page, 30)
    scores = study.routers[0].scores
    assert scores is not None
    n_strong = int((page.text_content("#count") or "").split(" ")[0])
    sent = scores >= np.sort(scores)[::-1][n_strong - 1]
    gap = study.strong_quality - study.weak_quality
    for name, wrong, sign in (("missed", ~sent & (gap > 0), 1), ("wasted", sent & (gap < 0), -1)):
        rows = np.flatnonzero(wrong)
        order = np.lexsort((rows, sign * scores[rows], -np.abs(gap[rows])))
        titles = page.locator(f"#{name} p").all_text_contents()
        assert [title.split(" · ")[0] for title in titles] == [
            f"Row {row + 1}" for row in rows[order][:10]
        ]
        assert (page.text_content(f"#{name}-title") or "").startswith(f"{len(rows)} prompt")


def test_a_hostile_prompt_stays_text(page: Page, hostile: str) -> None:
    page.select_option("#router", "0")
    move_slider(page, 0)
    quoted = page.locator("#missed blockquote").first.text_content() or ""
    shown = hostile.replace("\ud800", "\ufffd")
    assert quoted.replace("\ud800", "\ufffd").startswith(shown)
    assert page.locator("img").count() == 0


def test_dollars_and_gap_can_be_the_axes(page: Page) -> None:
    page.select_option("#x-axis", "usd")
    page.select_option("#y-axis", "pgr")
    labels = page.locator("#curve .axis-label").all_text_contents()
    page.select_option("#x-axis", "calls")
    page.select_option("#y-axis", "quality")
    assert labels == ["Dollars per 1,000 prompts", "Gap recovered (PGR)"]


def test_a_curve_can_be_taken_away(page: Page) -> None:
    page.select_option("#router", "0")
    line = page.locator("#curve [data-router='length']")
    button = page.get_by_role("button", name="length")
    assert line.count() == 1
    button.click()
    assert line.count() == 0
    assert button.get_attribute("aria-pressed") == "false"
    button.click()
    assert line.count() == 1


def test_dragging_on_the_chart_moves_the_threshold(page: Page) -> None:
    page.select_option("#router", "0")
    move_slider(page, 0)
    box = page.locator("#curve").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 100, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 4, box["y"] + 100)
    page.mouse.up()
    assert page.text_content("#share") == "100.0%"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_to_object_to(page: Page, scheme: Literal["light", "dark"]) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page.emulate_media(color_scheme=scheme)
    page.locator("details").evaluate_all("all => all.forEach((one) => { one.open = true; })")
    found = axe.Axe().run(page).response["violations"]
    page.emulate_media(color_scheme="light")
    assert [(one["id"], one["nodes"][0]["html"]) for one in found] == []


def test_a_narrow_screen_needs_no_sideways_scrolling(page: Page) -> None:
    page.set_viewport_size({"width": 400, "height": 800})
    widths = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    page.set_viewport_size({"width": 1200, "height": 900})
    assert widths[0] <= widths[1] == 400


def test_without_prompts_the_page_names_rows_only(opened: Opener, study: Study) -> None:
    page = opened(study, with_prompts=False)
    assert page.locator("#missed p").count() > 0
    assert page.locator("blockquote").count() == 0
    assert complaints[page] == []


def test_unusual_studies_draw_without_a_complaint(opened: Opener, odd_study: Study) -> None:
    page = opened(odd_study)
    for number in range(min(page.locator("#router option").count(), 2)):
        page.select_option("#router", str(number))
        move_slider(page, 3)
        for axis, choice in (("y-axis", "pgr"), ("x-axis", "usd"), ("bands", "all")):
            if page.locator(f"#{axis}").is_visible() and page.locator(f"#{axis}").is_enabled():
                page.select_option(f"#{axis}", choice)
        assert "NaN" not in (page.inner_text("body") + page.inner_html("#curve"))
    assert complaints[page] == []
    page.close()


def test_the_page_never_complained_and_asked_for_nothing_but_itself(page: Page) -> None:
    assert complaints[page] == []
    assert requested[page] == [page.url]
