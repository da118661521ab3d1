"""Save again and again in child processes that are killed at each step of their way in turn.

    python kill_saves.py file|folder|folder-in-two-steps|artifact FOLDER

Prints the number of steps. Run by `test_durable.py`: forking needs a process without threads.
"""

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from routecast.artifacts import Artifact, load_artifact, router_folder, save_artifact
from routecast.data import durable
from routecast.data.files import whole_file

STEPS = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate", "ctypes.dlsym"}
OLD, NEW = b"old" * 1000, b"new" * 1000


def save_file(target: Path, content: bytes) -> None:
    with whole_file(target) as file:
        file.write(content)


def read_file(target: Path) -> bytes:
    return target.read_bytes()


def save_folder(target: Path, content: bytes) -> None:
    with durable.whole_folder(target) as fresh:
        for name in ("a", "b"):
            (fresh / name).write_bytes(content)


def read_folder(target: Path) -> bytes:
    found = durable.interrupted_copy(target) or target
    first, second = ((found / name).read_bytes() for name in ("a", "b"))
    assert first == second
    return first


def save_artifact_of(target: Path, content: bytes) -> None:
    artifact: Artifact = load_artifact(router_folder("default"))
    save_artifact(
        replace(artifact, tensors={"content": np.frombuffer(content, dtype=np.uint8)}), target
    )


def read_artifact(target: Path) -> bytes:
    return load_artifact(target).tensors["content"].tobytes()


KINDS: dict[str, tuple[Callable[[Path, bytes], None], Callable[[Path], bytes]]] = {
    "file": (save_file, read_file),
    "folder": (save_folder, read_folder),
    "folder-in-two-steps": (save_folder, read_folder),
    "artifact": (save_artifact_of, read_artifact),
}


def die_at(step: int) -> None:
    """Have this process killed before a step of its work."""
    left = step

    def count(event: str, _: object) -> None:
        nonlocal left
        if event in STEPS:
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def save_and_die(save: Callable[[Path, bytes], None], target: Path, step: int) -> bool:
    """Return whether the save was killed."""
    child = os.fork()
    if child == 0:
        die_at(step)
        save(target, NEW)
        os._exit(0)
    return os.waitpid(child, 0)[1] != 0


def never(one: Path, other: Path) -> bool:
    """Be a system that cannot exchange two names."""
    return False


def main() -> None:
    kind, folder = sys.argv[1], Path(sys.argv[2])
    save, read = KINDS[kind]
    if kind == "folder-in-two-steps":
        durable._exchange = never
    target, step = folder / "target", 0
    save(target, OLD)
    while save_and_die(save, target, step):
        assert read(target) in (OLD, NEW), f"nothing whole after step {step}"
        if step % 3 == 0:
            save(target, OLD)
            assert read(target) == OLD
            assert [path.name for path in folder.iterdir()] == ["target"], step
        step += 1
    assert read(target) == NEW
    assert [path.name for path in folder.iterdir()] == ["target"]
    sys.stdout.write(f"{step}\n")


if __name__ == "__main__":
    main()
