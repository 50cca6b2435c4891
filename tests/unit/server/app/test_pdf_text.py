"""PDFs are read by a process that may break, hang or eat, without anybody noticing but whoever sent them."""

import asyncio
import zlib
from io import BytesIO

import pytest
from pypdf import PdfWriter

from gadfly.errors import RequestError
from gadfly.server.app import pdf_text as module
from gadfly.server.app.pdf_text import pdf_text

FONT = b"<< /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >>"


def pdf(content=b"BT /F1 12 Tf 72 720 Td (What is a gadfly?) Tj ET", packed=False):
    """A page that shows what `content` says."""
    stream = zlib.compress(content) if packed else content
    filtered = b"/Filter /FlateDecode " if packed else b""
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources %s >>" % FONT,
        b"<< %s/Length %d >>\nstream\n%s\nendstream" % (filtered, len(stream), stream),
    ]
    body, places = b"%PDF-1.4\n", []
    for number, one in enumerate(objects, 1):
        places.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, one)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    end = b"xref\n0 5\n0000000000 65535 f \n%strailer << /Size 5 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF"
    return body + end % (table, len(body))


def read(data):
    return asyncio.run(pdf_text(data))


def test_the_text_of_a_pdf():
    found = read(pdf())
    assert found.text == "What is a gadfly?"
    assert found.pages == 1


def refused(data):
    with pytest.raises(RequestError) as caught:
        read(data)
    return str(caught.value)


def test_what_cannot_be_read_says_why():
    assert "cannot be read" in refused(b"%PDF-1.4\nnonsense")
    assert "no text" in refused(pdf(b"0 0 m 10 10 l S"))
    writer = PdfWriter()
    writer.add_blank_page(10, 10)
    writer.encrypt("secret", algorithm="RC4-128")
    locked = BytesIO()
    writer.write(locked)
    assert "password" in refused(locked.getvalue())


def test_a_bomb_goes_off_elsewhere():
    """A quarter of a gigabyte of spaces in as many kilobytes of file."""
    data = pdf(b" " * (1 << 28), packed=True)
    assert len(data) < 1 << 20
    assert refused(data)


def test_what_takes_too_long_is_given_up(monkeypatch):
    monkeypatch.setattr(module, "_PATIENCE", 0)
    assert "too long" in refused(pdf())
