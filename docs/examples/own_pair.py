"""Builds a pair from two models: own_pair.py REASONER DECODER OUT_DIR

Both are named as in `duet-cloud pairs build --reasoner REASONER --decoder DECODER`, which does the
same. Needs `pip install ./proto './cloud[gpu]'` (or `'./cloud[cpu]'`).
"""

import sys
from pathlib import Path

from duet_cloud.errors import CloudError
from duet_cloud.pairs.any_two import recipe_of
from duet_cloud.pairs.build import build_pair

reasoner, decoder, out = sys.argv[1:]
try:
    recipe = recipe_of(reasoner, decoder)
    manifest = build_pair(recipe.model_copy(update={"id": "my-pair"}), Path(out))
except CloudError as error:
    sys.exit(f"not built: {error}")
same = "token ids" if manifest.shared_vocabulary else "text, because the vocabularies differ"
print(f"signals are sent as {same}")
print(f"serve it:  duet-cloud serve --pair {out}")
print(f"ask it:    duet-device ask --pair {out} QUESTION")
