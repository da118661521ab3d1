"""The fields that upstreams disagree on."""

from routecast.upstream.dialect import Dialect, adapt_dialect


def test_a_refused_field_is_named_otherwise_or_left_out() -> None:
    start = Dialect()
    renamed = adapt_dialect(start, "max_tokens")
    assert renamed == Dialect(output_limit="max_completion_tokens")
    assert adapt_dialect(renamed, "temperature") == Dialect(
        output_limit="max_completion_tokens", takes_temperature=False
    )


def test_nothing_is_tried_twice() -> None:
    last = Dialect(output_limit="max_completion_tokens", takes_temperature=False)
    for refused in ("max_tokens", "max_completion_tokens", "temperature", "messages", None):
        assert adapt_dialect(last, refused) is None
