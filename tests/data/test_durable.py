"""Whole files and folders: killed at every step, held by one run at a time, on the disk."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from routecast.data import durable
from routecast.data.durable import (
    held_workspace,
    interrupted_copy,
    temporary_folder,
    whole_folder,
)
from routecast.data.files import whole_file
from routecast.errors import ConfigError

KILL_SAVES = Path(__file__).with_name("kill_saves.py")


@pytest.mark.parametrize("kind", ["file", "folder", "folder-in-two-steps", "artifact"])
def test_a_kill_at_any_step_leaves_the_old_or_the_new_and_the_next_run_clears_up(
    tmp_path: Path, kind: str
) -> None:
    run = subprocess.run(
        [sys.executable, str(KILL_SAVES), kind, str(tmp_path)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) >= 8


HOLD = """
import sys
from routecast.data.durable import held_workspace
with held_workspace(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_run_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(target)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as other:  # fmt: skip
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == "held\n"
        match = rf"another run \(process {other.pid} on .*since 20.*name another output"
        with pytest.raises(ConfigError, match=match), whole_folder(target):
            pass
        with pytest.raises(ConfigError, match=match), whole_file(target):
            pass
        other.kill()
    with whole_file(target) as file:
        file.write(b"mine")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_another_thread_is_another_run_and_the_same_one_may_enter_again(tmp_path: Path) -> None:
    errors = []

    def save() -> None:
        try:
            with whole_file(tmp_path / "out"):
                pass
        except ConfigError as error:
            errors.append(error)

    with held_workspace(tmp_path / "out"):
        thread = threading.Thread(target=save)
        thread.start()
        thread.join()
        with whole_file(tmp_path / "out") as file:
            file.write(b"mine")
    assert len(errors) == 1
    assert (tmp_path / "out").read_bytes() == b"mine"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_files_and_folders_are_on_the_disk_before_they_take_their_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    real = os.fsync

    def note(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    with whole_folder(tmp_path / "router") as fresh:
        (fresh / "model").mkdir()
        (fresh / "model" / "weights").write_bytes(b"w")
    names = [name.removeprefix(f"{tmp_path}/.router.partial/") for name in synced]
    assert [name.partition("/")[2] for name in names[:3]] == ["model/weights", "model", ""]
    assert synced[-1] == str(tmp_path)
    synced.clear()
    with whole_file(tmp_path / "out.csv") as file:
        file.write(b"x")
    assert Path(synced[0]).parent == tmp_path / ".out.csv.partial"
    assert synced[1:] == [str(tmp_path)]


def test_where_names_cannot_be_exchanged_the_old_folder_is_kept_findable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable, "_exchange", lambda *_: False)
    for content in ("old", "new"):
        with whole_folder(tmp_path / "router") as fresh:
            (fresh / "x").write_text(content)
    assert (tmp_path / "router" / "x").read_text() == "new"
    assert interrupted_copy(tmp_path / "router") is None
    (tmp_path / ".router.partial").mkdir()
    (tmp_path / "router").rename(tmp_path / ".router.partial" / "old")
    assert interrupted_copy(tmp_path / "router") == tmp_path / ".router.partial" / "old"
    with held_workspace(tmp_path / "router"):
        assert (tmp_path / "router" / "x").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["router"]


def test_a_system_without_locks_keeps_runs_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fcntl", None)
    with held_workspace(tmp_path / "out") as one:
        assert one != tmp_path / ".out.partial"
        (one / "x").write_text("x")
    assert list(tmp_path.iterdir()) == []


def test_a_name_of_the_longest_kind_can_be_written(tmp_path: Path) -> None:
    with whole_file(tmp_path / ("é" * 120)) as file:
        file.write(b"x")
    assert len(list(tmp_path.iterdir())) == 1


def test_a_link_to_a_folder_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with whole_folder(tmp_path / "link") as fresh:
        (fresh / "x").write_text("new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "x").read_text() == "new"


def test_temporary_folders_of_killed_processes_are_removed_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "routecast-mine").mkdir()  # not made here: nobody locks it, nobody removes it
    leave = "from routecast.data.durable import temporary_folder as t; t(); import os; os._exit(1)"
    environ = {**os.environ, "TMPDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", leave], env=environ, check=False, timeout=60)
    (left,) = tmp_path.glob("routecast-*/files")
    live, remove = temporary_folder()
    assert not left.exists()
    second, remove_second = temporary_folder()
    assert live.is_dir()
    assert second.is_dir()
    remove()
    remove_second()
    assert [path.name for path in tmp_path.iterdir()] == ["routecast-mine"]
