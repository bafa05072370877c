"""Parsers in this process, on small documents: headings, tables, lists and what has to go."""

from __future__ import annotations

import io

import pytest

from honed.ingest.codes import Refused
from honed.ingest.parse import PARSERS, Job, read
from honed.types import Block, Parsed
from tests.ingest.packages import W, docx, inline, package, paragraph, pptx, relations, shape, text_pdf, xlsx

OOXML = "application/vnd.openxmlformats-officedocument."
DOCX, XLSX, PPTX = (
    OOXML + name for name in ("wordprocessingml.document", "spreadsheetml.sheet", "presentationml.presentation")
)


def parse(content: str | bytes, media_type: str, name: str = "the_file.x") -> Parsed:
    data = content if isinstance(content, bytes) else content.encode()
    return read(io.BytesIO(data), Job(name, media_type))


def facts(parsed: Parsed) -> list[tuple[tuple[str, ...], str]]:
    return [(block.headings, block.text) for block in parsed.blocks]


def refusal(content: str | bytes, media_type: str) -> str:
    with pytest.raises(Refused) as caught:
        parse(content, media_type)
    return caught.value.code


@pytest.mark.parametrize("media_type", PARSERS)
def test_every_parser_is_there(media_type: str) -> None:
    with pytest.raises(Exception):  # noqa: B017  (nothing is a document of no type)
        parse(b"", media_type)


class TestMarkdown:
    def test_headings_lists_tables_and_code(self) -> None:
        parsed = parse(
            "# Guide\n\nSee [the *site*](http://x.y) and `code`.\n\n## Steps\n\n1. one\n   - deeper\n2. two\n\n"
            "| a | b |\n|---|---|\n| 1 | x\\|y |\n\n```py\nx = 1\n```\n\n## Empty\n\n## Last\n\n> quoted\n",
            "text/markdown",
        )
        assert parsed.title == "Guide"
        assert facts(parsed) == [
            (("Guide",), "See the site and code."),
            (("Guide", "Steps"), "1. one\n  - deeper\n2. two"),
            (("Guide", "Steps"), "| a | b |\n| --- | --- |\n| 1 | x\\|y |"),
            (("Guide", "Steps"), "x = 1"),
            (("Guide",), "Empty"),
            (("Guide", "Last"), "quoted"),
        ]
        assert [block.kind for block in parsed.blocks].count("table") == 1

    def test_front_matter_gives_the_title(self) -> None:
        parsed = parse("---\ntitle: 'A name'\ntags: [x]\n---\n\nBody.\n", "text/markdown")
        assert (parsed.title, facts(parsed)) == ("A name", [((), "Body.")])

    def test_html_inside_loses_its_tags(self) -> None:
        assert facts(parse("<div>\nin a <b>block</b>\n</div>\n\nx<br>y <!-- no -->\n", "text/markdown")) == [
            ((), "in a  block"),
            ((), "x\ny"),
        ]


class TestHtml:
    PAGE = """<!doctype html><html><head><title>Site &amp; page</title><style>p{}</style></head><body>
      <nav><a href=/>Home</a></nav><header><p>Logo</p></header>
      <main><h1>Fever</h1><p>Take <b>two</b>\n tablets.</p><ul><li>one<ul><li>inner</li></ul></li><li>two</li></ul>
      <h2>Doses</h2><table><caption>Table 1</caption><tr><th>Age</th><th>mg</th></tr><tr><td>5</td><td>100</td></tr></table>
      <pre>a\n  b</pre><p hidden>no</p><p style="display: none">no</p><script>no()</script><img alt="A chart"></main>
      <aside>Advert</aside><footer>Imprint</footer></body></html>"""

    def test_content_without_furniture(self) -> None:
        parsed = parse(self.PAGE, "text/html")
        assert parsed.title == "Site & page"
        assert facts(parsed) == [
            (("Fever",), "Take two tablets."),
            (("Fever",), "- one\n  - inner\n- two"),
            (("Fever", "Doses"), "Table 1"),
            (("Fever", "Doses"), "| Age | mg |\n| --- | --- |\n| 5 | 100 |"),
            (("Fever", "Doses"), "a\n  b"),
            (("Fever", "Doses"), "A chart"),
        ]

    def test_a_page_that_is_only_furniture_is_kept(self) -> None:
        assert facts(parse("<html><body><nav><p>All there is</p></nav></body></html>", "text/html")) == [
            ((), "All there is")
        ]

    def test_layout_tables_are_prose(self) -> None:
        page = "<table><tr><td><h2>Left</h2><p>One.</p></td><td><p>Two.</p></td></tr></table>"
        assert facts(parse(page, "text/html")) == [(("Left",), "One."), (("Left",), "Two.")]

    def test_the_declared_charset_is_used(self) -> None:
        assert facts(parse('<meta charset="iso-8859-2"><p>Łódź</p>'.encode("iso-8859-2"), "text/html")) == [
            ((), "Łódź")
        ]


