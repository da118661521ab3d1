from routecast.cli.counts import counted


def test_one_is_singular_and_thousands_have_commas() -> None:
    assert counted(1, "prompt") == "1 prompt"
    assert counted(0, "prompt") == "0 prompts"
    assert counted(1234, "prompt") == "1,234 prompts"
