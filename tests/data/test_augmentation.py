"""Augmentation: what carries sentiment stays, draws follow from seed, epoch and row, and a stock Trainer can use it."""

from __future__ import annotations

import itertools
import string
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from datasets import Dataset
from families import family_tokenizer
from vaderSentiment.vaderSentiment import BOOSTER_DICT, NEGATE, SentimentIntensityAnalyzer

from hf_sentiment.data.augmentation import (
    KINDS,
    LANGUAGE_NEUTRAL,
    AugmentedDataset,
    Augmenter,
    in_scope,
    near_words,
    parse_kinds,
    read,
)
from hf_sentiment.data.augmentation import edits as _edits
from hf_sentiment.data.tokenization import whole_words
from hf_sentiment.errors import CallError

VADER = SentimentIntensityAnalyzer()
LISTED = VADER.lexicon.keys() | set(NEGATE) | BOOSTER_DICT.keys()
NEAR = {"film": ("movie", "films"), "plot": ("plots",), "story": ("tale",), "battery": ("batteries", "bad", "great")}
_ODD = """
not good at all :)
I don't think it's very bad
I don't think it's very bad, but the plot of the film is told in the first ten minutes and then told again.
THE BATTERY IS NOT GOOD AT ALL AND THEY'RE NOT TAKING IT BACK!!!
the GREATEST movie that was ever made in this town , and you will want to see it twice .
Loved it 😍😍 although we are not the people that it was made for 🙂
It was kind of dull, sort of like watching the paint on the wall dry.
At least the story of the brothers is told with care; the rest is the shit.
He will cut the mustard, and they have a film to die for in the can.
Der Film war ohne jede Spannung, und die Schauspieler haben uns nicht überzeugt.
La película no es buena, pero a mi hermana le gusta mucho la historia de los dos hermanos.
Ce café à la façade jaune n’est pas terrible – déjà vu, naïve, Ærø, ﬁlm, ⅷ, ß.
“You’re what the film is about,” he said (and didn’t smile) … never so little hope.
10/10 , would watch again :-D <3 xD :-/ D:
it
bad
before
table
:(
😡
!!!

a b c d e f g h i j k
Without doubt, no story of this kind was less in need of a second part than this one
plain words about the chair on the floor of the room that was painted in the spring
"""
OPENINGS = ("The film is", "It's", "I don't think that this battery is", "They're saying the story is", "NOT")
VERDICTS = ("very good", "bad", "hardly a masterpiece", "great fun :)", "nothing special", "so-so 😐", "about a town")
ENDINGS = (", but the plot of the second half drags", "and I will see it again with my brother .", "!!", "")
SENTENCES = _ODD.splitlines() + [" ".join(parts).strip() for parts in itertools.product(OPENINGS, VERDICTS, ENDINGS)]


def carriers(text: str) -> Counter[str]:
    """The words, emoticons and emoji of a text that VADER's lists have, found without our guard."""
    found: Counter[str] = Counter()
    for part in text.lower().replace("’", "'").split():
        bare = part.strip(string.punctuation + "“”…")
        if {part, bare} & LISTED or "n't" in part:
            found[bare or part] += 1
        found.update(sign for sign in part if sign in VADER.emojis)
    return found


def sign(text: str) -> int:
    score = VADER.polarity_scores(text)["compound"]
    return (score > 0) - (score < 0)


@pytest.mark.parametrize("kind", KINDS)
def test_what_carries_sentiment_stays(kind: str) -> None:
    augment, others, changed = Augmenter([kind], NEAR), [text for text in SENTENCES if text], 0
    for text, seed in itertools.product(SENTENCES, range(4)):
        edited = augment(text, Random(f"{seed} {text}"), others)
        added = carriers(edited[len(text) + 2 :]) if kind == "joining" and edited != text else Counter()
        assert carriers(edited) == carriers(text) + added, (text, edited)
        assert sign(edited) == sign(text), (text, edited)
        assert bool(edited.strip()) == bool(text.strip()), (text, edited)
        changed += edited != text
    assert changed > (20 if kind == "contractions" else 200)


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_does_what_it_says_and_no_more(kind: str) -> None:
    text = "they are the people of a town , and this film was told in the second half"
    edits = {Augmenter([kind], NEAR)(text, Random(seed), ["Another one of the label ."]) for seed in range(30)} - {text}
    words = text.split()
    for edited in edits:
        new = edited.split()
        moved = sum(a != b for a, b in itertools.zip_longest(new, words))
        assert {
            "deletion": len(new) == len(words) - 1 and not Counter(new) - Counter(words),
            "swap": Counter(new) == Counter(words) and moved == 2,
            "neighbour": edited in (text.replace("film", "movie"), text.replace("film", "films")),
            "typos": moved == 1,
            "casing": edited.lower() == text,
            "contractions": edited == text.replace("they are", "they're"),
            "joining": edited == f"{text} . Another one of the label .",
        }[kind], edited
    assert edits


