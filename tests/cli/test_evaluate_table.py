"""What the table of `routecast evaluate` prints, beside that of `routecast train`."""

from routecast.cli.evaluate_table import _with_interval
from routecast.cli.train_report import _cell
from routecast.evaluate.study import Figure


def test_a_share_of_calls_reads_alike_in_train_and_in_evaluate() -> None:
    figure = Figure(value=0.1934, low=0.12, high=0.2567)
    printed = _with_interval({"cpt_50": figure}, "cpt_50", decimals=1, percent=True)
    assert printed == _cell("cpt_50", figure) == "19.3% [12.0, 25.7]"
