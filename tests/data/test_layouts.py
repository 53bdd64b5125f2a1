"""Files as people have them: separators, title lines, encodings, workbooks, and files that are something else."""

from __future__ import annotations

import bz2
import datetime
import gzip
import json
import logging
import lzma
import pickle
import shutil
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from hf_sentiment.data.sources import load_data, read_file, table_rows
from hf_sentiment.data.tables import WantedColumns
from hf_sentiment.errors import CallError, DataError, SentimentError

ROWS = [("Great, really great", "1"), ("Bad film", "0"), ("So so; but fine", "1"), ("Awful", "0"), ("Lovely", "1")]


def rows_of(path: Path | str, **options: Any) -> list[tuple[int, str, str]]:
    table = load_data(train_file=path, **options).splits["train"]
    return list(zip(table["row"], table["text"], table["label"], strict=True))


def expected(first: int) -> list[tuple[int, str, str]]:
    return [(first + i, text, label) for i, (text, label) in enumerate(ROWS)]


def lines(separator: str, header: str = "text,label", after: str = "") -> str:
    cells = [f'"{text}"{separator}{label}{after}' for text, label in ROWS]
    return "\n".join([header.replace(",", separator), *cells]) + "\n"


@pytest.mark.parametrize(
    ("name", "content", "first", "said"),
    [
        ("semicolon.csv", lines(";"), 2, "separated by ;"),
        ("tab.csv", lines("\t"), 2, "separated by tabs"),
        ("tab.txt", lines("\t"), 2, "separated by tabs"),
        ("pipe.csv", lines("|"), 2, r"separated by \|"),
        ("comma.tsv", lines(","), 2, "separated by ,"),
        ("bare.csv", "text;label\n" + "".join(f"{t.replace(';', '')};{v}\n" for t, v in ROWS), 2, "separated by ;"),
        ("sep.csv", "sep=;\n" + lines(";"), 3, "the header is row 2"),
        ("sepq.csv", '\ufeff"sep=|"\r\n' + lines("|").replace("\n", "\r\n"), 3, r"separated by \|"),
        ("title.csv", "Reviews export 2024\n" + lines(","), 3, "the header is row 2"),
        ("titles.csv", "Export,\nof 2024,\n\n" + lines(","), 5, "the header is row 4"),
        ("sep_other.csv", "sep=~\ntext~label\n" + "".join(f"{t}~{v}\n" for t, v in ROWS), 3, "separated by ~"),
        ("longer_title.csv", "Reviews, exported, in May\n" + lines(","), 3, "the header is row 2"),
        ("trailing.csv", lines(",", after=",,"), 2, None),
        ("trailing_header.csv", lines(",", "text,label,,", ",,"), 2, None),
        ("r_names.csv", "text,label\n" + "".join(f'{i},"{t}",{v}\n' for i, (t, v) in enumerate(ROWS)), 2, None),
        ("spaces.csv", '"text" , "label"\n' + "".join(f'"{t}" , "{v}"\n' for t, v in ROWS), 2, None),
        ("blank.csv", "\n\n" + lines(","), 4, "the header is row 3"),
        ("comment.csv", "# made by hand, in May, 2024\n" + lines(","), 3, "the header is row 2"),
        ("form.csv", '"text",label,"How much\ndid you pay?"\n' + "".join(f'"{t}",{v},\n' for t, v in ROWS), 3, None),
        ("mac.csv", lines(",").replace("\n", "\r"), 2, None),
    ],
)
def test_layouts(tmp_path, caplog, name, content, first, said):
    caplog.set_level(logging.INFO, logger="hf_sentiment")
    (tmp_path / name).write_bytes(content.encode())
    found = [(row, text.replace("So so but", "So so; but"), label) for row, text, label in rows_of(tmp_path / name)]
    assert found == expected(first)
    notes = [record.message for record in caplog.records if "column is" not in record.message]
    if said is None:
        assert notes == []
    else:
        assert [note for note in notes if note.endswith(said.replace("\\", ""))]