@pytest.mark.parametrize("kind", ["deletion", "swap", "contractions"])
def test_nothing_moves_within_three_words_after_a_negation(kind: str) -> None:
    text = "they are not the people of a town that we are in , and I am never what they will be to us"
    for seed in range(100):
        edited = Augmenter([kind])(text, Random(seed))
        for negation, reach in (("not", "not the people of"), ("never", "never what they will")):
            assert f"{negation} {' '.join(reach.split()[1:])}" in edited, edited


def test_nothing_moves_across_a_guarded_word_or_a_comma() -> None:
    text = "the town , the people of it , good the chair on a floor"
    for seed in range(100):
        edited = Augmenter(["swap"])(text, Random(seed))
        assert [Counter(part.split()) for part in edited.replace("good", ",").split(",")] == [
            Counter(part.split()) for part in text.replace("good", ",").split(",")
        ]


@pytest.mark.parametrize("edit", [_edits.deletion, _edits.swap, _edits.typos, _edits.casing, _edits.contractions])
def test_an_edit_by_itself_leaves_what_is_guarded(edit: Callable[..., list[str] | None]) -> None:
    for text, seed in itertools.product(SENTENCES, range(4)):
        tokens = read(text)
        guarded = [item.text for item in tokens if item.guarded]
        words = edit(tokens, Random(seed))
        left = iter(guarded if words is None else words)
        assert all(text in left for text in guarded), words  # in their order


def test_the_guard_reads_idioms_negations_and_turns() -> None:
    guarded = [
        item.text for item in read("But it is kind of the bomb, and wasn’t the least 😊 well-made <3") if item.guarded
    ]
    assert guarded == ["But", "kind", "of", "the", "bomb,", "wasn’t", "least", "😊", "well-made", "<3"]
    assert in_scope(read("no, it was the one")) == [False, True, True, True, False]


@pytest.mark.parametrize(
    "text",
    [
        "Der Film war ohne jede Spannung, und die Schauspieler haben uns nicht überzeugt.",
        "La película es muy buena y me gusta la actuación de los actores.",
        "Je ne recommande pas ce produit, il est tombé en panne en deux jours.",
        "Un film noioso, non lo consiglio a nessuno.",
        "这部电影很好看",
    ],
)
def test_in_other_languages_no_word_is_touched(text: str) -> None:
    kinds = [kind for kind in KINDS if kind not in LANGUAGE_NEUTRAL]
    assert all(Augmenter(kinds, NEAR)(text, Random(seed)) == text for seed in range(20))
    assert Augmenter(["joining"])(text, Random(0), ["😐"]) == f"{text} . 😐"


def test_kinds_that_need_a_guard_are_refused_in_a_language_without(tiny_tokenizer: Any) -> None:
    german = ["Der Film war sehr langweilig.", "Die Schauspieler waren gut.", "Das war ein guter Abend."]
    rows = Dataset.from_dict({"text": german, "label": [0, 1, 1]})
    with pytest.raises(CallError) as caught:
        AugmentedDataset(rows, tiny_tokenizer, 16, ["typos", "casing", "swap"], seed=0)
    assert str(caught.value) == (
        "--augment typos,casing,swap: typos, swap would change polarity words of these texts, which are in 'de': give "
        "casing,joining, one of the two, or none"
    )
    assert AugmentedDataset(rows, tiny_tokenizer, 16, ["joining"], seed=0).clean
    # Of texts in several languages each is asked.
    mixed = Dataset.from_dict({"text": [*german[:2], "这部电影很好看", "What a film this was"], "label": [0, 1, 1, 1]})
    edited = AugmentedDataset(mixed, tiny_tokenizer, 16, ["swap"], seed=0)
    seen: list[set[str]] = [set() for _ in range(4)]
    for epoch in range(40):
        edited.begin_epoch(epoch)
        for row in range(4):
            seen[row].add(edited.text(row))
    assert [len(texts) > 1 for texts in seen] == [False, False, False, True]


