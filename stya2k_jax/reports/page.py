"""The frame of every HTML report: one file with its stylesheet inside."""

from collections.abc import Sequence
from html import escape

_CSS = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem;
  color: #222; background: #fff }
nav a { margin-right: 1rem; white-space: nowrap } a { color: #2a6f97 }
.counts { padding-left: 0; list-style: none }
table { border-collapse: collapse; margin: .6rem 0 } .wide { overflow-x: auto }
th, td { padding: .2rem .6rem; border-bottom: 1px solid #ddd; text-align: right;
  vertical-align: bottom }
td { vertical-align: middle } td, th:first-child { white-space: nowrap }
th:first-child, td:first-child { text-align: left }
th.group { text-align: center; border-left: 1px solid #ddd }
small { color: #666 } .plot { max-width: 35rem; width: 100%; font-size: 11px }
summary { cursor: pointer; color: #2a6f97 } select { font: inherit }
.grid td, .grid th { padding: 1px; border: 0; width: 84px; height: 84px; text-align: center;
  font-size: 11px; white-space: normal }
.grid img { width: 84px; display: block; cursor: zoom-in }
.grid img:focus { position: fixed; z-index: 1; width: min(80vmin, 512px); left: 50%; top: 50%;
  transform: translate(-50%, -50%); cursor: default; outline: 2px solid #2a6f97;
  box-shadow: 0 0 0 100vmax #0008 }
figure { display: inline-block; margin: .3rem 1rem .6rem 0; vertical-align: top }
figure img { width: 118px } figcaption { font-size: 12px; white-space: pre-line }
#chosen figure, #chosen img { width: 256px; max-width: 44vw } .warning { color: #a33 }
"""


def page(title: str, parts: Sequence[str]) -> str:
    """Returns an HTML page of its parts, under its title as the heading."""
    name = escape(title)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{name}</title>'
        f"<style>{_CSS}</style><body><h1>{name}</h1>{''.join(parts)}</body></html>\n"
    )
