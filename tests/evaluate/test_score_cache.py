from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routecast.evaluate.score_cache import ScoreCache, entry_key, prompts_digest


def key_of(*, artifact: str = "a", prompts: str = "p", version: str = "1") -> str:
    return entry_key(artifact_digest=artifact, prompts_digest=prompts, version=version)


def test_scores_come_back_to_the_bit_with_what_is_missing(tmp_path: Path) -> None:
    cache = ScoreCache(tmp_path / "made" / "when-needed")
    scores = np.array([0.1, np.nan, 1.0, 0.0])
    cache.store(key_of(), scores)
    kept = cache.load(key_of(), n_prompts=4)
    assert kept is not None
    np.testing.assert_array_equal(kept, scores)
    assert [path.suffix for path in cache.folder.iterdir()] == [".scores"]


def test_nothing_kept_is_none(tmp_path: Path) -> None:
    assert ScoreCache(tmp_path).load(key_of(), n_prompts=1) is None


@pytest.mark.parametrize("n_bytes", [0, 10, 32, 47])
def test_a_truncated_entry_counts_as_missing(tmp_path: Path, n_bytes: int) -> None:
    cache = ScoreCache(tmp_path)
    cache.store(key_of(), np.array([0.25, 0.75]))
    path = next(tmp_path.iterdir())
    path.write_bytes(path.read_bytes()[:n_bytes])
    assert cache.load(key_of(), n_prompts=2) is None


def test_a_changed_entry_and_one_of_other_length_count_as_missing(tmp_path: Path) -> None:
    cache = ScoreCache(tmp_path)
    cache.store(key_of(), np.array([0.25, 0.75]))
    assert cache.load(key_of(), n_prompts=3) is None
    path = next(tmp_path.iterdir())
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert cache.load(key_of(), n_prompts=2) is None


def test_a_folder_that_refuses_costs_a_warning_and_no_more(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = ScoreCache(tmp_path / "file")
    with pytest.warns(UserWarning, match="cannot write to the score cache"):
        cache.store(key_of(), np.array([0.5]))
    assert cache.load(key_of(), n_prompts=1) is None


def test_router_prompts_and_version_each_name_another_entry() -> None:
    keys = {key_of(), key_of(artifact="b"), key_of(prompts="q"), key_of(version="2")}
    assert len(keys) == 4


@given(st.lists(st.text(max_size=4), max_size=5), st.lists(st.text(max_size=4), max_size=5))
def test_prompts_have_equal_digests_only_if_they_are_equal(
    one: list[str], other: list[str]
) -> None:
    assert (prompts_digest(one) == prompts_digest(other)) == (one == other)


def test_prompts_that_only_join_alike_and_lone_surrogates_are_told_apart() -> None:
    assert prompts_digest(["ab", "c"]) != prompts_digest(["a", "bc"])
    assert prompts_digest(["\ud800"]) != prompts_digest(["\ud801"])
