// Axes: round numbers between which all values lie, and where a value stands.

export function ticks(low, high, count = 4) {
  if (!(high > low)) [low, high] = [Math.min(low, 0), Math.max(high, 0) || 1]
  const rough = (high - low) / count
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = [1, 2, 2.5, 5, 10].map(n => n * power).find(n => n >= rough * 0.999)
  const first = Math.floor(low / step)
  const last = Math.ceil(high / step)
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)))
}

export function scale([low, high], [start, end]) {
  return value => start + (value - low) / (high - low) * (end - start)
}

// Every day from the first to the last, those without a value as zero.
export function everyDay(since, before) {
  const days = []
  for (let at = Date.parse(`${since}T00:00:00Z`); at < Date.parse(`${before}T00:00:00Z`); at += 86_400_000) {
    days.push(new Date(at).toISOString().slice(0, 10))
  }
  return days
}
