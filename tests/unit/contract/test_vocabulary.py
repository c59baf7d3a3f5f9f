import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from tokenizers import pre_tokenizers

from duet_contract import vocabulary as vocabulary_module
from duet_contract.errors import ManifestError
from duet_contract.vocabulary import _missing_bytes, fingerprint, gguf_vocabulary, vocabulary_of
from tests.doubles import vocabularies


def test_fingerprint_depends_on_ids_and_tokens_not_on_order():
    assert fingerprint({0: "a", 1: "b"}) == fingerprint({1: "b", 0: "a"})
    assert fingerprint({0: "a", 1: "b"}) != fingerprint({0: "b", 1: "a"})
    assert fingerprint({0: "a\t1"}) != fingerprint({0: "a", 1: "1"})


def test_gguf_and_tokenizer_json_agree(tmp_path):
    tokenizer, described = vocabularies.build("qwen", tmp_path)
    vocab = tokenizer._tokenizer.get_vocab(with_added_tokens=True)
    tokens = [token for token, _ in sorted(vocab.items(), key=lambda item: item[1])]
    kinds = [
        3 if token in vocabularies.SPECIAL else 4 if token in vocabularies.ADDED else 1
        for token in tokens
    ]
    padded = [*tokens, "[PAD1]", "[PAD2]"], [*kinds, 5, 5]
    assert gguf_vocabulary(*padded, like=described) == described


def test_normalisation_that_llama_cpp_lacks_is_refused(tmp_path):
    vocabularies.build("gpt2", tmp_path)
    path = tmp_path / "tokenizer.json"
    data = json.loads(path.read_text())
    data["normalizer"] = {"type": "Lowercase"}
    path.write_text(json.dumps(data))
    with pytest.raises(ManifestError, match="Lowercase"):
        vocabulary_of(path)


def test_missing_bytes_are_those_no_token_spells():
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    assert _missing_bytes(alphabet) == ()
    assert _missing_bytes(set(alphabet) - {"a", "\u0116"}) == (0x16, ord("a"))
    assert _missing_bytes({"\u2581a", "b"}) == ()


@pytest.mark.parametrize("family", ["gpt2", "qwen"])
def test_long_text_has_the_ids_of_its_parts(family, tmp_path):
    tokenizer, _ = vocabularies.build(family, tmp_path)
    line = vocabularies.TEXT[0]
    count = 2 * vocabulary_module._LONG // len(line)
    assert tokenizer.encode_text(line * count) == tokenizer.encode_text(line) * count


def test_threads_may_tokenise_text_and_templates_at_once(tmp_path):
    """Whether control tokens are recognized is a setting of Hugging Face's whole tokenizer."""
    tokenizer, _ = vocabularies.build("qwen", tmp_path)
    special = vocabularies.SPECIAL[0]
    text = f"{special} " * vocabulary_module._LONG
    as_text, as_template = tokenizer.encode_text(text), tokenizer.encode_template(special)
    with ThreadPoolExecutor(2) as threads:
        running = [threads.submit(tokenizer.encode_text, text) for _ in range(4)]
        while not all(each.done() for each in running):
            assert tokenizer.encode_template(special) == as_template
        assert all(each.result() == as_text for each in running)
    assert as_template[0] not in as_text
