import pytest

from routecast.artifacts import load_router
from routecast.demo.pair import SIMULATED_PRICES, Pair
from routecast.demo.prompts import PROMPTS
from routecast.demo.run import DemoReport, RoutedPrompt, running_demo, send_prompts
from routecast.errors import UpstreamError
from routecast.testing import FakeUpstream, Refuse, serve_upstream
from routecast.upstream.prices import Price


def row(model: str, *, elapsed_s: float = 0.03, direct_s: float | None = 0.02) -> RoutedPrompt:
    return RoutedPrompt(
        prompt="p",
        model=model,
        win_probability=0.5,
        n_input_tokens=100,
        n_output_tokens=10,
        elapsed_s=elapsed_s,
        direct_s=direct_s,
    )


def report(*rows: RoutedPrompt, priced: bool = True) -> DemoReport:
    prices = {"strong": Price(input=2.0, output=20.0), "weak": Price(input=0.5, output=1.0)}
    return DemoReport(
        rows=rows,
        threshold=0.5,
        strong_share_asked=0.5,
        calibration_sample="a sample",
        prices=prices if priced else {},
    )


def test_cost_is_counted_at_each_answer_s_own_price() -> None:
    # Strong: (100 * 2 + 10 * 20) / 1e6 = 400e-6; weak: (100 * 0.5 + 10 * 1) / 1e6 = 60e-6.
    figures = report(row("strong"), row("weak"), row("weak"))
    assert figures.cost_usd == pytest.approx(520e-6)
    assert figures.all_strong_cost_usd == pytest.approx(1200e-6)
    assert figures.strong_share == pytest.approx(1 / 3)


def test_nothing_is_said_of_costs_that_nobody_stated() -> None:
    assert report(row("strong"), priced=False).cost_usd is None


def test_added_latency_is_the_median_difference() -> None:
    rows = [row("weak", elapsed_s=elapsed_s) for elapsed_s in (0.021, 0.022, 0.5)]
    assert report(*rows).added_latency_ms == pytest.approx(2.0)
    assert report(row("weak", direct_s=None)).added_latency_ms is None


@pytest.mark.anyio
async def test_every_prompt_is_answered_by_the_model_that_its_score_says() -> None:
    loaded = load_router("default")
    async with running_demo(None, loaded, environ={}) as running:
        figures = await send_prompts(
            running, prices=SIMULATED_PRICES, calibration_sample=loaded.calibration_sample
        )
    assert [answered.prompt for answered in figures.rows] == list(PROMPTS)
    expected = loaded.router.win_probabilities(PROMPTS)
    for answered, score in zip(figures.rows, expected, strict=True):
        assert answered.win_probability == pytest.approx(score, abs=1e-4)
        assert answered.model == ("strong" if score >= figures.threshold else "weak")
    assert 0 < figures.strong_share < 1
    assert figures.cost_usd is not None
    assert figures.all_strong_cost_usd is not None
    assert 0 < figures.cost_usd < figures.all_strong_cost_usd


@pytest.mark.anyio
async def test_a_real_pair_is_called_with_its_key_and_names() -> None:
    upstream = FakeUpstream("stands-in-for-openai")
    async with serve_upstream(upstream) as base_url:
        environ = {"OPENAI_API_KEY": "sk-test", "OPENAI_BASE_URL": base_url}
        pair = Pair.real("big-model", "small-model", environ=environ)
        async with running_demo(pair, load_router("default"), environ=environ) as running:
            figures = await send_prompts(
                running, prices=pair.prices, calibration_sample=None, prompts=PROMPTS[:4]
            )
    assert upstream.n_requests == 4
    assert {request.header("authorization") for request in upstream.requests} == {"Bearer sk-test"}
    asked = b" ".join(request.body for request in upstream.requests)
    assert b"big-model" in asked or b"small-model" in asked
    assert figures.added_latency_ms is None
    assert figures.cost_usd is None


@pytest.mark.anyio
async def test_a_refused_key_is_one_clear_error() -> None:
    upstream = FakeUpstream("stands-in-for-openai")
    upstream.misbehave(Refuse(status=401, body=b'{"error": {"message": "bad key"}}'))
    async with serve_upstream(upstream) as base_url:
        environ = {"OPENAI_API_KEY": "sk-test", "OPENAI_BASE_URL": base_url}
        pair = Pair.real("big-model", "small-model", environ=environ)
        async with running_demo(pair, load_router("default"), environ=environ) as running:
            with pytest.raises(UpstreamError, match=r"status 401.*bad key"):
                await send_prompts(running, prices={}, calibration_sample=None)
