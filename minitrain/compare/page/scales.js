// The points of curves, and the scales of the axes.

const OUTLIERS = 4; // values further away than so many times the width of the others are outliers

const stepsOf = data.steps.map((distances) => {
  let step = 0;
  return Float64Array.from(distances, (distance) => (step += distance));
});

const LONGEST = stepsOf.reduce((most, steps) => Math.max(most, steps.at(-1)), 1);

/** The points of a run's curve, {x, y}, smoothed over `share` of all steps on each side; less near the ends. */
function points(metric, run, share) {
  const curve = data.curves[metric][run];
  if (!curve) return null;
  const [x, y] = [stepsOf[curve[0]], curve[1]];
  if (!share) return { x, y };
  const smooth = new Float64Array(y.length);
  let [low, high, sum] = [0, 0, 0];
  for (let i = 0; i < y.length; i++) {
    const reach = Math.min(share * LONGEST, x[i] - x[0], x.at(-1) - x[i]);
    while (high < y.length && x[high] <= x[i] + reach) sum += y[high++];
    while (x[low] < x[i] - reach) sum -= y[low++];
    while (low > 0 && x[low - 1] >= x[i] - reach) sum += y[--low];
    while (x[high - 1] > x[i] + reach) sum -= y[--high];
    smooth[i] = sum / (high - low);
  }
  return { x, y: smooth };
}

/** Round numbers from low to high, spaced by 1, 2 or 5 times a power of ten. */
function ticks(low, high, most) {
  const rough = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const spacing = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
  const first = Math.ceil(low / spacing - 1e-9);
  return Array.from(
    { length: Math.max(0, Math.floor(high / spacing + 1e-9) - first + 1) },
    (_, i) => (first + i) * spacing,
  );
}

/** Round numbers between two powers of ten, as exponents. */
function logTicks(low, high) {
  const decades = high - low;
  if (decades < 0.7)
    return ticks(10 ** low, 10 ** high, 5)
      .filter((value) => value > 0)
      .map(Math.log10);
  const digits = decades < 2.5 ? [1, 2, 5] : [1];
  const spacing = Math.ceil(decades / 8);
  const exponents = [];
  for (let power = Math.floor(low); power <= high; power++) {
    if (power % spacing === 0) exponents.push(...digits.map((digit) => power + Math.log10(digit)));
  }
  return exponents.filter((value) => value >= low && value <= high);
}

/** The range of values without far outliers, or of all values (isWhole). */
function span(values, isWhole) {
  const sorted = Float64Array.from(values).sort();
  const quantile = (share) => sorted[Math.round(share * (sorted.length - 1))];
  const [first, low, high, last] = [0, 0.02, 0.98, 1].map(quantile);
  const limit = OUTLIERS * (high - low);
  if (isWhole || !(limit > 0)) return { low: first, high: last, isCut: false };
  const cut = { low: first < low - limit ? low : first, high: last > high + limit ? high : last };
  return { ...cut, isCut: cut.low > first || cut.high < last };
}

/** The distance of a point from the segment between two others. */
function distanceToSegment(point, a, b) {
  const [dx, dy] = [b.x - a.x, b.y - a.y];
  const along = ((point.x - a.x) * dx + (point.y - a.y) * dy) / (dx * dx + dy * dy || 1);
  const share = Math.max(0, Math.min(1, along));
  return Math.hypot(a.x + share * dx - point.x, a.y + share * dy - point.y);
}
