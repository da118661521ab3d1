from pathlib import Path

import numpy as np

from routecast.data.readers.registry import find_reader
from routecast.embed.protocol import Embedder
from routecast.embed.registry import load_embedder
from routecast.evaluate.leakage import check_leakage

QUESTION = "Which of these planets of the solar system has the largest number of known moons today?"
FOUR = QUESTION + "\nA. Mars\nB. Saturn\nC. Venus\nD. Earth\nAnswer:"
TEN = QUESTION + "\nA. Pluto\nB. Mars\nC. Io\nD. Saturn\nE. Ceres\nAnswer:"


def test_changed_options_do_not_hide_a_question(word_embedder: Embedder) -> None:
    report = check_leakage([TEN, "another prompt"], [FOUR], word_embedder)
    assert report.contained.tolist() == [True, False]
    assert (report.n_evaluation, report.n_evaluation_hit) == (1, 1)


def test_a_reworded_prompt_is_a_near_duplicate(word_embedder: Embedder) -> None:
    words = QUESTION.split()
    reworded = " ".join([*words[:-1], "now?"])
    report = check_leakage([reworded, QUESTION + " Please."], [QUESTION], word_embedder)
    assert report.near[0]
    assert report.leaked.tolist() == [True, True]
    assert report.contained.tolist() == [False, True]


def test_nothing_leaks_between_different_files(word_embedder: Embedder) -> None:
    report = check_leakage(["one thing entirely"], ["another matter altogether"], word_embedder)
    assert not report.leaked.any()
    assert report.n_evaluation_hit == 0


def test_the_flags_of_mmlu_pro_are_found_again(shared_data: Path) -> None:
    outcomes = find_reader("matrix")(shared_data / "train/mmlu_pro_34models.parquet").table
    home = shared_data / "benchmarks/routellm/mmlu"
    questions = find_reader("routellm-eval")(home, decontaminate=False).table.prompts
    flagged = outcomes.table["in_routellm_mmlu_eval"].to_numpy()
    found = check_leakage(outcomes.prompts, questions, load_embedder("static")).leaked
    n_both = np.count_nonzero(found & flagged)
    assert flagged.sum() == 6810
    assert n_both / flagged.sum() >= 0.999  # recall
    assert n_both / found.sum() >= 0.999  # precision
