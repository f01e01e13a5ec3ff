"""The demo's page, `build`, and what its button does, `paint`, which knows nothing of pages."""

from collections.abc import Sequence
from concurrent.futures import Future
from html import escape
from typing import Any

from PIL import Image

from stya2k_jax.demo.examples import contents_and_styles
from stya2k_jax.demo.guard import Uploads
from stya2k_jax.demo.painting import DEFAULT_SIZE_PX, MAX_ALPHA, SIZES_PX, paint
from stya2k_jax.errors import UserError
from stya2k_jax.inference.stylizer import COLORS

MAX_STYLES = 4


MAX_WAITING = 20  # requests
KEEP_FILES_S = 3600  # uploads and results
SHOW_ERROR_S = 20

EXAMPLES_PX = 384
_CSS = """
.gradio-container { max-width: 1200px !important; margin: 0 auto !important }
.weight :is(.min_value, .max_value) { display: none }
.weight input[type=range] { min-width: 0; width: 100% }
"""


def build(stylizer: Any, uploads: Uploads, programs: Sequence[Future] = ()) -> Any:
    """Lays the page out.

    Pictures are painted one at a time; requests wait in a queue, and each is answered to the
    browser that sent it alone. Nothing here is kept from one request to the next.

    Args:
      stylizer: a `stya2k_jax.Stylizer`.
      uploads: the files that may be painted.
      programs: that are being compiled; until they are there, the page says so.

    Returns:
      `gradio.Blocks`.
    """
    import gradio as gr

    told = gr.Progress()

    def on_paint(given: dict, progress=told):
        try:
            return paint(
                stylizer,
                path_of(given[content]),
                [path_of(given[slot]) for slot in slots],
                [given[weight] for weight in weights],
                alpha=given[alpha],
                size_px=given[size_px],
                preserve_color=given[colour],
                report=lambda done, what: progress(done, desc=what),
            )
        except UserError as error:
            raise shown(str(error)) from error
        except Exception as error:
            if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
                raise shown("This size needs too much memory; choose a smaller one.") from error
            raise shown(
                "The server met an error of its own, which its output describes.",
                print_exception=True,
            ) from error

    def path_of(upload: dict | None) -> str | None:
        if upload is None:
            return None
        if not isinstance(upload, dict) or not uploads.owns(upload.get("path")):
            raise UserError("Upload the pictures.")
        return upload["path"]

    def shown(message: str, print_exception: bool = False) -> gr.Error:
        # Gradio renders HTML.
        return gr.Error(escape(message), SHOW_ERROR_S, print_exception=print_exception)

    def on_style_example(index, *slots):
        free = next((i for i, slot in enumerate(slots) if slot is None), None)
        if free is None:
            gr.Info(f"All {MAX_STYLES} styles are taken; remove one first.")
        chosen = style_examples[index]
        return [chosen if i == free else gr.skip() for i in range(MAX_STYLES)]

    contents, styles = contents_and_styles(EXAMPLES_PX)
    content_examples, style_examples = list(contents.values()), list(styles.values())

    # What was uploaded is handed on as the file it is (`preprocess=False`): Gradio would decode it.
    hidden = dict(api_visibility="private", preprocess=False)
    upload = dict(format="png", sources=["upload"], buttons=[])
    with gr.Blocks(
        title="StyA2K", analytics_enabled=False, delete_cache=(KEEP_FILES_S // 6, KEEP_FILES_S)
    ) as page:
        gr.Markdown(
            "# StyA2K\nPaints a picture in the style of another one, or in a mixture of up to "
            f"{MAX_STYLES}. Pictures stay on the machine that runs this page."
        )
        if programs:
            waiting, timer = gr.Markdown(readiness(programs), elem_id="readiness"), gr.Timer(1)
            timer.tick(
                lambda: (readiness(programs), gr.Timer(active=bool(readiness(programs)))),
                None,
                [waiting, timer],
                concurrency_limit=None,
                show_progress="hidden",
                api_visibility="private",
            )
        with gr.Row():
            with gr.Column():
                content = gr.Image(label="Content", height=300, elem_id="content", **upload)
                content_dataset = _examples(gr, "Example contents", content_examples)
                with gr.Row():
                    slots, weights = [], []
                    for i in range(1, MAX_STYLES + 1):
                        with gr.Column(min_width=120):
                            slots.append(
                                gr.Image(
                                    label=f"Style {i}",
                                    placeholder="Upload" if i == 1 else "Optional",
                                    height=140,
                                    elem_id=f"style-{i}",
                                    **upload,
                                )
                            )
                            weights.append(
                                gr.Slider(
                                    *(0, 1, 1),
                                    step=0.05,
                                    label="Weight",
                                    buttons=[],
                                    elem_id=f"weight-{i}",
                                    elem_classes="weight",
                                )
                            )
                style_dataset = _examples(gr, "Example styles", style_examples)
            with gr.Column():
                result = gr.ImageSlider(
                    label="Before | after",
                    format="png",
                    interactive=False,
                    height=420,
                    elem_id="result",
                )
                button = gr.Button("Paint", variant="primary", elem_id="paint")
                alpha = gr.Slider(
                    *(0, MAX_ALPHA, 1),
                    step=0.05,
                    label="Strength",
                    info="0 keeps the content, 1 is what was trained, more exaggerates",
                    elem_id="alpha",
                )
                size_px = gr.Slider(
                    *(*SIZES_PX, DEFAULT_SIZE_PX),
                    step=64,
                    label="Size",
                    info="Short side in pixels; the first picture of a new size takes longer",
                    elem_id="size",
                )
                colour = gr.Radio(
                    COLORS,
                    value="none",
                    label="Keep the content's colours",
                    info="luminance: only lightness is painted; match: recolours the style first",
                    elem_id="colour",
                )

        given = {content, *slots, *weights, alpha, size_px, colour}
        button.click(on_paint, given, result, concurrency_limit=1, **hidden)
        # In the queue as well: the server answers no other requests.
        content_dataset.click(
            lambda index: content_examples[index],
            content_dataset,
            content,
            concurrency_limit=None,
            **hidden,
        )
        style_dataset.click(
            on_style_example, [style_dataset, *slots], slots, concurrency_limit=None, **hidden
        )
    # Without open routes nobody passes the queue by.
    return page.queue(max_size=MAX_WAITING, api_open=False)


def readiness(programs: Sequence[Future]) -> str:
    """Says how far compiling is, or nothing at its end."""
    done = sum(program.done() for program in programs)
    if done == len(programs):
        return ""
    return (
        f"Getting ready: {done} of {len(programs)} programs are compiled. Until then a first "
        "picture takes a few seconds more."
    )


def look() -> dict[str, Any]:
    """Returns the theme and the style sheet, both of which a server is given beside the page."""
    from gradio import themes

    # Gradio 6.31 ships its default font's weight 600 with few of the letters.
    font = themes.LocalFont("Source Sans Pro", weights=(400, 700))
    return dict(theme=themes.Default(font=(font, "system-ui", "sans-serif")), css=_CSS)


def _examples(gr: Any, label: str, pictures: Sequence[Image.Image]) -> Any:
    shown = gr.Image(format="png", render=False)
    return gr.Dataset(
        label=label, components=[shown], samples=[[x] for x in pictures], type="index"
    )
