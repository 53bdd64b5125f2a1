"""The metadata of cards, as the client sees it refused."""

from __future__ import annotations

from typing import Any

import pytest
from huggingface_hub import ModelCard
from huggingface_hub.errors import BadRequestError
from huggingface_hub.utils import get_session
from loopback import LoopbackHub

_RESULT = "model-index:\n- name: m\n  results:\n  - task: {type: text-classification}\n"
_DATA = "    dataset: {type: sst2, name: SST-2}\n"


def _card(metadata: str) -> str:
    return f"---\n{metadata}\n---\n# A model\n"


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ("license: [mit", "Invalid YAML"),
        ("license: mit\nlicense: apache-2.0", "duplicated mapping key"),
        ("tags:\n  a: 1\n  a: 2", "duplicated mapping key"),
        ("just text", "The YAML metadata of your README.md is invalid"),
        ("", "The YAML metadata of your README.md is invalid"),
        ("- a\n- b", "must be of type object"),
        ("license: Apache 2", '"license" must be one of'),
        ("language: English", '"language" must'),
        ("language: [en, en-US]", '"language" must'),
        ("language: false", '"language" must'),
        ("base_model: /home/user/model", '"base_model"'),
        ("base_model: ./checkpoint", '"base_model"'),
        ("base_model: a/b/c", '"base_model"'),
        ("base_model_relation: child", '"base_model_relation"'),
        ("datasets: [C:\\data]", '"datasets"'),
        ("tags: text", '"tags" must'),
        ("pipeline_tag: [text-classification]", '"pipeline_tag" must'),
        ("model-index: {}", '"model-index" must be an array'),
        ("model-index:\n- results: []", r'"model-index\[0\].name" is required'),
        (_RESULT + "    metrics: []", r"results\[0\].dataset"),
        (_RESULT + _DATA, r"results\[0\].metrics"),
        (_RESULT + _DATA + "    metrics: [{type: f1}]", r"metrics\[0\].value"),
        (_RESULT + "    dataset: {name: SST-2}\n    metrics: []", "dataset.type"),
    ],
)
def test_refused(metadata: str, message: str, hub: LoopbackHub, client: Any) -> None:
    hub.create("me/name")
    with pytest.raises(ValueError, match=f"(?s)Invalid metadata in README.md.*{message}"):
        client.api.upload_file(path_or_fileobj=_card(metadata).encode(), path_in_repo="README.md", repo_id="me/name")
    assert hub.log.count("POST", "/preupload/") == 0 and "README.md" not in hub.files("me/name")


@pytest.mark.parametrize(
    "metadata",
    [
        "license: mit\nlanguage: no\nanything: 2020-01-01",
        "license: [mit, other]\nlanguage: [en, multilingual]",
        "base_model: google-bert/bert-base-uncased\nbase_model_relation: finetune\ndatasets: imdb",
        _RESULT + _DATA + "    metrics: [{type: f1, value: 0.0}]",
    ],
)
def test_accepted(metadata: str, hub: LoopbackHub, client: Any, recwarn: pytest.WarningsRecorder) -> None:
    hub.create("me/name")
    client.api.upload_file(path_or_fileobj=_card(metadata).encode(), path_in_repo="README.md", repo_id="me/name")
    assert hub.files("me/name")["README.md"].decode() == _card(metadata)
    assert not [warning for warning in recwarn if warning.category is UserWarning]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("# No metadata", "empty or missing yaml metadata"),
        ("---\n---\n# An empty block", "empty or missing yaml metadata"),
        ("---\nlicense: [mit\n# A block that does not end", "empty or missing yaml metadata"),
        (_card("pipeline_tag: sentiment"), "pipeline tag"),
    ],
)
def test_warned_of(content: str, message: str, hub: LoopbackHub, client: Any) -> None:
    hub.create("me/name")
    with pytest.warns(UserWarning, match=message):
        client.api.upload_file(path_or_fileobj=content.encode(), path_in_repo="README.md", repo_id="me/name")
    assert "README.md" in hub.files("me/name")


def test_the_commit_itself_is_validated_too(hub: LoopbackHub, client: Any) -> None:
    hub.create("me/name")
    # As if the validation had let it pass.
    hub.faults.add("200", "POST", "validate-yaml", body='{"errors": [], "warnings": []}')
    with pytest.raises(BadRequestError, match=r"Invalid metadata in README\.md"):
        client.api.upload_file(
            path_or_fileobj=_card("license: x").encode(), path_in_repo="README.md", repo_id="me/name"
        )
    assert "README.md" not in hub.files("me/name")


def test_push_of_a_card(hub: LoopbackHub, client: Any) -> None:
    hub.create("me/name")
    ModelCard(_card("license: mit\nlanguage: en")).push_to_hub("me/name")
    assert ModelCard.load("me/name").data.license == "mit"
    # Once by the card without a token, and once by the commit with it.
    assert [entry.authorized for entry in hub.log.find("POST", "validate-yaml")] == [False, True]
    with pytest.raises(ValueError, match="license"):
        ModelCard(_card("license: mine")).push_to_hub("me/name")
    # The client reads YAML 1.1, the hub 1.2: Norwegian without quotes comes back as a truth value.
    with pytest.raises(ValueError, match="language"):
        ModelCard(_card("language: no")).push_to_hub("me/name")
    assert len(hub.commits("me/name")) == 2


def test_plain_text(hub: LoopbackHub, client: Any) -> None:
    answer = get_session().post(
        f"{hub.endpoint}/api/validate-yaml",
        json={"content": _card("license: x"), "repoType": "model"},
        headers={"Accept": "text/plain"},
    )
    assert answer.status_code == 400 and answer.text.startswith('- Error: "license" must be one of')