class TestText:
    def test_headings_are_guessed_where_they_stand_alone(self) -> None:
        parsed = parse(
            "FEVER IN CHILDREN\n\nWhat helps ?\n\nRest helps, mostly.\n\n1. Doses\n\nTwo a day.\n", "text/plain"
        )
        assert parsed.title == "FEVER IN CHILDREN"
        assert facts(parsed) == [
            (("FEVER IN CHILDREN", "What helps ?"), "Rest helps, mostly."),
            (("FEVER IN CHILDREN", "1. Doses"), "Two a day."),
        ]

    def test_sentences_addresses_and_lists_are_not_headings(self) -> None:
        text = "Dear Sir,\n\nwe write to you.\n\nJohn Smith\n\n12 Main Street\n\nNew York\n\nUSA\n\nGermany\n"
        assert {headings for headings, _ in facts(parse(text, "text/plain"))} == {()}

    def test_a_numbered_paragraph_with_a_name_is_a_section(self) -> None:
        parsed = parse(
            "1. Term of Lease. The lease runs for a year.\n\nIt may be renewed.\n", "text/plain", "a_lease.txt"
        )
        assert parsed.title == "a lease"
        assert facts(parsed) == [
            (("1. Term of Lease",), "1. Term of Lease. The lease runs for a year."),
            (("1. Term of Lease",), "It may be renewed."),
        ]

    @pytest.mark.parametrize(
        "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32", "cp1252", "iso-8859-1"]
    )
    def test_encodings(self, encoding: str) -> None:
        text = "Die Größe der Straße in Köln beträgt fünf Meter, sagte er. " * 5
        assert parse(text.encode(encoding), "text/plain").blocks[0].text == text.strip()

    def test_other_encodings_are_found(self) -> None:
        text = "Москва является столицей России и крупнейшим городом страны. " * 5
        assert parse(text.encode("cp1251"), "text/plain").blocks[0].text == text.strip()


class TestRst:
    def test_titles_notes_and_code_but_no_directive_runs(self) -> None:
        parsed = parse(
            "=====\nGuide\n=====\n\n.. include:: /etc/passwd\n\n.. comment\n\nSee :ref:`here <there>` and ``x``.\n\nUse\n---\n\n"
            ".. note:: Mind *this*.\n\n.. code-block:: py\n\n   a = 1\n\n.. image:: x.png\n   :alt: no\n\n- one\n- two\n",
            "text/x-rst",
        )
        assert parsed.title == "Guide"
        assert facts(parsed) == [
            (("Guide",), "See here and x."),
            (("Guide", "Use"), "Mind this."),
            (("Guide", "Use"), "a = 1"),
            (("Guide", "Use"), "- one\n- two"),
        ]


class TestTables:
    def test_csv_groups_repeat_the_header(self) -> None:
        parsed = parse("name;mg\n" + "".join(f"drug {n};{n}\n" for n in range(100)), "text/csv")
        assert len(parsed.blocks) == 3
        assert {block.text.split("\n")[0] for block in parsed.blocks} == {"| name | mg |"}
        assert parsed.blocks[-1].text.endswith("| drug 99 | 99 |")

    def test_ragged_rows_lose_nothing(self) -> None:
        parsed = parse("a,b\n1\n1,2,3\n", "text/csv")
        assert parsed.blocks[0].text.split("\n")[2:] == ["| 1 |  |", "| 1 | 2,3 |"]
        assert parsed.warnings == ("2 rows have more or fewer cells than the header",)

    def test_tsv_and_quotes(self) -> None:
        assert "| x y | b\\|c |" in parse('h1\th2\n"x\ny"\tb|c\n', "text/tab-separated-values").blocks[0].text

    def test_json_lines(self) -> None:
        parsed = parse(
            '{"_id": "7", "title": "Fever", "text": "Rest.", "tags": ["a", "b"]}\n\nbroken\n{"id": 8, "n": 1.5}\n',
            "application/jsonl",
        )
        assert facts(parsed) == [(("Fever",), "Rest.\ntags: a, b"), (("8",), "n: 1.5")]
        assert parsed.warnings == ("1 lines are not JSON and were left out: 3",)

    def test_json_document(self) -> None:
        assert facts(parse('[{"name": "A", "body": "b", "more": {"deep": ["c"]}}]', "application/json")) == [
            (("A",), "b\nmore.deep: c")
        ]
        assert refusal("{", "application/json") == "corrupt"


