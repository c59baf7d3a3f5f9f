"""A run as a pair: weights merged, reasoner for vLLM, decoder for llama.cpp, both compared."""
