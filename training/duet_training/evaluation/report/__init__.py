"""The paper's tables and figures: measured results next to the paper's own."""
