"""Progress bars: on a terminal only."""

import io
import sys

import pytest

from routecast.cli.progress import shown_progress, shown_stages


class Terminal(io.StringIO):
    """A terminal that keeps what it shows."""

    def isatty(self) -> bool:
        return True


def test_nothing_is_shown_off_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with shown_progress("importing") as watch, shown_stages() as stages:
        assert watch is None
        assert stages is None
    assert capsys.readouterr().err == ""


def test_each_stage_shows_what_is_done_and_its_note(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "100")
    with shown_stages() as watch:
        assert watch is not None
        watch("embedding", 5, 20)
        watch("fitting", 3, None, note="loss 0.5")
        watch("embedding", 20, 20)
    shown = terminal.getvalue()
    assert "embedding" in shown
    assert "20/20" in shown
    assert "loss 0.5" in shown


def test_a_bar_shows_its_verb(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with shown_progress("importing") as watch:
        assert watch is not None
        watch(1, 2)
    assert "importing" in terminal.getvalue()
