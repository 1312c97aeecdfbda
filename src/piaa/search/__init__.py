"""Images found again: by their labels in a table of tags, or by free text through the encoder.

Comes in: a query and a table that `piaa tag` wrote, or a query and images. Goes out: which images, the best first.
"""

from piaa.search.found import Found, Result, check_found_place, write_found
from piaa.search.match import search_tags
from piaa.search.query import Query, parse_query

__all__ = ["Found", "Query", "Result", "check_found_place", "parse_query", "search_tags", "write_found"]