class TestMail:
    def test_text_is_preferred_and_attachments_are_named(self) -> None:
        mail = (
            "From: =?utf-8?q?J=C3=BCrgen?= <j@x.y>\nTo: a@b.c\nSubject: Hello there\nMIME-Version: 1.0\n"
            'Content-Type: multipart/mixed; boundary="o"\n\n--o\nContent-Type: multipart/alternative; boundary="i"\n\n'
            "--i\nContent-Type: text/html\n\n<p>html</p>\n--i\nContent-Type: text/plain; charset=utf-8\n"
            "Content-Transfer-Encoding: quoted-printable\n\nGr=C3=BC=C3=9Fe an alle.\n--i--\n"
            '--o\nContent-Type: application/pdf\nContent-Disposition: attachment; filename="plan.pdf"\n\nxx\n--o--\n'
        )
        parsed = parse(mail, "message/rfc822")
        assert parsed.title == "Hello there"
        assert [text for _, text in facts(parsed)] == [
            "From: Jürgen <j@x.y>\nTo: a@b.c",
            "Grüße an alle.",
            "Attachments: plan.pdf",
        ]
        assert {headings for headings, _ in facts(parsed)} == {("Hello there",)}

    def test_html_is_read_where_there_is_no_text(self) -> None:
        mail = "Subject: s\nContent-Type: text/html\n\n<h1>Top</h1><p>Body</p>"
        assert facts(parse(mail, "message/rfc822")) == [(("s", "Top"), "Body")]


