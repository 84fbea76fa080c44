"""Writes the files that are made from others; the checks compare them."""

import sys

from . import chart, mixin, values
from .report import ROOT

for path, text in {**mixin.copies(), chart.README: chart.readme(), **values.copies()}.items():
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    print(f"wrote {path.relative_to(ROOT)}", file=sys.stderr)
