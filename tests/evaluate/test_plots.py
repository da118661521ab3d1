"""The cost-quality figure as a picture."""

import struct
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from routecast.evaluate.plots import write_curve_pictures
from routecast.evaluate.study import Study


def test_pictures_have_print_resolution_and_equal_bytes(study: Study, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_curve_pictures(study, tmp_path / name)
    for picture in ("curve.png", "curve.svg"):
        assert (tmp_path / "one" / picture).read_bytes() == (
            tmp_path / "two" / picture
        ).read_bytes()
    png = (tmp_path / "one" / "curve.png").read_bytes()
    width, height = struct.unpack(">II", png[16:24])
    assert width >= 1500
    assert height >= 1000
    assert b"pHYs" in png
    density, _, unit = struct.unpack(">IIB", png[png.index(b"pHYs") + 4 :][:9])
    assert unit == 1
    assert density * 0.0254 >= 200  # dots per metre to dots per inch
    assert ET.fromstring((tmp_path / "one" / "curve.svg").read_text()).tag.endswith("svg")
    assert b"<dc:date>" not in (tmp_path / "one" / "curve.svg").read_bytes()


@pytest.mark.parametrize(
    "name",
    ["abstentions only", "models that tie", "no scored router", "one prompt", "twenty routers"],
)
def test_unusual_studies_have_pictures(
    odd_studies: Mapping[str, Callable[[], Study]], name: str, tmp_path: Path
) -> None:
    write_curve_pictures(odd_studies[name](), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curve.png", "curve.svg"]


def test_names_of_any_kind_are_text(study: Study, tmp_path: Path) -> None:
    names = ("_hidden", "$\\frac{", "模型", "x" * 200)
    router = study.routers[0]
    assert router.scores is not None
    routers = tuple(
        replace(router, name=name, scores=np.roll(router.scores, k)) for k, name in enumerate(names)
    )
    write_curve_pictures(replace(study, routers=routers, benchmark="$\\x$"), tmp_path)
    assert (tmp_path / "curve.svg").stat().st_size > 10_000
