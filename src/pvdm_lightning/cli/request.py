"""What a user asks for: the arguments of `pvdm`, resolved once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pvdm_lightning.cli.arguments import (
    expand,
    option_values,
    with_comma_lists,
    with_present_names,
    with_values,
    with_word_lists,
    without_option,
)
from pvdm_lightning.cli.checkpoint import Checkpoint
from pvdm_lightning.cli.commands import COMMANDS, unknown_command
from pvdm_lightning.cli.console.parser_errors import OptionError
from pvdm_lightning.cli.shipped_configs import find_config, read_config
from pvdm_lightning.evaluation.named_protocol import NamedProtocol
from pvdm_lightning.pipeline.public_classes import trust_classes

CONFIG_OPTIONS = ("--config", "-c")


@dataclass(frozen=True)
class Request:
    """A command with everything that its arguments name.

    Attributes:
        command: A key of `COMMANDS`.
        words: Its options, with the paths of configurations in place of their names.
        checkpoint: The trained model; None where the command takes none, or none is given.
        defaults: Defaults of the parser that come from the checkpoint (`model`, `data`, and options of sampling) and
            from the protocol of an evaluation.
    """

    command: str
    words: list[str]
    checkpoint: Checkpoint | None = None
    defaults: dict[str, Any] = field(default_factory=dict)


def resolve(arguments: Sequence[str]) -> Request:
    """Find configurations and checkpoint of a command, and read them.

    Raises:
        InvalidArgumentError: One of them is missing, or cannot be used.
        OptionError: There is no such command.
    """
    if problem := unknown_command(arguments):
        raise OptionError(problem)
    name = arguments[0]
    command = COMMANDS[name]
    words = with_comma_lists(with_word_lists(name, with_present_names(name, arguments[1:])))
    words = with_values(words, lambda option, value: find_config(value) if option in CONFIG_OPTIONS else value)
    configs = {value: read_config(value) for option, value in option_values(words) if option in CONFIG_OPTIONS}
    protocol = _protocol_options(name, _last_value(words, configs, "evaluation.protocol"))
    if not command.has_trainer:
        return Request(name, words, defaults=protocol)
    words, trusted = without_option(words, "--trust_class")
    trust_classes(trusted)
    given = _last_value(words, configs, "ckpt_path")
    if not command.takes_model or given is None:
        return Request(name, words, defaults=protocol)
    root = expand(_last_value(words, configs, "trainer.default_root_dir") or "runs")
    checkpoint = Checkpoint.find(given, root)
    # What encodes is the checkpoint's autoencoder, whatever a configuration says of a model.
    defaults: dict[str, Any] = {"model": checkpoint.model_node} if name != "encode" else {}
    defaults |= protocol
    if name in ("predict", "test"):
        defaults |= {f"sampling.{key}": value for key, value in checkpoint.sampling.items()}
    # A configuration that names a class of data does not mean those of the checkpoint, its stride for one.
    if not any(_names_data(config) for config in configs.values()):
        data = checkpoint.data_node(_last_value(words, {}, "data.root"), name)
        defaults |= {"data": data} if data else {}
    return Request(name, words, checkpoint, defaults)


def _protocol_options(command: str, protocol: str | None) -> dict[str, Any]:
    """The options that a protocol fixes, of those that a command has.

    Raises:
        InvalidArgumentError: There is no such protocol.
    """
    if protocol is None:
        return {}
    missing = {"evaluate": "evaluation.split", "test": "resolution"}
    if command not in missing:
        return {}
    options = NamedProtocol.find(protocol).options
    return {option: value for option, value in options.items() if option != missing[command]}


def _last_value(words: Sequence[str], configs: dict[str, dict[str, Any]], key: str) -> str | None:
    """What options and configurations say of a key in the end: the last of them wins."""
    found = None
    for option, value in option_values(words):
        if option == f"--{key}":
            found = value
        elif option in CONFIG_OPTIONS and value in configs:
            node: Any = configs[value]
            for part in key.split("."):
                node = node.get(part) if isinstance(node, dict) else None
            found = found if node is None else str(node)
    return found


def _names_data(config: dict[str, Any]) -> bool:
    data = config.get("data")
    return isinstance(data, str) or (isinstance(data, dict) and "class_path" in data)
