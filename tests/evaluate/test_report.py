"""The report's file."""

import json
import re
from dataclasses import replace
from html import escape
from pathlib import Path

import numpy as np
import pytest

from routecast.errors import DataError
from routecast.evaluate.report import report_html, write_report
from routecast.evaluate.report_format import fixed
from routecast.evaluate.report_metrics import METRICS, metrics_present
from routecast.evaluate.study import Study


def payload(page: str) -> dict[str, object]:
    found = re.search(r'<script type="application/json" id="study">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    loaded: dict[str, object] = json.loads(found[1])
    return loaded


def test_equal_studies_give_equal_bytes(study: Study, tmp_path: Path) -> None:
    for name in ("one.html", "two.html"):
        write_report(study, tmp_path / name)
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.html", "two.html"]


def test_a_report_is_small_and_loads_nothing(study: Study) -> None:
    page = report_html(study)
    assert len(page) < 200_000
    assert re.findall(r"(?:src|href)=[\"'](?!#)[^\"']*", page) == []
    assert set(re.findall(r"https?://[^\"' ]*", page)) == {"http://www.w3.org/2000/svg"}


def test_hostile_text_never_ends_the_element_that_holds_it(study: Study) -> None:
    page = report_html(study)
    assert "<img" not in page
    assert page.count("</script>") == 2
    losers = payload(page)["losers"]
    assert isinstance(losers, list)
    assert {one["row"]: one["prompt"] for one in losers} == {
        one["row"]: study.prompts[one["row"] - 1] for one in losers
    }


def test_without_prompts_no_part_of_any_is_in_the_file(odd_study: Study) -> None:
    assert "Secret question" not in report_html(odd_study, with_prompts=False)
    assert "losers" in payload(report_html(odd_study, with_prompts=False))


def test_long_prompts_are_cut_and_say_how_much_is_missing(study: Study) -> None:
    long = replace(study, prompts=("x" * 1234,) * 60)
    losers = payload(report_html(long))["losers"]
    assert isinstance(losers, list)
    assert {(len(one["prompt"]), one["n_cut"]) for one in losers} == {(500, 734)}


def test_names_are_escaped_wherever_they_stand(study: Study) -> None:
    name = "<b>&\"'$policy"
    routers = (replace(study.routers[0], name=name), *study.routers[1:])
    page = report_html(
        replace(study, benchmark=name, strong=name, warnings=(name,), routers=routers),
        command=f"routecast evaluate --router {name}",
    )
    assert "<b>&" not in page
    assert page.count(escape(name)) >= 4


def test_every_figure_of_the_study_is_in_a_table(study: Study) -> None:
    page = report_html(study)
    for router in study.routers:
        apgr = router.metrics["apgr"]
        assert f"<td>{fixed(apgr.value, 3)}" in page
    assert "[−0.012, 0.174]" in page  # the interval of a difference
    assert page.count("&lt; 0.001") >= 2


def test_figures_of_subsets_and_where_they_come_from_are_told(study: Study) -> None:
    page = report_html(study, command="routecast evaluate --router default")
    assert "<bdi>a &amp; b</bdi></th><td>30</td><td>0.400</td><td>0.800</td>" in page
    assert "<td>0.613<small>[0.500, 0.700]</small></td>" in page  # .6125 is exact: a half, up
    assert "10,000 resamples" in page
    assert "0123456789abcdef." in page
    assert "<code>routecast evaluate --router default</code>" in page


def test_unknown_metrics_are_shown_last_by_their_own_names() -> None:
    shown = metrics_present(["mine", "ece", "apgr", "mine"])
    assert [metric.name for metric in shown] == ["apgr", "ece", "mine"]
    assert shown[-1].label == "mine"


def test_every_metric_of_the_library_has_a_text(study: Study) -> None:
    known = {metric.name for metric in METRICS}
    assert set(study.routers[0].metrics) <= known


def test_a_report_is_not_written_into_a_missing_folder(study: Study, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no folder"):
        write_report(study, tmp_path / "missing" / "report.html")


def test_the_data_of_the_page_holds_the_librarys_arrays(study: Study) -> None:
    routers = payload(report_html(study))["routers"]
    assert isinstance(routers, list)
    assert [router["name"] for router in routers] == ["router-0", "router-1", "length", "oracle"]
    assert routers[0]["cuts"]["quality"][-1] == pytest.approx(
        study.strong_quality.mean(), abs=1e-12
    )
    assert np.isclose(routers[0]["cuts"]["quality"][0], study.weak_quality.mean(), atol=0)