def test_kinds_are_named_or_refused() -> None:
    assert parse_kinds("none") == ()
    assert parse_kinds("swap, typos,swap") == ("swap", "typos")
    for wrong in ("swop", "", "none,swap"):
        with pytest.raises(CallError, match="is no kind: give none, or some of deletion,swap,neighbour,"):
            parse_kinds(wrong)


class _Vocabulary:
    """Of a tokenizer, what near words are taken from."""

    def __init__(self, words: list[str]) -> None:
        self.words = words

    def get_vocab(self) -> dict[str, int]:
        return {word: place for place, word in enumerate(self.words)}


def test_near_words_are_near_and_never_polar() -> None:
    fillers = ["".join(letters) for letters in itertools.product("xyz", repeat=3)]
    near = {
        "film": ("films", "bad", "##s"),  # one lexicon word nearby is chance
        "clumsy": ("awkward", "bad", "boring"),  # not in the lexicon, but its neighbours are
        "faster": ("fast", "slower"),
        "handle": tuple(fillers[:9]),
    }
    words = ["##s", *dict.fromkeys(itertools.chain(near, *near.values())), *fillers]
    vocabulary = _Vocabulary(list(dict.fromkeys(words)))
    place = vocabulary.get_vocab()
    vectors = torch.eye(len(place)) + 0.01 * torch.rand(
        len(place), len(place), generator=torch.Generator().manual_seed(0)
    )
    for word, others in near.items():
        for other in others:
            vectors[place[other], place[word]] += 2.0
    vectors[place["handle"], place["clumsy"]] += 0.8  # near to it, and not polar itself
    vectors[[place[filler] for filler in fillers[9:18]], place["film"]] += 0.5  # around it, but not near
    found = near_words(["film", "Faster", "clumsy", "handle", "bad", "none", "film."], vocabulary, vectors)  # type: ignore[arg-type]
    assert set(found.pop("handle")) < set(fillers)
    assert found == {"film": ("films",), "faster": ("fast",)}


def test_a_vocabulary_without_word_pieces_is_refused() -> None:
    with pytest.raises(CallError, match="--augment neighbour needs a vocabulary of words and pieces"):
        near_words(["film"], _Vocabulary(["film"]), torch.eye(1))  # type: ignore[arg-type]


@pytest.mark.parametrize("family", ["roberta", "xlm-roberta", "albert", "mpnet"])
def test_near_words_of_any_vocabulary(family: str) -> None:
    around = ["table", "chair", "window", "river", "stone", "paper", "garden", "bread", "water", "road"]
    tokenizer = family_tokenizer(family, ["film", "book", *around])
    place = whole_words(tokenizer)
    vectors = torch.eye(len(tokenizer))
    vectors[place["book"], place["film"]] = 2.0
    vectors[[place[word] for word in around], place["film"]] = 0.3  # not near
    assert near_words(["film", "unheard"], tokenizer, vectors) == {"film": ("book",)}


@pytest.fixture(scope="module")
def texts(reviews: list[tuple[str, str]]) -> Dataset:
    return Dataset.from_dict(
        {"text": [text for text, _ in reviews], "label": [int(label == "positive") for _, label in reviews]}
    )


@pytest.fixture
def make(texts: Dataset, tiny_tokenizer: Any) -> Callable[..., AugmentedDataset]:
    def make(seed: int = 42, kinds: tuple[str, ...] = ("deletion", "swap", "joining")) -> AugmentedDataset:
        return AugmentedDataset(texts, tiny_tokenizer, 32, kinds, seed)

    return make


def epoch(dataset: AugmentedDataset, number: int) -> list[str]:
    dataset.begin_epoch(number)
    return [dataset.text(row) for row in range(len(dataset))]


