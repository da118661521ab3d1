import tomllib

import pytest

from routecast.demo.pair import Pair
from routecast.demo.prompts import PROMPTS
from routecast.errors import ConfigError


def test_the_prompts_are_forty_and_all_different() -> None:
    assert len(set(PROMPTS)) == len(PROMPTS) == 40


def test_a_real_pair_needs_a_key() -> None:
    with pytest.raises(ConfigError, match="'OPENAI_API_KEY', which is not set"):
        Pair.real("a", "b", environ={})


def test_a_real_pair_is_two_models() -> None:
    with pytest.raises(ConfigError, match="got 'a' twice"):
        Pair.real("a", "a", environ={"OPENAI_API_KEY": "sk"})


def test_the_settings_name_the_key_and_never_hold_it() -> None:
    pair = Pair.real('odd"name', "b", environ={"OPENAI_API_KEY": "sk-secret"})
    written = pair.to_toml(strong_share=0.5)
    settings = tomllib.loads(written)
    assert settings["models"]["strong"]["model"] == 'odd"name'
    assert settings["models"]["weak"]["base_url"] == "https://api.openai.com/v1"
    assert settings["models"]["weak"]["api_key"] == "env:OPENAI_API_KEY"
    assert "sk-secret" not in written


def test_a_name_with_a_line_break_cannot_write_settings() -> None:
    pair = Pair.real('x"\napi_key = "y', "b", environ={"OPENAI_API_KEY": "sk"})
    with pytest.raises(ConfigError, match="control characters"):
        pair.to_toml(strong_share=0.5)
