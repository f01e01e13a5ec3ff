"""The templates of every HTML page. A page is one file: stylesheet and scripts are inside."""

from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from stya2k_jax.files.atomic import write_whole


@cache
def _templates() -> jinja2.Environment:
    loader = jinja2.PackageLoader(__package__)  # its folder `templates`
    templates = jinja2.Environment(
        loader=loader,
        autoescape=True,  # names of files may hold <, & and quotes
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    templates.policies["json.dumps_kwargs"] = {}  # by default keys would be sorted
    templates.globals["source"] = lambda name: Markup(loader.get_source(templates, name)[0])
    return templates


def source(name: str) -> str:
    """Returns a file of `templates` as it is: the stylesheet, say, which the site has too."""
    templates = _templates()
    return templates.loader.get_source(templates, name)[0]


def macro(name: str, *values: Any) -> Markup:
    """Fills a macro of `templates/macros.html`; texts are escaped, `Markup` is kept."""
    return getattr(_templates().get_template("macros.html").module, name)(*values)


def fill(template: str, **values: Any) -> Markup:
    """Fills a template; texts are escaped, `Markup` is kept."""
    return Markup(_templates().get_template(template).render(**values))


def write_page(path: Path, template: str, **values: Any) -> None:
    """Fills a template that extends `page.html`, and writes it, whole or not at all.

    Args:
      path: of the HTML file.
      template: a file of `templates`.
      **values: what the template names; `title` is always there.
    """
    html = fill(template, **values)
    # Names of files may hold bytes that are no UTF-8.
    data = html.encode("utf-8", "xmlcharrefreplace")
    write_whole(path, lambda name: Path(name).write_bytes(data))