class TestOffice:
    STYLES = f"""<w:styles xmlns:w="{W}"><w:style w:styleId="H1"><w:name w:val="heading 1"/></w:style>
      <w:style w:styleId="Mine"><w:name w:val="My heading"/><w:basedOn w:val="H1"/></w:style>
      <w:style w:styleId="Sub"><w:name w:val="sub"/><w:pPr><w:outlineLvl w:val="1"/></w:pPr></w:style></w:styles>"""

    def test_docx(self) -> None:
        cells = "".join(f"<w:tc>{paragraph(text)}</w:tc>" for text in ("5", "100 mg"))
        table = f"<w:tbl><w:tr><w:tc>{paragraph('Age')}</w:tc><w:tc>{paragraph('Dose')}</w:tc></w:tr><w:tr>{cells}</w:tr></w:tbl>"
        numbered = '<w:numPr><w:ilvl w:val="0"/><w:numId w:val="1"/></w:numPr>'
        deleted = (
            "<w:p><w:r><w:t>kept</w:t></w:r><w:del><w:r><w:delText>gone</w:delText><w:t>gone</w:t></w:r></w:del></w:p>"
        )
        body = (
            paragraph("Fever", "Mine") + paragraph("Rest.") + paragraph("one", extra=numbered) + paragraph("two", extra=numbered)
            + paragraph("Doses", "Sub") + table + deleted
        )  # fmt: skip
        notes = f'<w:footnotes xmlns:w="{W}"><w:footnote>{paragraph("A note.")}</w:footnote></w:footnotes>'
        parsed = parse(docx(body, parts={"word/styles.xml": self.STYLES, "word/footnotes.xml": notes}), DOCX)
        assert parsed.title == "Fever"
        assert facts(parsed) == [
            (("Fever",), "Rest."),
            (("Fever",), "- one\n- two"),
            (("Fever", "Doses"), "| Age | Dose |\n| --- | --- |\n| 5 | 100 mg |"),
            (("Fever", "Doses"), "kept"),
            (("Footnotes",), "A note."),
        ]

    def test_xlsx(self) -> None:
        rows = (
            f'<row r="1">{inline("A1", "Doses by age")}</row>'
            f'<row r="2">{inline("A2", "Age")}{inline("C2", "From")}</row>'
            '<row r="3"><c r="A3"><v>5.0</v></c><c r="C3" s="1"><v>45292</v></c></row>'
            f'<row r="9">{inline("B9", "Second")}{inline("C9", "Table")}</row>'
            f'<row r="10">{inline("B10", "x")}{inline("C10", "y")}</row>'
        )
        styles = (
            '<styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
            '<cellXfs><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs></styleSheet>'
        )
        parsed = parse(xlsx(rows, parts={"xl/styles.xml": styles}), XLSX)
        assert facts(parsed) == [
            (("Sheet",), "Doses by age"),
            (("Sheet",), "| Age | From |\n| --- | --- |\n| 5 | 2024-01-01 |"),
            (("Sheet",), "| Second | Table |\n| --- | --- |\n| x | y |"),
        ]

    def test_pptx(self) -> None:
        notes = f'<p:notes xmlns:p="{PNS}" xmlns:a="{ANS}">{shape("Say hello.", kind="body")}</p:notes>'
        parts = {
            "ppt/slides/_rels/slide1.xml.rels": relations({"rId1": ("notesSlide", "../notesSlides/notesSlide1.xml")}),
            "ppt/notesSlides/notesSlide1.xml": notes,
        }
        slide = shape("Fever", kind="title") + shape("one", "two") + shape("7", kind="sldNum")
        parsed = parse(pptx(slide, parts=parts), PPTX)
        assert parsed.blocks == (
            Block("one\ntwo", ("Fever",), "text", 1),
            Block("Notes: Say hello.", ("Fever",), "text", 1),
        )

    def test_the_libraries_of_others_write_what_is_read(self) -> None:
        openpyxl, word, powerpoint = (pytest.importorskip(name) for name in ("openpyxl", "docx", "pptx"))
        book, buffer = openpyxl.Workbook(), io.BytesIO()
        book.active.append(["Age", "Dose"])
        book.active.append([5, "100 mg"])
        book.save(buffer)
        assert "| 5 | 100 mg |" in parse(buffer.getvalue(), XLSX).blocks[0].text
        document, buffer = word.Document(), io.BytesIO()
        document.add_heading("Fever", 1)
        document.add_paragraph("Rest.")
        document.add_paragraph("one", style="List Bullet")
        document.save(buffer)
        assert facts(parse(buffer.getvalue(), DOCX)) == [(("Fever",), "Rest."), (("Fever",), "- one")]
        deck, buffer = powerpoint.Presentation(), io.BytesIO()
        slide = deck.slides.add_slide(deck.slide_layouts[1])
        slide.shapes.title.text, slide.placeholders[1].text = "Fever", "Rest."
        deck.save(buffer)
        assert facts(parse(buffer.getvalue(), PPTX)) == [(("Fever",), "Rest.")]

    def test_strict_packages_are_refused_by_name(self) -> None:
        strict = '<w:document xmlns:w="http://purl.oclc.org/ooxml/wordprocessingml/main"><w:body/></w:document>'
        assert refusal(package({"word/document.xml": strict}), DOCX) == "unsupported"


PNS = "http://schemas.openxmlformats.org/presentationml/2006/main"
ANS = "http://schemas.openxmlformats.org/drawingml/2006/main"


class TestPdf:
    def test_headings_by_size_and_paragraphs_by_distance(self) -> None:
        page = [
            (20, 740, "Fever in children"), (11, 700, "Rest helps most children, and so does"), (11, 687, "drinking enough."),
            (11, 660, "A second paragraph stands here."), (11, 647, "It has two lines."), (15, 610, "Doses"),
            (11, 590, "Two tablets a day are enough for all."),
        ]  # fmt: skip
        parsed = parse(text_pdf(page), "application/pdf")
        assert parsed.title == "Fever in children"
        assert facts(parsed) == [
            (("Fever in children",), "Rest helps most children, and so does\ndrinking enough."),
            (("Fever in children",), "A second paragraph stands here.\nIt has two lines."),
            (("Fever in children", "Doses"), "Two tablets a day are enough for all."),
        ]
        assert {block.page for block in parsed.blocks} == {1}

    def test_a_long_document_is_read_in_parts(self) -> None:
        content = text_pdf(*([(11, 700, f"This is page {n}.")] for n in range(4)))
        first = read(io.BytesIO(content), Job("a.pdf", "application/pdf", seconds=-1))
        assert first.meta["next_page"] == 1
        rest = read(io.BytesIO(content), Job("a.pdf", "application/pdf", first_page=1, seconds=1e9))
        assert [block.page for block in (*first.blocks, *rest.blocks)] == [1, 2, 3, 4]
        assert "next_page" not in rest.meta


def test_what_holds_no_text_is_refused() -> None:
    assert refusal(" \n", "text/plain") == "empty"
    assert refusal(docx(""), DOCX) == "empty"
    assert refusal("x", "application/zip") == "unsupported"
