"""Bytes pass: only the value of the top-level model changes."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from routecast.errors import RequestError
from routecast.gateway.body import _read_exactly, _read_fast, read_request_body

NEW = b'"upstream-model"'


def escaped(text: str) -> str:
    """Write every character as an escape."""
    units = text.encode("utf-16-be", "surrogatepass")
    return '"' + "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2)) + '"'


def plain(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


keys = st.sampled_from(["model", "messages", "stream", "x"]) | st.text(max_size=4)
strings = st.builds(
    lambda text, write: write(text),
    st.sampled_from(["model", '"model', 'say "model": "x"', "auto", "\\", "ü"])
    | st.text(max_size=6),
    st.sampled_from([plain, escaped, json.dumps]),
)
space = st.sampled_from(["", " ", "\n\t", "\r\n  "])
scalars = strings | st.sampled_from(["1", "1e400", "-0.0", "9" * 60, "true", "null", "{}", "[ ]"])


def joined(opening: str, closing: str) -> Callable[[list[str], str], str]:
    def write(members: list[str], gap: str) -> str:
        return opening + gap + f"{gap},{gap}".join(members) + gap + closing

    return write


def objects(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    member = st.builds(
        lambda key, write, gap, value: f"{write(key)}{gap}:{gap}{value}",
        keys,
        st.sampled_from([plain, escaped]),
        space,
        inner,
    )
    return st.builds(joined("{", "}"), st.lists(member, max_size=5), space)


documents = objects(
    st.recursive(
        scalars,
        lambda inner: (
            objects(inner) | st.builds(joined("[", "]"), st.lists(inner, max_size=3), space)
        ),
        max_leaves=12,
    )
)


def pairs_of(body: bytes) -> list[tuple[str, Any]]:
    """The top-level members as Python's parser sees them."""
    pairs: list[tuple[str, Any]] = []

    def keep(members: list[tuple[str, Any]]) -> dict[str, Any]:
        pairs[:] = members  # the outermost object is finished last
        return dict(members)

    json.loads(body.decode("utf-8", "surrogatepass"), object_pairs_hook=keep)
    return pairs


@given(documents)
@example('{"model":"a"}')
@example('{"model":"a","model":"b"}')
@example('{"model":"a","\\u006dodel":"b"}')
@example('{"x":{"model":"a"},"model":"b"}')
@example('{"x":"\\"model","model":"b"}')
@example('{"x\\"model":"a","\\u006d\\u006fdel":"b"}')
def test_both_readers_agree_with_the_standard_library(document: str) -> None:
    body = document.encode("utf-8", "surrogatepass")
    pairs = pairs_of(body)
    models = [value for key, value in pairs if key == "model"]
    lookalikes = [key for key, _ in pairs if key != "model" and key.lower() == "model"]
    if not models or not isinstance(models[-1], str) or lookalikes:
        assert _read_fast(body) is None
        with pytest.raises(RequestError):
            _read_exactly(body)
        return
    exact, fast = _read_exactly(body), _read_fast(body)
    assert exact.model == models[-1]
    messages = [value for key, value in pairs if key == "messages"] or [None]
    assert json.loads(bytes(exact.fields.messages).decode("utf-8", "surrogatepass")) == messages[-1]
    sent = exact.with_model(NEW)
    replaced = [(key, "upstream-model" if key == "model" else value) for key, value in pairs]
    assert pairs_of(sent) == replaced
    kept = body
    for start, end in reversed(exact.spans):
        kept = kept[:start] + NEW + kept[end:]
    assert sent == kept
    if fast is not None:
        assert fast == exact


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"auto","messages":[]}',
        b'{"messages":[{"role":"user","content":"the \\"model\\" of a car"}],"model" : "auto"}',
        b'\n{\t"model"\r:\n"au\\u0074o" }',
    ],
)
def test_usual_bodies_take_the_fast_path(body: bytes) -> None:
    fast = _read_fast(body)
    assert fast is not None
    assert fast.model == "auto"
    assert fast == _read_exactly(body)


