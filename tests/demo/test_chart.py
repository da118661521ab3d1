import numpy as np

from routecast.demo.chart import Line, draw_chart


def line(symbol: str, x: list[float], y: list[float]) -> Line:
    return Line(symbol=symbol, x=np.array(x), y=np.array(y))


def test_a_line_and_a_point_are_drawn_where_they_are() -> None:
    # x from 0 to 4 in five columns, y from 1 down to 0 in three rows.
    drawn = draw_chart(
        [line("*", [0.0, 4.0], [0.0, 0.0]), line("R", [2.0], [0.5]), line("S", [4.0], [1.0])],
        width=5,
        height=3,
    )
    assert drawn == [
        " 100% |    S",
        "  50% |  R",
        "   0% |*****",
        "      +-----",
        "       0.004.00",
    ]


def test_later_lines_cover_earlier_ones_and_a_path_may_turn_back() -> None:
    under, over = line("-", [0.0, 4.0], [0.0, 1.0]), line("*", [0.0, 4.0, 0.0], [0.0, 1.0, 1.0])
    drawn = draw_chart([under, over], width=9, height=5)
    assert drawn[0].endswith("|*********")
    assert "-" not in "".join(drawn[:5])
