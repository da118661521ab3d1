"""A report's figures of robustness, as HTML."""

from html import escape

from routecast.evaluate.report_format import fixed, interval_text, whole
from routecast.evaluate.study import CountedShare, Study

ROBUSTNESS_MEANING = (
    "At the threshold that sends half of the unchanged sample to the strong model. Flipped: share "
    "of prompts, among those that a change does change, whose model is then another. Lifted: share "
    "of the weak model's prompts that go to the strong one when so many neutral characters are "
    "appended, or when ten words stand before them: random words, or one prefix for all prompts, "
    "found by a hill climb against the router's own scores on half of the sample; lifts are "
    "measured on the other half. Of what random decides, half is flipped, and half is lifted."
)


def robustness_table(study: Study) -> str:
    """Return the figures, a row per change and a column per router; empty where not measured."""
    if not study.robustness:
        return ""
    found = study.robustness
    title = f"Robustness, N = {whole(found[0].n_prompts)}"
    heads = "".join(f'<th scope="col"><bdi>{escape(one.router)}</bdi></th>' for one in found)
    rows = [
        _row("flipped", name, [one.flipped[name] for one in found]) for name in found[0].flipped
    ]
    rows += [_row("lifted", name, [one.lifted[name] for one in found]) for name in found[0].lifted]
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{title}"><table>'
        f'<caption>{title}</caption><thead><tr><th scope="col">Change</th>{heads}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div><p>{escape(ROBUSTNESS_MEANING)}</p>"
    )


def _row(kind: str, name: str, shares: list[CountedShare]) -> str:
    cells = "".join(
        f"<td>{fixed(share.figure.value, 2)}<small>{interval_text(share.figure, 2)}</small></td>"
        for share in shares
    )
    return f'<tr><th scope="row">{kind}: {name.replace("_", " ")}</th>{cells}</tr>'
