"""The paper's tables and figures from what was run, beside the paper's own."""
