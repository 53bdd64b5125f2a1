"""The validation of a README's metadata, as the public Hub documents it."""

from __future__ import annotations

import re
from typing import Any

import yaml

# As the client finds it: an empty block (`---` twice) is no block.
_BLOCK = re.compile(r"^(\s*---[\r\n]+)([\S\s]*?)([\r\n]+---(\r\n|\n|$))")
_EMPTY = "empty or missing yaml metadata in repo card"
# https://huggingface.co/docs/hub/repositories-licenses
_LICENSE_TEXT = """
apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0 bigcode-openrail-m
afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear c-uda cc cc0-1.0 cc-by-2.0 cc-by-2.5
cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0
cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0 cdla-permissive-1.0
cdla-permissive-2.0 wtfpl ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0 lgpl
lgpl-2.1 lgpl-3.0 isc h-research intel-research lppl-1.3c ms-pl apple-ascl apple-amlr mpl-2.0 odc-by odbl openmdw-1.0
openrail++ osl-3.0 postgresql ofl-1.1 ncsa unlicense zlib pddl lgpl-lr deepfloyd-if-license
fair-noncommercial-research-license llama2 llama3 llama3.1 llama3.2 llama3.3 llama4 gemma unknown other
"""
_LICENSES = frozenset(_LICENSE_TEXT.split())
_TASK_TEXT = """
text-classification token-classification table-question-answering question-answering zero-shot-classification
translation summarization feature-extraction text-generation fill-mask sentence-similarity text-ranking
text-to-speech automatic-speech-recognition audio-classification image-classification object-detection
image-segmentation image-to-text text-to-image tabular-classification tabular-regression reinforcement-learning
image-text-to-text any-to-any other
"""
_TASKS = frozenset(_TASK_TEXT.split())
_LANGUAGE = re.compile(r"[a-z]{2,3}|code|multilingual")
_REPOSITORY = re.compile(r"[\w.-]{1,96}(/[\w.-]{1,96})?", re.ASCII)
SDKS = ("gradio", "docker", "static")
_RELATIONS = {"adapter", "merge", "quantized", "finetune"}


class _Loader(yaml.SafeLoader):
    """YAML 1.2: `no` is text, a date is text, and a key may stand once."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """As ever, but refuse a key that stands twice."""
        keys = [key.value for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"duplicated mapping key ({key})", node.start_mark)
        return super().construct_mapping(node, deep=True)


for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan", "-+.0123456789"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))


def read(content: str) -> Any:
    """The metadata of a README: what the YAML block holds, {} without one.

    Raises:
        yaml.YAMLError: the block is no YAML.
    """
    block = _BLOCK.search(content)
    return {} if block is None else yaml.load(block.group(2), _Loader)


def validate(content: str, kind: str = "model") -> tuple[list[str], list[str]]:
    """Errors and warnings about the metadata of a README."""
    if _BLOCK.search(content) is None:
        return [], [_EMPTY]
    try:
        data = read(content)
    except (yaml.YAMLError, ValueError) as error:
        return [f"Invalid YAML in README.md: {' '.join(str(error).split())}"], []
    if isinstance(data, list):
        return ['"value" must be of type object'], []
    if not isinstance(data, dict):
        return ["The YAML metadata of your README.md is invalid."], []
    errors = [*_plain_fields(data), *_model_index(data.get("model-index"))]
    if kind == "space":
        errors += _space_fields(data)
    warnings = []
    task = data.get("pipeline_tag")
    if isinstance(task, str) and task not in _TASKS:
        warnings.append(f'The pipeline tag "{task}" is not in the official list')
    return errors, warnings


def _several(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def _plain_fields(data: dict[str, Any]) -> list[str]:
    errors = []
    for value in _several(data.get("license")):
        if value not in _LICENSES:
            errors.append(f'"license" must be one of [{", ".join(sorted(_LICENSES))}]')
    for value in _several(data.get("language")):
        if not isinstance(value, str) or not _LANGUAGE.fullmatch(value):
            errors.append(
                '"language" must only contain lowercase characters, and be an ISO 639-1, 639-2 or 639-3 code '
                '(two/three letters), or a special value like "code", "multilingual"'
            )
    for value in _several(data.get("base_model")):
        if not _is_repository(value):
            errors.append(f'"base_model" with value "{value}" is not valid. Use a model id from https://hf.co/models.')
    for value in _several(data.get("datasets")):
        if not _is_repository(value):
            errors.append(
                f'"datasets" with value "{value}" is not valid. Use a dataset id from https://hf.co/datasets.'
            )
    if data.get("base_model_relation", "finetune") not in _RELATIONS:
        errors.append(f'"base_model_relation" must be one of [{", ".join(sorted(_RELATIONS))}]')
    for name in ("tags", "metrics"):
        value = data.get(name, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            errors.append(f'"{name}" must be an array of strings')
    for name in ("pipeline_tag", "library_name", "license_name"):
        if not isinstance(data.get(name, ""), str):
            errors.append(f'"{name}" must be a string')
    return errors


def _space_fields(data: dict[str, Any]) -> list[str]:
    """https://huggingface.co/docs/hub/spaces-config-reference"""
    errors = []
    if data.get("sdk") not in SDKS:
        errors.append(f'"sdk" must be one of [{", ".join(SDKS)}]')
    for name in ("title", "sdk_version", "python_version", "app_file"):
        if not isinstance(data.get(name, ""), str):
            errors.append(f'"{name}" must be a string')
    for value in data.get("models", []):
        if not _is_repository(value):
            errors.append(f'"models" with value "{value}" is not valid. Use a model id from https://hf.co/models.')
    return errors


def _is_repository(value: Any) -> bool:
    return (
        isinstance(value, str)
        and _REPOSITORY.fullmatch(value) is not None
        and not any(part in value for part in ("--", ".."))
        and not any(part[:1] in "-." or part[-1:] in "-." for part in value.split("/"))
    )


def _model_index(index: Any) -> list[str]:
    if index is None:
        return []
    if not isinstance(index, list):
        return ['"model-index" must be an array']
    errors: list[str] = []
    for number, model in enumerate(index):
        where = f"model-index[{number}]"
        _demand(errors, model, where, "name", str)
        for position, result in enumerate(_demand(errors, model, where, "results", list) or []):
            place = f"{where}.results[{position}]"
            task = _demand(errors, result, place, "task", dict)
            _demand(errors, task, f"{place}.task", "type", str)
            dataset = _demand(errors, result, place, "dataset", dict)
            _demand(errors, dataset, f"{place}.dataset", "type", str)
            _demand(errors, dataset, f"{place}.dataset", "name", str)
            for count, metric in enumerate(_demand(errors, result, place, "metrics", list) or []):
                _demand(errors, metric, f"{place}.metrics[{count}]", "type", str)
                _demand(errors, metric, f"{place}.metrics[{count}]", "value", object)
    return errors


def _demand(errors: list[str], parent: Any, where: str, name: str, kind: type) -> Any:
    """The value of `name` in `parent`; None, with a line in `errors`, when it is not there or of another kind."""
    if parent is None:
        return None
    value = parent.get(name) if isinstance(parent, dict) else None
    if value is None:
        errors.append(f'"{where}.{name}" is required')
    elif not isinstance(value, kind):
        errors.append(f'"{where}.{name}" must be of type {kind.__name__}')
    else:
        return value
    return None
