from collections import Counter
from pathlib import Path

import pytest

from routecast.evaluate.benchmarks import load_benchmark
from routecast.evaluate.mmlu import MMLU_CATEGORIES


def test_every_subject_has_one_of_four_categories() -> None:
    # 18 + 13 + 12 + 14 = 57, as in the authors' categories.py.
    assert Counter(MMLU_CATEGORIES.values()) == {
        "STEM": 18,
        "humanities": 13,
        "social sciences": 12,
        "other": 14,
    }


def test_the_categories_hold_the_published_numbers_of_questions(shared_data: Path) -> None:
    # MMLU's test questions by category: 3,018 STEM, 4,705 humanities, 3,077 social sciences and
    # 3,242 other, 14,042 in all. Five are on the decontamination list.
    benchmark = load_benchmark("mmlu", shared_data)
    found = Counter(benchmark.categories[group] for group in benchmark.outcomes.table["group"])
    published = {"STEM": 3018, "humanities": 4705, "social sciences": 3077, "other": 3242}
    left_out = {name: published[name] - found[name] for name in published}
    assert sum(left_out.values()) == 5
    assert min(left_out.values()) >= 0


def test_categories_are_no_part_of_other_benchmarks(shared_data: Path) -> None:
    assert load_benchmark("gsm8k", shared_data).categories == {}
    with pytest.raises(KeyError):
        MMLU_CATEGORIES["anatomy "]