def test_names_that_nobody_would_guess_tell_separator_and_header_when_they_are_given(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("Kundenstimmen\nKommentar, frei;Wert\nGut, sehr;1,0\nSchlecht;0,5\nNa ja;1,0\n")
    with pytest.raises(DataError, match=r"a\.csv, row 1 has 1 cell, and the rows below it have 2, separated by ;"):
        rows_of(path)
    found = rows_of(path, text_column="Kommentar, frei", label_column="Wert")
    assert found == [(3, "Gut, sehr", "1,0"), (4, "Schlecht", "0,5"), (5, "Na ja", "1,0")]


def test_commas_in_a_text_without_quotes(tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="hf_sentiment")
    texts = ["Cheap, cheerful and good", *[f"An ordinary review {i}" for i in range(30)], "Good, bad, and ugly"]
    for layout in ("text,label", "label,text", "id,text,label"):
        path = tmp_path / f"{layout}.csv"
        made = [{"id": str(i), "text": text, "label": "pos" if i % 2 else "neg"} for i, text in enumerate(texts)]
        path.write_text("\n".join([layout, *(",".join(row[name] for name in layout.split(",")) for row in made)]))
        assert [(text, label) for _, text, label in rows_of(path)] == [(row["text"], row["label"]) for row in made]
    assert "in rows 2, 33 a separator without quotes around it is taken as text" in caplog.text
    plain = "text,stars\n" + "a review,4\nanother one,5\n" * 9
    for odd in (
        "Okay,3,5",
        "Nice,really,4",
        "Good film, 2024-01-05,4",
        "Fine,4,5,4",
    ):  # 3.5 stars? a date? two columns?
        path.write_text(f"{plain}{odd}\n")
        with pytest.raises(DataError, match=r"row 20: too many cells"):
            rows_of(path)
    path.write_text(plain + 'It is "good", "cheap", and fine,4\n')
    assert rows_of(path)[-1] == (20, 'It is "good", "cheap", and fine', "4")
    bare = [(f"Good, bad, and ugly{', too' * (i % 3)}", ("pos", "neg")[i % 2]) for i in range(20)]
    path.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in bare))
    assert [(text, label) for _, text, label in rows_of(path)] == bare
    path.write_text("text,label\n" + "Good film, pos, 1\nBad film, neg, 1\n" * 9)
    with pytest.raises(DataError, match=r"row 2: too many cells.* and 17 more rows; or does the header lack a name\?$"):
        rows_of(path)
    path.write_text("text,label\na review,pos\nanother,neg\na third,pos\na fourth,neg\nGood, cheap,maybe\n")
    with pytest.raises(
        DataError, match=r'row 6: too many cells \(3, the header has 2\): put a text that contains "," in'
    ):
        rows_of(path)


@pytest.mark.parametrize("header", ["id,text,label,", "id,text,label"])
def test_separators_at_the_end_make_no_row_names_of_ids(tmp_path, header):
    path = tmp_path / "a.csv"
    path.write_text(header + "\n" + "".join(f"{i},text {i},{i % 2},\n" for i in range(1, 9)))
    assert rows_of(path) == [(i + 1, f"text {i}", str(i % 2)) for i in range(1, 9)]


FRENCH = ["Très déçu, c’est nul", "J’adore ça, déjà testé", "Livré à l’heure", "Bien emballé", "Ça marche très bien"]
RUSSIAN = ["Отличный товар", "Ужасное качество", "Всем рекомендую", "Сломался через день", "Очень доволен покупкой"]
POLISH = ["Świetna jakość", "Żenada, zepsuł się", "Polecam każdemu", "Bardzo dobry, ładny", "Nie działa wcale już"]

