// A QR code as a drawing. The library comes with the first one.

const SVG = "http://www.w3.org/2000/svg";

export async function drawQR(node, text) {
  if (node.dataset.text === text) return;
  node.dataset.text = text;
  const { encode } = await import("./vendor/uqr.mjs");
  const { data, size } = encode(text, { ecc: "M", border: 2 });
  const image = document.createElementNS(SVG, "svg");
  image.setAttribute("viewBox", `0 0 ${size} ${size}`);
  image.setAttribute("role", "img");
  image.setAttribute("aria-label", "QR code of the link to this session");
  const path = document.createElementNS(SVG, "path");
  const squares = data.flatMap((row, y) => row.map((dark, x) => (dark ? `M${x} ${y}h1v1h-1z` : "")));
  path.setAttribute("d", squares.join(""));
  image.append(path);
  node.replaceChildren(image);
}
