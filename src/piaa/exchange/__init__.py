"""Tags where other programs read them, and corrections back.

Comes in: a table that `piaa tag` wrote, or another program's export. Goes out: that program's files, or truth for
`piaa eval`. No model is known here: whoever has one hands in a function that gives heat maps.
"""

from piaa.exchange.common import Exported, Options
from piaa.exchange.corrections import Corrected, relative_to, write_corrections
from piaa.exchange.formats import EXPORTS, IMPORTS, export_tags, read_corrections
from piaa.exchange.tag_table import TagRow, TagTable, read_tags

__all__ = [
    "EXPORTS",
    "IMPORTS",
    "Corrected",
    "Exported",
    "Options",
    "TagRow",
    "TagTable",
    "export_tags",
    "read_corrections",
    "read_tags",
    "relative_to",
    "write_corrections",
]
