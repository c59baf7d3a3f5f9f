"""Builds a pair from two local models: own_pair.py REASONER_DIR DECODER.gguf OUT_DIR

REASONER_DIR is a model as Hugging Face's libraries write it, with `tokenizer.json`. Both models need
chat templates. Needs `pip install ./proto './cloud[gpu]'` (or `'./cloud[cpu]'`).
"""

import sys
from pathlib import Path

from duet_cloud.errors import CloudError
from duet_cloud.pairs.build import build_pair
from duet_cloud.pairs.recipe import DecoderRecipe, ReasonerRecipe, Recipe, Source
from duet_contract.manifest import Defaults, Limits

reasoner, decoder, out = map(Path, sys.argv[1:])
recipe = Recipe(
    id="my-pair",
    version="1.0.0",
    description="two local models, not trained for the split",
    licence="Apache-2.0",
    base_models=(reasoner.name, decoder.stem),
    reasoner=ReasonerRecipe(
        source=Source(local=reasoner),
        instruction=" Let's think step by step and output the final answer within \\boxed{}.",
    ),
    decoder=DecoderRecipe(source=Source(local=decoder, gguf=decoder.name)),
    limits=Limits(question=256, budget=512, answer=128),
    defaults=Defaults(budget=256, answer=128),
)
try:
    manifest = build_pair(recipe, out)
except CloudError as error:
    sys.exit(f"not built: {error}")
same = "token ids" if manifest.shared_vocabulary else "text, because the vocabularies differ"
print(f"signals are sent as {same}")
print(f"serve it:  duet-cloud serve --pair {out}")
print(f"ask it:    duet-device ask --pair {out} QUESTION")
