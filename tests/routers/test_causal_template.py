"""Instructions around a query."""

from pathlib import Path

import pytest

from routecast.errors import ConfigError
from routecast.routers.causal_labels import LABEL_SETS, find_labels
from routecast.routers.causal_template import Template, default_template, read_template


def test_a_template_is_split_at_its_query() -> None:
    template = Template.parse("Ask: {query}\nLabel:", source="mine")
    assert template == Template("Ask: ", "\nLabel:")
    assert template.fill("a {b} c") == "Ask: a {b} c\nLabel:"


@pytest.mark.parametrize("name", LABEL_SETS)
def test_every_label_set_has_an_instruction_that_does_not_spell_new_tokens(name: str) -> None:
    text = default_template(name).fill("")
    if name != "letters":  # a label in the instruction would be an input that is never trained
        assert not any(token in text for token in find_labels(name).tokens)


@pytest.mark.parametrize(("text", "n_times"), [("no place", 0), ("{query} and {query}", 2)])
def test_a_template_without_one_place_is_refused(text: str, n_times: int, tmp_path: Path) -> None:
    path = tmp_path / "template.txt"
    path.write_text(text)
    with pytest.raises(ConfigError, match=rf"has '{{query}}' {n_times} times"):
        read_template(str(path))


def test_a_file_that_is_not_there_or_not_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_template(str(tmp_path / "none.txt"))
    (tmp_path / "bytes").write_bytes(b"\xff{query}")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_template(str(tmp_path / "bytes"))