def test_draws_follow_from_seed_epoch_and_row(make: Callable[..., AugmentedDataset]) -> None:
    dataset = make()
    first, second = epoch(dataset, 0), epoch(dataset, 1)
    edited = sum(a != b for a, b in zip(first, dataset._texts, strict=True))
    assert first != second and 0.3 * len(first) < edited < 0.6 * len(first)
    assert epoch(dataset, 0) == first == epoch(make(), 0)
    assert epoch(make(seed=43), 0) != first
    assert [dataset.text(row) for row in (7, 3, 7)] == [first[row] for row in (7, 3, 7)]


@pytest.mark.parametrize("persistent", [False, True])
def test_workers_make_the_same_batches(make: Callable[..., AugmentedDataset], persistent: bool) -> None:
    dataset = make()
    plain, workers = (
        torch.utils.data.DataLoader(
            dataset, batch_size=50, num_workers=count, persistent_workers=persistent and count > 0, collate_fn=list
        )
        for count in (0, 2)
    )
    seen = []
    for number in (0, 1):
        dataset.begin_epoch(number)
        seen.append(list(plain))
        assert list(workers) == seen[-1]
    assert seen[0] != seen[1]


def test_before_an_epoch_rows_are_clean_and_batches_refused(make: Callable[..., AugmentedDataset]) -> None:
    dataset = make()
    clean = [{name: row[name] for name in row if name != "length"} for row in dataset.clean]
    assert [dataset[row] for row in range(len(dataset))] == clean
    with pytest.raises(CallError, match=r"give the Trainer callbacks=\[train.callback\]"):
        next(iter(torch.utils.data.DataLoader(dataset, collate_fn=list)))
    dataset.begin_epoch(3)
    assert list(dataset) == list(dataset.clean)


def test_neighbour_needs_a_model(make: Callable[..., AugmentedDataset]) -> None:
    with pytest.raises(CallError, match="give model="):
        make(kinds=("neighbour",))


def test_casing_is_called_useless_where_it_is(
    make: Callable[..., AugmentedDataset], caplog: pytest.LogCaptureFixture
) -> None:
    make(kinds=("casing",))
    assert "`casing` changes nothing, as this tokenizer lower-cases every text" in caplog.text


@pytest.mark.parametrize("strategy", ["group_by_length", "random"])
def test_a_stock_trainer_trains_on_edits_and_evaluates_on_clean_texts(
    strategy: str,
    make: Callable[..., AugmentedDataset],
    make_tiny: Callable[..., Any],
    tiny_tokenizer: Any,
    tmp_path: Path,
) -> None:
    from transformers import DataCollatorWithPadding, Trainer, TrainingArguments

    dataset = make()
    seen: dict[bool, list[tuple[int, ...]]] = {True: [], False: []}
    model = make_tiny()
    model.register_forward_pre_hook(
        lambda module, args, inputs: seen[module.training].extend(
            tuple(ids[mask.bool()].tolist())
            for ids, mask in zip(inputs["input_ids"], inputs["attention_mask"], strict=True)
        ),
        with_kwargs=True,
    )
    arguments = TrainingArguments(
        output_dir=str(tmp_path),
        num_train_epochs=2,
        eval_strategy="epoch",
        save_strategy="no",
        train_sampling_strategy=strategy,
        use_cpu=True,
        disable_tqdm=True,
        report_to=[],
    )
    trainer = Trainer(
        model,
        arguments,
        train_dataset=dataset,
        eval_dataset=dataset.clean,
        processing_class=tiny_tokenizer,
        data_collator=DataCollatorWithPadding(tiny_tokenizer),
        callbacks=[dataset.callback],
    )
    trainer.train()
    clean = Counter(tuple(ids) for ids in dataset.clean["input_ids"])
    assert Counter(seen[False]) == clean + clean
    expected: Counter[tuple[int, ...]] = Counter()
    for number in (0, 1):
        expected.update(
            tuple(tiny_tokenizer(text, truncation=True, max_length=32)["input_ids"]) for text in epoch(dataset, number)
        )
    assert Counter(seen[True]) == expected
    dataset.callback.on_train_end(arguments, trainer.state, trainer.control)
    assert dataset[0]["input_ids"] == dataset.clean[0]["input_ids"]
