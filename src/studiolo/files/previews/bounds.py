"""How much of a file a preview reads and shows."""

MIB = 2**20

# Whole files that are read at once; larger ones are refused with the reason.
MAX_NOTEBOOK = 50 * MIB
MAX_MARKDOWN = 2 * MIB
MAX_IMAGE = 20 * MIB
MAX_PDF = 100 * MIB
# Of longer text and code, the beginning is shown.
MAX_TEXT = 512 * 1024
MAX_TABLE_HEAD = 4 * MIB
# Rows of text tables are counted up to this size: to count reads it all.
MAX_COUNTED = 16 * MIB

ROWS = 100
COLUMNS = 100
VALUE_CHARACTERS = 200
PDF_PAGES = 5
PDF_WIDTH = 820

# Of one output of a notebook's cell, and of all of them together.
MAX_OUTPUT_TEXT = 64 * 1024
MAX_OUTPUT_HTML = MIB
MAX_OUTPUT_IMAGE = 8 * MIB
MAX_OUTPUTS = 40 * MIB
MAX_OUTPUTS_OF_CELL = 200
