"""Which models can take a request at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routecast.errors import RequestError
from routecast.policy.gates import Capabilities, Needs, choose_capable, find_lacks

EVERYTHING = Capabilities()
NOTHING = Capabilities(tools=False, images=False, json_schema=False, context_tokens=100)


def test_a_plain_request_suits_every_model() -> None:
    assert choose_capable(Needs(), {"a": EVERYTHING, "b": NOTHING}) == ["a", "b"]


@pytest.mark.parametrize("need", ["tools", "images", "json_schema"])
def test_a_model_that_lacks_what_a_request_holds_is_left_out(need: str) -> None:
    models = {"a": Capabilities(**{need: False}), "b": EVERYTHING}
    assert choose_capable(Needs(**{need: True}), models) == ["b"]
    assert choose_capable(Needs(), models) == ["a", "b"]


def test_a_request_that_nobody_can_take_says_what_each_lacks() -> None:
    needs = Needs(tools=True, images=True, n_text_bytes=8_000)
    models = {"a": Capabilities(tools=False), "b": Capabilities(images=False, context_tokens=999)}
    with pytest.raises(RequestError) as caught:
        choose_capable(needs, models)
    assert (caught.value.status, caught.value.code) == (400, "no_capable_model")
    # 8,000 bytes at 8 bytes per token are 1,000 tokens.
    assert "'a' does not take tools; 'b' does not take images, about 1,000 tokens" in str(
        caught.value
    )
    assert "(context_tokens is 999)" in str(caught.value)


def test_tokens_are_bounded_from_the_bytes_and_the_answer_is_counted() -> None:
    # 10,000 bytes: at 3 per token 3,334 tokens, at 8 per token 1,250; 500 asked for besides.
    needs = Needs(n_text_bytes=10_000, n_other_tokens=500)
    assert (needs.n_tokens_at_least, needs.n_tokens_at_most) == (1_750, 3_834)
    models = {name: Capabilities(context_tokens=n) for name, n in (("a", 3_833), ("b", 3_834))}
    assert choose_capable(needs, models) == ["b"]
    assert find_lacks(needs, Capabilities(context_tokens=1_750)) == []
    assert find_lacks(needs, Capabilities(context_tokens=1_749)) != []


def test_what_may_be_too_long_for_all_goes_to_the_longest_context_and_not_to_a_refusal() -> None:
    needs = Needs(n_text_bytes=10_000)
    models = {name: Capabilities(context_tokens=n) for name, n in (("a", 2_000), ("b", 3_000))}
    assert choose_capable(needs, models) == ["b"]


flags = st.booleans()
capabilities = st.builds(
    Capabilities,
    tools=flags,
    images=flags,
    json_schema=flags,
    context_tokens=st.none() | st.integers(1, 4_000),
)
needs_of_requests = st.builds(
    Needs,
    tools=flags,
    images=flags,
    json_schema=flags,
    n_text_bytes=st.integers(0, 20_000),
    n_other_tokens=st.integers(0, 2_000),
)


@given(needs=needs_of_requests, models=st.lists(capabilities, min_size=1, max_size=4))
def test_the_chosen_can_all_take_it_and_a_model_that_takes_everything_is_among_them(
    needs: Needs, models: list[Capabilities]
) -> None:
    named = {str(i): model for i, model in enumerate(models)}
    try:
        chosen = choose_capable(needs, named)
    except RequestError:
        assert all(find_lacks(needs, model) for model in models)
        return
    assert chosen
    assert all(not find_lacks(needs, named[name]) for name in chosen)
    assert all(name in chosen for name, model in named.items() if model.takes_everything)
