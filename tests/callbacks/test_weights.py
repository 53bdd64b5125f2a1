"""The best weights on disk: what they cost."""

from __future__ import annotations

import threading
from pathlib import Path

import psutil
from transformers import BertConfig, BertModel

from hf_sentiment.callbacks.shared import KeptWeights


class Watch(threading.Thread):
    """Follows this process's own memory while it runs."""

    def __init__(self) -> None:
        super().__init__()
        self.process, self.done = psutil.Process(), threading.Event()
        self.most = self.before = self.process.memory_full_info().uss

    def run(self) -> None:
        while not self.done.is_set():
            self.most = max(self.most, self.process.memory_full_info().uss)


def test_keeping_and_restoring_take_no_second_model_in_memory(tmp_path: Path) -> None:
    sizes = {"hidden_size": 512, "intermediate_size": 2048, "num_hidden_layers": 12, "num_attention_heads": 8}
    model = BertModel(BertConfig(vocab_size=100, **sizes))
    size = sum(parameter.numel() * 4 for parameter in model.parameters())
    kept = KeptWeights(tmp_path, "mine", True)
    kept.keep(model, 7)  # once before, so that what is loaded for it does not count
    kept.put_back(model, 7)
    for work in (lambda: kept.keep(model, 7), lambda: kept.put_back(model, 7)):
        watch = Watch()
        watch.start()
        work()
        watch.done.set()
        watch.join()
        assert watch.most - watch.before < 0.5 * size


def copies(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_there_is_a_copy_for_each_of_the_last_two_checkpoints_and_the_new_one(tmp_path: Path) -> None:
    model = BertModel(BertConfig(vocab_size=40, hidden_size=8, num_hidden_layers=1, num_attention_heads=1))
    kept = KeptWeights(tmp_path, "mine", True)
    (tmp_path / "_partial-_best-mine-7-xyz").mkdir()  # what a kill leaves
    for step in (5, 6, 7):
        kept.keep(model, step)
        assert copies(tmp_path) == [f"_best-mine-{step}"]
    kept.named_by_checkpoint(7)
    for step in (8, 9):
        kept.keep(model, step)
        assert copies(tmp_path) == ["_best-mine-7", f"_best-mine-{step}"]
    assert kept.has(7) and kept.has(9) and not kept.has(8)
    kept.named_by_checkpoint(9)  # the checkpoint before it, which names 7, is still there
    assert copies(tmp_path) == ["_best-mine-7", "_best-mine-9"]
    kept.named_by_checkpoint(9)
    assert copies(tmp_path) == ["_best-mine-9"]
    resumed = KeptWeights(tmp_path, "mine", True, checkpointed=9)
    resumed.keep(model, 10)
    assert copies(tmp_path) == ["_best-mine-10", "_best-mine-9"]
    KeptWeights(tmp_path, "mine", False).forget()  # another process leaves the disk alone
    assert copies(tmp_path) == ["_best-mine-10", "_best-mine-9"]
    resumed.forget()
    assert copies(tmp_path) == []
