import sys

import pytest

from routecast.errors import ConfigError, MissingExtraError
from routecast.routers.torch_device import check_device_name, pick_device

torch = pytest.importorskip("torch")


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two GPUs, as torch would tell of them."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.fixture
def no_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.mark.usefixtures("no_accelerator")
def test_the_cpu_is_picked_where_there_is_nothing_else() -> None:
    assert str(pick_device(None, feature="it")) == "cpu"


@pytest.mark.usefixtures("gpus")
def test_a_gpu_is_picked_where_there_is_one_and_none_is_forced() -> None:
    assert str(pick_device(None, feature="it")) == "cuda"
    assert str(pick_device("cuda:1", feature="it")) == "cuda:1"
    assert str(pick_device("cpu", feature="it")) == "cpu"


def test_mps_comes_after_cuda(no_accelerator: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert str(pick_device(None, feature="it")) == "mps"


@pytest.mark.usefixtures("no_accelerator")
@pytest.mark.parametrize("name", ["cuda", "cuda:0", "mps"])
def test_a_device_that_is_not_there_is_refused_with_those_that_are(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"no device '{name}'; choose one of \['cpu'\]"):
        pick_device(name, feature="it")


@pytest.mark.usefixtures("gpus")
def test_a_gpu_number_beyond_the_last_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"no device 'cuda:2'; .*'cuda:0', 'cuda:1'"):
        pick_device("cuda:2", feature="it")


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:-1", "CPU", "", "cpu:0"])
def test_what_is_no_device_is_refused_without_torch(name: str) -> None:
    with pytest.raises(ConfigError, match="unknown device"):
        check_device_name(name)


def test_missing_torch_names_the_pip_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"the router 'bert' needs .*'routecast\[torch\]'"):
        pick_device(None, feature="the router 'bert'")
