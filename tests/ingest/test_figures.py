"""Pictures inside documents: found, captioned, linked to the passage beside them, and never at the cost of the text."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pypdfium2
import pytest
from PIL import Image

from honed.catalog import Catalog, documents, images
from honed.ingest.limits import Limits
from honed.ingest.placing import distinct
from honed.ingest.sandbox import Sandbox
from honed.ingest.sync import Intake, SyncReport, sync
from honed.models.painter.provenance import Provenance, png_with
from honed.types import ImageRecord, Parsed
from honed.workspace import Workspace, create
from tests.ingest.draw import close, data, picture, waves, write
from tests.ingest.packages import A, R, docx, page_pdf, paragraph, pptx, relations, shape, stream, xlsx

TEXT = b"BT /F1 11 Tf 50 700 Td (The tide comes at noon and leaves again at six in the evening.) Tj ET "


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return create(tmp_path / "ws", "")


@pytest.fixture
def intake(workspace: Workspace, sandbox: Sandbox) -> Iterator[Intake]:
    with Catalog(workspace.catalog_path, create=True) as catalog:
        yield Intake(workspace, catalog, sandbox, passage_words=20)


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    return tmp_path / "docs"


def parsed(sandbox: Sandbox, path: Path) -> Parsed:
    outcome = sandbox.parse(path)
    assert isinstance(outcome, Parsed), outcome
    return outcome


def shown(intake: Intake, path: Path) -> list[tuple[ImageRecord, str]]:
    """The images of a catalog with the text of the passage that each is linked to, after adding a path."""
    report = sync(intake, [path])
    assert not report.rejected, report
    texts = {passage.id: passage.text for _, _, passage in documents.passages(intake.catalog)}
    rowids, _ = images.medias(intake.catalog)
    return [(one, texts.get(one.passage or "", "")) for one in images.by_rowid(intake.catalog, rowids).values()]


def pdf_image(image: Image.Image) -> bytes:
    entries = (
        f"/Type/XObject/Subtype/Image/Width {image.width}/Height {image.height}/BitsPerComponent 8/ColorSpace/DeviceRGB"
    )
    return stream(image.convert("RGB").tobytes(), entries.encode())


def pdf(commands: bytes, *pictures: Image.Image) -> bytes:
    """One page; the pictures are drawn by the names I0, I1, ..."""
    names = "".join(f"/I{number} {5 + number} 0 R" for number in range(len(pictures)))
    resources = f"/XObject<<{names}>>".encode()
    return page_pdf(stream(commands), *(pdf_image(each) for each in pictures), resources=resources)


def caption(y: int, text: str) -> bytes:
    return f"BT /F1 9 Tf 100 {y} Td ({text}) Tj ET ".encode()


def test_a_figure_of_a_pdf_is_cut_out_as_it_is_seen(intake: Intake, docs: Path) -> None:
    commands = TEXT + b"q 300 0 0 200 100 400 cm /I0 Do Q " + caption(385, "Figure 3: The harbour at low water,")
    commands += caption(374, "seen from the east.") + caption(200, "Nothing moves on the quay.")
    (docs / "a.pdf").write_bytes(pdf(commands, waves(1)))
    ((image, text),) = shown(intake, docs)
    assert (image.kind, image.page, image.ordinal) == ("figure", 1, 0)
    assert image.caption == "Figure 3: The harbour at low water, seen from the east."
    assert text.startswith("Figure 3: The harbour")
    (figure,) = parsed(intake.sandbox, docs / "a.pdf").media
    assert close(Image.fromarray(figure.array).resize((120, 80)), waves(1))


def test_a_turned_page_shows_its_figure_turned(sandbox: Sandbox, docs: Path) -> None:
    (docs / "a.pdf").write_bytes(pdf(TEXT + b"q 300 0 0 200 100 400 cm /I0 Do Q", waves(1)))
    document = pypdfium2.PdfDocument(docs / "a.pdf")
    document[0].set_rotation(90)
    document.save(docs / "b.pdf")
    (figure,) = parsed(sandbox, docs / "b.pdf").media
    upright = Image.fromarray(figure.array).transpose(Image.Transpose.ROTATE_90).resize((120, 80))
    assert close(upright, waves(1))


def test_strips_are_one_figure_and_small_things_none(sandbox: Sandbox, docs: Path) -> None:
    top, bottom = waves(1).crop((0, 0, 120, 40)), waves(1).crop((0, 40, 120, 80))
    commands = TEXT + b"q 300 0 0 100 100 500 cm /I0 Do Q q 300 0 0 100 100 400 cm /I1 Do Q "
    commands += b"q 20 0 0 20 500 400 cm /I2 Do Q q 200 0 0 200 100 50 cm /I3 Do Q"
    (docs / "a.pdf").write_bytes(pdf(commands, top, bottom, waves(2), waves(3, 30, 30)))
    (figure,) = parsed(sandbox, docs / "a.pdf").media
    assert close(Image.fromarray(figure.array).resize((120, 80)), waves(1))


def test_the_background_of_a_page_is_no_figure(sandbox: Sandbox, docs: Path) -> None:
    (docs / "a.pdf").write_bytes(pdf(b"q 612 0 0 792 0 0 cm /I0 Do Q " + TEXT, waves(1)))
    assert parsed(sandbox, docs / "a.pdf").media == ()


def test_what_comes_on_page_after_page_is_furniture() -> None:
    logo, figure = waves(1), waves(2)
    pages = [picture(logo, page=page, kind="figure") for page in (1, 2, 3)]
    twice = [picture(figure, page=page, kind="figure") for page in (1, 2)]
    assert distinct([*pages, *twice]) == [twice[0]]
    assert distinct([picture(logo, kind="figure")] * 5) == [picture(logo, kind="figure")], "without pages: once"


def word(*pictures: tuple[Image.Image, str], between: str = "") -> bytes:
    body = paragraph("The tide comes at noon.")
    for number, (_, alt) in enumerate(pictures):
        drawing = (
            f'<wp:inline xmlns:wp="urn:wp"><wp:docPr id="1" name="Picture 1" descr="{alt}"/>'
            f'<a:blip xmlns:a="{A}" xmlns:r="{R}" r:embed="r{number}"/></wp:inline>'
        )
        body += f"<w:p><w:r><w:drawing>{drawing}</w:drawing></w:r></w:p>{between}"
    links = relations({f"r{number}": ("image", f"media/i{number}.png") for number in range(len(pictures))})
    media = {f"word/media/i{number}.png": data(image) for number, (image, _) in enumerate(pictures)}
    return docx(body, parts={"word/_rels/document.xml.rels": links, **media})


def test_word_figures_take_their_caption_from_text_or_from_alt(intake: Intake, docs: Path) -> None:
    between = paragraph("Figure 1. A crane at pier five.") + paragraph("Ships wait outside until noon, for the tide.")
    (docs / "a.docx").write_bytes(word((waves(1), "Picture 1"), (waves(2), "The old pier"), between=between))
    (first, text), (second, _) = shown(intake, docs)
    assert (first.caption, second.caption) == ("Figure 1. A crane at pier five.", "The old pier")
    assert "A crane at pier five" in text
    assert (first.page, first.kind, first.width) == (None, "figure", 120)


def test_slides_and_sheets(intake: Intake, docs: Path) -> None:
    drawn = f'<p:pic xmlns:r="{R}"><p:nvPicPr><p:cNvPr id="2" name="x" descr="A buoy"/></p:nvPicPr><a:blip r:embed="r1"/></p:pic>'
    parts = {
        "ppt/slides/_rels/slide1.xml.rels": relations({"r1": ("image", "../media/i.png")}),
        "ppt/media/i.png": data(waves(1)),
    }
    (docs / "a.pptx").write_bytes(pptx(shape("Title", kind="title") + shape("A line") + drawn, parts=parts))
    sheet = f'<xdr:pic xmlns:xdr="urn:x" xmlns:a="{A}" xmlns:r="{R}"><a:blip r:embed="r1"/></xdr:pic>'
    parts = {
        "xl/worksheets/_rels/sheet1.xml.rels": relations({"r1": ("drawing", "../drawings/d.xml")}),
        "xl/drawings/d.xml": sheet,
        "xl/drawings/_rels/d.xml.rels": relations({"r1": ("image", "../media/i.png")}),
        "xl/media/i.png": data(waves(2)),
    }
    row = '<row r="1"><c r="A1" t="inlineStr"><is><t>level</t></is></c></row>'
    (docs / "b.xlsx").write_bytes(xlsx(row, parts=parts))
    (slide, text), (cell, _) = shown(intake, docs)
    assert (slide.caption, slide.page, text) == ("A buoy", 1, "A line")
    assert (cell.kind, cell.caption) == ("figure", "level")


def test_mail_attachments(intake: Intake, docs: Path) -> None:
    message = EmailMessage()
    message["Subject"] = "The crane"
    message.set_content("See the attached picture.")
    message.add_attachment(data(waves(1)), maintype="image", subtype="png", filename="big_crane.png")
    message.add_attachment(data(waves(2, 9, 9)), maintype="image", subtype="png", filename="pixel.png")
    (docs / "a.eml").write_bytes(bytes(message))
    ((image, text),) = shown(intake, docs)
    assert (image.caption, image.kind) == ("big crane", "figure")
    assert "attached picture" in text


def address(image: Image.Image) -> str:
    return "data:image/png;base64," + base64.b64encode(data(image)).decode()


def test_pages_with_pictures_inside_and_beside_them(intake: Intake, docs: Path, tmp_path: Path) -> None:
    write(docs / "pics" / "buoy.png", waves(2))
    write(docs / ".hidden" / "a.png", waves(3))
    write(tmp_path / "outside.png", waves(4))
    (docs / "link.png").symlink_to(tmp_path / "outside.png")
    (docs / "a.html").write_text(
        f"<h1>Quay</h1><p>The quay is long.</p><figure><img src='{address(waves(1))}' alt='image1.png'>"
        "<figcaption>Boats at low water</figcaption></figure><p>And dry.</p><img src='pics/buoy.png?x=1' alt='A buoy'>"
        "<img src='../outside.png'><img src='link.png'><img src='.hidden/a.png'><img src='http://x/y.png'><img>"
        f"<img src='{tmp_path}/outside.png'><img src='file://{tmp_path}/outside.png'><img src='pics/none.png'>"
    )
    found = [(image, text) for image, text in shown(intake, docs) if image.kind == "figure"]
    assert [image.caption for image, _ in found] == ["Boats at low water", "A buoy"]
    assert all("The quay is long." in text for _, text in found)
    meta = intake.catalog.execute("SELECT meta FROM documents WHERE external_id LIKE '%a.html'").fetchone()
    assert meta == ("{}",), "links are no metadata"


def test_markdown_in_all_its_forms(intake: Intake, docs: Path) -> None:
    for number in range(4):
        write(docs / f"p {number}.png", waves(number))
    (docs / "a.md").write_text(
        "# Readme\n\nWords about the buoy.\n\n![From the east](p%200.png)\n\n- item ![listed](<p 1.png>)\n\n"
        '<img alt="tagged" src="p 2.png">\n\n> ![quoted](p%203.png "title")\n'
    )
    found = [image.caption for image, _ in shown(intake, docs) if image.kind == "figure"]
    assert found == ["From the east", "listed", "tagged", "quoted"]


def test_a_file_given_by_name_takes_nothing_from_beside_it(intake: Intake, docs: Path) -> None:
    write(docs / "a.png", waves(1))
    (docs / "a.md").write_text("Words.\n\n![beside](a.png)\n")
    assert shown(intake, docs / "a.md") == []


def test_a_document_of_nothing_but_pictures(intake: Intake, docs: Path) -> None:
    (docs / "a.html").write_text(f"<img src='{address(waves(1))}' alt=''>")
    ((image, text),) = shown(intake, docs)
    assert image.caption == text == "a"


def test_pictures_never_cost_the_text(docs: Path) -> None:
    """Pictures that would take minutes: the text is there as if they were not, within the time for one document."""
    slow = [address(Image.new("RGB", (6000, 6000), (number, 0, 0))) for number in range(4)]
    body = "".join(f"<img src='{each}'>" for each in slow)
    (docs / "a.html").write_text(f"<p>Honest text.</p>{body}")
    with Sandbox(Limits(cpu_seconds=1, wall_seconds=1.0), ocr=False) as hurried:
        outcome = parsed(hurried, docs / "a.html")
    assert [block.text for block in outcome.blocks] == ["Honest text."]
    assert len(outcome.media) < 4
    assert "Not all pictures were taken" in outcome.warnings[-1]


def test_many_figures_are_read_in_several_parses(sandbox: Sandbox, docs: Path) -> None:
    (docs / "a.docx").write_bytes(word(*((Image.new("RGB", (512, 512), (n, n, 9)), f"number {n}") for n in range(70))))
    outcome = parsed(sandbox, docs / "a.docx")
    assert [one.caption for one in outcome.media] == [f"number {number}" for number in range(70)]
    assert outcome.warnings == ()


def counts(report: SyncReport) -> tuple[int, int, int, int, int]:
    return report.new, report.changed, report.renamed, report.removed, report.unchanged


def test_adding_pictures_again_is_a_sync(intake: Intake, docs: Path, workspace: Workspace) -> None:
    write(docs / "one.png", waves(1))
    write(docs / "copy.png", waves(1))
    write(docs / "same.bmp", waves(1))
    write(docs / "two.png", waves(2))
    assert counts(sync(intake, [docs])) == (4, 0, 0, 0, 0)
    rowids, medias = images.medias(intake.catalog)
    assert (len(rowids), len(set(medias))) == (3, 2), "equal bytes are one document, equal pixels one media"
    assert counts(sync(intake, [docs])) == (0, 0, 0, 0, 4)
    seq = images.seq(intake.catalog)
    (docs / "two.png").rename(docs / "renamed.png")
    assert counts(sync(intake, [docs])) == (0, 0, 1, 0, 3)
    assert images.seq(intake.catalog) == seq, "nothing is encoded or indexed again"
    write(docs / "renamed.png", waves(3))
    assert counts(sync(intake, [docs])) == (0, 1, 0, 0, 3)
    (docs / "one.png").unlink()
    (docs / "copy.png").unlink()
    assert counts(sync(intake, [docs])) == (0, 0, 0, 2, 2)
    assert len(images.medias(intake.catalog)[0]) == 2
    for media in images.medias(intake.catalog)[1]:
        assert (workspace.blobs / media[:2] / media).is_file()


def test_a_picture_is_a_document_with_its_caption_as_text(intake: Intake, docs: Path) -> None:
    write(docs / "red_panda.png", waves(1))
    ((image, text),) = shown(intake, docs)
    assert (image.kind, image.caption, text, image.source) == (
        "file",
        "red panda",
        "red panda",
        str(docs / "red_panda.png"),
    )
    assert documents.filtered_rowids(intake.catalog, [("type", "image/png"), ("width", "120")]).tolist() == [1]


def test_a_drawing_of_the_generator_is_no_figure(intake: Intake, docs: Path) -> None:
    """Wherever its bytes come whole: in mail, in office files, in an address. A PDF holds pixels and not the file."""
    drawn = png_with(waves(2), Provenance("a crane", 1, "compact:painter"))
    message = EmailMessage()
    message["Subject"] = "The crane"
    message.set_content("See the attached pictures.")
    message.add_attachment(data(waves(1)), maintype="image", subtype="png", filename="real.png")
    message.add_attachment(drawn, maintype="image", subtype="png", filename="drawn.png")
    (docs / "a.eml").write_bytes(bytes(message))
    place = "data:image/png;base64," + base64.b64encode(drawn).decode()
    (docs / "a.html").write_text(f"<h1>Quay</h1><p>The quay is long.</p><img src='{place}' alt='A crane'>")
    assert [image.caption for image, _ in shown(intake, docs)] == ["real"]
