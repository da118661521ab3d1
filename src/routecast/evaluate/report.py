"""The report: one HTML file that shows a study, with everything it needs inside.

The charts are drawn by a few hundred lines of plain script instead of a library: the page stays
a tenth of the size, each mark follows the reader's colour scheme, and the numbers beside the slider
are the library's own, printed from the arrays in the page.
"""

from base64 import b64encode
from hashlib import sha256
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

import routecast
from routecast.data.files import whole_file
from routecast.evaluate.report_format import whole
from routecast.evaluate.report_headline import headline_of
from routecast.evaluate.report_payload import payload_json
from routecast.evaluate.report_robustness import robustness_table
from routecast.evaluate.report_subsets import subset_tables
from routecast.evaluate.report_tables import (
    definition_list,
    difference_table,
    metric_tables,
    model_table,
    outcome_counts,
    warning_list,
)
from routecast.evaluate.study import Study


def write_report(
    study: Study, path: str | Path, *, with_prompts: bool = True, command: str | None = None
) -> None:
    """Write a self-contained page: it loads nothing and opens from disk.

    Args:
        study: What to show.
        path: The HTML file; what is there is replaced once the new one is whole.
        with_prompts: Whether the prompts where routing lost most are quoted. If not, no part of
            any prompt is in the file; they are named by their row.
        command: The command line that made the study, to be quoted.

    Raises:
        DataError: If the file cannot be written.
    """
    page = report_html(study, with_prompts=with_prompts, command=command)
    with whole_file(path) as file:
        file.write(page.encode("utf-8", errors="xmlcharrefreplace"))


def report_html(study: Study, *, with_prompts: bool = True, command: str | None = None) -> str:
    """Return the page that `write_report` writes. Equal studies give equal pages."""
    headline = headline_of(study)
    style = _template("report.css")
    script = _template("chart.js") + _template("report.js")
    return Template(_template("report.html")).substitute(
        policy=f"default-src 'none'; script-src {_digest(script)}; style-src {_digest(style)}; "
        "base-uri 'none'; form-action 'none'",
        style=style,
        script=script,
        payload=payload_json(study, headline, with_prompts=with_prompts),
        benchmark=escape(study.benchmark),
        headline=escape(headline.title),
        details="".join(f"<li>{escape(sentence)}</li>" for sentence in headline.details),
        warnings=warning_list(study),
        models=model_table(study),
        tables=metric_tables(study),
        differences=difference_table(study),
        subsets=subset_tables(study),
        robustness=robustness_table(study),
        definitions=definition_list(study),
        measured=_measured(study, with_prompts=with_prompts, command=command),
    )


def _template(name: str) -> str:
    return files("routecast.evaluate").joinpath("templates", name).read_text(encoding="utf-8")


def _digest(source: str) -> str:
    """Return what the page's policy calls its one script, or its one style sheet."""
    return f"'sha256-{b64encode(sha256(source.encode()).digest()).decode()}'"


def _measured(study: Study, *, with_prompts: bool, command: str | None) -> str:
    groups = "" if study.groups is None else f" in {whole(len(set(study.groups)))} groups"
    resamples = f" ({whole(study.n_resamples)} resamples)" if study.n_resamples else ""
    notes = [
        f"{whole(len(study.prompts))} prompts{groups}. {outcome_counts(study)}",
        "A router sees the prompt only. The prompts with the highest scores go to the strong "
        "model, and mean quality is taken over all prompts. Prompts with equal scores are taken in "
        "random order, and what is drawn is the expectation: a straight line. The slider stops "
        "only between different scores, since no threshold can part equal ones.",
        "PGR, performance gap recovered: (quality − the weak model’s) / (the strong model’s − the "
        "weak model’s). A random choice with half of the calls recovers half of the gap.",
        f"Intervals in square brackets and bands are 95%, from the paired bootstrap{resamples}: "
        "all routers are computed on the same resamples of the prompts, or of whole groups where "
        "prompts are grouped. Figures without an interval are exact, or have none. Bands show what "
        "routing adds to a random choice, at each share on its own; how good the two models are on "
        "other prompts is not in them, being the same for every router.",
        "p-values are two-sided; Holm’s correction covers all differences of the table.",
        f"Prompts on which a router gave no score go to the {study.on_router_error} model at every "
        f"threshold, as on_router_error = '{study.on_router_error}' routes them: every figure "
        "counts them so, and a share of calls is one that a threshold can give. Win probabilities "
        "are judged on the other prompts.",
    ]
    if not with_prompts:
        notes.append("The text of the prompts was left out on request.")
    if command:
        notes.append(f"<code>{escape(command)}</code>")
    if study.data_digest:
        notes.append(f"Digest of prompts and qualities: {escape(study.data_digest[:16])}.")
    notes.append(f"Routecast {escape(routecast.__version__)}.")
    return "".join(f"<li>{note}</li>" for note in notes)
