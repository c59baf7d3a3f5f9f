"""A local server that keeps decoder and connection warm: for `ask`, the OpenAI API and a page."""
