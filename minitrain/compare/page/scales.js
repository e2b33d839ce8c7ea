// A run's points, and the scales they are drawn on.

const OUTLIERS = 4; // the scale leaves out what lies so many times further off than the rest is wide

const stepsOf = data.steps.map((apart) => {
  let step = 0;
  return Float64Array.from(apart, (distance) => (step += distance));
});

const LONGEST = stepsOf.reduce((most, steps) => Math.max(most, steps.at(-1)), 1);

/** A run's points of a metric, {x, y}; the mean over `share` of all steps around each, less near the ends. */
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

/** Round numbers from low to high: 1, 2 or 5 times a power of ten apart. */
function ticks(low, high, most) {
  const rough = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const apart = power * [1, 2, 5, 10].find((each) => each * power >= rough);
  const first = Math.ceil(low / apart - 1e-9);
  return Array.from(
    { length: Math.max(0, Math.floor(high / apart + 1e-9) - first + 1) },
    (_, i) => (first + i) * apart,
  );
}

function logTicks(low, high) {
  // low, high: powers of ten
  const decades = high - low;
  if (decades < 0.7)
    return ticks(10 ** low, 10 ** high, 5)
      .filter((value) => value > 0)
      .map(Math.log10);
  const digits = decades < 2.5 ? [1, 2, 5] : [1];
  const apart = Math.ceil(decades / 8);
  const found = [];
  for (let power = Math.floor(low); power <= high; power++) {
    if (power % apart === 0) found.push(...digits.map((digit) => power + Math.log10(digit)));
  }
  return found.filter((value) => value >= low && value <= high);
}

/** The lowest and highest of values; of far outliers, the rest's. */
function span(values, isWhole) {
  const sorted = Float64Array.from(values).sort();
  const at = (share) => sorted[Math.round(share * (sorted.length - 1))];
  const [first, low, high, last] = [0, 0.02, 0.98, 1].map(at);
  const room = OUTLIERS * (high - low);
  if (isWhole || !(room > 0)) return { low: first, high: last, isCut: false };
  const cut = { low: first < low - room ? low : first, high: last > high + room ? high : last };
  return { ...cut, isCut: cut.low > first || cut.high < last };
}

/** How far a point is from a straight line between two others. */
function toSegment(point, a, b) {
  const [dx, dy] = [b.x - a.x, b.y - a.y];
  const along = ((point.x - a.x) * dx + (point.y - a.y) * dy) / (dx * dx + dy * dy || 1);
  const share = Math.max(0, Math.min(1, along));
  return Math.hypot(a.x + share * dx - point.x, a.y + share * dy - point.y);
}
