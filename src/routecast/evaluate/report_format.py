"""Numbers as a report prints them; ``templates/chart.js`` prints live ones by the same rules."""

import math
from decimal import ROUND_HALF_UP, Context, Decimal

from routecast.evaluate.study import Figure

UNDEFINED = "–"
MINUS = "−"
_WIDE = Context(prec=400)  # doubles have finite decimal expansions, and these are rounded once


def fixed(value: float, n_digits: int) -> str:
    """Round to so many decimals, from the exact value of the double, halves away from zero.

    That is what ``Number.prototype.toFixed`` does, so that a figure printed here and one printed
    in the browser are the same characters.

    Returns:
        Thousands are set off by commas; a dash for NaN; zero has no sign.
    """
    if math.isnan(value):
        return UNDEFINED
    if math.isinf(value):
        return "∞" if value > 0 else MINUS + "∞"
    rounded = Decimal(value).quantize(Decimal(1).scaleb(-n_digits), ROUND_HALF_UP, _WIDE)
    return (MINUS if rounded < 0 else "") + f"{abs(rounded):,}"


def percent(share: float, n_digits: int = 1) -> str:
    """Print a fraction as a percentage."""
    text = fixed(100 * share, n_digits)
    return text if text == UNDEFINED else text + "%"


def dollars(amount_usd: float, n_digits: int) -> str:
    """Print an amount of US dollars, the sign first."""
    text = fixed(abs(amount_usd), n_digits)
    if text == UNDEFINED:
        return text
    sign = MINUS if amount_usd < 0 and text.strip("0.,") else ""
    return f"{sign}${text}"


def whole(count: int) -> str:
    """Print a count."""
    return f"{count:,}"


def p_value_text(p_value: float) -> str:
    """Print a p-value to three decimals; smaller ones say so."""
    if math.isnan(p_value):
        return UNDEFINED
    return "< 0.001" if p_value < 0.001 else fixed(p_value, 3)


def interval_text(figure: Figure, n_digits: int, *, in_percent: bool = False) -> str:
    """Print an interval, or nothing where a figure is exact or undefined."""
    ends = (figure.low, figure.high)
    if any(math.isnan(end) for end in (*ends, figure.value)) or figure.low == figure.high:
        return ""
    low, high = (fixed(100 * end if in_percent else end, n_digits) for end in ends)
    return f"[{low}, {high}]"


def quality_digits(quality_range: tuple[float, float]) -> int:
    """Decimals that resolve a thousandth of a scale: 3 for right or wrong, 2 for grades 1 to 10."""
    width = quality_range[1] - quality_range[0]
    if not (math.isfinite(width) and width > 0):
        return 3
    return min(max(math.floor(3 - math.log10(width)), 0), 6)


def dollar_digits(amount_usd: float) -> int:
    """Decimals that show three figures of an amount, at least cents."""
    if not (math.isfinite(amount_usd) and amount_usd > 0):
        return 2
    return min(max(2 - math.floor(math.log10(amount_usd)), 2), 8)
