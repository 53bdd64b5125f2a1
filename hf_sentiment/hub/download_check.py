"""Download a commit, hash its files, and compute logits with them: run where this package cannot be imported.

The parent runs this file's text in an interpreter of its own, with a clean cache and the request as JSON on stdin, and
reads the answer as JSON from the last line of stdout. It imports nothing of this package.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any


class Blocker:
    """Stands in for a machine without this package, wherever it is installed on this one."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        """Refuse this package, and leave every other module to the next finder."""
        if name.partition(".")[0] == "hf_sentiment":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def check(request: dict[str, Any]) -> dict[str, Any]:
    """Hashes by path, and logits a sentence.

    Args:
        request: `repo_id`, `revision` (a commit hash), `sentences`, `base_model` (of an adapter) or None, and for tests
            within a process `endpoint`, `token` and `cache_dir`: the model is then loaded from the downloaded folder.
    """
    # Here and not above: the module itself is also imported where its functions are only named.
    import torch
    from huggingface_hub import snapshot_download
    from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

    repo, revision, base_model = request["repo_id"], request["revision"], request["base_model"]
    inside = {name: request[name] for name in ("endpoint", "token", "cache_dir") if name in request}
    snapshot = snapshot_download(repo, revision=revision, max_workers=1 if inside else 8, **inside)
    hashes = {
        path.relative_to(snapshot).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(Path(snapshot).rglob("*"))
        if path.is_file()
    }
    if not request["sentences"]:  # of other engines: what they say was compared when it was exported
        return {"hashes": hashes, "logits": []}
    if (Path(snapshot) / "modules.json").is_file():
        return {"hashes": hashes, "logits": embeddings(snapshot, request["sentences"])}
    # A commit and never a branch: the code that is run shall be the code that was hashed.
    place: dict[str, Any] = {"trust_remote_code": True} if inside else {"trust_remote_code": True, "revision": revision}
    source = snapshot if inside else repo
    tokenizer = AutoTokenizer.from_pretrained(source, **place)
    if base_model is None:
        model = AutoModelForSequenceClassification.from_pretrained(source, dtype=torch.float32, **place)
    else:
        from peft import PeftModel
        from transformers.dynamic_module_utils import get_class_from_dynamic_module

        config = AutoConfig.from_pretrained(source, **place)
        # The base has no source files: transformers would look for them there.
        code = (getattr(config, "auto_map", None) or {}).get("AutoModelForSequenceClassification")
        pinned = {} if inside else {"revision": revision}
        loader: Any = AutoModelForSequenceClassification
        if code:
            loader = get_class_from_dynamic_module(code, source, **pinned)
        base = loader.from_pretrained(base_model, config=config, dtype=torch.float32)
        model = PeftModel.from_pretrained(base, source, **pinned)
    return {"hashes": hashes, "logits": logits(model, tokenizer, request["sentences"])}


def logits(model: Any, tokenizer: Any, sentences: list[str], longest: int | None = None) -> list[list[float]]:
    """The logits of each sentence by itself, so that no padding has a part in them.

    Args:
        model: Of any architecture.
        tokenizer: Its tokenizer.
        sentences: Texts.
        longest: Tokens after which they are cut; by default some that every encoder reads.
    """
    import torch

    model, longest = model.eval(), longest or _longest(model, tokenizer)
    rows = []
    with torch.inference_mode():
        for sentence in sentences:
            inputs = tokenizer([sentence], truncation=True, max_length=longest, return_tensors="pt")
            rows.append(model(**inputs).logits[0].float().tolist())
    return rows


def embeddings(folder: str | Path, sentences: list[str]) -> list[list[float]]:
    """As `logits`, of a folder whose embeddings are the logits."""
    import torch
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu", model_kwargs={"dtype": torch.float32})
    return [model.encode([sentence], show_progress_bar=False)[0].tolist() for sentence in sentences]


def _longest(model: Any, tokenizer: Any) -> int:
    # Of some encoders the first two positions belong to no token.
    return min(int(tokenizer.model_max_length), int(getattr(model.config, "max_position_embeddings", 512)) - 2)


if __name__ == "__main__":
    sys.meta_path.insert(0, Blocker())
    # Libraries print on stdout as they like; the answer is the last line.
    answer = check(json.loads(sys.stdin.read()))
    sys.stdout.write("\n" + json.dumps(answer) + "\n")
