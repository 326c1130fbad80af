// An expert's colour: a hue, or none for generalists; the stylesheets make shades of it.

export function tint(node, { hue }) {
  node.style.setProperty("--expert-hue", hue ?? 220)
  node.style.setProperty("--expert-chroma", hue === null ? 0.18 : 1)
  return node
}
