"""What shells and editors complete options with: a script, and the JSON schema of configurations.

Both come from the parsers of the commands. The script holds static words, so that completing needs no second of
imports; that of a general tool, which lists the options of every class that an option may name, has a hundred
megabytes, and its schema takes no preset.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from jsonargparse import ArgumentParser
from lightning import Trainer

from pvdm_lightning.cli.commands import COMMANDS
from pvdm_lightning.cli.console.help import class_names, class_options
from pvdm_lightning.cli.parser import build_parser, option_strings
from pvdm_lightning.cli.sections import options_of, sections_of
from pvdm_lightning.cli.shipped_configs import shipped_configs
from pvdm_lightning.pipeline.public_classes import DATA_MODULES, MODULES, find_class

_BASH = """\
# pvdm completion --target {shell}
_pvdm() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}" words found
  case "$before" in
    pvdm) words="{commands}" ;;
    --config|-c) words="{configs}" ;;
    --model|--model.help) words="{models}" ;;
    --data|--data.help) words="{data}" ;;
    *) case "${{COMP_WORDS[1]}}" in
{options}
    esac ;;
  esac
  COMPREPLY=()
  # Line by line: names of files have spaces. Paths beside words, but not where an option begins.
  while IFS= read -r found; do COMPREPLY+=("$found"); done < <(
    compgen -W "$words" -- "$word"
    [[ "$word" == -* ]] || compgen -f -- "$word"
  )
}}
complete -o filenames -o default -F _pvdm pvdm
"""
_ZSH = "#compdef pvdm\nautoload -U +X bashcompinit && bashcompinit\n"


def completion_script(shell: Literal["bash", "zsh"]) -> str:
    """The script; zsh runs that of bash."""
    options = "\n".join(f'      {name}) words="{" ".join(words)}" ;;' for name, words in sorted(_options().items()))
    script = _BASH.format(
        shell=shell,
        commands=" ".join(sorted([*_options(), "--help", "--version"])),
        configs=" ".join(shipped_configs()),
        models=" ".join(class_names(MODULES)),
        data=" ".join(class_names(DATA_MODULES)),
        options=options,
    )
    return script if shell == "bash" else _ZSH + script


def _options() -> dict[str, list[str]]:
    """Command -> its options, those of the public classes included."""
    nested = class_options()
    return {
        name: sorted({*option_strings(build_parser(name)), *(nested if command.has_trainer else ())})
        for name, command in COMMANDS.items()
    }


_OPEN = ("accelerator", "strategy", "logger", "callbacks", "profiler", "plugins")
"""Options of the Trainer that take objects of any library: the schema leaves them open."""


def config_schema() -> str:
    """The JSON schema of the configurations of `pvdm fit`; classes of the user's own are not in it.

    Configurations are merged: one that leaves the class to another one, as a preset does, is checked against the
    arguments of all classes.
    """
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(tuple(map(find_class, MODULES)), "model")
    parser.add_subclass_arguments(tuple(map(find_class, DATA_MODULES)), "data")
    parser.add_class_arguments(Trainer, "trainer", skip=set(_OPEN))
    for name in _OPEN:
        parser.add_argument(f"--trainer.{name}", type=Any, default=None)
    for section in sections_of("fit"):
        if section.name not in ("model", "data", "trainer"):
            parser.add_class_arguments(section.kind, section.name)
    for option in options_of("fit"):
        kind = bool if option.type is None else option.type
        parser.add_argument(f"--{option.name}", type=kind, default=option.default, help=option.help)
    return json.dumps(_for_parts(json.loads(str(parser.get_completion_script("jsonschema")))), indent=2) + "\n"


def _for_parts(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema, taking nodes without class_path at any depth, with the arguments of every class that may be meant."""
    definitions = schema["$defs"]

    def visit(node: Any) -> None:
        if isinstance(node, list):
            for item in node:
                visit(item)
        if not isinstance(node, dict):
            return
        classes = [one["$ref"].rsplit("/", 1)[-1] for one in node.get("anyOf", ()) if "$ref" in one]
        classes += [node["$ref"].rsplit("/", 1)[-1]] if "$ref" in node else []
        arguments = [init_args for name in classes for init_args in _init_args(definitions[name])]
        for value in list(node.values()):
            visit(value)
        if arguments:
            properties: dict[str, Any] = {}
            for one in arguments:
                for name, kind in one["properties"].items():
                    known = properties.setdefault(name, {"anyOf": []})["anyOf"]
                    known += [kind] if kind not in known else []
            part = {
                "type": "object",
                "additionalProperties": False,
                "required": ["init_args"],
                "properties": {
                    "init_args": {"type": "object", "additionalProperties": False, "properties": properties}
                },
            }
            whole = node.pop("anyOf", None) or [{"$ref": node.pop("$ref")}]
            node["anyOf"] = [*whole, part]

    visit(schema["properties"])
    visit(definitions)
    return schema


def _init_args(definition: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The arguments of a class, as its definition has them."""
    for form in definition.get("anyOf", ()):
        if "init_args" in form.get("properties", {}):
            yield form["properties"]["init_args"]
