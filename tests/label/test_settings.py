"""What one judging run asks, and of whom."""

from dataclasses import replace

import pytest

from routecast.errors import ConfigError
from routecast.label.settings import JudgeSettings, only_models
from routecast.policy.parse import parse_settings
from routecast.upstream.endpoint import Endpoint

JUDGE = Endpoint(name="judge", model="j-1", base_url="http://127.0.0.1:1/v1", api_key="sk-key")
SETTINGS = JudgeSettings(strong="s", weak="w", judge="judge", endpoints={"judge": JUDGE})


def test_the_fingerprint_says_models_and_mode_and_neither_key_nor_address() -> None:
    shown = repr(SETTINGS.fingerprint())
    assert "j-1" in shown
    assert "sk-key" not in shown
    assert "127.0.0.1" not in shown


def test_the_fingerprint_changes_with_everything_that_a_verdict_depends_on() -> None:
    moved = replace(JUDGE, base_url="http://127.0.0.1:2/v1")
    assert replace(SETTINGS, endpoints={"judge": moved}).fingerprint() == SETTINGS.fingerprint()
    for changed in (
        replace(SETTINGS, mode="grade"),
        replace(SETTINGS, weak="w2"),
        replace(SETTINGS, reference_column="gold"),
        replace(SETTINGS, endpoints={"judge": replace(JUDGE, model="j-2")}),
        replace(SETTINGS, endpoints={"judge": JUDGE, "s": JUDGE}),
    ):
        assert changed.fingerprint() != SETTINGS.fingerprint()


def test_a_model_is_not_compared_with_itself() -> None:
    with pytest.raises(ConfigError, match="both 's'"):
        replace(SETTINGS, weak="s")


def test_only_the_models_that_are_called_are_kept() -> None:
    text = "".join(
        f'[models.{name}]\nmodel = "m"\nbase_url = "http://127.0.0.1:1/v1"\n' for name in "abc"
    )
    settings = parse_settings(text, source="test")
    assert set(only_models(settings, ("a", "c")).models) == {"a", "c"}
    with pytest.raises(
        ConfigError, match=r"'d' is not configured; choose one of \['a', 'b', 'c'\]"
    ):
        only_models(settings, ("a", "d"))


def test_a_model_that_does_not_speak_chat_is_refused_up_front() -> None:
    text = '[models.judge]\nmodel = "x"\nbase_url = "http://host/v1"\napis = ["messages"]\n'
    settings = parse_settings(text, source="test")
    with pytest.raises(ConfigError, match=r"'judge' has apis = \['messages'\], and labelling asks"):
        only_models(settings, ("judge",))
