"""`publish` against a loopback Hub: whole and verified, or as it was; each error one line that says what to do."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import CommitOperationAdd, HfApi
from publish_support import elsewhere, hashes_only, lora_folder, publish_there, run_folder  # noqa: F401

from hf_sentiment.errors import CallError, SentimentError
from hf_sentiment.hub.messages import HubError

# ruff: noqa: F811  # fixtures that are imported

MODEL = {
    *(".gitattributes", "README.md", "config.json", "model.safetensors", "configuration_bert_sentiment.py"),
    *("modeling_bert_sentiment.py", "tokenizer.json", "tokenizer_config.json"),
    *("records/curves.png", "records/curves.svg"),
}
Publish = Callable[..., Any]


def api_of(hub: Any, token: str | None = None) -> HfApi:
    return HfApi(endpoint=hub.endpoint, token=token or hub.tokens.write)


def files_of(hub: Any, revision: str = "main", repo_id: str = "me/reviews") -> set[str]:
    return set(api_of(hub).list_repo_files(repo_id, revision=revision))


def commits_of(hub: Any) -> list[str]:
    return [commit.commit_id for commit in api_of(hub).list_repo_commits("me/reviews")]


def read(hub: Any, name: str, repo_id: str = "me/reviews") -> str:
    request = urllib.request.Request(
        f"{hub.endpoint}/{repo_id}/resolve/main/{name}", headers={"Authorization": f"Bearer {hub.tokens.write}"}
    )
    with urllib.request.urlopen(request) as answer:
        return str(answer.read().decode())


def branches_of(hub: Any) -> list[str]:
    return [branch.name for branch in api_of(hub).list_repo_refs("me/reviews").branches]


def write(hub: Any, name: str, text: str, repo_id: str = "me/reviews", token: str | None = None) -> str:
    operations = [CommitOperationAdd(name, text.encode())]
    return str(api_of(hub, token).create_commit(repo_id, operations, commit_message="By hand").oid)


def test_a_run_is_published_private_in_one_commit_and_verified(hub: Any, publish_there: Publish) -> None:
    published = publish_there()
    info = api_of(hub).model_info("me/reviews")
    assert info.private and info.sha == published.commit and published.url.endswith(str(info.sha))
    assert files_of(hub) == MODEL and len(commits_of(hub)) == 2 and branches_of(hub) == ["main"]
    assert published.changed and published.largest_difference <= 1e-5
    assert not hub.log.leaks


def test_the_same_again_makes_no_commit_and_says_so(
    hub: Any, publish_there: Publish, hashes_only: None, caplog: pytest.LogCaptureFixture
) -> None:
    first = publish_there()
    hub.log.clear()
    with caplog.at_level("INFO"):
        again = publish_there()
    assert not again.changed and again.commit == first.commit and len(commits_of(hub)) == 2
    assert "nothing to send" in caplog.text
    assert not [entry for entry in hub.log if entry.method != "GET" and entry.method != "HEAD"]


def test_a_dry_run_needs_nobody_and_leaves_the_folder(
    hub: Any, publish_there: Publish, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hf_sentiment.hub import publish as publishing

    monkeypatch.setattr(publishing, "get_token", lambda: None)
    with caplog.at_level("INFO"):
        published = publish_there(token="", dry_run=True)
    assert "The Hub was not asked what it has: no token" in caplog.text
    assert not list(hub.log) and published.commit is None
    assert {path.name for path in published.folder.iterdir()} >= {"README.md", "model.safetensors"}
    assert "me/reviews (private)" in caplog.text and str(published.folder) in caplog.text
    assert "model.safetensors" in caplog.text and "kB" in caplog.text
    shutil.rmtree(published.folder)


def test_a_dry_run_says_what_it_would_change_and_sends_nothing(
    hub: Any, publish_there: Publish, hashes_only: None, caplog: pytest.LogCaptureFixture
) -> None:
    def rehearse(**options: Any) -> tuple[Any, str]:
        caplog.clear()
        with caplog.at_level("INFO"):
            published = publish_there(dry_run=True, **options)
        card = (published.folder / "README.md").read_text()
        shutil.rmtree(published.folder)
        return card, caplog.text

    assert "me/reviews is new, and will be private" in rehearse()[1]
    publish_there()
    write(hub, "pytorch_model.bin", "pickle")
    begin = "<!-- hand-written: begin notes -->\n"
    write(hub, "README.md", read(hub, "README.md").replace(begin, f"{begin}By hand.\n"))
    hub.log.clear()
    card, said = rehearse(license="mit")
    assert "By hand." in card
    assert "is there (private, at" in said and "new or other: README.md; removed: pytorch_model.bin" in said
    assert {entry.method for entry in hub.log} <= {"GET", "HEAD"}
    assert "it would fail: the token of me may only read" in rehearse(token=hub.tokens.read)[1]
    hub.faults.add("cut", "GET", "/api/whoami-v2")
    assert "it would fail: could not ask the Hub whose token this is" in rehearse()[1]


def test_what_a_publisher_must_know_is_said_before_anything_is_sent(
    hub: Any, publish_there: Publish, hashes_only: None, caplog: pytest.LogCaptureFixture
) -> None:
    def said(**options: Any) -> str:
        caplog.clear()
        with caplog.at_level("INFO"):
            publish_there(**options)
        text = caplog.text
        return text[: text.find("me/reviews is ")]

    before = said()
    assert "It loads by stock `BertForSequenceClassification`" in before and "text-embeddings-inference" in before
    assert re.search(r"The card, README.md, quotes \d+ texts of your data; --no_quotes leaves them out", before)
    assert "quotes" not in said(quote_texts=False)


def test_an_adapter_whose_base_the_hub_lacks_is_refused_before_anything_is_sent(
    hub: Any, publish_there: Publish, lora_folder: Path, hashes_only: None
) -> None:
    with pytest.raises(
        CallError, match=r"the adapter's base, me/tiny-bert, is not on the Hub.*--base_model OWNER/NAME"
    ):
        publish_there(lora_folder, adapter=True, base_model="me/tiny-bert")
    assert {entry.method for entry in hub.log} <= {"GET", "HEAD"}
    api_of(hub).create_repo("me/tiny-bert")
    assert publish_there(lora_folder, adapter=True, base_model="me/tiny-bert").changed


def test_a_dry_run_that_fails_leaves_no_folder(
    publish_there: Publish, run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tempfile

    run = tmp_path / "run"
    shutil.copytree(run_folder, run)
    (run / "tokenizer.json").unlink()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(CallError, match="has no tokenizer"):
        publish_there(run, dry_run=True)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("hf-sentiment-publish-")] == []


def test_public_only_when_it_is_said(hub: Any, publish_there: Publish, hashes_only: None) -> None:
    publish_there()
    assert publish_there(public=True).private is False
    assert not api_of(hub).model_info("me/reviews").private
    with pytest.raises(CallError, match="me/reviews is public: say --public"):
        publish_there()
    publish_there(license="mit", public=None)
    assert not api_of(hub).model_info("me/reviews").private
    hub.faults.add(
        lambda request: seen.append(api_of(hub).model_info("me/open").private), "POST", "/me/open/commit/main"
    )
    seen: list[bool] = []
    assert publish_there(repo_id="me/open", public=True).private is False
    assert seen == [True] and not api_of(hub).model_info("me/open").private


def test_what_people_wrote_on_the_hub_stays(hub: Any, publish_there: Publish, hashes_only: None) -> None:
    publish_there(license="mit")
    card = read(hub, "README.md")
    begin = "<!-- hand-written: begin notes -->\n"
    edited = card.replace(begin, f"{begin}Written by hand.\n").replace("# reviews", "# Overwritten")
    write(hub, "README.md", edited.replace("license: mit", "license: mit\nthumbnail: https://x.org/a.png"))
    write(hub, "LICENSE", "Ours")
    publish_there(license="apache-2.0")
    now = read(hub, "README.md")
    assert "Written by hand." in now and "# Overwritten" not in now
    assert "license: apache-2.0" in now and "thumbnail: https://x.org/a.png" in now
    assert files_of(hub) == MODEL | {"LICENSE"}
    assert not publish_there(license="apache-2.0").changed


def test_files_of_an_older_model_go_in_the_same_commit(hub: Any, publish_there: Publish, hashes_only: None) -> None:
    publish_there()
    write(hub, "pytorch_model.bin", "pickle")
    before = len(commits_of(hub))
    publish_there()
    assert files_of(hub) == MODEL and len(commits_of(hub)) == before + 1


def test_a_pull_request_leaves_main_alone_and_is_opened_once(
    hub: Any, publish_there: Publish, hashes_only: None
) -> None:
    first = publish_there()
    proposed = publish_there(license="mit", create_pr=True)
    assert re.search(r"/me/reviews/discussions/1$", proposed.url)
    assert api_of(hub).model_info("me/reviews").sha == first.commit
    assert publish_there(license="mit", create_pr=True).url == proposed.url
    hub.faults.add("cut", "POST", "/commit/main", after=True)
    assert publish_there(license="cc-by-4.0", create_pr=True).url.endswith("/discussions/2")
    with pytest.raises(CallError, match="does not exist"):
        publish_there(repo_id="me/nothing", create_pr=True)


def test_a_pull_request_whose_download_is_wrong_is_closed(hub: Any, publish_there: Publish, hashes_only: None) -> None:
    publish_there()
    hub.faults.add("wrong-bytes", "GET", r"/resolve-cache/.*README|/storage/", times=math.inf)
    with pytest.raises(HubError, match="pull request 1 is closed, me/reviews is as it was"):
        publish_there(license="mit", create_pr=True)
    assert [discussion.status for discussion in api_of(hub).get_repo_discussions("me/reviews")] == ["closed"]


def test_a_run_trained_elsewhere(hub: Any, publish_there: Publish, elsewhere: Path) -> None:
    assert publish_there(elsewhere).largest_difference <= 1e-5
    assert files_of(hub) == {name for name in MODEL if not name.startswith("records/")}


def test_somebody_elses_change_in_between_is_not_overwritten(
    hub: Any, publish_there: Publish, hashes_only: None
) -> None:
    publish_there()
    hub.faults.add(lambda request: write(hub, "notes.md", "mine"), "POST", "/commit/main")
    with pytest.raises(HubError, match=r"somebody else has changed me/reviews in between \(412\)"):
        publish_there(license="mit")
    assert read(hub, "notes.md") == "mine" and "license: mit" not in read(hub, "README.md")
    assert branches_of(hub) == ["main"]
    publish_there(license="mit")
    assert "license: mit" in read(hub, "README.md") and read(hub, "notes.md") == "mine"


def test_a_new_repository_that_somebody_else_uses_already_is_not_removed(
    hub: Any, publish_there: Publish, hashes_only: None
) -> None:
    hub.faults.add(lambda request: write(hub, "notes.md", "mine"), "POST", "/commit/main")
    with pytest.raises(HubError, match=r"\(412\).*has somebody else's files now, and none of these"):
        publish_there()
    assert files_of(hub) == {".gitattributes", "notes.md"}
    publish_there()
    assert files_of(hub) == MODEL | {"notes.md"}


def test_wrong_bytes_in_the_storage_are_found(hub: Any, publish_there: Publish, hashes_only: None) -> None:
    hub.faults.add("wrong-bytes", "GET", r"/resolve-cache/.*/config.json|/storage/")
    with pytest.raises(HubError, match="has other bytes than were sent; me/reviews, which was created, is removed"):
        publish_there()
    with pytest.raises(Exception, match="404"):
        api_of(hub).model_info("me/reviews")


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (("401", "GET", "whoami"), "the token is not valid"),
        (("403", "POST", "/api/repos/create"), "the token may not do that in me/"),
        (("413", "POST", "/preupload/"), "no room left (413"),
        (("402", "POST", "/api/repos/create"), "no room left (402"),
        (("412", "POST", "/commit/"), "somebody else has changed me/reviews"),
        (("429", "POST", "/api/repos/create"), "too many requests (429"),
        (("500", "POST", "/commit/"), "the Hub failed (500"),
        (("503", "GET", "/api/models/me/reviews"), "the Hub failed (503"),
        (("cut", "POST", "/api/repos/create"), "the connection failed"),
        (("409", "POST", "/api/repos/create"), "it is there already"),
    ],
)
def test_each_error_is_one_line_that_says_what_to_do(
    hub: Any, publish_there: Publish, hashes_only: None, fault: tuple[str, str, str], said: str
) -> None:
    hub.faults.add(*fault)
    with pytest.raises(SentimentError, match=re.escape(said)) as raised:
        publish_there()
    assert "\n" not in str(raised.value) and hub.tokens.write not in str(raised.value)
    assert not hub.log.find("GET", r"/resolve/main/README.md")
    hub.faults.clear()
    publish_there()
    assert files_of(hub) == MODEL


def test_a_card_that_the_hub_refuses(hub: Any, publish_there: Publish, hashes_only: None) -> None:
    body = json.dumps({"errors": [{"message": "license must be one of ours"}], "warnings": []})
    hub.faults.add("400", "POST", "/api/validate-yaml", body=body)
    with pytest.raises(HubError, match=r"the Hub refuses the card: .*license must be one of ours") as raised:
        publish_there()
    assert "was created, is removed again" in str(raised.value)
    assert not hub.log.find("PUT", "/storage/") and not hub.log.find("POST", "/commit/")
    hub.faults.clear()
    with pytest.raises(HubError, match=r'the Hub refuses the card: .*"license" must be one of'):
        publish_there(license="apache2")


def test_an_upload_that_was_cut_goes_on_where_it_was(
    hub: Any, publish_there: Publish, hashes_only: None, lora_folder: Path
) -> None:
    publish_there()
    hub.log.clear()
    hub.faults.add("cut", "POST", "/commit/", times=2)
    with pytest.raises(HubError, match="me/reviews is as it was"):
        publish_there(lora_folder)
    assert hub.log.count("PUT", "/storage/") > 0
    hub.log.clear()
    assert publish_there(lora_folder).changed
    assert hub.log.count("PUT", "/storage/") == 0


def test_a_new_repository_whose_upload_was_cut_keeps_what_has_arrived(
    hub: Any, publish_there: Publish, hashes_only: None, run_folder: Path, tmp_path: Path
) -> None:
    from transformers import AutoModelForSequenceClassification

    folder = tmp_path / "parts"
    shutil.copytree(run_folder, folder, ignore=shutil.ignore_patterns("checkpoint-*", "model.safetensors"))
    model = AutoModelForSequenceClassification.from_pretrained(run_folder)
    model.save_pretrained(folder, max_shard_size=model.num_parameters() * 2)
    cut, *arrived = [hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.safetensors")]
    assert arrived

    hub.faults.add("cut", "PUT", f"/storage/{cut}", times=math.inf)
    with pytest.raises(
        HubError, match="private and empty, and keeps the large files that have arrived: the same command goes on"
    ):
        publish_there(folder, public=True)
    assert files_of(hub) == {".gitattributes"} and branches_of(hub) == ["main"]
    assert api_of(hub).model_info("me/reviews").private

    hub.faults.clear()
    hub.log.clear()
    publish_there(folder, public=True)
    assert hub.log.count("PUT", f"/storage/{cut}") == 1
    assert not hub.log.find("PUT", f"/storage/({'|'.join(arrived)})")
    assert {path.name for path in folder.glob("model*")} <= files_of(hub)
    assert not api_of(hub).model_info("me/reviews").private


def test_a_kill_in_the_upload_of_a_new_repository_is_gone_on_from(
    hub: Any, publish_there: Publish, hashes_only: None, run_folder: Path, tmp_path: Path
) -> None:
    words = [sys.executable, "-m", "hf_sentiment", "publish", str(run_folder), "me/reviews"]
    environment = hub.environment(tmp_path / "home", PYTHONPATH=str(Path(__file__).parents[2]))
    hub.faults.add(lambda request: os.kill(process.pid, signal.SIGKILL), "POST", "/commit/")
    process = subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert process.wait(timeout=120) == -signal.SIGKILL
    assert files_of(hub) == {".gitattributes"} and hub.log.count("PUT", "/storage/") > 0
    hub.log.clear()
    assert publish_there().changed and files_of(hub) == MODEL and branches_of(hub) == ["main"]
    assert hub.log.count("PUT", "/storage/") == 0


def test_a_single_cut_is_got_over(hub: Any, publish_there: Publish, hashes_only: None) -> None:
    for number in (1, 2):
        fault = hub.faults.add("cut", "POST", "/commit/", at=number)
        assert publish_there(license=("mit", "cc-by-4.0")[number - 1]).changed and fault.fired
    assert len(commits_of(hub)) == 3 and branches_of(hub) == ["main"]


def test_terms_that_are_not_accepted_any_more(hub: Any, publish_there: Publish, hashes_only: None) -> None:
    publish_there()
    hub.faults.add("403", "GET", "/api/models/me/reviews", headers={"X-Error-Code": "GatedRepo"})
    with pytest.raises(HubError, match=r"accept them at https://huggingface\.co/me/reviews"):
        publish_there()


def test_a_chunk_store_that_fails_names_the_way_around(
    hub: Any, publish_there: Publish, hashes_only: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ConnectionError("xet-write-token: 404")

    monkeypatch.setattr(HfApi, "preupload_lfs_files", fail)
    with pytest.raises(HubError, match="set HF_HUB_DISABLE_XET=1"):
        publish_there()


def test_tokens(hub: Any, publish_there: Publish, hashes_only: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for token, said in (
        (hub.tokens.read, "the token of me may only read"),
        (hub.tokens.bad, "the token is not valid"),
        (hub.tokens.other, "me/ is not yours: publish to other/"),
    ):
        with pytest.raises(HubError, match=said) as raised:
            publish_there(token=token)
        assert token not in str(raised.value)
    from hf_sentiment.hub import publish as publishing

    monkeypatch.setattr(publishing, "get_token", lambda: None)
    with pytest.raises(HubError, match="no token: `hf auth login`"):
        publish_there(token="")
    assert publish_there(repo_id="team/reviews").changed and publish_there(token=hub.tokens.fine).changed


def test_a_failure_that_cannot_be_undone_says_what_is_left(hub: Any, publish_there: Publish, hashes_only: None) -> None:
    hub.faults.add("500", "POST", "/commit/")
    hub.faults.add("500", "DELETE", "/api/repos/delete", times=math.inf)
    with pytest.raises(HubError, match="nothing new but an empty repository, which could not be removed"):
        publish_there()
    hub.faults.clear()
    api_of(hub).delete_repo("me/reviews")
    hub.faults.add("500", "GET", "/api/models/me/reviews", at=2, times=math.inf)
    with pytest.raises(HubError, match="nothing new but an empty repository, which could not be removed"):
        publish_there()
    hub.faults.clear()
    publish_there()
    assert files_of(hub) == MODEL


def test_ctrl_c_leaves_the_revision_before(
    hub: Any, publish_there: Publish, hashes_only: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hf_sentiment.hub import publication

    first = publish_there()

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(publication, "verify", interrupted)
        with pytest.raises(HubError, match="stopped; me/reviews is as it was, at"):
            publish_there(license="mit")
    assert api_of(hub).model_info("me/reviews").sha == first.commit and branches_of(hub) == ["main"]


def test_what_a_kill_left_on_the_branch_is_replaced(hub: Any, publish_there: Publish, hashes_only: None) -> None:
    from hf_sentiment.hub.remote import STAGING

    first = publish_there()
    api_of(hub).create_branch("me/reviews", branch=STAGING, revision=first.commit)
    api_of(hub).create_commit(
        "me/reviews", [CommitOperationAdd("half.bin", b"half")], commit_message="half", revision=STAGING
    )
    publish_there(license="mit")
    assert files_of(hub) == MODEL and branches_of(hub) == ["main"]


def test_the_command(
    hub: Any, publish_there: Publish, run_folder: Path, run_cli: Callable[..., tuple[int, str, str]]
) -> None:
    code, out, err = run_cli("publish", run_folder, "me/reviews", "--license", "mit", "--json")
    assert code == 0, err
    record = json.loads(out)
    assert record["repo_id"] == "me/reviews" and record["private"] and record["commit"] in record["url"]
    assert "model.safetensors" in err and hub.tokens.write not in out + err
    for words, exit_code, said in (
        (["reviews"], 2, "say whose it is, OWNER/reviews"),
        (["me/re views"], 2, "is no name for a repository"),
        (["me/reviews", "--license", "MIT License"], 2, "not in the Hub's list"),
        (["me/reviews", "--language", "english"], 2, "not a code of ISO 639"),
        (["me/reviews", "--adapter"], 2, "has no adapter"),
        (["me/reviews", "--card_template", "nothing.md"], 2, "--card_template nothing.md: no such file"),
    ):
        code, out, err = run_cli("publish", run_folder, *words)
        assert (code, out) == (exit_code, "") and said in err.splitlines()[-1], err
