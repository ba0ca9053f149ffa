"""Start-up of the test runs: keep a slow, unused import out of every Jupyter process.

``import nbformat`` reaches ``rfc3987_syntax``, which builds some 35 parsers (over two seconds) for a check that no
Jupyter schema asks for. Loaded first (``-p k8snet._fastimport``), this line makes that import fail at once, which
jsonschema takes as "not installed". Nothing of the course imports this file.
"""

import sys

sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