CZECH = ["skvělý film, moc se mi líbil", "příliš dlouhý", "nedoporučuji každému", "špatně zahrané"]
GERMAN = [
    "Das war für mich ein schöner Film",
    "Schlechte Qualität, würde ich nicht kaufen",
    "Größe passt überhaupt nicht",
]
PORTUGUESE = ["Muito bom, recomendo a todos, é ótimo", "Péssima qualidade, não comprem", "Rápida e excelente atenção"]
DANISH = ["God film, anbefales på det varmeste", "Dårlig kvalitet, køb den ikke", "Gik i stykker efter få dage"]
ENGLISH = ["It’s a nice film – isn’t it?", "“Great”, he said… and left", "The café was lovely", "Don’t buy this"]
JAPANESE = ["この映画はとても面白かったです", "サービスが悪くて二度と行きません", "値段の割に品質が良い"]
KOREAN = ["이 영화는 정말 재미있었다", "서비스가 너무 나빴어요", "가격 대비 품질이 좋아요"]
CHINESE = ["这部电影非常好看我很喜欢", "质量很差,不推荐购买", "房间太小,服务态度恶劣"]


@pytest.mark.parametrize(
    ("texts", "encoding", "said"),
    [
        (FRENCH, "utf-8", None),
        (FRENCH, "cp1252", "encoded in windows-1252"),
        (RUSSIAN, "cp1251", "encoded in windows-1251"),
        (POLISH, "cp1250", "encoded in windows-1250"),
        (POLISH, "iso8859-2", "encoded in iso-8859-2"),
        (FRENCH, "utf-16", "encoded in UTF-16"),
        (RUSSIAN, "utf-16-le", "encoded in UTF-16"),
        (FRENCH, "utf-16-be", "encoded in UTF-16"),
        (["Good film", "Bad film"] * 9, "utf-16-be", "encoded in UTF-16"),
        (["Good film", "Bad film"] * 9, "utf-16-le", "encoded in UTF-16"),
        (["一个上午", "上好", "差"], "utf-16-le", "encoded in UTF-16"),
        (JAPANESE, "iso2022_jp", "encoded in iso2022_jp"),
        (JAPANESE, "cp932", "encoded in cp932"),
        (KOREAN, "cp949", "encoded in cp949"),
        (CHINESE, "gb18030", "encoded in gb18030"),
        # Not what windows-1251, windows-1250 or Korea make of the same bytes.
        ([text.upper() for text in GERMAN], "cp850", "encoded in cp850"),
        ([text.upper() for text in PORTUGUESE], "cp850", "encoded in cp850"),
        ([text.upper() for text in DANISH], "cp850", "encoded in cp850"),
        ([text.upper() for text in RUSSIAN], "koi8_r", "encoded in koi8_r"),
        ([text.upper() for text in RUSSIAN], "cp1251", "encoded in windows-1251"),
        (RUSSIAN, "mac_cyrillic", "encoded in mac_cyrillic"),
        (ENGLISH, "cp1252", "encoded in windows-1252"),
        (ENGLISH, "mac_roman", "encoded in mac_roman"),
        (CZECH, "iso8859-2", "encoded in iso-8859-2"),
        (POLISH, "cp1257", "encoded in windows-1257"),
        # A mixture of languages, and slips of the pen.
        ([*FRENCH, *GERMAN, "¿Por qué tardó tanto?"], "cp1252", "encoded in windows-1252"),
        ([*RUSSIAN * 4, "Не рекомендуюЭто плохо"], "cp1251", "encoded in windows-1251"),
    ],
)
def test_encodings_are_found_where_that_is_certain(tmp_path, caplog, texts, encoding, said):
    caplog.set_level(logging.INFO, logger="hf_sentiment")
    (tmp_path / "a.csv").write_bytes(("text,label\n" + "".join(f'"{t}",1\n' for t in texts)).encode(encoding))
    made = "".join(json.dumps({"text": text, "label": 1}, ensure_ascii=False) + "\n" for text in texts)
    (tmp_path / "a.jsonl").write_bytes(made.encode(encoding))
    assert [text for _, text, _ in rows_of(tmp_path / "a.csv")] == texts
    assert [text for _, text, _ in rows_of(tmp_path / "a.jsonl")] == texts
    assert [r.message for r in caplog.records if "encoded in" in r.message] == [
        f"{tmp_path / name}: {said}" for name in ("a.csv", "a.jsonl") if said
    ]


