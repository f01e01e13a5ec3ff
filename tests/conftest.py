"""Settings of all tests: strict arrays, several CPU devices, and what is compiled is kept.

Kept on disk, that is: in memory it would come to gigabytes, through which Python's garbage
collection goes again and again.
"""

import atexit
import os
import shutil
import tempfile

# What one test has compiled, the next one and the commands it starts need not compile again. One
# directory for each process of pytest-xdist, because entries are not written atomically.
_CACHE = tempfile.mkdtemp(prefix="stya2k-test-compiled-")
atexit.register(shutil.rmtree, _CACHE, ignore_errors=True)
os.environ["JAX_COMPILATION_CACHE_DIR"] = _CACHE
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.2"

# NumPy's threads wait for each other in busy loops: where tests run side by side, small products
# take five times as long with two of them.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import jax  # noqa: E402
import pytest  # noqa: E402
from PIL import Image  # noqa: E402

from tests.support.chromium import launched  # noqa: E402

jax.config.update("jax_num_cpu_devices", 4)  # so that sharding is real
jax.config.update("jax_numpy_rank_promotion", "raise")

# The files that take longest, which begin first: two processes then end at about one time.
LONGEST = (
    *("release/test_golden", "training/test_step", "training/test_train_painter"),
    *(
        "network/test_model",
        "training/test_train_encoder",
        "demo/test_page",
        "inference/test_tiles",
    ),
    *("weights/test_run_checkpoints", "inference/test_programs", "commands/test_evaluate"),
    *("evaluation/test_evaluate_pictures", "pictures/test_hostile_pictures"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the tests of the longest files first; `--no-loadscope-reorder` keeps them there."""
    order = {f"tests/{name}.py": rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.nodeid.partition("::")[0], len(LONGEST)))


@pytest.fixture(autouse=True, scope="module")
def programs_end_with_their_module():
    """Frees what a module has compiled."""
    yield
    jax.clear_caches()


@pytest.fixture(scope="module")
def photograph(tmp_path_factory):
    """Writes a photograph of 140 x 180."""
    skimage_data = pytest.importorskip("skimage.data")
    path = tmp_path_factory.mktemp("photograph") / "astronaut.png"
    Image.fromarray(skimage_data.astronaut()[:140, 150:330]).save(path)
    return path


@pytest.fixture(scope="module")
def browser():
    """Starts the system's chromium by Playwright."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs Playwright")
    if not shutil.which("chromium"):
        pytest.skip("needs chromium on the PATH")
    with sync_api.sync_playwright() as playwright:
        browser = launched(playwright)
        yield browser
        browser.close()
