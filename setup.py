"""What follows from one value in pyproject.toml, tool.ddlite.repository: the links that PyPI shows, and the README made for it.

All else is in pyproject.toml. PyPI has no files beside the README: a picture or a link needs a whole address. Without a
repository, a picture is replaced by its description, and a link by its words.
"""

import re
import tomllib
from pathlib import Path

from setuptools import setup

HERE = Path(__file__).resolve().parent
BESIDE = r"\((?!https?:|#)([^)]*)\)"  # the address of a file in the repository


def readme(text, repository):
    """The README for a place where it stands alone."""
    if repository:
        text = re.sub(rf"(!\[[^]]*\]){BESIDE}", rf"\1({repository}/raw/main/\2)", text)
        return re.sub(rf"(\[[^]]*\]){BESIDE}", rf"\1({repository}/blob/main/\2)", text)
    text = re.sub(rf"!\[([^]]*)\]{BESIDE}", r"*\1*", text)
    return re.sub(rf"\[([^]]*)\]{BESIDE}", r"\1", text)


def urls(repository):
    where = {"Repository": repository, "Issues": f"{repository}/issues"} if repository else {}
    return {"Paper": "https://arxiv.org/abs/1811.10959", **where}


if __name__ == "__main__":
    address = tomllib.loads((HERE / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["ddlite"]["repository"].rstrip("/")
    setup(long_description=readme((HERE / "README.md").read_text(encoding="utf-8"), address),
          long_description_content_type="text/markdown", project_urls=urls(address))
