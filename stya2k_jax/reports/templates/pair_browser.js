// Shows one pair of all systems: pictures from the page's grids, captions from `numbers`.
const byId = id => document.getElementById(id);

function show() {
  const content = byId("content").value, style = byId("style").value;
  const stem = `${content}_stylized_${style}`;
  const add = (image, caption) => {
    const figure = document.createElement("figure"), text = document.createElement("figcaption");
    text.textContent = image ? caption : `${caption}: failed`;
    if (image) {
      const shown = image.cloneNode();
      shown.loading = "eager";
      figure.append(shown);
    }
    figure.append(text);
    byId("chosen").append(figure);
  };
  byId("chosen").replaceChildren();
  const grids = [...document.querySelectorAll(".grid[data-system]")];
  // By place: a content and a style may have one name. Row and column 0 hold styles and contents.
  const row = byId("content").selectedIndex + 1, column = byId("style").selectedIndex + 1;
  const find = (grid, i, j) => grid.rows[i].cells[j].querySelector("img");
  add(find(grids[0], row, 0), content);
  add(find(grids[0], 0, column), style);
  grids.forEach((grid, i) => {
    const lines = [grid.dataset.system, ...(numbers[i][stem] || [])];
    add(find(grid, row, column), lines.join("\n"));
  });
}

byId("content").onchange = byId("style").onchange = show;
addEventListener("DOMContentLoaded", show);