@pytest.mark.parametrize(
    ("body", "model", "sent"),
    [
        (b'{"model":"a","x":1e400}', "a", b'{"model":NEW,"x":1e400}'),
        (b'{"model":"a","x":' + b"9" * 400 + b"}", "a", b'{"model":NEW,"x":' + b"9" * 400 + b"}"),
        (b'{"x":{"model":"b"},"model":"a"}', "a", b'{"x":{"model":"b"},"model":NEW}'),
        (b'{"model":"a","x":{"model":"b"}}', "a", b'{"model":NEW,"x":{"model":"b"}}'),
        (b'{"model":"a","model":"b"}', "b", b'{"model":NEW,"model":NEW}'),
        (b'{"model":3,"model":"b"}', "b", b'{"model":NEW,"model":NEW}'),
        (b'{"\\u006dodel":"a"}', "a", b'{"\\u006dodel":NEW}'),
        (b'{"model":"a","\\u006Dodel":"b"}', "b", b'{"model":NEW,"\\u006Dodel":NEW}'),
        (b' {\n"model" :\t"a" , "n":1}\n', "a", b' {\n"model" :\tNEW , "n":1}\n'),
        (b'{"model":"\\u0061\\"","n":1}', 'a"', b'{"model":NEW,"n":1}'),
        (b'{"model":"a","x":"\\ud83d"}', "a", b'{"model":NEW,"x":"\\ud83d"}'),
        (b'{"model":"a","x":"\xff"}', "a", b'{"model":NEW,"x":"\xff"}'),
        (b'{"model":"a","x":NaN}', "a", b'{"model":NEW,"x":NaN}'),
        (b'{"model":"model"}', "model", b'{"model":NEW}'),
        (b'{"x":"model","model":"a"}', "a", b'{"x":"model","model":NEW}'),
        ('{"model":"a","x":"é日本"}'.encode(), "a", '{"model":NEW,"x":"é日本"}'.encode()),
    ],
)  # fmt: skip
def test_only_the_value_of_the_top_level_model_changes(
    body: bytes, model: str, sent: bytes
) -> None:
    read = read_request_body(body)
    assert read.model == model
    assert read.with_model(b"NEW") == sent


@pytest.mark.parametrize("size", [10_000_000])
def test_ten_megabytes_pass(size: int) -> None:
    image = b'{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:' + b"A" * size
    body = b'{"messages":[' + image + b'"}}]}],"model":"auto"}'
    assert read_request_body(body).with_model(b'"auto"') == body


@pytest.mark.parametrize("depth", [500, 900, 990, 1000])
def test_deep_nesting_passes(depth: int) -> None:
    body = b'{"model":"auto","x":' + b"[" * depth + b"]" * depth + b"}"
    assert read_request_body(body).with_model(b'"auto"') == body


@pytest.mark.parametrize("depth", [100_000, 5_000_000])
def test_nesting_that_no_parser_survives_is_refused(depth: int) -> None:
    body = b'{"model":"auto","x":' + b"[" * depth + b"]" * depth + b"}"
    with pytest.raises(RequestError) as caught:
        read_request_body(body)
    assert (caught.value.status, caught.value.code) == (400, "nested_too_deep")


def test_time_is_linear_in_the_size_whatever_the_body_holds() -> None:
    # A quadratic reader would take minutes for these; the suite's patience is the clock.
    n = 200_000
    for part in (b"[{},", b'{"model":', b'"\\"', b'"model",', b"\\\\", b'["model":', b" ", b'"a'):
        with pytest.raises(RequestError):
            read_request_body(b'{"model":"auto","x":' + part * n)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b"{", "invalid_json"),
        (b"[]", "invalid_json"),
        (b'"model"', "invalid_json"),
        (b'{"model":"a"', "invalid_json"),
        (b'{"model":"a"}}', "invalid_json"),
        (b"{}", "missing_model"),
        (b'{"x":{"model":"a"}}', "missing_model"),
        (b'{"model":null}', "invalid_model"),
        (b'{"model":["a"]}', "invalid_model"),
        (b'{"model":"\xff"}', "invalid_model"),
        (b'{"model":"a","model":1}', "invalid_model"),
        (b'{"model":"a","Model":"b"}', "misspelt_model"),
        (b'{"MODEL":"a"}', "misspelt_model"),
        (b'{"model":"a","\\u004dodel":"b"}', "misspelt_model"),
    ],
)
def test_a_body_that_names_no_model_is_refused_with_a_code(body: bytes, code: str) -> None:
    with pytest.raises(RequestError) as caught:
        read_request_body(body)
    assert (caught.value.status, caught.value.code) == (400, code)


def test_a_refusal_quotes_nothing_of_the_body() -> None:
    with pytest.raises(RequestError) as caught:
        read_request_body(b'{"model":"a","messages":"my secret prompt"')
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("text", [b"plain words", b'\\"\\u00e9\\n', b"\\ud83d", "é日".encode()])
def test_a_large_body_is_read_as_a_small_one(text: bytes) -> None:
    turn = b'{"role":"user","content":"' + text + b'"}'
    for n_turns in (1, 20_000):
        messages = b"[" + b",".join([turn] * n_turns) + b"]"
        content = b' { "stream": true , "model" : "auto", "messages": ' + messages + b"} "
        read = read_request_body(content)
        assert (read.model, read.is_stream) == ("auto", True)
        assert bytes(read.fields.messages) == messages
        assert read.with_model(NEW) == content.replace(b'"auto"', NEW)


def test_a_model_s_name_and_the_number_of_models_have_a_limit() -> None:
    assert read_request_body(b'{"model":"' + b"m" * 262_142 + b'"}').model == "m" * 262_142
    with pytest.raises(RequestError, match="at most 262144 bytes"):
        read_request_body(b'{"model":"' + b"m" * 262_143 + b'"}')
    many = b"{" + b",".join([b'"model":"a"'] * 1_000)
    assert len(read_request_body(many + b"}").spans) == 1_000
    with pytest.raises(RequestError, match="more than 1000 models"):
        read_request_body(many + b',"model":"a"}')
