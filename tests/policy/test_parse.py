"""routecast.toml: what is read, and the message for whatever is not."""

import pytest

from routecast.errors import ConfigError
from routecast.policy.model_settings import PriceSettings
from routecast.policy.parse import parse_settings
from routecast.policy.settings import DEFAULT_PORT, Settings
from routecast.upstream.apis import Api

GOOD = """
[models.strong]
model = "gpt-5.2"
base_url = "https://api.openai.com/v1"
api_key = "env:OPENAI_API_KEY"
price = { input = 1.75, output = 14.0 }

[models.weak]
model = "llama3.2"
base_url = "http://127.0.0.1:11434/v1"

[routes.auto]
strong = "strong"
weak = "weak"
strong_share = 0.3
"""
SECRET = "sk-0123456789abcdef"


def parse(text: str) -> Settings:
    return parse_settings(text, source="routecast.toml")


def refusal_of(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    return str(caught.value)


def test_the_design_s_own_example_is_read() -> None:
    settings = parse(GOOD)
    assert settings.models["strong"].price == PriceSettings(input=1.75, output=14.0)
    assert settings.models["weak"].api_key is None
    assert settings.routes["auto"].strong_share == 0.3
    assert settings.routes["auto"].router == "default"
    assert settings.routes["auto"].on_router_error == "strong"
    assert settings.server.port == DEFAULT_PORT


def test_whole_numbers_are_accepted_where_fractions_are() -> None:
    assert parse(GOOD.replace("0.3", "1")).routes["auto"].strong_share == 1


def test_a_syntax_error_names_the_file_and_the_line() -> None:
    message = refusal_of("[models.strong]\nmodel = \n")
    assert message.startswith("routecast.toml is not valid TOML")
    assert "line 2" in message


def test_an_unknown_key_names_its_path_and_the_nearest_valid_one() -> None:
    message = refusal_of(GOOD.replace("strong_share", "strong_shares"))
    assert "unknown key routes.auto.strong_shares; did you mean 'strong_share'?" in message


@pytest.mark.parametrize(
    ("line", "path", "guess"),
    [
        ("[sever]\nport = 1", "sever", "server"),
        ("[server]\nprot = 1", "server.prot", "port"),
        ("[models.third]\nurl = 'x'", "models.third.url", "base_url"),
        ("[models.third.price]\ninputs = 1", "models.third.price.inputs", "input"),
    ],
)
def test_every_table_knows_its_own_keys(line: str, path: str, guess: str) -> None:
    assert f"unknown key {path}; did you mean {guess!r}?" in refusal_of(GOOD + line)


def test_an_unknown_key_like_no_other_lists_what_is_accepted() -> None:
    message = refusal_of(GOOD + "[server]\nzzz = 1")
    assert "unknown key server.zzz; accepted here: ['host', 'port'" in message


def test_a_value_out_of_range_is_shown_with_its_path_and_its_range() -> None:
    message = refusal_of(GOOD.replace("0.3", "130"))
    assert message == (
        "routecast.toml: routes.auto.strong_share = 130 is refused: "
        "it should be less than or equal to 1"
    )
    percent = refusal_of(GOOD.replace("0.3", "30"))
    assert percent.endswith("it should be less than or equal to 1; did you mean 0.3?")


@pytest.mark.parametrize("value", ["'0.3'", "true", "nan", "inf", "-0.1", "[0.3]"])
def test_nothing_that_is_no_share_is_taken_for_one(value: str) -> None:
    assert "routes.auto.strong_share = " in refusal_of(GOOD.replace("0.3", value))


def test_a_missing_key_says_what_belongs_there() -> None:
    message = refusal_of(GOOD.replace('model = "llama3.2"\n', ""))
    assert "models.weak.model is missing; add it: the name that the upstream knows" in message


def test_every_fault_is_told_at_once() -> None:
    message = refusal_of(GOOD.replace("0.3", "3").replace("base_url", "url"))
    assert len(message.splitlines()) == 5  # the share; per model a missing and an unknown key


def test_an_empty_file_is_told_what_it_lacks() -> None:
    assert "models is missing" in refusal_of("")
    assert "models" in refusal_of("[models]")


def test_a_table_that_is_no_table_is_told_so() -> None:
    assert refusal_of("models = 3").endswith("models is refused: it should be a table")


def test_a_route_to_an_unknown_model_lists_those_that_exist() -> None:
    message = refusal_of(GOOD.replace('weak = "weak"', 'weak = "week"'))
    assert (
        "routes.auto.weak = 'week' is no configured model; choose one of ['strong', 'weak']"
        in message
    )


def test_a_route_between_a_model_and_itself_is_refused() -> None:
    message = refusal_of(GOOD.replace('weak = "weak"', 'weak = "strong"'))
    assert "strong and weak are both 'strong'" in message


def test_a_route_with_the_name_of_a_model_is_refused() -> None:
    message = refusal_of(GOOD.replace("[routes.auto]", "[routes.weak]"))
    assert "routes.weak has the name of a model" in message


@pytest.mark.parametrize("name", ['""', '"two words"', '"naïve"', r'"tab\t"'])
def test_a_name_that_no_header_can_hold_is_refused(name: str) -> None:
    message = refusal_of(GOOD.replace("[routes.auto]", f"[routes.{name}]"))
    assert "accepted: a name of printable ASCII without spaces" in message


def test_a_name_with_a_dot_is_written_as_toml_writes_it() -> None:
    message = refusal_of(GOOD.replace("[routes.auto]", '[routes."gpt-4.1"]').replace("0.3", "3"))
    assert 'routes."gpt-4.1".strong_share = 3 is refused' in message


@pytest.mark.parametrize(
    ("goals", "named"),
    [
        ("", "min_quality"),
        ("strong_share = 0.3\nthreshold = 0.5", "; it sets strong_share and threshold"),
        ("budget_usd_per_1k = 2\nmin_quality = 0.9", "; it sets budget_usd_per_1k and min_quality"),
    ],
)
def test_a_route_needs_exactly_one_goal(goals: str, named: str) -> None:
    message = refusal_of(GOOD.replace("strong_share = 0.3", goals))
    wanted = "strong_share, threshold, budget_usd_per_1k, min_quality"
    assert f"routes.auto is refused: set exactly one goal: {wanted}" in message
    assert message.endswith(named)


@pytest.mark.parametrize("goal", ["strong_share", "threshold", "budget_usd_per_1k", "min_quality"])
def test_each_goal_is_read_with_its_value(goal: str) -> None:
    settings = parse_settings(GOOD.replace("strong_share", goal), source="test")
    assert (settings.routes["auto"].goal.name, settings.routes["auto"].goal.value) == (goal, 0.3)


@pytest.mark.parametrize("goal", ["budget_usd_per_1k = -1", "min_quality = 0", "min_quality = -1"])
def test_a_goal_out_of_range_is_refused_with_its_value(goal: str) -> None:
    message = refusal_of(GOOD.replace("strong_share = 0.3", goal))
    assert f"routes.auto.{goal} is refused: it should be greater than" in message


def test_a_tie_share_belongs_to_a_threshold() -> None:
    both = GOOD.replace("strong_share = 0.3", "threshold = 0.3\ntie_share = 0.25")
    assert parse_settings(both, source="test").routes["auto"].tie_share == 0.25
    message = refusal_of(both.replace("threshold", "strong_share"))
    assert "tie_share belongs to threshold" in message


@pytest.mark.parametrize(
    "text",
    [
        GOOD.replace("env:OPENAI_API_KEY", SECRET),
        GOOD.replace("env:OPENAI_API_KEY", f"token:{SECRET}"),
        GOOD.replace('"env:OPENAI_API_KEY"', f'["{SECRET}"]'),
        GOOD.replace("api_key", "api_kye").replace("env:OPENAI_API_KEY", SECRET),
        GOOD.replace("https://", f"https://user:{SECRET}@"),
        GOOD.replace("https://", f"ftp://user:{SECRET}@"),
        f'models = {{ strong = "{SECRET}" }}',
        f'[models]\nstrong = ["{SECRET}"]',
        f"[models.strong]\napi_key = {SECRET}",
        f'[models.strong]\napi_key = "{SECRET}',
    ],
)
def test_a_secret_that_was_written_out_is_refused_and_never_repeated(text: str) -> None:
    assert SECRET not in refusal_of(text)


def test_a_literal_secret_is_told_how_to_be_given() -> None:
    message = refusal_of(GOOD.replace("env:OPENAI_API_KEY", SECRET))
    assert "models.strong.api_key is refused" in message
    assert "'env:NAME'" in message
    assert "'file:PATH'" in message


@pytest.mark.parametrize(
    "url",
    [
        "api.openai.com/v1", "ftp://host/v1", "http://", "https://host/v1?x=1", "http://host/#a",
        "https://host/v1/chat/completions", "http://host:99999/v1", "http://[::1/v1",
    ],
)  # fmt: skip
def test_a_base_url_that_cannot_work_is_refused(url: str) -> None:
    message = refusal_of(GOOD.replace("http://127.0.0.1:11434/v1", url))
    shown = "models.weak.base_url is refused" if "?" in url or "#" in url else f"base_url = '{url}'"
    assert shown in message


@pytest.mark.parametrize(
    ("given", "changed"),
    [
        ("http://127.0.0.1:11434/v1", f"http://host/v1?key={SECRET}"),
        ('"http://127.0.0.1:11434/v1"', f'["http://host/v1?key={SECRET}"]'),
    ],
)
def test_a_secret_in_a_url_is_never_repeated(given: str, changed: str) -> None:
    assert SECRET not in refusal_of(GOOD.replace(given, changed))


def test_a_text_where_a_number_belongs_is_not_repeated() -> None:
    assert SECRET not in refusal_of(GOOD + f'[server]\nport = "{SECRET}"\n')


@pytest.mark.parametrize(
    ("line", "refusal"),
    [
        (
            "apis = []",
            "third.apis = [] is refused: accepted: a list of one or more of chat, resp",
        ),
        ('apis = ["chat", "chat"]', "is refused: it should name each API once"),
        ('apis = ["gemini"]', "is refused: it should be 'chat', 'responses', 'completions'"),
        ('apis = "chat"', "models.third.apis = 'chat' is refused: it should be a list"),
        ("retries = -1", "models.third.retries = -1 is refused"),
        ("context_tokens = 0", "models.third.context_tokens = 0 is refused"),
    ],
)
def test_what_a_model_cannot_be_is_refused_in_words(line: str, refusal: str) -> None:
    third = f'[models.third]\nmodel = "x"\nbase_url = "http://host/v1"\n{line}\n'
    assert refusal in refusal_of(GOOD + third)


def test_a_model_speaks_chat_and_takes_everything_unless_it_says_otherwise() -> None:
    model = parse(GOOD).models["weak"]
    assert model.apis == (Api.CHAT,)
    assert model.tools
    assert model.images
    assert model.json_schema
    assert model.context_tokens is None
    assert not model.ask_usage


def test_a_route_whose_models_share_no_api_is_refused() -> None:
    text = GOOD.replace('model = "llama3.2"', 'model = "llama3.2"\napis = ["messages"]')
    message = refusal_of(text)
    assert "routes.auto has models that share no API" in message
    assert "strong has apis = ['chat'], weak has apis = ['messages']" in message


def test_embeddings_are_nothing_that_two_models_share() -> None:
    both = GOOD.replace("[routes", 'apis = ["messages", "embeddings"]\n[routes')
    text = both.replace("price =", 'apis = ["chat", "embeddings"]\nprice =')
    assert "share no API" in refusal_of(text)


def test_a_fallback_is_a_role_or_a_model() -> None:
    text = GOOD + 'fallback = ["weak", "strong"]\n'
    assert parse(text).routes["auto"].fallback_models == ["weak", "strong"]
    message = refusal_of(GOOD + 'fallback = ["weka"]\n')
    assert "routes.auto.fallback = 'weka' is no configured model; choose one of" in message


def test_the_other_model_of_the_pair_is_the_fallback_unless_it_is_said() -> None:
    assert parse(GOOD).routes["auto"].fallback_models == ["strong", "weak"]
    assert parse(GOOD + "fallback = []\n").routes["auto"].fallback_models == []


@pytest.mark.parametrize(
    ("lines", "refusal"),
    [
        ('tls_key = "key.pem"', "tls_certificate and tls_key belong together"),
        ('cors_origins = ["https://a.example"]', "cors_origins needs client_keys"),
        ('cors_origins = ["*"]\nclient_keys = ["env:KEY"]', "accepted: an origin such as"),
        (f'client_keys = ["{SECRET}"]', "a secret must not be written out"),
    ],
)
def test_what_a_server_cannot_be_is_refused_in_words(lines: str, refusal: str) -> None:
    message = refusal_of(f"{GOOD}[server]\n{lines}\n")
    assert refusal in message
    assert SECRET not in message


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        parse(GOOD).server.port = 1


def test_every_setting_is_described_in_a_sentence() -> None:
    definitions = Settings.model_json_schema()["$defs"]
    definitions.pop("Api")
    assert set(definitions) == {"ModelSettings", "PriceSettings", "RouteSettings", "ServerSettings"}
    for table in definitions.values():
        for name, field in table["properties"].items():
            assert field["description"].endswith("."), name


def test_an_acronym_that_begins_a_description_stays_one() -> None:
    third = '[models.third]\nmodel = "x"\nbase_url = "http://host/v1"\nprice = { input = 1.0 }\n'
    assert "price.output is missing; add it: US dollars per million" in refusal_of(GOOD + third)


def test_choices_are_listed_once_where_models_are_named_as_their_roles() -> None:
    text = GOOD.replace("strong_share = 0.3", 'strong_share = 0.3\nfallback = ["other"]')
    assert "choose one of ['strong', 'weak']" in refusal_of(text)
