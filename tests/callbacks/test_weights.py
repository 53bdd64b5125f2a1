"""The best weights on disk: what they cost."""

from __future__ import annotations

import threading
from pathlib import Path

import psutil
from transformers import BertConfig, BertModel, TrainerState

from hf_sentiment.callbacks._weights import KeptWeights


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
    kept, state = KeptWeights(tmp_path, "best"), TrainerState(global_step=7)
    kept.keep(model, state)  # once before, so that what is loaded for it does not count
    kept.put_back(model, 7)
    for work in (lambda: kept.keep(model, state), lambda: kept.put_back(model, 7)):
        watch = Watch()
        watch.start()
        work()
        watch.done.set()
        watch.join()
        assert watch.most - watch.before < 0.5 * size


def test_a_copy_is_whole_or_not_there(tmp_path: Path) -> None:
    model = BertModel(BertConfig(vocab_size=40, hidden_size=8, num_hidden_layers=1, num_attention_heads=1))
    kept, state = KeptWeights(tmp_path, "best"), TrainerState(global_step=7)
    (tmp_path / "_partial-_best-7-xyz").mkdir()  # what a kill leaves
    kept.keep(model, state)
    assert kept.has(7) and not kept.has(8)
    kept.forget_others(7, state)
    assert [path.name for path in tmp_path.iterdir()] == ["_best-7"]
    kept.forget_others(None, state)
    assert list(tmp_path.iterdir()) == []