def test_an_uncertain_encoding_is_asked_for(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("text,label\nGood,1\ncafé,0\n".encode("latin-1"))
    with pytest.raises(DataError, match=r'row 3: not UTF-8: "caf\\xe9,0": name the encoding, --encoding windows-1252'):
        rows_of(path)
    assert rows_of(path, encoding="windows-1252")[1] == (3, "café", "0")
    assert rows_of(path, encoding="utf-8")[1] == (3, "caf\ufffd", "0")
    with pytest.raises(DataError, match=r"row 3: not in ascii, as --encoding ascii says"):
        rows_of(path, encoding="ascii")
    with pytest.raises(CallError, match=r"--encoding utf9: no such encoding; name one such as utf-8, windows-1252"):
        rows_of(path, encoding="utf9")
    # Three words of KOI8-R are as good ones to Windows.
    path.write_bytes("text,label\nхорошо,1\nплохо,0\nнорм,1\n".encode("koi8_r"))
    with pytest.raises(DataError, match="row 2: not UTF-8"):
        rows_of(path)
    path.write_bytes("text,label\n上,1\n差,0\n".encode("utf-16-le") + b"\x00\xd8\n\x00" * 9)
    with pytest.raises(DataError, match=r'row 4: not UTF-8: "[ -~]+": name the encoding, --encoding utf-16-le perhaps'):
        rows_of(path)
    path.write_bytes(b"text,label\n" + "Très bien,1\n".encode() * 9 + "Très déçu,0\n".encode("cp1252") * 9)
    with pytest.raises(DataError, match="row 11: not UTF-8, unlike 9 of 18 rows with letters beyond a-z: two files"):
        rows_of(path)


def test_packed_files(tmp_path):
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(lines(",").encode()))
    assert rows_of(tmp_path / "a.csv.gz") == expected(2)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"text,label\nanother,1\n"))
    assert rows_of(tmp_path / "a.csv.gz") == [(2, "another", "1")]
    made = "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in ROWS)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(made.encode()))
    assert rows_of(tmp_path / "a.jsonl.gz") == expected(1)


