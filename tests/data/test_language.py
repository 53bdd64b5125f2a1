"""Words and languages of texts, in scripts with blanks and without."""

from __future__ import annotations

import pytest

from hf_sentiment.data.language import is_sure, language_of, languages_of, main_language, unit_of, words

CHINESE = ["很好看", "太差了", "不推荐", "值得一看"]
ENGLISH = ["Not bad", "Loved it", "what a bore", "worth a look"]
GERMAN = ["Nicht schlecht", "Ich liebe es", "wie langweilig", "sehr sehenswert"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't miss it :) !!", ["Don't", "miss", "it", ":)", "!!"]),
        ("Größe naïve", ["Größe", "naïve"]),
        ("很好！！买iPhone 15吧", ["很", "好", "！！", "买", "iPhone", "15", "吧"]),
        ("ＧＯＯＤ 映画でした。", ["ＧＯＯＤ", "映", "画", "で", "し", "た", "。"]),
        ("ﾊﾟﾝ が", ["ﾊﾟ", "ﾝ", "が"]),
        ("ดีมาก น้ำ", ["ดี", "ม", "า", "ก", "น้", "ำ"]),
        ("정말 좋아요", ["정말", "좋아요"]),
        ("𠮷野家", ["𠮷", "野", "家"]),
        (" \u3000\n", []),
    ],
)
def test_words_are_between_blanks_or_letters_where_there_are_none(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (CHINESE, "zh"),
        (ENGLISH, "en"),
        (GERMAN, "de"),
        (["とても面白い映画でした", "二度と見ません"], "ja"),
        (["정말 재미있는 영화였어요 추천합니다", "다시는 안 볼 거예요 너무 지루해요"], "ko"),
        (["หนังเรื่องนี้สนุกมาก", "ไม่ชอบเลย"], "th"),
        ([*ENGLISH * 3, *GERMAN], "en"),
        ([*CHINESE, *ENGLISH, *GERMAN], None),  # of none are more than half
        (["gut"], None),
        (["😀😀😀😀😀😀😀😀", "10/10 !!!", "https://example.org/a/b/c/d/e/f/g"], None),
        ([], None),
    ],
)
def test_the_main_language_of_short_and_mixed_texts(texts: list[str], expected: str | None) -> None:
    assert main_language(texts) == expected


def test_texts_are_asked_from_all_over() -> None:
    dutch, english = "een hele mooie film met goede acteurs", "a very beautiful film with good actors"
    assert main_language([dutch] * 520 + [english] * 5_000) == "en"


def test_only_languages_of_iso_639_1_are_told() -> None:
    # By py3langid Wu, Cantonese and Nigerian Pidgin are the likeliest.
    assert language_of("物流快") == language_of("屏幕清晰") == "zh"
    assert language_of("wetin dey happen") == "en"
    assert language_of("👍👍 5/5") is None
    assert language_of("❤️❤️❤️") is language_of("1️⃣ 2️⃣") is language_of("☺️") is None
    assert language_of("ＴＨＥ　ＦＩＬＭ　ｉｓ　ｖｅｒｙ　ｇｏｏｄ") == "en"


def test_languages_are_asked_of_texts_that_are_long_enough() -> None:
    texts = ["gut", "这本书的内容很好", "The plot is thin but the cast is worth it", "https://example.org/a b c"]
    assert [is_sure(text) for text in texts] == [False, True, True, False]
    assert languages_of(["10 10 10 10 !!! ??? 10"], most=10) == {}
    assert languages_of(texts, most=10) == {1: "zh", 2: "en"}
    assert len(languages_of(texts * 5, most=3)) == 3


def test_what_is_counted() -> None:
    assert [unit_of(language) for language in ("zh", "ja", "th", "ko", "en", None)] == [
        *("characters", "characters", "characters", "words", "words", "words")
    ]
