"""The shipped configuration for several GPUs."""

from pathlib import Path

import pytest

CONFIG = Path(__file__).parents[2] / "configs" / "fsdp_8gpu.yaml"


def test_accelerate_reads_the_configuration_and_knows_each_option() -> None:
    pytest.importorskip("accelerate")
    from accelerate.commands.config.config_args import load_config_from_file
    from accelerate.commands.launch import launch_command_parser

    config = load_config_from_file(str(CONFIG))  # refuses unknown keys
    assert (config.distributed_type.value, config.num_processes) == ("FSDP", 8)
    assert config.mixed_precision == "bf16"
    known = {action.dest for action in launch_command_parser()._actions}
    assert set(config.fsdp_config) - known == set()
    assert config.fsdp_config["fsdp_version"] == 2


def test_the_plugin_that_it_makes_keeps_whole_weights_for_the_artifact(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("accelerate")
    from accelerate import FullyShardedDataParallelPlugin
    from accelerate.commands.config.config_args import load_config_from_file

    for name, value in load_config_from_file(str(CONFIG)).fsdp_config.items():
        monkeypatch.setenv(name.upper(), str(value))  # what `accelerate launch` does
    plugin = FullyShardedDataParallelPlugin()
    assert plugin.state_dict_type.name == "FULL_STATE_DICT"
    assert plugin.cpu_ram_efficient_loading is True
    assert plugin.reshard_after_forward is True
