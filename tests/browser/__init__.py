"""A package, so that Chromium and its page are there for all of these tests and gone before any other."""
