"""The table of `routecast evaluate`, beside that of `routecast train`."""

from routecast.cli.evaluate_table import _dollars, _signed, _with_interval
from routecast.cli.train_report import _cell
from routecast.evaluate.study import Figure


def test_a_share_of_calls_reads_alike_in_train_and_in_evaluate() -> None:
    figure = Figure(value=0.1934, low=0.12, high=0.2567)
    printed = _with_interval({"cpt_50": figure}, "cpt_50", decimals=1, percent=True)
    assert printed == _cell("cpt_50", figure) == "19.3% [12.0, 25.7]"


def test_rounding_noise_is_printed_as_0() -> None:
    noise = Figure(value=-2.22e-15, low=-1e-16, high=1e-16)
    assert _dollars(noise) == "0 [0, 0]"
    assert _signed(noise) == "+0.000 [+0.000, +0.000]"
    assert _with_interval({"apgr": noise}, "apgr", decimals=1) == "0.0 [0.0, 0.0]"
