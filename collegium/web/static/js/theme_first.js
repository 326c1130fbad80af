// A classic script, so that the remembered theme is set before the first paint.
try {
  const theme = localStorage.getItem("collegium.theme")
  if (theme) document.documentElement.dataset.theme = theme
} catch {
  // Storage is blocked: the system's theme it is.
}