def workbook(path: Path, **sheets: list[tuple[Any, ...]]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_line_ends_that_are_none(tmp_path, end):
    odd = ["a\rb\rc", "d\x0be\x85f", "g\u2028h", "i\x0cj\x1ck"]
    (tmp_path / "a.csv").write_bytes(("text,label" + end + "".join(f"{t},1{end}" for t in odd)).encode())
    assert rows_of(tmp_path / "a.csv") == [(i + 2, text, "1") for i, text in enumerate(odd)]
    lines = [json.dumps({"text": t, "label": 1}, ensure_ascii=False) for t in odd]
    (tmp_path / "a.jsonl").write_bytes((end.join(lines) + end).encode())
    assert rows_of(tmp_path / "a.jsonl") == [(i + 1, text, "1") for i, text in enumerate(odd)]


def test_a_workbook(tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="hf_sentiment")
    when = datetime.datetime(2024, 5, 1)
    rows = [("Export",), (), (None, "text", "label", "when", "ok", None, "x")]
    rows += [(None, "two\nlines", 5, when, True, "beside", 1.5), (), (None, 12, 4.0, when, False, None, None)]
    rows += [(None, "a formula", "=1+1", None, None, None, 0)]
    path = workbook(tmp_path / "a.xlsx", notes=[("This workbook holds reviews",)], data=rows)
    table = read_file(path)
    assert list(table_rows(table)) == [
        (4, dict(zip(table.columns, ["two\nlines", "5", "2024-05-01", "TRUE", "beside", "1.5"], strict=True))),
        (6, dict(zip(table.columns, ["12", "4", "2024-05-01", "FALSE", "", ""], strict=True))),
        (7, dict(zip(table.columns, ["a formula", "", "", "", "", "0"], strict=True))),
    ]
    assert table.columns == ["text", "label", "when", "ok", "Unnamed: 5", "x"]
    assert "the sheet data" in caplog.text
    assert "in row 7 a formula has no value: open the workbook in Excel and save it" in caplog.text
    shutil.copy(path, tmp_path / "really.csv")
    assert rows_of(tmp_path / "really.csv")[0] == (4, "two\nlines", "5")


def test_a_workbook_with_several_tables(tmp_path):
    rows = [("text", "label"), *ROWS]
    path = workbook(tmp_path / "a.xlsx", train=rows, test=rows[:3])
    with pytest.raises(CallError, match=r"several sheets hold a table \(train, test\): name one, .*a\.xlsx#train"):
        rows_of(path)
    assert rows_of(f"{path}#test") == expected(2)[:2]
    with pytest.raises(CallError, match=r"no sheet 'tset' \(sheets: train, test\)"):
        rows_of(f"{path}#tset")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"\xd0\xcf\x11\xe0\xa1\xb1", "the Excel format before 2007"),
        ("a.xls", b"x", "the Excel format before 2007: save it as .xlsx"),
        ("a.xlsx", b"text,label\n", "not an Excel workbook"),
        ("a.parquet", b"text,label\n", "not a Parquet file"),
        ("a.json", b"\x1f\x8b\x08\x08\xd3h\n\x00\xff\xff", "a.json: packed by gzip: unpack it, or name it a.json.gz"),
        ("a.csv", b"%PDF-1.7\n", "a PDF: save its table as CSV"),
        ("a.csv", b"\x89PNG\r\n\x1a\n", "a picture"),
        ("a.csv", bz2.compress(b"text,label\n"), "packed by bzip2: unpack it"),
        ("a.csv", lzma.compress(b"text,label\n"), "packed by xz: unpack it"),
        ("a.csv", b"\x28\xb5\x2f\xfd\x24", "packed by zstd: unpack it"),
        ("a.csv", pickle.dumps(ROWS, 4), "a pickle of Python"),
        ("a.csv", b"<!DOCTYPE html><html>", "a web page, not a data file"),
        ("a.json", b'{"text": {"0": "a", "1": "b"}, "label": {"0": 1, "1": 0}}', 'orient="records", lines=True'),
        ("a.json", b'{"text": ["a", "b"], "label": [1, 0]}', 'orient="records", lines=True'),
        ("a.json", b'{"columns": ["text"], "index": [0], "data": [["a"]]}', 'orient="records", lines=True'),
        ("a.json", b'{"data": [{"text": "a", "label": 1}]}', "the rows are under 'data': write that list alone"),
        ("a.json", b'{\n "data": [\n  {"text": "a", "label": 1}]}', "the rows are under 'data'"),
        ("a.json", b'[{"text": "a",\n "label": }]', "row 2: not JSON"),
        ("a.json", b"[]", "the file has no data rows"),
        ("a.json", b"{" + b",".join(b'"text %d": 1' % i for i in range(99)) + b"}", 'orient="records", lines=True'),
    ],
)
def test_files_that_are_something_else(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(SentimentError, match=message) as caught:
        rows_of(path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.txt", "a.json"])
@pytest.mark.parametrize("content", ['[{"text": "good", "label": 1},\n {"text": "bad", "label": 0}]', None])
def test_json_is_known_by_its_content(tmp_path, name, content):
    path = tmp_path / name
    path.write_text(content or '{"text": "good", "label": 1}\n{"text": "bad", "label": 0}\n')
    assert rows_of(path) == [(1, "good", "1"), (2, "bad", "0")]


def test_no_header(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("Great film,1\nBad film,0\n")
    with pytest.raises(CallError, match=r"no column looks like the text.*if the first row is no header, put one above"):
        rows_of(path)


def test_a_zip_archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.csv", "w") as archive:
        archive.writestr("b.csv", lines(","))
    with pytest.raises(CallError, match="a zip archive: unpack it"):
        rows_of(tmp_path / "a.csv")


def test_columns_without_a_name_and_twice_the_same(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(",text,text,,label\n0,Good,a,,1\n1,Bad,b,,0\n")
    table = read_file(path, wanted=WantedColumns(None, None, True))
    assert next(table_rows(table)) == (2, {"Unnamed: 0": "0", "text": "Good", "text.1": "a", "label": "1"})
