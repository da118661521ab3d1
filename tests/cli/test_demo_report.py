from routecast.cli.demo_report import headline, invitation, verdict
from routecast.demo.figures import Figures
from routecast.evaluate.study import Figure


def figures(over_random: Figure) -> Figures:
    return Figures(
        strong_share=0.34,
        kept=Figure(value=0.94, low=0.91, high=0.97),
        saved=Figure(value=0.61, low=0.55, high=0.66),
        random_kept=Figure(value=0.88, low=0.85, high=0.91),
        length_kept=Figure(value=0.9, low=0.87, high=0.93),
        over_random=over_random,
        over_length=Figure(value=0.04, low=-0.01, high=0.09),
    )


def test_the_sentence_says_what_was_kept_and_saved_and_what_random_would_have_kept() -> None:
    assert headline(figures(Figure(value=0.06, low=0.02, high=0.1)), goal=0.9) == (
        "34% of calls to GPT-4 kept 94% [91, 97] of its quality (the goal was 90%) and saved 61% "
        "[55, 66] of the bill; a random choice of as many calls would have kept 88%, the longest "
        "questions 90%."
    )


def test_a_difference_within_noise_is_said_to_be_that() -> None:
    within, beyond = (
        Figure(value=0.04, low=-0.01, high=0.09),
        Figure(value=0.06, low=0.02, high=0.1),
    )
    assert "random is +4.0 points [-1.0, +9.0], within noise" in verdict(
        figures(within), n_questions=200
    )
    assert "random is +6.0 points [+2.0, +10.0], beyond noise, from length +4.0" in verdict(
        figures(beyond), n_questions=200
    )


def test_the_curl_line_survives_a_question_with_an_apostrophe() -> None:
    assert "it'\"'\"'s" in invitation("http://127.0.0.1:1", "What's 2? it's")
