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
    written = pair.to_toml({"router": "default", "strong_share": 0.5})
    settings = tomllib.loads(written)
    assert settings["models"]["strong"]["model"] == 'odd"name'
    assert settings["models"]["weak"]["base_url"] == "https://api.openai.com/v1"
    assert settings["models"]["weak"]["api_key"] == "env:OPENAI_API_KEY"
    assert settings["routes"]["auto"]["strong_share"] == 0.5
    assert "sk-secret" not in written


def test_a_name_with_a_line_break_cannot_write_settings() -> None:
    pair = Pair.real('x"\napi_key = "y', "b", environ={"OPENAI_API_KEY": "sk"})
    with pytest.raises(ConfigError, match="control characters"):
        pair.to_toml({"strong_share": 0.5})


def test_the_replayed_pair_has_the_paper_s_prices() -> None:
    pair = Pair.replayed({"strong": "http://127.0.0.1:1/v1", "weak": "http://127.0.0.1:2/v1"})
    models = tomllib.loads(pair.to_toml({"threshold": 0.5}))["models"]
    assert models["strong"]["price"] == {"input": 24.7, "output": 24.7}
    assert models["weak"]["price"] == {"input": 0.24, "output": 0.24}
