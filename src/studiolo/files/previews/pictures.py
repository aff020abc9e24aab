"""Images as they are, and pages of PDF as pictures."""

import base64
import struct
import zlib

import pypdfium2 as pdfium

from studiolo.contract.sizes import describe_size
from studiolo.files.previews import bounds
from studiolo.files.previews.page import document, notice

IMAGES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".bmp": "image/bmp",
    ".ico": "image/x-icon",
    # In an <img>, an SVG runs no scripts and fetches nothing.
    ".svg": "image/svg+xml",
}


def render_image(content: bytes, suffix: str) -> str:
    """Return the document of an image; `suffix`: of its name, a key of IMAGES."""
    facts = [IMAGES[suffix].removeprefix("image/").removesuffix("+xml").upper(), describe_size(len(content))]
    if content.startswith(b"\x89PNG\r\n\x1a\n") and len(content) >= 24:
        width, height = struct.unpack(">II", content[16:24])
        facts.append(f"{width} by {height} pixels")
    return document(f'<div class="picture">{_img(IMAGES[suffix], content, "The image")}</div>', facts=tuple(facts))


def render_pdf(content: bytes) -> str:
    """Return the document of a PDF's first pages."""
    size = describe_size(len(content))
    try:
        opened = pdfium.PdfDocument(content)
    except pdfium.PdfiumError as exc:
        return notice("This PDF cannot be read.", f"What its reader says: {exc}", facts=(size,))
    count = len(opened)
    shown = min(count, bounds.PDF_PAGES)
    pages = "".join(_img("image/png", _page(opened, number), f"Page {number + 1}", "sheet") for number in range(shown))
    notes = (f"The first {shown} of {count} pages are shown. Download has all of it.",) if shown < count else ()
    return document(pages, facts=(f"{count} pages" if count != 1 else "1 page", size), notes=notes)


def _page(opened: pdfium.PdfDocument, number: int) -> bytes:
    page = opened[number]
    width, height = page.get_size()
    # A page may say that it is kilometres long.
    scale = min(bounds.PDF_WIDTH / max(width, 1), 4 * bounds.PDF_WIDTH / max(height, 1))
    bitmap = page.render(scale=scale, rev_byteorder=True, force_bitmap_format=pdfium.raw.FPDFBitmap_BGR)
    return _png(bitmap.width, bitmap.height, bitmap.stride, bytes(bitmap.buffer))


def _png(width: int, height: int, stride: int, pixels: bytes) -> bytes:
    """Return a PNG of rows of RGB. Source: PNG specification, 5 (chunks) and 9 (filter 0: as it is)."""
    rows = b"".join(b"\0" + pixels[row * stride : row * stride + 3 * width] for row in range(height))
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows, 4)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )


def _img(kind: str, content: bytes, alt: str, look: str = "") -> str:
    return f'<img class="{look}" alt="{alt}" src="data:{kind};base64,{base64.b64encode(content).decode()}">'
